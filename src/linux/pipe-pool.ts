/**
 * Pipes for splice(2), reused: making one costs four system calls and its buffer is kernel memory.
 *
 * Idle pipes are kept for the next user, and those that nobody needed for `keepMs` are closed. The number of pipes is
 * bounded, so at most `pipesMax` x 1 MiB of kernel memory and twice as many descriptors are held by stalled readers; a
 * flow that gets none copies instead. An unprivileged user may own only /proc/sys/fs/pipe-user-pages-soft pages
 * of pipe buffers: when the kernel refuses to enlarge one, or gives no descriptor, the pool stays as it is for a while.
 */
import { F_SETPIPE_SZ, O_CLOEXEC, O_NONBLOCK } from './constants.ts';
import { close, control, type Descriptor, pipe } from './libc.ts';
import type { Timed, TimerWheel } from './timer-wheel.ts';

export interface Pipe {
  readonly read: Descriptor;
  readonly write: Descriptor;
}

/** The largest size an unprivileged user may ask for by default (/proc/sys/fs/pipe-max-size). */
export const pipeBytes = 1024 * 1024;
const idleMax = 32;
const keepMs = 2_000;
const pauseMs = 10_000;

export class PipePool implements Timed {
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  #pipesMax: number;
  readonly #wheel: TimerWheel;
  readonly #idle: Pipe[] = [];
  #count = 0;
  #pausedUntilMs = 0;
  /** The fewest that were idle since the timer was set: so many nobody needed. */
  #idleLeast = 0;

  constructor(pipesMax: number, wheel: TimerWheel) {
    this.#pipesMax = pipesMax;
    this.#wheel = wheel;
  }

  /** Pipes that exist, in use or idle. */
  get count(): number {
    return this.#count;
  }

  /** Another maximum. Pipes beyond it that are in use stay until they come back. */
  limit(pipesMax: number): void {
    this.#pipesMax = pipesMax;
    while (this.#count > pipesMax && this.#idle.length > 0) this.#close(this.#idle.pop()!);
    this.#idleLeast = Math.min(this.#idleLeast, this.#idle.length);
  }

  /** An empty pipe of {@link pipeBytes}, or undefined when there is none to be had: then copy. */
  take(nowMs: number): Pipe | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      if (this.#idle.length < this.#idleLeast) this.#idleLeast = this.#idle.length;
      return idle;
    }
    if (this.#count >= this.#pipesMax || nowMs < this.#pausedUntilMs) return undefined;
    const made = pipe(O_NONBLOCK | O_CLOEXEC);
    if (typeof made === 'number') {
      this.#pausedUntilMs = nowMs + pauseMs;
      return undefined;
    }
    this.#count++;
    if (control(made.write, F_SETPIPE_SZ, pipeBytes) < pipeBytes) {
      this.#pausedUntilMs = nowMs + pauseMs;
      this.#close(made);
      return undefined;
    }
    return made;
  }

  /** Takes a pipe back. One that is not empty is closed, and what it holds goes with it. */
  release(used: Pipe, empty: boolean, nowMs: number): void {
    if (!empty || this.#idle.length >= idleMax || this.#count > this.#pipesMax) return this.#close(used);
    if (this.timerTick < 0) this.#watch(nowMs);
    this.#idle.push(used);
  }

  onTimer(nowMs: number): void {
    for (const idle of this.#idle.splice(0, this.#idleLeast)) this.#close(idle);
    if (this.#idle.length > 0) this.#watch(nowMs);
  }

  /** Closes the idle ones. The pool is not used afterwards. */
  close(): void {
    this.#wheel.clear(this);
    for (const idle of this.#idle.splice(0)) this.#close(idle);
  }

  #watch(nowMs: number): void {
    this.#idleLeast = this.#idle.length;
    this.#wheel.set(this, nowMs + keepMs);
  }

  #close(used: Pipe): void {
    close(used.read);
    close(used.write);
    this.#count--;
  }
}
