/**
 * What to do without descriptors: who waits for one, and when to try again.
 *
 *    a dial found none   --> the flow waits here, and no listener accepts while one does
 *    an accept found none --> the listener waits here; its clients stay in the kernel's queue
 *    a flow has ended, or 100 ms have passed --> the flows first, then the listeners in turn
 *
 * Flows come first, because a client that was accepted has its descriptor already and is served with one more; were
 * listeners first, the last descriptor would always go to a client that has no backend.
 */
import type { Reactor, TurnEnd } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';

/** Something that could not go on for want of a descriptor. */
export interface Starved {
  /** @returns false: there is still none */
  tryAgain(): boolean;
}

/** Others may have freed some: control, another worker. */
const retryMs = 100;

export class Shortage implements Timed, TurnEnd {
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  readonly #reactor: Reactor;
  readonly #flows = new Set<Starved>();
  readonly #listeners = new Set<Starved>();
  #asked = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** A flow waits for the descriptor of its dial: who accepts now takes it away. */
  get hasFlows(): boolean {
    return this.#flows.size > 0;
  }

  addFlow(flow: Starved): void {
    this.#flows.add(flow);
    this.#retryLater();
  }

  addListener(listener: Starved): void {
    this.#listeners.add(listener);
    this.#retryLater();
  }

  remove(starved: Starved): void {
    this.#flows.delete(starved);
    this.#listeners.delete(starved);
  }

  /** Some were given back. */
  freed(): void {
    if (this.#asked || this.#flows.size + this.#listeners.size === 0) return;
    this.#asked = true;
    this.#reactor.atTurnEnd(this);
  }

  onTurnEnd(): void {
    this.#asked = false;
    this.#tryFlows();
    if (!this.hasFlows) this.#tryListeners();
    if (this.#flows.size + this.#listeners.size > 0) this.#retryLater();
  }

  onTimer(): void {
    this.onTurnEnd();
  }

  /** First come, first served. */
  #tryFlows(): void {
    for (const flow of this.#flows) {
      if (!flow.tryAgain()) return;
      this.#flows.delete(flow);
    }
  }

  /** In turn: one that took a client, whose dial then found no descriptor, has had its own. */
  #tryListeners(): void {
    for (const listener of this.#listeners) {
      const goesOn = listener.tryAgain();
      const isHere = this.#listeners.delete(listener);
      if (goesOn) continue;
      // Unless what it took part in has closed it.
      if (isHere) this.#listeners.add(listener);
      return;
    }
  }

  #retryLater(): void {
    if (this.timerTick < 0) this.#reactor.wheel.set(this, this.#reactor.nowMs + retryMs);
  }
}
