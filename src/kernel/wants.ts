/**
 * What the table is made of, as of now: who serves the clients of each bucket, and which backends keep those who are pinned to them. And
 * when that may be another than before: backends' states change in shared memory, without a word.
 */
import type { BackendStates } from '../core/backend-states.ts';
import { createPolicy, samePolicy } from '../core/policy/create.ts';
import type { Policy } from '../core/policy/policy.ts';
import type { BackendView, PoolView } from '../core/snapshot.ts';
import { fillBuckets, isOf } from './buckets.ts';
import type { OpenListener } from './relay.ts';

interface Made {
  readonly pool: PoolView;
  readonly policy: Policy;
  states: string;
  readonly tables: Map<4 | 6, Int32Array>;
}

export class Wants {
  private readonly states: BackendStates;
  private readonly made = new Map<number, Made>();
  private statesSeen = '';

  constructor(states: BackendStates) {
    this.states = states;
  }

  /** Whether something that {@link bucketsOf} and {@link homesOf} go by is another than when this was asked last. */
  isOther(open: readonly OpenListener[]): boolean {
    const states = this.statesOfAll(open);
    const isOther = states !== this.statesSeen;
    this.statesSeen = states;
    return isOther;
  }

  /** Before a table is made of it: what is another from here on is to be noticed, though it may have been so when it was looked at last. */
  begin(open: readonly OpenListener[]): void {
    this.statesSeen = this.statesOfAll(open);
  }

  /** The buckets of a pool for clients of one family: ids of backends. */
  bucketsOf(pool: PoolView, family: 4 | 6): Int32Array {
    const made = this.madeOf(pool);
    const known = made.tables.get(family);
    if (known !== undefined) return known;
    const table = fillBuckets(pool, made.policy, this.states, family, pool.plan.tableSize);
    made.tables.set(family, table);
    return table;
  }

  /** Backends of a pool to which clients of a family are led who are pinned to them. */
  homesOf({ backends }: PoolView, family: 4 | 6): BackendView[] {
    const { states } = this;
    const isOpen = backends.some(
      ({ id, target, isBackup }) => isBackup !== true && states.servesNew(id) && isOf(target, family),
    );
    return backends.filter(({ id, target, isBackup }) => {
      // A backup is nobody's home while others serve.
      return isOf(target, family) && states.servesPinned(id) && !(isBackup === true && isOpen);
    });
  }

  private madeOf(pool: PoolView): Made {
    const known = this.made.get(pool.id);
    const states = this.statesOf(pool);
    if (known?.pool.version === pool.version && known.states === states) return known;
    const isSame = known !== undefined && samePolicy(known.pool, pool);
    const policy = isSame ? known.policy : createPolicy(pool, Math.random);
    const made = { pool, policy, states, tables: new Map<4 | 6, Int32Array>() };
    this.made.set(pool.id, made);
    return made;
  }

  private statesOfAll(open: readonly OpenListener[]): string {
    const pools = new Set(open.map(({ pool }) => pool));
    return [...pools].map((pool) => this.statesOf(pool)).join(';');
  }

  private statesOf({ backends }: PoolView): string {
    const { states } = this;
    return backends
      .map(
        ({ id }) =>
          // Of one that is down a drain says whether it is tried when nobody is up.
          `${id} ${states.servesNew(id)} ${states.servesPinned(id)} ${states.isDraining(id)} ${states.weight(id)} ${states.ramp(id)}`,
      )
      .join();
  }
}
