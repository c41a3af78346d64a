/**
 * The workers together, those of the data plane and the one whose data plane is the kernel (`relay: kernel`): starting them, starting again what died, telling one or all of them something, and
 * questions that each of them answers a part of. What workers report by themselves goes on to control (`hear`).
 *
 * Does not decide what anybody is told: a worker that has started again is told all of it by control (`restarted`).
 */
import type { SharedMemory, SharedViews } from '../rooms/shared.ts';
import { Waiting } from '../rooms/waiting.ts';
import { type Beat, WorkerClient, type WorkerDeath } from '../worker/client.ts';
import type { FlowRecord, MessageFromWorker, WayCount } from '../worker/messages-from-worker.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import type { ControlWatcher } from './events.ts';

/** How long a worker may take to leave when told to. */
const workerStopMs = 2_000;
const answersWithinMs = 1_000;
/** A worker that dies this often without serving for a while will not be cured by another start. */
const workerDeathsMax = 6;

const kernelEntry = new URL('../kernel/entry.js', import.meta.url);

/** Answers to questions of this file; all else is a report. */
type Answer = Extract<MessageFromWorker, { type: 'former-counted' | 'senders-counted' | 'flows' }>;
export type WorkerReport = Exclude<MessageFromWorker, Answer>;

export interface WorkersOptions {
  /** Of the data plane. */
  readonly count: number;
  /** The table of nftables for listeners that the kernel carries, by one more worker whose number is `count`; undefined: there are none. */
  readonly kernelTable: string | undefined;
  readonly engine: 'portable' | 'epoll';
  /** Threads can share a port. */
  readonly canReusePort: boolean;
  readonly shared: SharedMemory;
  readonly views: SharedViews;
  readonly watch: ControlWatcher;
  readonly hear: (worker: number, message: WorkerReport) => void;
  /** A thread is gone, with its flows. */
  readonly died: (worker: number) => void;
  /** The one that followed on it serves, and knows nothing yet. @returns false: it is not the time for that */
  readonly restarted: (worker: number) => boolean;
}

export class Workers {
  /** How often one was started again. */
  restarts = 0;
  /** Of the data plane. */
  readonly count: number;
  private readonly options: WorkersOptions;
  private readonly clients: WorkerClient[] = [];
  /** Workers that have died at least once. */
  private readonly diedOnce = new Set<number>();
  private readonly flowLists = new Map<
    number,
    { records: FlowRecord[]; waiting: number; done: () => void }
  >();
  private readonly formerCounts = new Waiting<readonly WayCount[] | undefined>();
  private readonly senderCounts = new Waiting<readonly string[]>();
  private nextRequestId = 1;

  constructor(options: WorkersOptions) {
    this.options = options;
    const { count, kernelTable, engine, canReusePort, shared } = options;
    this.count = count;
    const events = {
      message: (worker: number, message: MessageFromWorker): void => this.hear(worker, message),
      died: (worker: number, death: WorkerDeath): void => this.died(worker, death),
    };
    for (let index = 0; index < count; index++) {
      const data = { index, shared, engine, reusePort: canReusePort && count > 1 };
      this.clients.push(new WorkerClient(data, events));
    }
    if (kernelTable === undefined) return;
    const data = { index: count, shared, engine, reusePort: false, kernelTable };
    this.clients.push(new WorkerClient(data, events, kernelEntry));
  }

  get hasKernel(): boolean {
    return this.options.kernelTable !== undefined;
  }

  /** Signs of life of each; undefined: no thread of it runs now. */
  beats(): readonly (Beat | undefined)[] {
    return this.clients.map(({ beat }) => beat);
  }

  start(): void {
    for (const client of this.clients) client.start();
  }

  /** Resolves when all threads are gone. */
  async stop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.stop(workerStopMs)));
  }

  /** @returns false if there is no such worker, or it does not run now: the message is lost */
  post(worker: number, message: MessageToWorker): boolean {
    return this.clients[worker]?.post(message) ?? false;
  }

  postAll(message: MessageToWorker): void {
    for (const client of this.clients) client.post(message);
  }

  /** What answers the thread that runs now, and none that follows on it: that one numbers its flows anew. */
  answerer(worker: number): (message: MessageToWorker) => void {
    const client = this.clients[worker]!;
    const { starts } = client;
    return (message) => {
      if (client.starts === starts) client.post(message);
    };
  }

  /** Open flows of all workers, at most `most` of each. A worker that does not answer is left out. */
  listFlows(most: number): Promise<FlowRecord[]> {
    const requestId = this.nextRequestId++;
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.flowLists.delete(requestId);
        resolve(list.records);
      };
      const list = { records: [] as FlowRecord[], waiting: this.clients.length, done: finish };
      const timer = setTimeout(finish, answersWithinMs);
      this.flowLists.set(requestId, list);
      this.postAll({ type: 'list-flows', requestId, most });
    });
  }

  /** Clients that were seen to send to a backend over UDP since then, on the shared clock; at most `most` of each worker. */
  async sendersTo(backendId: number, sinceMs: number, most: number): Promise<number> {
    const answers = await this.ask(this.senderCounts, [], (requestId) => {
      return { type: 'count-senders', requestId, backendId, sinceMs, most };
    });
    return new Set(answers.flat()).size;
  }

  /** TCP flows on other ways than their backends' present ones; undefined: a worker did not answer. */
  async countFormer(): Promise<readonly WayCount[] | undefined> {
    const answers = await this.ask(this.formerCounts, undefined, (requestId) => {
      return { type: 'count-former', requestId };
    });
    return answers.includes(undefined) ? undefined : answers.flatMap((counts) => counts!);
  }

  private ask<T>(questions: Waiting<T>, fallback: T, message: (id: number) => MessageToWorker): Promise<T[]> {
    return Promise.all(
      this.clients.map((client) =>
        questions.wait(answersWithinMs, fallback, (requestId) => client.post(message(requestId))),
      ),
    );
  }

  private hear(worker: number, message: MessageFromWorker): void {
    switch (message.type) {
      case 'ready':
        this.options.hear(worker, message);
        this.greet(worker);
        break;
      case 'former-counted':
        this.formerCounts.answer(message.requestId, message.counts);
        break;
      case 'senders-counted':
        this.senderCounts.answer(message.requestId, message.senders);
        break;
      case 'flows':
        this.flowsListed(message.requestId, message.records);
        break;
      default:
        this.options.hear(worker, message);
    }
  }

  /** A worker that has started again gets what the others have. The first time it finds all in its queue. */
  private greet(worker: number): void {
    if (!this.diedOnce.has(worker) || !this.options.restarted(worker)) return;
    this.options.watch({ event: 'worker-restarted', worker });
  }

  private died(worker: number, { error, restartInMs, inARow, leftOpen }: WorkerDeath): void {
    const { views, watch } = this.options;
    this.restarts++;
    this.diedOnce.add(worker);
    views.counters.clearOpenOf(worker);
    this.releaseLocksOf(worker);
    views.dials.clearAll();
    const message = error?.message ?? 'the thread exited';
    watch({ event: 'worker-died', worker, message, restartInMs });
    this.options.died(worker);
    // Uncaught on purpose: the process ends as for any other defect, and the service manager decides.
    if (leftOpen) throw new Error(`worker ${worker} died and left its sockets open: ${message}`);
    if (inARow >= workerDeathsMax)
      throw new Error(`worker ${worker} died ${inARow} times in a row: ${message}`);
  }

  /** The thread is gone: what it had locked in the tables of pins and clients is free. Its number as `attachSharedMemory` counts. */
  releaseLocksOf(thread: number): void {
    const { pins, counters } = this.options.views;
    pins.releaseLocksOf(thread + 1);
    counters.clients.releaseLocksOf(thread);
  }

  private flowsListed(requestId: number, records: readonly FlowRecord[]): void {
    const list = this.flowLists.get(requestId);
    if (list === undefined) return;
    list.records.push(...records);
    list.waiting--;
    if (list.waiting === 0) list.done();
  }
}
