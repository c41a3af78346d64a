/** Pins and changes of pins as records, for control: listing, resynchronising, telling the cluster. */
import { Address } from '../address.ts';
import { keyKindNumbers } from '../key.ts';
import type { AffinityKey } from '../plan.ts';
import type { PinEntry, PinReason } from './entry.ts';
import { addressWord, scopeWord } from './layout.ts';

/** What both have. A key is made of it by `new Key(kind, address)`. */
interface PinRecord {
  readonly poolId: number;
  readonly kind: AffinityKey;
  /** The key's address; port 0 unless kind is flow. */
  readonly address: Address;
  readonly ttlMs: number;
  readonly expiresAtMs: number;
  readonly reason: PinReason;
}

export interface Pin extends PinRecord {
  readonly backendId: number;
  readonly isConfirmed: boolean;
  /** Instance number of the last to set the backend; 0 is this instance. */
  readonly writer: number;
}

/**
 * What became of a pin since the cluster was last told:
 *
 *   previous 0, backend B    a new pin: to be claimed
 *   previous A, backend B    moved: to be compared with A and set
 *   previous B, backend B    the expiry has slid
 *   previous A, backend 0    removed
 */
export interface PinChange extends PinRecord {
  readonly backendId: number;
  /** What the cluster was last told of by drained changes, or told us of by `applyRemote`; 0 is nothing. */
  readonly previousBackendId: number;
}

/** A pin as a peer has it. `backendId` 0: it has none. */
export interface RemotePin {
  readonly poolId: number;
  readonly backendId: number;
  readonly ttlMs: number;
  /** By this instance's clock. */
  readonly expiresAtMs: number;
  readonly reason: PinReason;
  /** The peer's instance number, 1 to 65535. */
  readonly writer: number;
}

const kindNames = new Map<number, AffinityKey>();
for (const [name, number] of Object.entries(keyKindNumbers)) kindNames.set(number, name as AffinityKey);

/**
 * The pin at `at`, whose value has been loaded into `entry`. Records are made a million at a time: they are written out in
 * full, because an object made by spreading another takes four times the memory.
 */
export function pinAt(words: Int32Array, at: number, entry: PinEntry): Pin {
  const scope = Atomics.load(words, at + scopeWord);
  return {
    poolId: scope >>> 16,
    kind: kindNames.get(entry.kind) ?? 'none',
    address: addressAt(words, at, scope),
    ttlMs: entry.ttlMs,
    expiresAtMs: entry.expiresAtMs,
    reason: entry.reasonName,
    backendId: entry.backendId,
    isConfirmed: entry.isConfirmed,
    writer: entry.writer,
  };
}

/** What is to be told of the pin at `at`, whose value has been loaded into `entry` and not been marked as told. */
export function changeAt(words: Int32Array, at: number, entry: PinEntry): PinChange {
  const scope = Atomics.load(words, at + scopeWord);
  return {
    poolId: scope >>> 16,
    kind: kindNames.get(entry.kind) ?? 'none',
    address: addressAt(words, at, scope),
    ttlMs: entry.ttlMs,
    expiresAtMs: entry.expiresAtMs,
    reason: entry.reasonName,
    backendId: entry.reportableId,
    previousBackendId: entry.knownId,
  };
}

function addressAt(words: Int32Array, at: number, scope: number): Address {
  const from = at + addressWord;
  return new Address(
    Atomics.load(words, from),
    Atomics.load(words, from + 1),
    Atomics.load(words, from + 2),
    Atomics.load(words, from + 3),
    scope & 0xffff,
  );
}
