/**
 * Control's end of one worker thread: starts it, talks to it, and starts it again when it dies.
 *
 *    starting --ready--> serving --exit--> waiting (backoff) --> starting
 *         \________________\____stop____> stopped
 *
 * A worker that died took its flows with it: the kernel closes nothing of a dead *thread*, so a portable
 * worker's sockets are closed by its Node environment as it is torn down; its locks and gauges are freed here.
 */
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { WorkerData } from './entry.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';
import type { MessageToWorker } from './messages-to-worker.ts';

export interface WorkerEvents {
  message(index: number, message: MessageFromWorker): void;
  /** The thread is gone though nobody asked, `inARow` times by now; a new one starts after `restartInMs`. */
  died(index: number, error: Error | undefined, restartInMs: number, inARow: number): void;
}

const backoffMsMin = 100;
const backoffMsMax = 10_000;
/** A worker that served this long has earned a fast restart. */
const healthyAfterMs = 30_000;
const wakeBytes = new Uint8Array(new BigUint64Array([1n]).buffer);

export class WorkerClient {
  readonly index: number;
  private readonly data: WorkerData;
  private readonly events: WorkerEvents;
  private thread: Worker | undefined;
  private wakeDescriptor = -1;
  private backoffMs = backoffMsMin;
  private deathsInARow = 0;
  private startedAtMs = 0;
  private restartTimer: NodeJS.Timeout | undefined;
  private isStopping = false;
  private onStopped: (() => void) | undefined;

  constructor(data: WorkerData, events: WorkerEvents) {
    this.index = data.index;
    this.data = data;
    this.events = events;
  }

  start(): void {
    this.restartTimer = undefined;
    this.startedAtMs = performance.now();
    let failure: Error | undefined;
    const thread = new Worker(new URL('./entry.js', import.meta.url), {
      workerData: this.data,
      name: `pinion-${this.index}`,
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
  }

  post(message: MessageToWorker): void {
    if (this.thread === undefined) return;
    this.thread.postMessage(message);
    this.wake();
  }

  /** An epoll worker sits in a system call and looks for messages when this descriptor becomes readable. */
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
    this.thread = undefined;
    this.wakeDescriptor = -1;
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
    this.events.died(this.index, error, restartInMs, ++this.deathsInARow);
    this.restartTimer = setTimeout(() => this.start(), restartInMs);
  }
}
