/**
 * Where things are in the pin table's shared memory, and how big they are. One SharedArrayBuffer:
 *
 *   header | group lines | tags | entries | touched groups | touched slots | change rings | counters
 *
 *   group   64 buckets = 1024 slots under one lock word; the line also holds the group's pin count and its part of
 *           the capacity (census.ts)
 *   bucket  16 slots; a key may be in either of two buckets of one group, nowhere else
 *   tag     one byte per slot, 0 = free, otherwise 8 bits of the hash; written last, cleared first
 *   entry   ten 32-bit words, see the numbers below
 *   touched a bit per group and a bit per slot: touches.ts
 *
 * Room for one million pins: 1480 groups, 1 515 520 slots of 41 bytes and a bit, 63.5 MB in all. At this load (0.66)
 * 20 million simulated placements never filled a bucket beyond 14 of its 16 slots, so a table holds the
 * pins it was made for without evicting any. That it holds no more is seen to by census.ts.
 */
import { pinsMax, roomsThatPinMax, workersMax } from '../limits.ts';

export const slotsPerBucket = 16;
export const bucketsPerGroup = 64;
export const slotsPerGroup = slotsPerBucket * bucketsPerGroup;
export const tagWordsPerBucket = slotsPerBucket / 4;
/** A cache line of 64 bytes: lock words and ring ends of different owners must not share one. */
export const wordsPerLine = 16;

/** Words of an entry. */
export const entryWords = 10;
export const keyWord = 0; // four words, of an address in network order
export const scopeWord = 4; // pool id << 16 | the key's port word
export const backendWord = 5; // backend id << 16 | backend id the cluster knows of
export const stateWord = 6; // see entry.ts
export const expiryWord = 7; // low 32 bits of the expiry in milliseconds
export const ttlWord = 8; // milliseconds, unsigned
export const useWord = 9; // open flows << 24 | era they were last seen in << 16 | writer

/** Words of a group line. */
export const lockWord = 0;
export const rescanWord = 1; // 1: holds changes that are in no ring
/** Written under the group's lock: */
export const countWord = 2; // pins in the group
export const allowanceWord = 3; // pins it may have without asking for more
export const exhaustedWord = 4; // the sweep in which none of its pins could be spared

/** Words of the header. */
export const magicWord = 0;
export const reportWord = wordsPerLine; // 1: changes are noted for control
export const idLengthsWord = reportWord + 1; // see PinAccess.quicIdLengths
export const followedWord = reportWord + 2; // 1: touched slots are noted
export const rescanAnyWord = wordsPerLine * 2; // 1: some group has its rescan word set
export const unassignedWord = wordsPerLine * 3; // pins of the capacity that are in no group's allowance
export const sweepWord = wordsPerLine * 4; // calls of `expire`, from 1; what an era is counted by
const headerWords = wordsPerLine * 5;

/** "PIN4": changes with the layout, so that a thread of another build refuses the memory. */
export const magic = 0x50494e34;

const loadMax = 0.66;
/** Control (0), the workers, and the rooms that write pins, each with its own ring and counters. */
export const writersMax = workersMax + 1 + roomsThatPinMax;
const ringSlotsMax = 4096;
const ringSlotsMin = 64;
export const ringHeaderWords = wordsPerLine * 2; // the producer's end, the consumer's end
export const countersPerWriter = 16;

/** What a thread needs to open the table; may be posted to a worker. */
export interface PinTableShared {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
}

/** Offsets are in 32-bit words, except `countersAt` (in 64-bit words). */
export interface PinLayout {
  readonly capacity: number;
  readonly groups: number;
  readonly slots: number;
  readonly groupsAt: number;
  readonly tagsAt: number;
  readonly entriesAt: number;
  readonly touchedGroupsAt: number;
  readonly touchedSlotsAt: number;
  readonly ringsAt: number;
  readonly ringSlots: number;
  readonly countersAt: number;
  readonly bytes: number;
}

/** The layout of a table for `capacity` pins (1 to `pinsMax`); throws RangeError outside of that. */
export function pinLayout(capacity: number): PinLayout {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > pinsMax) {
    throw new RangeError(`pin table capacity ${capacity} is not within 1 to ${pinsMax}`);
  }
  const groups = Math.ceil(capacity / loadMax / slotsPerGroup);
  const slots = groups * slotsPerGroup;
  const ringSlots = ringSlotsOf(capacity);
  const groupsAt = headerWords;
  const tagsAt = groupsAt + groups * wordsPerLine;
  const entriesAt = tagsAt + slots / 4;
  const touchedGroupsAt = entriesAt + slots * entryWords;
  const touchedSlotsAt = touchedGroupsAt + Math.ceil(groups / 32 / wordsPerLine) * wordsPerLine;
  const ringsAt = touchedSlotsAt + slots / 32;
  // Counters are 64-bit: everything before them is a whole number of lines, hence of 8 bytes.
  const countersAt = (ringsAt + writersMax * (ringHeaderWords + ringSlots)) / 2;
  const bytes = (countersAt + writersMax * countersPerWriter) * 8;
  const touched = { touchedGroupsAt, touchedSlotsAt };
  return {
    capacity,
    groups,
    slots,
    groupsAt,
    tagsAt,
    entriesAt,
    ...touched,
    ringsAt,
    ringSlots,
    countersAt,
    bytes,
  };
}

/** A power of two, so that ring positions may wrap at 32 bits. */
function ringSlotsOf(capacity: number): number {
  let ringSlots = ringSlotsMin;
  while (ringSlots < ringSlotsMax && ringSlots < capacity / 64) ringSlots *= 2;
  return ringSlots;
}
