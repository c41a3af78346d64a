/** Rules of the kernel on a host of the benchmark's own, and taking them away again. Never on the machine itself. */
import { fileURLToPath } from 'node:url';
import { runToEnd } from '../../test/support/processes.ts';
import type { Place } from '../work.ts';

/** Throws unless the place is a host of its own. */
export function requireOwnHost({ wrapper }: Place): void {
  if (wrapper.length === 0) throw new Error('relays of the kernel are measured with --kernel');
}

/** Runs a command there to its end. Rejects with what it wrote if it fails. */
export async function run({ wrapper }: Place, command: string, ...args: readonly string[]): Promise<void> {
  await runToEnd({ command, args, wrapper });
}

/** Takes a table away, if it is there. */
export async function deleteTable(place: Place, name: string): Promise<void> {
  requireOwnHost(place);
  // Added before it is deleted: the second would fail where there is none.
  await run(place, 'nft', `add table inet ${name}; delete table inet ${name}`);
}

/** Makes the host forget all connections, so that the runs before do not fill its table. */
export async function forget(place: Place): Promise<void> {
  requireOwnHost(place);
  const script = fileURLToPath(new URL('./forget.js', import.meta.url));
  await run(place, process.execPath, script);
}
