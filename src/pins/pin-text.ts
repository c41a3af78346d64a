/**
 * Pins as text, the form they have in Redis. Names, never numbers: ids are each instance's own.
 *
 *   where   {pinion:<cluster>:<shard>}:pin:<pool>/<number of the kind>/<key>
 *   what    1 <backend> <writer> <reason> <ttl ms> <generation>
 *
 * The slash cannot be part of a name, so the parts are unambiguous (names and IPv6 addresses have colons). How the key of each
 * kind is written says core/key-kinds.ts; one of a kind that this version does not know is skipped. `1` is
 * the version: a value of another version is left alone, a value that is none is treated as if it were not there.
 * Whatever is read here may have been written by anybody: it is checked and its length is limited.
 */
import { hashWords } from '../core/key.ts';
import type { KeyWords } from '../core/key-bytes.ts';
import { type KeyKind, keyKinds, kindOfNumber } from '../core/key-kinds.ts';
import { type PinReason, pinReasonNumbers } from '../core/pins/entry.ts';

/** Longest value that is looked at: two names of 64, a reason, two numbers. Bytes. */
export const valueLengthMax = 256;
/** Longest place: a pool's or group's name, a kind, a key (16 bytes as `%xx`, which is more than an address). Bytes. */
export const pinTextLengthMax = 128;
/** What the pin table can keep. */
const ttlMsMax = 0xffffffff;
const placePattern = /^(@?[A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63})\/([1-9][0-9]?)\/([!-~]+)$/;
const valuePattern =
  /^1 ([A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}) ([A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}) ([a-z-]{1,32}) (\d{1,10}) (\d{1,10})$/;

/** A text by itself: V8 keeps all of the text that a part was cut from, here what Redis sent, for as long as the part is kept. */
export function detached(text: string): string {
  return Buffer.from(text).toString();
}

export interface PinPlace {
  readonly pool: string;
  readonly kind: KeyKind;
  readonly words: KeyWords;
}

export interface PinValue {
  readonly backend: string;
  /** The instance that set it. */
  readonly writer: string;
  readonly reason: PinReason;
  /** The listener's ttl. */
  readonly ttlMs: number;
  /** Grows with each change of backend. */
  readonly generation: number;
}

export function formatPlace(pool: string, kind: KeyKind, words: KeyWords): string {
  const { number, print } = keyKinds[kind];
  return `${pool}/${number}/${print(words)}`;
}

/**
 * The pool may be the scope of a group: `@` and its name (core/pin-scopes.ts).
 * @returns undefined if it is not the text of a pin that this version knows
 */
export function parsePinText(text: string): PinPlace | undefined {
  if (text.length > pinTextLengthMax) return undefined;
  const match = placePattern.exec(text);
  if (match === null) return undefined;
  const kind = kindOfNumber(Number(match[2]));
  const words = kind === undefined ? undefined : keyKinds[kind].parse(match[3]!);
  return kind === undefined || words === undefined ? undefined : { pool: match[1]!, kind, words };
}

/** The part all instances put this key into. The port word counts, so flows of one client spread. */
export function shardOf(words: KeyWords, shards: number): number {
  return hashWords(words, 0x2545f491) % shards;
}

/** @returns undefined if it is not a value of this version. An unknown reason of a newer peer reads as `peer`. */
export function parseValue(text: string): PinValue | undefined {
  if (text.length > valueLengthMax) return undefined;
  const match = valuePattern.exec(text);
  if (match === null) return undefined;
  const reason = Object.hasOwn(pinReasonNumbers, match[3]!) ? (match[3] as PinReason) : 'peer';
  return {
    backend: match[1]!,
    writer: match[2]!,
    reason,
    ttlMs: Math.min(Number(match[4]), ttlMsMax),
    generation: Number(match[5]),
  };
}
