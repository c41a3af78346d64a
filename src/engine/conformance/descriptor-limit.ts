/**
 * Takes descriptors away from the engine's process, with prlimit(1): setrlimit(2) RLIMIT_NOFILE refuses new
 * descriptor numbers at or above the limit, so the limit is put just above the numbers in use.
 */
import { execFileSync } from 'node:child_process';
import type { Stage } from './stage.ts';

/** Leaves the engine's process `spare` more descriptors. Returns what gives it back all it had. */
export function leaveDescriptors(stage: Stage, spare: number): () => void {
  const set = (limit: string): void => {
    execFileSync('prlimit', ['--pid', String(stage.pid), `--nofile=${limit}`]);
  };
  const before = execFileSync(
    'prlimit',
    ['--pid', String(stage.pid), '--nofile', '--noheadings', '--raw', '-o', 'SOFT,HARD'],
    {
      encoding: 'utf8',
    },
  );
  const [soft, hard] = before.trim().split(/\s+/);
  const used = new Set(stage.descriptors());
  let limit = 0;
  for (let free = 0; used.has(limit) || free++ < spare; ) limit++;
  set(`${limit}:${hard}`);
  return () => set(`${soft}:${hard}`);
}
