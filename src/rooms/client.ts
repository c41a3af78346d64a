/**
 * Control's end of a room: a thread that speaks with strangers on control's behalf (Redis, HTTP clients, name servers,
 * whatever answers a health check). Control starts it, talks to it, and starts it again when it is gone:
 *
 *    starting --ready--> serving --exit--> waiting (backoff) --> starting
 *         \_________________\_____stop_____> stopped
 *
 * What a stranger can do to a room costs that room alone: an exception nobody caught, a promise nobody held, a heap
 * that is full (V8 ends the thread) and a loop without end (it gives no sign of life, and is ended) all look the same
 * from here. Messages are bounded: a room that does not take them gets no more.
 *
 * Does not promise: a bound on memory outside of the heap (buffers), which each room bounds by itself.
 */
import { Worker } from 'node:worker_threads';
import { roomMessagesWaitingMax } from '../core/limits.ts';
import type { FileWord, KeptTexts } from './kept-files.ts';
import { Pulse } from './pulse.ts';

export type RoomName = 'checks' | 'cluster' | 'front';

export interface RoomDeath {
  readonly message: string;
  readonly restartInMs: number;
}

export interface RoomStatus {
  readonly room: RoomName;
  readonly state: 'starting' | 'serving' | 'waiting' | 'stopped';
  readonly restarts: number;
  /** Messages that were not given to it, as too many waited. */
  readonly dropped: number;
  /** Why it died last. */
  readonly lastDeath: string | undefined;
}

/** What happens to a room, as whoever made it is told. */
export interface RoomEvents {
  readonly died: (death: RoomDeath) => void;
  /** A thread that followed on a dead one serves. */
  readonly restarted: () => void;
  /** A file it reads again and again cannot be used, or can again (kept-files.ts). */
  readonly file: (word: FileWord) => void;
}

/** What a room says by itself, beside what it is for. */
type OwnMessage = { readonly type: 'ready' } | FileMessage | KeptMessage;

interface FileMessage {
  readonly type: 'file';
  readonly word: FileWord;
}

/** What its next thread is to begin with where a file cannot be used; `texts` undefined: that is of no use any more. */
interface KeptMessage {
  readonly type: 'kept';
  readonly key: string;
  readonly texts: readonly string[] | undefined;
}

export interface RoomOptions<From> extends RoomEvents {
  readonly name: RoomName;
  /** The built entry module of the room. */
  readonly entry: URL;
  /** What the next thread gets as its data; plain, to be cloned. */
  readonly data: () => unknown;
  readonly heapMibMax: number;
  readonly message: (message: From) => void;
  /** A new thread has been made: its greeting is to be posted now. */
  readonly started: () => void;
}

/** What the thread is made with. */
export interface RoomData {
  readonly pulse: SharedArrayBuffer;
  /** What the thread before it has handed over (kept-files.ts). */
  readonly kept: KeptTexts;
  readonly data: unknown;
}

const backoffMsMin = 100;
const backoffMsMax = 10_000;
/** A room that served this long has earned a fast restart. */
const healthyAfterMs = 30_000;
const lookMs = 1_000;
/** Looks in a row without a sign of life, after which a room is ended. Looks, not time: none counts while control itself did not run. */
const silentLooksMax = 5;
/** While it loads its modules, on a machine that is busy. */
const silentLooksAtStartMax = 30;
/** V8's young generation, three semi-spaces together: rooms make little garbage, and what it grows to is never given back. */
const youngGenerationMib = 6;

export class RoomClient<To extends object, From extends { readonly type: string }> {
  /** How often a thread was started. */
  starts = 0;
  private readonly options: RoomOptions<From | OwnMessage>;
  private pulse = new Pulse();
  /** Secrets: for its next thread, and for nobody else. */
  private readonly kept = new Map<string, readonly string[]>();
  private thread: Worker | undefined;
  private state: RoomStatus['state'] = 'stopped';
  private posted = 0;
  private dropped = 0;
  private lastDeath: string | undefined;
  private backoffMs = backoffMsMin;
  private startedAtMs = 0;
  /** Why we have ended it. */
  private endedBecause: string | undefined;
  private restartTimer: NodeJS.Timeout | undefined;
  private lookTimer: NodeJS.Timeout | undefined;
  private isStopping = false;
  private onStopped: (() => void) | undefined;

  constructor(options: RoomOptions<From>) {
    this.options = options as RoomOptions<From | OwnMessage>;
  }

  get status(): RoomStatus {
    const { state, dropped, lastDeath } = this;
    return { room: this.options.name, state, restarts: Math.max(0, this.starts - 1), dropped, lastDeath };
  }

  get isStarted(): boolean {
    return this.starts > 0;
  }

  start(): void {
    if (this.isStopping) return;
    const { name, entry, data, heapMibMax } = this.options;
    this.restartTimer = undefined;
    this.starts++;
    this.startedAtMs = performance.now();
    this.pulse = new Pulse();
    this.posted = 0;
    this.endedBecause = undefined;
    this.state = 'starting';
    let failure: Error | undefined;
    const thread = new Worker(entry, {
      workerData: { pulse: this.pulse.shared, kept: this.kept, data: data() } satisfies RoomData,
      name: `pinion-${name}`,
      resourceLimits: { maxOldGenerationSizeMb: heapMibMax, maxYoungGenerationSizeMb: youngGenerationMib },
    });
    thread.on('message', (message: From | OwnMessage) => this.hear(message));
    thread.on('error', (error: Error) => {
      failure = error;
    });
    thread.on('exit', () => this.exited(failure));
    this.thread = thread;
    this.look(thread, 0, 0);
    this.options.started();
  }

  /** @returns false if no thread runs now, or too much waits for it: the message is lost */
  post(message: To): boolean {
    if (this.thread === undefined) return false;
    if (((this.posted - this.pulse.read('takenByRoom')) | 0) >= roomMessagesWaitingMax) {
      this.dropped++;
      return false;
    }
    this.posted++;
    this.thread.postMessage(message);
    return true;
  }

  /** Ends the thread as if it had died of `reason`: it starts again after a while. */
  giveUp(reason: string): void {
    this.endedBecause = reason;
    void this.thread?.terminate();
  }

  /** Ends the thread: `goodbye` asks it to leave by itself; resolves when it is gone, or after `timeoutMs`, when it is made to go. */
  async stop(goodbye: To, timeoutMs: number): Promise<void> {
    const { thread } = this;
    const isFirst = !this.isStopping;
    this.isStopping = true;
    clearTimeout(this.restartTimer);
    clearTimeout(this.lookTimer);
    if (thread === undefined || !isFirst) return;
    const stopped = new Promise<void>((resolve) => {
      this.onStopped = resolve;
    });
    this.post(goodbye);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        // It is gone once the names it has asked for are answered, which may take much longer.
        void thread.terminate();
        resolve();
      }, timeoutMs);
    });
    await Promise.race([stopped, late]);
    clearTimeout(timer);
  }

  private hear(message: From | OwnMessage): void {
    this.pulse.add('takenByControl');
    if (isFileWord(message)) return this.options.file(message.word);
    if (isKept(message)) return this.keep(message);
    if (message.type !== 'ready') return this.options.message(message);
    this.state = 'serving';
    if (this.starts > 1) this.options.restarted();
  }

  private keep({ key, texts }: KeptMessage): void {
    if (texts === undefined) this.kept.delete(key);
    else this.kept.set(key, texts);
  }

  /** Whether it lives. Counted in looks, so that a process that was stopped for a while ends nobody for it. */
  private look(thread: Worker, beatsBefore: number, silentBefore: number): void {
    this.lookTimer = setTimeout(() => {
      if (this.thread !== thread) return;
      const beats = this.pulse.read('beats');
      const silent = beats === beatsBefore ? silentBefore + 1 : 0;
      if (silent < (beats === 0 ? silentLooksAtStartMax : silentLooksMax)) {
        this.look(thread, beats, silent);
        return;
      }
      this.endedBecause = `it gave no sign of life for ${(silent * lookMs) / 1_000} s`;
      void thread.terminate();
    }, lookMs);
  }

  private exited(error: Error | undefined): void {
    this.thread = undefined;
    clearTimeout(this.lookTimer);
    this.state = 'stopped';
    if (this.isStopping) {
      this.onStopped?.();
      return;
    }
    if (performance.now() - this.startedAtMs > healthyAfterMs) this.backoffMs = backoffMsMin;
    const restartInMs = this.backoffMs;
    this.backoffMs = Math.min(backoffMsMax, this.backoffMs * 2);
    this.state = 'waiting';
    this.lastDeath = this.endedBecause ?? error?.message ?? 'the thread exited';
    this.restartTimer = setTimeout(() => this.start(), restartInMs);
    this.options.died({ message: this.lastDeath, restartInMs });
  }
}

function isFileWord(message: { readonly type: string }): message is FileMessage {
  return message.type === 'file';
}

function isKept(message: { readonly type: string }): message is KeptMessage {
  return message.type === 'kept';
}
