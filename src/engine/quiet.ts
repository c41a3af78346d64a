/**
 * When a UDP conversation counts as quiet. Nothing says that a client has left: ordinarily its idle time-out has to pass.
 * While its listener shuts down it is over sooner: one whose every request was answered waits for nobody (a resolver's),
 * unless it goes on (a game sends several times a second); one that asked more often than it was answered may be waited for.
 */

import type { Flow } from '../core/flow.ts';
import { stoppingAnsweredMs, stoppingUnansweredMs } from '../core/limits.ts';

/** Milliseconds without a datagram until `flow` is over. */
export function quietMs({ listener, datagramsIn, datagramsOut }: Flow, isStopping: boolean): number {
  const { idleMs } = listener.plan.timeouts;
  if (!isStopping) return idleMs;
  return Math.min(idleMs, datagramsOut >= datagramsIn ? stoppingAnsweredMs : stoppingUnansweredMs);
}

/** Whether it is over because all its client asked was answered (`session_ends_after`). */
export function isAnswered({ listener, datagramsIn, datagramsOut }: Flow): boolean {
  const { sessionEndsAfter } = listener.plan;
  return sessionEndsAfter !== undefined && datagramsOut >= sessionEndsAfter.replies * datagramsIn;
}
