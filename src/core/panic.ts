/**
 * The panic threshold (Envoy's term): when hardly any backend of a pool is up, the checks are more likely wrong than the servers, and
 * if they are right the few that are left would go down under everybody's clients. Then all are tried (`panic_below`).
 *
 * It is on while every tier has less of its weight up than the threshold: one tier that is well can serve. Backups are no
 * part of it, but as long as one is up and nobody else is, it serves: that is what it is for. Who is out by an operator's word
 * (draining, in maintenance) is not counted: that is no illness.
 */
import type { BackendStates } from './backend-states.ts';
import type { BackendView, PoolView } from './snapshot.ts';

/** Whether all of a pool are tried now; for whoever asks now and then. */
export function isInPanic(
  { plan, backends }: PoolView,
  states: Pick<BackendStates, 'isUp' | 'isDraining'>,
): boolean {
  return plan.panicBelow > 0 && new Panic(backends, plan.panicBelow, states).isOn();
}

export class Panic {
  private readonly ids: Int32Array;
  private readonly weights: Float64Array;
  /** Of each the number of its tier, without gaps. */
  private readonly tiers: Uint16Array;
  private readonly whole: Float64Array;
  private readonly up: Float64Array;
  private readonly backupIds: Int32Array;
  private readonly below: number;
  private readonly states: Pick<BackendStates, 'isUp' | 'isDraining'>;

  /** @param below 0 to 1 */
  constructor(
    backends: readonly BackendView[],
    below: number,
    states: Pick<BackendStates, 'isUp' | 'isDraining'>,
  ) {
    const weighty = backends.filter(({ weight }) => weight > 0);
    const counted = weighty.filter(({ isBackup }) => isBackup !== true);
    const numbers = [...new Set(counted.map(({ tier }) => tier ?? 0))];
    this.ids = Int32Array.from(counted, ({ id }) => id);
    this.weights = Float64Array.from(counted, ({ weight }) => weight);
    this.tiers = Uint16Array.from(counted, ({ tier }) => numbers.indexOf(tier ?? 0));
    this.whole = new Float64Array(numbers.length);
    this.up = new Float64Array(numbers.length);
    this.backupIds = Int32Array.from(
      weighty.filter(({ isBackup }) => isBackup === true),
      ({ id }) => id,
    );
    this.below = below;
    this.states = states;
  }

  /** Looks at every backend; allocates nothing. */
  isOn(): boolean {
    const { ids, weights, tiers, whole, up, below, states } = this;
    up.fill(0);
    whole.fill(0);
    let isAnyUp = false;
    for (let i = 0; i < ids.length; i++) {
      if (states.isDraining(ids[i]!)) continue;
      whole[tiers[i]!]! += weights[i]!;
      if (!states.isUp(ids[i]!)) continue;
      up[tiers[i]!]! += weights[i]!;
      isAnyUp = true;
    }
    for (let tier = 0; tier < up.length; tier++) {
      if (whole[tier]! > 0 && up[tier]! / whole[tier]! >= below) return false;
    }
    return isAnyUp || !this.isBackupUp();
  }

  private isBackupUp(): boolean {
    for (let i = 0; i < this.backupIds.length; i++) if (this.states.isUp(this.backupIds[i]!)) return true;
    return false;
  }
}
