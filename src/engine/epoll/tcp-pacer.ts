/**
 * Reads a side of a flow no faster than its bytes may move: while there is no room it is not read, so its sender has to wait.
 * Bytes are charged as they are read: what the other side does not take yet is no room for others.
 *
 * Of flows that share a rate whoever looks first when there is room again takes all of it. So those of one worker look in the order
 * in which they began to wait; and each a little later than it might, by lot, sooner the more often it waited in vain: between
 * workers, whose ticks are always in the same order, some would never have their turn.
 */
import type { FlowPace } from '../../core/flow-pace.ts';
import type { Reactor, TurnEnd } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import type { TcpSide } from './tcp-side.ts';

/** By so much at most: two ticks of the wheel. What is not used meanwhile is not lost. */
const lotMs = 32;

export class TcpPacer implements Timed {
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  /** Bytes that may be read now, as {@link mayRead} has found. */
  room = 0;
  /** It is in the line. */
  isDue = false;
  /** When it found no room first since it has read. */
  sinceMs = 0;
  readonly side: TcpSide;
  readonly #reactor: Reactor;
  readonly #line: PacedLine;
  readonly #pace: FlowPace;
  #inVain = 0;

  constructor(reactor: Reactor, line: PacedLine, pace: FlowPace, side: TcpSide) {
    this.#reactor = reactor;
    this.#line = line;
    this.#pace = pace;
    this.side = side;
  }

  /** @returns false: the side has its turn when there is room again */
  mayRead(): boolean {
    this.room = this.#pace.room(this.side.isClient);
    if (this.room > 0) {
      this.#inVain = 0;
      return true;
    }
    if (this.timerTick >= 0 || this.isDue) return false;
    const { nowMs, wheel } = this.#reactor;
    if (this.#inVain++ === 0) this.sinceMs = nowMs;
    const lot = (Math.random() * lotMs) / this.#inVain;
    wheel.set(this, nowMs + this.#pace.waitMs(this.side.isClient) + lot);
    return false;
  }

  charge(bytes: number): void {
    this.#pace.charge(this.side.isClient, bytes);
  }

  /** Its side is to be read as soon as there is room: nobody is idle for that. */
  get isWaiting(): boolean {
    return this.timerTick >= 0 || this.isDue || this.side.queued;
  }

  onTimer(): void {
    this.#line.add(this);
  }

  stop(): void {
    this.#reactor.wheel.clear(this);
  }
}

/** Those of a worker that may look for room in this turn. */
export class PacedLine implements TurnEnd {
  readonly #reactor: Reactor;
  readonly #due: TcpPacer[] = [];

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  add(pacer: TcpPacer): void {
    pacer.isDue = true;
    if (this.#due.push(pacer) === 1) this.#reactor.atTurnEnd(this);
  }

  onTurnEnd(): void {
    const due = this.#due.splice(0);
    if (due.length > 1) due.sort((a, b) => a.sinceMs - b.sinceMs);
    for (const pacer of due) {
      pacer.isDue = false;
      this.#reactor.again(pacer.side);
    }
  }
}
