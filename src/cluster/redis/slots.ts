/**
 * Which node of a Redis Cluster serves which of the 16,384 slots, from the answer to CLUSTER SLOTS
 * (redis.io/docs/latest/commands/cluster-slots); and the slot of a key.
 */
import type { HostPort } from '../../core/cluster-plan.ts';
import { redisPrimariesMax } from '../../core/limits.ts';
import { FaultError } from '../errors.ts';
import { placeText } from './connector.ts';
import { hostPortOf } from './places.ts';

const slotCount = 16_384;
const nobody = 0xffff;

export class SlotTable {
  readonly primaries: readonly HostPort[];
  private readonly owners: Uint16Array;

  constructor(primaries: readonly HostPort[], owners: Uint16Array) {
    this.primaries = primaries;
    this.owners = owners;
  }

  /** @returns undefined if nobody serves it */
  at(slot: number): HostPort | undefined {
    return this.primaries[this.owners[slot] ?? nobody];
  }
}

/**
 * @param from the node that answered: one that does not know its own name means itself
 * @throws FaultError when it makes no sense, or no slot is served
 */
export function parseSlots(reply: unknown, from: HostPort): SlotTable {
  const wrong = (what: string): FaultError =>
    new FaultError('protocol', `${placeText(from)}: CLUSTER SLOTS ${what}`);
  if (!Array.isArray(reply) || reply.length > slotCount) throw wrong('is not a list of slots');
  const owners = new Uint16Array(slotCount).fill(nobody);
  const indexes = new Map<string, number>();
  const primaries: HostPort[] = [];
  for (const range of reply) {
    if (!Array.isArray(range)) throw wrong('has a range that is none');
    const [first, last, primary] = range;
    if (!isSlot(first) || !isSlot(last) || last < first) throw wrong('has a range that is none');
    const place = Array.isArray(primary) ? hostPortOf(primary[0] || from.host, primary[1]) : undefined;
    // Redis says `?` for a node whose name it does not know: as if nobody served these slots.
    if (place === undefined) continue;
    const name = placeText(place);
    const known = indexes.get(name);
    const index = known ?? primaries.push(place) - 1;
    if (index >= redisPrimariesMax) throw wrong(`names more than ${redisPrimariesMax} primaries`);
    if (known === undefined) indexes.set(name, index);
    owners.fill(index, first, last + 1);
  }
  if (primaries.length === 0)
    throw new FaultError('cluster-down', `${placeText(from)} knows of no node that serves slots`);
  return new SlotTable(primaries, owners);
}

function isSlot(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < slotCount;
}

/** Of the part in the first braces, if there is one, else of the whole key. */
export function keySlot(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  return crc16(Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key)) % slotCount;
}

/** CRC-16/XMODEM: polynomial 0x1021, from zero (cluster-spec, appendix A). */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}
