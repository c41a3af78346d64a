/**
 * Bytes a second, as the time at which all that has moved is paid for: a double, in memory that others may share. Charged under a
 * lock where they do; whether there is room is asked without, as what is too much is paid for later.
 */
import type { PinLocks } from './pins/lock.ts';

/** A second's worth may move at once. */
const burstMs = 1_000;
/** What adding up doubles may be off by, as a part of what is added. */
const slack = 1e-3;
/** Less is not worth waking up for. Bytes. */
const leastBytes = 4_096;

export interface SharedDouble {
  readonly locks: PinLocks;
  readonly lock: number;
}

export class ByteRate {
  private readonly perSecond: number;
  private readonly doubles: Float64Array;
  private readonly at: number;
  private readonly shared: SharedDouble | undefined;

  /** @param shared the lock of a double that others write to as well */
  constructor(perSecond: number, doubles: Float64Array, at: number, shared?: SharedDouble) {
    this.perSecond = perSecond;
    this.doubles = doubles;
    this.at = at;
    this.shared = shared;
  }

  /** Bytes that may move now; 0: too few to begin with. */
  room(nowMs: number): number {
    return this.waitMs(nowMs) > 0
      ? 0
      : Math.max(1, Math.floor(((burstMs - this.dueMs(nowMs)) * this.perSecond) / 1_000));
  }

  /** Whether a datagram may pass now; one of more than a second's worth does when nothing is due. */
  hasRoomFor(bytes: number, nowMs: number): boolean {
    const dueMs = this.dueMs(nowMs);
    return dueMs === 0 || dueMs + ((bytes * 1_000) / this.perSecond) * (1 - slack) <= burstMs;
  }

  /** Until there is room. */
  waitMs(nowMs: number): number {
    const leastMs = (Math.min(leastBytes, this.perSecond) * 1_000) / this.perSecond;
    return Math.max(0, this.dueMs(nowMs) + leastMs - burstMs);
  }

  charge(bytes: number, nowMs: number): void {
    const { shared } = this;
    // A holder that was killed: what moves now is not counted.
    if (shared !== undefined && !shared.locks.acquire(shared.lock)) return;
    this.doubles[this.at] = Math.max(this.doubles[this.at]!, nowMs) + (bytes * 1_000) / this.perSecond;
    shared?.locks.release(shared.lock);
  }

  private dueMs(nowMs: number): number {
    return Math.max(0, this.doubles[this.at]! - nowMs);
  }
}
