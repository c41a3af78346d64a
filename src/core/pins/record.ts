/** Pins and changes of pins as records, for control: listing, resynchronising, telling the cluster. */
import type { KeyWords } from '../key-bytes.ts';
import { type KeyKind, kindOfNumber } from '../key-kinds.ts';
import type { PinEntry, PinReason } from './entry.ts';
import { keyWord, scopeWord } from './layout.ts';

/** What both have. The words of the key are its own, signed: a key is made of it by `new Key(kind, record)`. */
interface PinRecord extends KeyWords {
  readonly poolId: number;
  readonly kind: KeyKind;
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

/**
 * The pin at `at`, whose value has been loaded into `entry`. Records are made a million at a time: they are written out in
 * full, because an object made by spreading another takes four times the memory.
 */
export function pinAt(words: Int32Array, at: number, entry: PinEntry): Pin {
  const scope = Atomics.load(words, at + scopeWord);
  return {
    poolId: scope >>> 16,
    kind: kindOfNumber(entry.kind) ?? 'none',
    w0: Atomics.load(words, at + keyWord),
    w1: Atomics.load(words, at + keyWord + 1),
    w2: Atomics.load(words, at + keyWord + 2),
    w3: Atomics.load(words, at + keyWord + 3),
    port: scope & 0xffff,
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
    kind: kindOfNumber(entry.kind) ?? 'none',
    w0: Atomics.load(words, at + keyWord),
    w1: Atomics.load(words, at + keyWord + 1),
    w2: Atomics.load(words, at + keyWord + 2),
    w3: Atomics.load(words, at + keyWord + 3),
    port: scope & 0xffff,
    ttlMs: entry.ttlMs,
    expiresAtMs: entry.expiresAtMs,
    reason: entry.reasonName,
    backendId: entry.reportableId,
    previousBackendId: entry.knownId,
  };
}
