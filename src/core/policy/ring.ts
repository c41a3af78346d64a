/**
 * The ketama ring, placed point by point as nginx stream's `hash $remote_addr consistent` places it, so that a
 * site can move between nginx and this without moving its clients (give the pool `identity: address`).
 * A backend that leaves moves its own clients only; shares are less even than maglev's or rendezvous'.
 *
 * The format, also that of Cache::Memcached::Fast with ketama_points 160: a backend has 160 points for each
 * unit of weight, point i = CRC-32(host, NUL, port, point i-1 as four bytes, lowest first), point -1 = 0.
 * One difference: of two backends whose points collide nginx keeps the one listed first, this one the one with
 * the lesser identity, because files may list them differently. 800 points collide with odds of 1 to 13,000.
 */
import type { Key } from '../key.ts';
import { type Candidate, inAgreedOrder, positionsOf } from './candidates.ts';
import { crc32, crc32Byte, crc32Finish, crc32Start, crc32Text, crc32Word } from './crc32.ts';
import { Marks } from './marks.ts';
import type { Policy } from './policy.ts';

/** Points for each unit of weight. */
export const pointsPerWeight = 160;
/** Room for a candidate's index below the hash in one sortable number. */
const ownersMax = 0x10000;

export class Ring implements Policy {
  private readonly hashes: Uint32Array;
  private readonly owners: Uint16Array;
  private readonly positions: Uint16Array;
  private readonly came: Marks;
  private cameCount = 0;
  private point = 0;
  private walked = 0;

  constructor(candidates: readonly Candidate[]) {
    const agreed = inAgreedOrder(candidates);
    const points = placePoints(agreed);
    this.positions = positionsOf(agreed);
    this.hashes = new Uint32Array(points.length);
    this.owners = new Uint16Array(points.length);
    for (let i = 0; i < points.length; i++) {
      this.hashes[i] = hashOf(points[i]!);
      this.owners[i] = points[i]! % ownersMax;
    }
    this.came = new Marks(agreed.length);
  }

  start(key: Key): void {
    this.came.clear();
    this.cameCount = 0;
    this.walked = 0;
    this.point = firstAtOrAbove(this.hashes, crc32(key.text));
  }

  next(): number {
    if (this.cameCount === this.positions.length) return -1;
    const count = this.hashes.length;
    while (this.walked < count) {
      const owner = this.owners[(this.point + this.walked++) % count]!;
      if (this.came.add(owner)) return this.give(owner);
    }
    // A candidate that shares its identity with another has lost every point to it, and comes now.
    for (let owner = 0; ; owner++) {
      if (this.came.add(owner)) return this.give(owner);
    }
  }

  private give(owner: number): number {
    this.cameCount++;
    return this.positions[owner]!;
  }
}

/** All points as hash * ownersMax + owner, ascending, one for each hash. */
function placePoints(candidates: readonly Candidate[]): Float64Array {
  const total = candidates.reduce((sum, candidate) => sum + candidate.weight, 0);
  const points = new Float64Array(total * pointsPerWeight);
  let placed = 0;
  for (const [owner, { identity, weight }] of candidates.entries()) {
    const base = baseRegister(identity);
    let hash = 0;
    for (let i = 0; i < weight * pointsPerWeight; i++) {
      hash = crc32Finish(crc32Word(base, hash));
      points[placed++] = hash * ownersMax + owner;
    }
  }
  points.sort();
  let kept = 0;
  for (let i = 0; i < placed; i++) {
    const isRepeated = kept > 0 && hashOf(points[kept - 1]!) === hashOf(points[i]!);
    if (!isRepeated) points[kept++] = points[i]!;
  }
  return points.subarray(0, kept);
}

function hashOf(point: number): number {
  return Math.floor(point / ownersMax);
}

/**
 * The CRC register after host, NUL and port. As in nginx the port is what digits follow the last colon, a text
 * without such an end is all host, and `unix:` paths lose their prefix and have no port.
 */
function baseRegister(identity: string): number {
  let host = identity;
  let port = '';
  if (/^unix:/i.test(identity)) {
    host = identity.slice('unix:'.length);
  } else {
    const match = /^(.*):([0-9]*)$/s.exec(identity);
    if (match !== null) [, host, port] = match as unknown as [string, string, string];
  }
  return crc32Text(crc32Byte(crc32Text(crc32Start, host), 0), port);
}

/** The index of the first value >= `hash`; the length if there is none, which wraps to the first. */
function firstAtOrAbove(hashes: Uint32Array, hash: number): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (hashes[middle]! < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}
