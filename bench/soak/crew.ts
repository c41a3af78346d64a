/** Lanes of work that go round until they are told to stop, and the tally of how each round ended. */
import type { Socket } from 'node:net';
import { WrongPayload } from './streams.ts';
import { Lost } from './udp-works.ts';

export interface Job {
  readonly name: string;
  /** Rounds under way at once. */
  readonly lanes: number;
  /** Part of the work is broken on purpose: a failure that is not a wrong payload is counted, not a miss. */
  readonly mayFail?: boolean;
  readonly round: (opened: (socket: Socket) => void, isOver: () => boolean) => Promise<void>;
}

export interface Tally {
  readonly name: string;
  readonly mayFail: boolean;
  done: number;
  failed: number;
  lost: number;
  wrong: number;
  /** The first few reasons. */
  readonly reasons: string[];
}

/** A round that takes longer hangs: it is ended and has failed. */
const roundMsMax = 60_000;
const reasonsMax = 5;

async function lane(job: Job, tally: Tally, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const sockets: Socket[] = [];
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy(new Error(`not over within ${roundMsMax} ms`));
    }, roundMsMax);
    try {
      await job.round((socket) => sockets.push(socket), isOver);
      tally.done++;
    } catch (error) {
      if (error instanceof WrongPayload) tally.wrong++;
      else if (error instanceof Lost) tally.lost++;
      else tally.failed++;
      if ((error instanceof WrongPayload || !job.mayFail) && tally.reasons.length < reasonsMax)
        tally.reasons.push(error instanceof Error ? error.message : String(error));
    } finally {
      clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
    }
    // Where every round fails at once, timers and sockets must still have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Runs all lanes of all jobs until `isOver`; resolves when the last round is over. */
export async function work(jobs: readonly Job[], isOver: () => boolean): Promise<Tally[]> {
  const tallies = jobs.map(({ name, mayFail }) => ({
    name,
    mayFail: mayFail ?? false,
    done: 0,
    failed: 0,
    lost: 0,
    wrong: 0,
    reasons: [],
  }));
  await Promise.all(
    jobs.flatMap((job, i) => Array.from({ length: job.lanes }, () => lane(job, tallies[i]!, isOver))),
  );
  return tallies;
}
