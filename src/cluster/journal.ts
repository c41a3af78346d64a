/**
 * The journal of one shard: changes of pins made here that Redis has not been told of, at most one per pin. It is
 * bounded; when it is full the oldest change goes, and whoever owns it sweeps the table later instead.
 *
 * A change says what its maker saw (`expect`) and what it wants (`backend`). Two changes of one pin become one: the first
 * one's `expect`, the last one's wish; a claim begins anew. Of a step whose answer never came, `attempted` remembers what may stand
 * in Redis by our own hand.
 */

/** `backend` undefined: there is no answer to go by. */
export type Waiter = (backend: string | undefined) => void;

export interface Change {
  readonly text: string;
  /** What must stand in Redis: '' nothing, '*' anything (an operator's word). */
  expect: string;
  /** '' removes the pin. */
  backend: string;
  attempted: string | undefined;
  ttlMs: number;
  /** By this instance's clock; past it the change is not worth telling. */
  expiresAtMs: number;
  reason: string;
  /** Made by a comparison of the table with Redis, not by a flow: it claims what is free and takes nothing over. */
  isSweep: boolean;
  /** Called with the backend that stands once Redis has decided. */
  waiters: Waiter[] | undefined;
}

export class Journal {
  readonly max: number;
  /** Changes that were given up for lack of room. */
  dropped = 0;
  private readonly changes = new Map<string, Change>();
  /** Those somebody waits for: they go first. */
  private readonly urgent = new Set<string>();

  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.changes.size;
  }

  get(text: string): Change | undefined {
    return this.changes.get(text);
  }

  /** Adds a change made after those in the journal. */
  note(change: Change): void {
    const older = this.changes.get(change.text);
    if (older === undefined) {
      this.put(change);
      return;
    }
    const merged = merge(older, change);
    const isVoid = merged.expect === '' && merged.backend === '' && merged.attempted === undefined;
    if (isVoid) this.settle(change.text, undefined);
    else this.replace(merged);
  }

  /** Puts back a step that was not taken, or may not have been, before the changes made since. */
  putBack(step: Change, mayHaveBeenTaken: boolean): void {
    const newer = this.changes.get(step.text);
    if (mayHaveBeenTaken) step.attempted = step.backend;
    if (newer === undefined) this.put(step);
    else this.replace(merge(step, newer));
  }

  /** Removes a change and tells those who wait for it what stands. */
  settle(text: string, backend: string | undefined): void {
    const change = this.changes.get(text);
    if (change === undefined) return;
    this.changes.delete(text);
    this.urgent.delete(text);
    answer(change, backend);
  }

  /** Takes up to `max` changes out, the urgent ones first, then the oldest. Those that have expired are dropped. */
  take(max: number, nowMs: number): Change[] {
    const taken: Change[] = [];
    const takeOne = (text: string): void => {
      const change = this.changes.get(text);
      this.changes.delete(text);
      this.urgent.delete(text);
      if (change === undefined) return;
      if (change.backend !== '' && change.expiresAtMs <= nowMs) answer(change, undefined);
      else taken.push(change);
    };
    for (const text of this.urgent) {
      if (taken.length >= max) return taken;
      takeOne(text);
    }
    for (const text of this.changes.keys()) {
      if (taken.length >= max) break;
      takeOne(text);
    }
    return taken;
  }

  /** After time of which nothing is known, all moves decided before it are {@link doubt}ed. */
  doubt(): void {
    for (const change of this.changes.values()) doubt(change);
  }

  /** Those who wait get no answer; their changes stay. */
  releaseWaiters(): void {
    for (const text of this.urgent) {
      const change = this.changes.get(text);
      if (change === undefined) continue;
      answer(change, undefined);
    }
    this.urgent.clear();
  }

  private put(change: Change): void {
    if (this.changes.size >= this.max) {
      const oldest = this.changes.keys().next().value!;
      this.settle(oldest, undefined);
      this.dropped++;
    }
    this.replace(change);
  }

  private replace(change: Change): void {
    this.changes.set(change.text, change);
    if (change.waiters !== undefined) this.urgent.add(change.text);
  }
}

/**
 * A move decided before something that nobody here knows of is no longer sure: it becomes the question whether its pin is
 * still free. An operator's word stands; removals are never anybody else's.
 */
export function doubt(change: Change): void {
  const isMove = change.backend !== '' && change.expect !== '' && change.expect !== change.backend;
  if (isMove && change.expect !== '*' && change.reason !== 'operator') change.expect = '';
}

/** Tells those who wait for a change; each is told once. */
export function answer(change: Change, backend: string | undefined): void {
  const { waiters } = change;
  change.waiters = undefined;
  if (waiters !== undefined) for (const waiter of waiters) waiter(backend);
}

function merge(older: Change, newer: Change): Change {
  const waiters =
    older.waiters === undefined || newer.waiters === undefined
      ? (newer.waiters ?? older.waiters)
      : [...older.waiters, ...newer.waiters];
  // The pin of the older change has expired here, and nobody looked at what stands by now: a claim, not a move.
  const isAnew = newer.expect === '' && older.backend !== '' && older.expect !== '*';
  const expect = newer.expect === '*' || isAnew ? newer.expect : older.expect;
  return { ...newer, expect, attempted: older.attempted, waiters };
}
