/**
 * What a balancing policy is: something that names backends in order of preference. It knows nothing of
 * health, drains, limits or retries; the one loop in core/choose.ts applies those to whatever comes next.
 */
import type { Key } from '../key.ts';
import type { BackendView } from '../snapshot.ts';

/** Live numbers a policy may look at. Positions are places in the pool's `backends`. */
export interface Loads {
  /** Flows open on the backend now, over all workers and, where known, all instances. */
  active(position: number): number;
  /** The weight in force now (slow start may hold it below the configured one); 0 takes no new clients. */
  weight(position: number): number;
  /** 0 to 1: how much of its configured weight is there for new clients. 0: down or draining; between: it has just come up. */
  ready(position: number): number;
}

/** Before the first `start`. */
export const noLoads: Loads = { active: () => 0, weight: () => 0, ready: () => 0 };

/**
 * A cursor over backends. `start`, then `next` until a backend suits or -1 comes. Each backend with a
 * configured weight above 0 comes exactly once, so a caller that rejects all has seen all. Between two `start`s nothing is
 * kept except what the policy itself needs (a round-robin position). No allocation on `start` or the first `next`.
 * One cursor belongs to one thread.
 */
export interface Policy {
  start(key: Key, loads: Loads): void;
  /** The next backend's position, or -1 when all have come. */
  next(): number;
}

export type PolicyBackend = Pick<BackendView, 'id' | 'name' | 'addressText' | 'weight' | 'tier' | 'isBackup'>;
