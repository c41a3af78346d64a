/** What the kernel's table is made of: the kernel's listeners and their pools, who serves which bucket, and who is pinned elsewhere. */
import { isKernelKey, type KernelKey } from '../core/kernel-bucket.ts';
import type { ListenerView, PoolView } from '../core/snapshot.ts';
import type { Elements } from './form.ts';

/** A map of pins that a table has: of clients of one family, whose bucket leads elsewhere. */
export interface PinMapAsked {
  readonly name: string;
  /** One of those that share it. */
  readonly listener: KernelListener;
  readonly family: 4 | 6;
  /** Of the target of a backend of its pool; 0: it has none that clients of the family can be led to. */
  readonly numberOf: (backendId: number) => number;
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
  /** Numbers of targets by the address, or the network's, of pinned clients; may be filled later than it is asked for. */
  readonly pinsIn: (map: PinMapAsked) => Elements;
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
