/**
 * How backends stand, on the way from control to the front room: what is as it was when the room asked last is not sent again. Of a
 * thousand backends it would cost control and the room more to copy than the page that is made of it.
 *
 *    control: Telling   --- numbers of all; whole rows of those that have changed --->   room: Heard
 *
 * Ages and what each check counts change by themselves: they are numbers, sent each time in one array. Whatever else a backend has
 * is compared with what was sent before, so nothing has to be marked where it changes. A room that has missed an answer
 * says so by the number of the last one it has, and is told all.
 */
import type { BackendStatus } from '../control/backend-status.ts';

export interface ToldBackends {
  /** Grows with each; for the next question. */
  readonly number: number;
  /** Of each backend {@link numbersPerRow}, in the order of the backends. */
  readonly numbers: Float64Array;
  /** Those that are not as they were told last, or are at another place. */
  readonly changed: readonly { readonly at: number; readonly row: BackendStatus }[];
}

/** In the order of the array. */
const place = { sinceMs: 0, tookMs: 1, agoMs: 2, streak: 3, ejectedForMs: 4 } as const;
const numbersPerRow = 5;

export class Telling {
  private number = 0;
  private told: readonly BackendStatus[] = [];

  /** @param heard the number of the last that the room has; 0: it has none */
  next(rows: readonly BackendStatus[], heard: number): ToldBackends {
    const before = heard === this.number ? this.told : [];
    const numbers = new Float64Array(rows.length * numbersPerRow);
    const changed: { at: number; row: BackendStatus }[] = [];
    // What is as it was is kept as it was: the new rows are gone before the collector has to move them.
    this.told = rows.map((row, at) => {
      putNumbers(numbers, at * numbersPerRow, row);
      const known = before[at];
      if (known !== undefined && isAlike(known, row)) return known;
      changed.push({ at, row });
      return row;
    });
    this.number += 1;
    return { number: this.number, numbers, changed };
  }
}

export class Heard {
  /** Of the last that was heard; 0: none was. */
  number = 0;
  private rows: BackendStatus[] = [];

  /**
   * @returns the backends as they are now, in control's order. The same array where all that has changed are numbers, which are
   * put into the rows it has: who keeps it sees them go on
   */
  take({ number, numbers, changed }: ToldBackends): readonly BackendStatus[] {
    this.number = number;
    const count = numbers.length / numbersPerRow;
    if (changed.length > 0 || count !== this.rows.length) {
      this.rows = this.rows.slice(0, count);
      for (const { at, row } of changed) this.rows[at] = row;
    }
    for (const [at, row] of this.rows.entries()) takeNumbers(numbers, at * numbersPerRow, row);
    return this.rows;
  }
}

function putNumbers(numbers: Float64Array, from: number, { sinceMs, check, ejection }: BackendStatus): void {
  numbers[from + place.sinceMs] = sinceMs;
  if (check !== null) {
    numbers[from + place.tookMs] = check.tookMs;
    numbers[from + place.agoMs] = check.agoMs;
    numbers[from + place.streak] = check.streak;
  }
  if (ejection !== null) numbers[from + place.ejectedForMs] = ejection.leftMs;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Into a row that has come from control: nobody else has it. */
function takeNumbers(numbers: Float64Array, from: number, row: Writable<BackendStatus>): void {
  row.sinceMs = numbers[from + place.sinceMs]!;
  if (row.check !== null) {
    const check: Writable<typeof row.check> = row.check;
    check.tookMs = numbers[from + place.tookMs]!;
    check.agoMs = numbers[from + place.agoMs]!;
    check.streak = numbers[from + place.streak]!;
  }
  if (row.ejection === null) return;
  const ejection: Writable<typeof row.ejection> = row.ejection;
  ejection.leftMs = numbers[from + place.ejectedForMs]!;
}

type Compare<T> = (one: T, other: T) => boolean;

/** Of objects one deep. */
function isSameIn<T extends object>(names: readonly (keyof T)[]): Compare<T | null> {
  return (one, other) =>
    one === other || (one !== null && other !== null && names.every((name) => one[name] === other[name]));
}

function isSameList<T extends object>(names: readonly (keyof T)[]): Compare<readonly T[]> {
  const isSameItem = isSameIn<T>(names);
  return (one, other) =>
    one === other || (one.length === other.length && one.every((item, i) => isSameItem(item, other[i]!)));
}

const isSameFlips = isSameList<BackendStatus['flips'][number]>(['atMs', 'isUp', 'reason', 'why']);
const isSameCheck = isSameIn<NonNullable<BackendStatus['check']>>(['passed', 'why']);
const isSameOperator = isSameIn<NonNullable<BackendStatus['operator']>>([
  'state',
  'weight',
  'movesPinned',
  'at',
]);
const isSameEjection = isSameIn<NonNullable<BackendStatus['ejection']>>(['why', 'times']);
const isSameSpared = isSameIn<NonNullable<BackendStatus['spared']>>(['for', 'why']);
const isSameFormer = isSameList<BackendStatus['former'][number]>(['address', 'up', 'flows']);

/** In all that a backend has but for what is sent each time. Written out: by a list of names it takes ten times as long. */
function isAlike(one: BackendStatus, other: BackendStatus): boolean {
  return isPlacedAlike(one, other) && isJudgedAlike(one, other);
}

function isPlacedAlike(one: BackendStatus, other: BackendStatus): boolean {
  return (
    one.id === other.id &&
    one.pool === other.pool &&
    one.backend === other.backend &&
    one.address === other.address &&
    one.at === other.at &&
    one.weight === other.weight &&
    one.configuredWeight === other.configuredWeight &&
    one.maxConnections === other.maxConnections &&
    one.priority === other.priority &&
    one.backup === other.backup &&
    one.zone === other.zone &&
    one.tier === other.tier &&
    isSameFormer(one.former, other.former)
  );
}

function isJudgedAlike(one: BackendStatus, other: BackendStatus): boolean {
  return (
    one.up === other.up &&
    one.reason === other.reason &&
    one.why === other.why &&
    one.flaps === other.flaps &&
    one.slowStart === other.slowStart &&
    one.draining === other.draining &&
    one.ejected === other.ejected &&
    one.ejections === other.ejections &&
    one.leadsTo === other.leadsTo &&
    one.ejectionsSpared.last === other.ejectionsSpared.last &&
    one.ejectionsSpared.share === other.ejectionsSpared.share &&
    isSameFlips(one.flips, other.flips) &&
    isSameCheck(one.check, other.check) &&
    isSameOperator(one.operator, other.operator) &&
    isSameEjection(one.ejection, other.ejection) &&
    isSameSpared(one.spared, other.spared)
  );
}
