/** How a TCP client is refused that the host does not let in: by what the listener says of those who are denied, else by a reset. */
import type { RefusalWay } from '../core/plan.ts';
import type { ListenerView } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';

export function refusalWay({ plan }: ListenerView, code: TerminationCode | undefined): RefusalWay {
  return code === 'denied' ? (plan.refuse ?? 'reset') : 'reset';
}
