/** How the process ends. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Exit statuses, a promise to scripts and unit files. */
export const exitStatus = {
  good: 0,
  /** The configuration was refused, or cannot be put to use on this machine. */
  refused: 1,
  usage: 2,
  /** A defect: sysexits.h EX_SOFTWARE. */
  defect: 70,
} as const;

/** A room that had to be made to go does so within a moment, unless it waits for a name server. */
const threadsGoneWithinMs = 200;
const lookMs = 10;

/**
 * Ends the process, when all is done and told. `process.exit` waits for threads that look names up, and a name server that is
 * silent keeps one for ten seconds and more: then it is ended without them, with its status where the C library can be called.
 */
export async function leave(status: number, hasThread: () => boolean): Promise<void> {
  const untilMs = performance.now() + threadsGoneWithinMs;
  while (hasThread() && performance.now() < untilMs) await sleep(lookMs);
  if (!hasThread()) process.exit(status);
  try {
    (await import('../linux/libc.ts')).exitAtOnce(status);
  } catch {
    process.kill(process.pid, 'SIGKILL');
  }
}
