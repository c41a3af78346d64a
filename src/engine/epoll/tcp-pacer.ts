/** Reads a side of a flow no faster than its bytes may move: while there is no room it is not read, so its sender has to wait. */
import type { FlowPace } from '../../core/flow-pace.ts';
import type { Reactor } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import type { TcpSide } from './tcp-side.ts';

export class TcpPacer implements Timed {
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  /** Bytes that may be read now, as {@link mayRead} has found. */
  room = 0;
  readonly #reactor: Reactor;
  readonly #pace: FlowPace;
  readonly #side: TcpSide;

  constructor(reactor: Reactor, pace: FlowPace, side: TcpSide) {
    this.#reactor = reactor;
    this.#pace = pace;
    this.#side = side;
  }

  /** @returns false: the side has its turn when there is room again */
  mayRead(): boolean {
    this.room = this.#pace.room(this.#side.isClient);
    if (this.room > 0) return true;
    const { nowMs, wheel } = this.#reactor;
    if (this.timerTick < 0) wheel.set(this, nowMs + this.#pace.waitMs(this.#side.isClient));
    return false;
  }

  charge(bytes: number): void {
    this.#pace.charge(this.#side.isClient, bytes);
  }

  onTimer(): void {
    this.#reactor.again(this.#side);
  }

  stop(): void {
    this.#reactor.wheel.clear(this);
  }
}
