/** Clients that are refused by silence, as in the epoll engine: open and unread for a while, the oldest goes for a newer one. */
import type { Socket } from 'node:net';
import { silencedMax, silenceMs } from '../../core/limits.ts';
import type { RefusalWay } from '../../core/plan.ts';
import { breakOff } from './break-off.ts';

export class SilencedClients {
  readonly #timers = new Map<Socket, NodeJS.Timeout>();

  /** @param socket paused; it ends now or later */
  refuse(socket: Socket, way: RefusalWay): void {
    if (way === 'silence') this.#hold(socket);
    else if (way === 'close') socket.destroy();
    else breakOff(socket);
  }

  #hold(socket: Socket): void {
    if (this.#timers.size >= silencedMax) this.#end(this.#timers.keys().next().value!);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#end(socket));
    this.#timers.set(
      socket,
      setTimeout(() => this.#end(socket), silenceMs),
    );
  }

  /** The engine stops. */
  close(): void {
    for (const socket of this.#timers.keys()) this.#end(socket);
  }

  #end(socket: Socket): void {
    clearTimeout(this.#timers.get(socket));
    this.#timers.delete(socket);
    breakOff(socket);
  }
}
