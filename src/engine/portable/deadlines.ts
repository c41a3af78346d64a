/**
 * Deadlines of many flows with one timer: a wheel of slots, one per tick (Varghese and Lauck 1987, scheme 5).
 *
 * A flow that moves bytes does not touch the wheel; it only gets a later `deadlineMs`, and is put further along when
 * its old slot comes up. Coarse: a deadline is met up to one tick late, never early.
 *
 *    tick --> the loop polls the kernel, and what waits is read --> what was due at the tick expires
 *
 * libuv runs timers before it has read what came while the process did not run, so a tick only takes the time and the
 * verdict follows in the next check phase. What one poll does not bring (`pollEventsMax`) is waited for, and so are ends that were
 * read and not served yet (ends-in-turn.ts). A descriptor with news
 * of many, a UDP listener's, may need more: its flows see to that (engine/read-through.ts).
 */

export interface Watched {
  /** The wheel's own: where this entry is, -1 if nowhere. */
  wheelSlot: number;
  /** When it is due, by the clock the wheel was given; Infinity for never. */
  readonly deadlineMs: number;
  /** Called once when due; the entry is out of the wheel then. */
  expire(): void;
}

/** Serial numbers of a queue: of the next one to be served, and of the next one to come. */
export interface Served {
  readonly first: number;
  readonly next: number;
}

const slotCount = 512;
/** Events of one poll phase: libuv asks 48 times for 1,024 (uv__io_poll). */
const pollEventsMax = 48 * 1024;
/** Descriptors of one entry, at most. */
const descriptorsMax = 2;

export class Deadlines {
  readonly #nowMs: () => number;
  readonly #tickMs: number;
  readonly #slots: Set<Watched>[] = Array.from({ length: slotCount }, () => new Set<Watched>());
  #cursor = 0;
  #cursorAtMs = 0;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #polls = 0;
  readonly #ends: Served | undefined;

  /** @param ends what is judged after it; undefined: nothing */
  constructor(nowMs: () => number, tickMs: number, ends?: Served) {
    this.#ends = ends;
    this.#nowMs = nowMs;
    this.#tickMs = tickMs;
  }

  /** Watches `entry`, or watches it anew after its deadline has moved closer. */
  watch(entry: Watched): void {
    this.forget(entry);
    const { deadlineMs } = entry;
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    if (this.#timer === undefined) {
      this.#cursorAtMs = this.#nowMs();
      this.#timer = setInterval(() => this.#tick(), this.#tickMs);
      this.#timer.unref();
    }
    const ticks = Math.ceil((deadlineMs - this.#cursorAtMs) / this.#tickMs);
    entry.wheelSlot = (this.#cursor + Math.min(Math.max(ticks, 1), slotCount - 1)) % slotCount;
    this.#slots[entry.wheelSlot]!.add(entry);
    this.#count++;
  }

  /** Stops watching; nothing happens if `entry` is not watched. */
  forget(entry: Watched): void {
    if (entry.wheelSlot < 0) return;
    this.#slots[entry.wheelSlot]!.delete(entry);
    entry.wheelSlot = -1;
    this.#count--;
  }

  #tick(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#polls = Math.ceil((this.#count * descriptorsMax) / pollEventsMax);
    this.#awaitPoll(this.#nowMs());
  }

  /** A check phase comes after a poll, and a poll has begun after now. */
  #awaitPoll(nowMs: number): void {
    setImmediate(() => {
      if (--this.#polls > 0) return this.#awaitPoll(nowMs);
      this.#awaitServed(nowMs, this.#ends?.next ?? 0);
    });
  }

  /** @param until serial number: those before it were read before `nowMs` */
  #awaitServed(nowMs: number, until: number): void {
    if (this.#ends !== undefined && this.#ends.first < until) {
      setImmediate(() => this.#awaitServed(nowMs, until));
      return;
    }
    // An end that was served is confirmed by one more read (confirm-end.ts), which the next poll brings.
    setImmediate(() => {
      this.#isLooking = false;
      this.turn(nowMs);
    });
  }

  /**
   * Expires what was due at `nowMs`, before which all that waited in the kernel was read. Called by the timer; public for tests
   * with a clock of their own.
   */
  turn(nowMs = this.#nowMs()): void {
    // After a stall longer than the wheel, going round once passes every slot.
    this.#cursorAtMs = Math.max(this.#cursorAtMs, nowMs - slotCount * this.#tickMs);
    while (this.#count > 0 && this.#cursorAtMs + this.#tickMs <= nowMs) {
      this.#cursor = (this.#cursor + 1) % slotCount;
      this.#cursorAtMs += this.#tickMs;
      this.#expireSlot(this.#cursor, nowMs);
    }
    if (this.#count === 0) this.stop();
  }

  #expireSlot(slot: number, nowMs: number): void {
    const entries = this.#slots[slot]!;
    // What is put into this slot meanwhile would be a whole turn away, and watch() never goes that far: the set only shrinks.
    for (const entry of entries) {
      if (entry.deadlineMs > nowMs) this.watch(entry);
      else {
        this.forget(entry);
        entry.expire();
      }
    }
  }

  /** Stops the timer; the next watch starts it again. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
