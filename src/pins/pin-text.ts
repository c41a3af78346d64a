/**
 * Pins as text, the form they have in Redis. Names, never numbers: ids are each instance's own.
 *
 *   where   {pinion:<cluster>:<shard>}:pin:<pool>/<kind>/<address[:port]>
 *   what    1 <backend> <writer> <reason> <ttl ms> <generation>
 *
 * The slash cannot be part of a name, so the parts are unambiguous (names and IPv6 addresses have colons). `1` is
 * the version: a value of another version is left alone, a value that is none is treated as if it were not there.
 * Whatever is read here may have been written by anybody: it is checked and its length is limited.
 */
import { Address } from '../core/address.ts';
import { hashAddress, keyKindNumbers } from '../core/key.ts';
import { type PinReason, pinReasonNumbers } from '../core/pins/entry.ts';
import type { AffinityKey } from '../core/plan.ts';

/** Longest value that is looked at: two names of 64, a reason, two numbers. Bytes. */
export const valueLengthMax = 256;
/** Longest place: a pool's name, a kind, an address with its port. Bytes. */
export const pinTextLengthMax = 128;
/** What the pin table can keep. */
const ttlMsMax = 0xffffffff;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}$/;
const valuePattern =
  /^1 ([A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}) ([A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}) ([a-z-]{1,32}) (\d{1,10}) (\d{1,10})$/;

const kindOf = new Map<string, AffinityKey>();
for (const [kind, number] of Object.entries(keyKindNumbers)) {
  if (kind !== 'none') kindOf.set(String(number), kind as AffinityKey);
}

/** A text by itself: V8 keeps all of the text that a part was cut from, here what Redis sent, for as long as the part is kept. */
export function detached(text: string): string {
  return Buffer.from(text).toString();
}

export interface PinPlace {
  readonly pool: string;
  readonly kind: AffinityKey;
  readonly address: Address;
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

export function formatPlace(pool: string, kind: AffinityKey, address: Address): string {
  return `${pool}/${keyKindNumbers[kind]}/${kind === 'flow' ? address.toString() : address.ip}`;
}

/** @returns undefined if it is not the text of a pin. */
export function parsePinText(text: string): PinPlace | undefined {
  if (text.length > pinTextLengthMax) return undefined;
  const first = text.indexOf('/');
  const kind = kindOf.get(text.slice(first + 1, first + 2));
  if (first < 1 || kind === undefined || text[first + 2] !== '/') return undefined;
  const pool = text.slice(0, first);
  if (!namePattern.test(pool)) return undefined;
  const where = text.slice(first + 3);
  const address = kind === 'flow' ? Address.parseWithPort(where) : Address.parse(where, 0);
  return address === undefined ? undefined : { pool, kind, address };
}

/** The part all instances put this client into. The port counts, so flows of one client spread. */
export function shardOf(address: Address, shards: number): number {
  return hashAddress(address, 0x2545f491) % shards;
}

export function formatValue(value: PinValue): string {
  return `1 ${value.backend} ${value.writer} ${value.reason} ${value.ttlMs} ${value.generation}`;
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
