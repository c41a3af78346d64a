/**
 * Clients that are refused by silence: their connections stay open and unread for a while, then they are reset. Each costs a
 * descriptor and what the kernel holds of its first words, so there is a bound: the oldest goes for a newer one.
 */
import { silencedMax, silenceMs } from '../../core/limits.ts';
import type { RefusalWay } from '../../core/plan.ts';
import { close, type Descriptor } from '../../linux/libc.ts';
import type { Reactor } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import { closeWithReset } from './sockets.ts';

interface Silenced {
  readonly fd: Descriptor;
  readonly untilMs: number;
}

export class SilencedClients implements Timed {
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  readonly #reactor: Reactor;
  /** In the order they came, which is that of their ends. */
  readonly #clients: Silenced[] = [];

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** Takes the descriptor over, and closes it now or later. */
  refuse(fd: Descriptor, way: RefusalWay): void {
    if (way === 'silence') this.#hold(fd);
    else if (way === 'close') close(fd);
    else closeWithReset(fd);
  }

  #hold(fd: Descriptor): void {
    if (this.#clients.length >= silencedMax) closeWithReset(this.#clients.shift()!.fd);
    this.#clients.push({ fd, untilMs: this.#reactor.nowMs + silenceMs });
    if (this.timerTick < 0) this.#arm();
  }

  onTimer(nowMs: number): void {
    while (this.#clients.length > 0 && this.#clients[0]!.untilMs <= nowMs)
      closeWithReset(this.#clients.shift()!.fd);
    if (this.#clients.length > 0) this.#arm();
  }

  /** The engine stops. */
  close(): void {
    this.#reactor.wheel.clear(this);
    for (const { fd } of this.#clients.splice(0)) closeWithReset(fd);
  }

  #arm(): void {
    this.#reactor.wheel.set(this, this.#clients[0]!.untilMs);
  }
}
