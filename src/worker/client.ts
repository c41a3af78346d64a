/**
 * Control's end of one worker thread: starts it, talks to it, and starts it again when it dies.
 *
 *    starting --ready--> serving --exit--> waiting (backoff) --> starting
 *         \________________\____stop____> stopped
 *
 * A worker that died took its flows with it: the kernel closes nothing of a dead *thread*, so a portable
 * worker's sockets are closed by its Node environment as it is torn down, an epoll worker's by its own code on the
 * way out. One that could not run that (out of heap) has left them open, its listening sockets among them, to which
 * the kernel goes on sending clients: `leftOpen`.
 */
import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { WorkerData } from './entry.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';
import type { MessageToWorker } from './messages-to-worker.ts';

export interface WorkerEvents {
  message(index: number, message: MessageFromWorker): void;
  /** The thread is gone though nobody asked; a new one starts after `restartInMs`. */
  died(index: number, death: WorkerDeath): void;
}

/** A sign of life. */
export interface Beat {
  /** Which thread of this worker it is of, from 1. */
  readonly thread: number;
  /** Grows as long as its loop turns, by one each 500 ms or more often; 0 until it serves. */
  readonly beats: number;
}

export interface WorkerDeath {
  readonly error: Error | undefined;
  readonly restartInMs: number;
  /** How often it has died by now, this time included, without serving for a while in between. */
  readonly inARow: number;
  /** It has left descriptors open that only the end of the process closes. */
  readonly leftOpen: boolean;
}

const backoffMsMin = 100;
const backoffMsMax = 10_000;
/** A worker that served this long has earned a fast restart. */
const healthyAfterMs = 30_000;
/**
 * V8's young generation, three semi-spaces together. It grows with the load and never shrinks while the thread stays in
 * epoll_wait, where no task of V8's runs; at its default of 48 a worker held 30 MiB of air for ever. At 12 a short
 * connection costs the same (0.95 to 1.04 in three comparisons).
 */
const youngGenerationMib = 12;
/**
 * Of the kernel's thread, which keeps a flow for a second after its end (so at 5,000 a second all is copied twice at 12) and runs V8's
 * tasks, which give back what is not used.
 */
const youngGenerationOfKernelMib = 48;
const wakeBytes = new Uint8Array(new BigUint64Array([1n]).buffer);

export class WorkerClient {
  readonly index: number;
  /** How often a thread was started. Each one numbers its flows from 1: an answer to one thread is not for the next. */
  starts = 0;
  private readonly data: Omit<WorkerData, 'held' | 'beats'>;
  private held = new Int32Array(new SharedArrayBuffer(4));
  private beats = new Int32Array(new SharedArrayBuffer(4));
  private readonly events: WorkerEvents;
  private readonly entry: URL;
  private readonly youngGenerationMib: number;
  private thread: Worker | undefined;
  private wakeDescriptor = -1;
  /** The last that was posted. */
  private snapshot: MessageToWorker | undefined;
  private backoffMs = backoffMsMin;
  private deathsInARow = 0;
  private startedAtMs = 0;
  private restartTimer: NodeJS.Timeout | undefined;
  private isStopping = false;
  private onStopped: (() => void) | undefined;

  /** @param entry the built entry module of the thread */
  constructor(
    data: Omit<WorkerData, 'held' | 'beats'>,
    events: WorkerEvents,
    entry: URL = new URL('./entry.js', import.meta.url),
  ) {
    this.index = data.index;
    this.data = data;
    this.events = events;
    this.entry = entry;
    this.youngGenerationMib =
      data.kernelTable === undefined ? youngGenerationMib : youngGenerationOfKernelMib;
  }

  start(): void {
    this.restartTimer = undefined;
    this.starts++;
    this.startedAtMs = performance.now();
    this.held = new Int32Array(new SharedArrayBuffer(4));
    this.beats = new Int32Array(new SharedArrayBuffer(4));
    let failure: Error | undefined;
    const thread = new Worker(this.entry, {
      workerData: { ...this.data, held: this.held.buffer, beats: this.beats.buffer } satisfies WorkerData,
      name: `pinion-${this.index}`,
      resourceLimits: { maxYoungGenerationSizeMb: this.youngGenerationMib },
    });
    thread.on('message', (message: MessageFromWorker) => {
      if (message.type === 'ready') {
        this.wakeDescriptor = message.wakeDescriptor;
        this.wake(); // for what was posted before we knew how to wake it
      }
      this.events.message(this.index, message);
    });
    thread.on('error', (error: Error) => {
      failure = error;
    });
    thread.on('exit', () => this.exited(failure));
    this.thread = thread;
    // Before anything else: an order that comes now may name what only the snapshot knows, and one posted while the last thread died was lost.
    if (this.snapshot !== undefined) thread.postMessage(this.snapshot);
  }

  /** Undefined: no thread runs now. */
  get beat(): Beat | undefined {
    return this.thread && { thread: this.starts, beats: Atomics.load(this.beats, 0) };
  }

  /** @returns false if no thread runs now, or it is leaving: the message is lost */
  post(message: MessageToWorker): boolean {
    if (message.type === 'snapshot') this.snapshot = message;
    if (this.thread === undefined || (this.isStopping && message.type !== 'stop')) return false;
    this.thread.postMessage(message);
    this.wake();
    return true;
  }

  /**
   * An epoll worker sits in a system call and looks for messages when this descriptor becomes readable. It may take a
   * message, and leave, before we come to write: that is why the descriptor is closed here (`exited`) and not there.
   */
  private wake(): void {
    if (this.wakeDescriptor >= 0) writeSync(this.wakeDescriptor, wakeBytes);
  }

  /** Ends the thread; resolves when it is gone. A thread that does not answer within `timeoutMs` is terminated. */
  async stop(timeoutMs: number): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.restartTimer);
    const thread = this.thread;
    if (thread === undefined) return;
    const stopped = new Promise<void>((resolve) => {
      this.onStopped = resolve;
    });
    this.post({ type: 'stop' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => void thread.terminate().then(() => resolve()), timeoutMs);
    });
    await Promise.race([stopped, late]);
    clearTimeout(timer);
  }

  private exited(error: Error | undefined): void {
    const { wakeDescriptor } = this;
    this.thread = undefined;
    this.wakeDescriptor = -1;
    if (wakeDescriptor >= 0) closeSync(wakeDescriptor);
    if (this.isStopping) {
      this.onStopped?.();
      return;
    }
    if (performance.now() - this.startedAtMs > healthyAfterMs) {
      this.backoffMs = backoffMsMin;
      this.deathsInARow = 0;
    }
    const restartInMs = this.backoffMs;
    this.backoffMs = Math.min(backoffMsMax, this.backoffMs * 2);
    const leftOpen = Atomics.load(this.held, 0) !== 0;
    this.events.died(this.index, { error, restartInMs, inARow: ++this.deathsInARow, leftOpen });
    this.restartTimer = setTimeout(() => this.start(), restartInMs);
  }
}
