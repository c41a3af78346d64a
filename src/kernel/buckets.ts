/**
 * Who serves the clients of each bucket: the policy's order of backends for the bucket, and of these the first that takes new
 * clients now, as core/choose.ts does for one client. Every instance with the same pool and the same states makes the same table.
 *
 * Does not know limits of connections: the kernel does not count what each backend has.
 */
import type { BackendStates } from '../core/backend-states.ts';
import { keyOfBucket } from '../core/kernel-bucket.ts';
import { Panic } from '../core/panic.ts';
import type { Bind } from '../core/plan.ts';
import type { Loads, Policy } from '../core/policy/policy.ts';
import type { PoolView } from '../core/snapshot.ts';

/**
 * @param policy of the pool
 * @param family of clients: they can be led to backends of their own alone
 * @returns ids of backends; 0: nobody may be used
 */
export function fillBuckets(
  pool: PoolView,
  policy: Policy,
  states: BackendStates,
  family: 4 | 6,
  modulus: number,
): Int32Array {
  const { backends, plan } = pool;
  const isPanic = plan.panicBelow > 0 && new Panic(backends, plan.panicBelow, states).isOn();
  const takesNew = (id: number): boolean =>
    isPanic ? !states.isDraining(id) && states.weight(id) > 0 : states.servesNew(id);
  const open = backends.map(({ id, target, loop }) => {
    return isOf(target, family) && loop !== 'leads-back' && takesNew(id);
  });
  // Nobody is up: with fail_open those that are down, but not those that an operator drains.
  const isOpenAtLast =
    plan.failOpen && !open.includes(true)
      ? backends.map(({ id, target }) => isOf(target, family) && !states.isDraining(id))
      : open;
  const loads = loadsOf(pool, states, takesNew, isPanic);
  const table = new Int32Array(modulus);
  if (!isOpenAtLast.includes(true)) return table;
  for (let bucket = 0; bucket < modulus; bucket++) {
    policy.start(keyOfBucket(bucket), loads);
    for (let position = policy.next(); position >= 0; position = policy.next()) {
      if (!isOpenAtLast[position]) continue;
      table[bucket] = backends[position]!.id;
      break;
    }
  }
  return table;
}

/** Whether packets of clients of this family can be led there. */
export function isOf(target: Bind | undefined, family: 4 | 6): boolean {
  return target?.kind === 'inet' && target.ip.includes(':') === (family === 6);
}

function loadsOf(
  { backends }: PoolView,
  states: BackendStates,
  takesNew: (id: number) => boolean,
  isPanic: boolean,
): Loads {
  const ifOpen = (position: number, value: (id: number) => number): number => {
    const { id } = backends[position]!;
    return takesNew(id) ? value(id) : 0;
  };
  return {
    active: () => 0,
    weight: (position) => ifOpen(position, (id) => states.weight(id)),
    ready: (position) => ifOpen(position, (id) => (isPanic ? 1 : states.ramp(id))),
  };
}
