/** What the kernel's table is made of: the kernel's listeners and their pools, who serves which bucket, and who is pinned elsewhere. */
import type { Address } from '../core/address.ts';
import { isKernelKey, type KernelKey } from '../core/kernel-bucket.ts';
import type { ListenerView, PoolView } from '../core/snapshot.ts';

export interface PinnedClient {
  /** Of a client-subnet: its network. */
  readonly client: Address;
  /** Of its pool; 0: nobody. */
  readonly backendId: number;
}

export interface RulesetView {
  /** See `tableOf`. */
  readonly table: string;
  /** Those with `relay: kernel`, checked as config/check-relay.ts does. */
  readonly listeners: readonly ListenerView[];
  /** At least theirs. */
  readonly pools: readonly PoolView[];
  /** For each of the `tableSize` buckets of a pool the id of the backend that serves it, of clients of a family; 0: nobody. */
  readonly bucketsOf: (pool: PoolView, family: 4 | 6) => ArrayLike<number>;
  /** Pinned clients of a listener whose bucket leads elsewhere. */
  readonly pinsOf: (pool: PoolView, listener: ListenerView) => Iterable<PinnedClient>;
  /** Connections are being ended: every packet is looked at. */
  readonly isEnding: boolean;
}

/** A listener and its pool, with what its rules are made of. */
export interface KernelListener {
  readonly view: ListenerView;
  readonly pool: PoolView;
  readonly key: KernelKey;
  /** The name of its maps of buckets and pins: listeners with the same pool and the same key share them. */
  readonly spread: string;
}

/** Throws TypeError for one that the kernel cannot carry. */
export function kernelKeyOf({ plan }: ListenerView): KernelKey {
  const { key } = plan.affinity;
  if (!isKernelKey(key)) throw new TypeError(`listener ${plan.name}: the kernel cannot hash its key`);
  return key;
}
