/**
 * Pipes for splice(2), reused: making one costs four system calls and its buffer is kernel memory.
 *
 * The number of pipes is bounded, so at most `pipesMax` x 1 MiB of kernel memory is held by stalled readers; a
 * flow that gets none copies instead. An unprivileged user may own only /proc/sys/fs/pipe-user-pages-soft pages
 * of pipe buffers: when the kernel refuses to enlarge one, or gives no descriptor, the pool stays as it is for a while.
 */
import { F_SETPIPE_SZ, O_CLOEXEC, O_NONBLOCK } from './constants.ts';
import { close, control, type Descriptor, pipe } from './libc.ts';

export interface Pipe {
  readonly read: Descriptor;
  readonly write: Descriptor;
}

/** The largest size an unprivileged user may ask for by default (/proc/sys/fs/pipe-max-size). */
export const pipeBytes = 1024 * 1024;
/** Idle pipes kept for the next user. */
const idleMax = 32;
const pauseMs = 10_000;

export class PipePool {
  readonly #pipesMax: number;
  readonly #idle: Pipe[] = [];
  #count = 0;
  #pausedUntilMs = 0;

  constructor(pipesMax: number) {
    this.#pipesMax = pipesMax;
  }

  /** Pipes that exist, in use or idle. */
  get count(): number {
    return this.#count;
  }

  /** An empty pipe of {@link pipeBytes}, or undefined when there is none to be had: then copy. */
  take(nowMs: number): Pipe | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
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
  release(used: Pipe, empty: boolean): void {
    if (empty && this.#idle.length < idleMax) this.#idle.push(used);
    else this.#close(used);
  }

  /** Closes the idle ones: gives their descriptors back. */
  shrink(): void {
    for (const idle of this.#idle) this.#close(idle);
    this.#idle.length = 0;
  }

  #close(used: Pipe): void {
    close(used.read);
    close(used.write);
    this.#count--;
  }
}
