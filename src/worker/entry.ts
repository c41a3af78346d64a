/**
 * The entry of a worker thread: takes control's messages, makes the engine, and turns the loop.
 *
 * With the portable engine this is an ordinary Node thread. With epoll the thread sits in the engine's `run` for
 * ever: no promise and no timer of Node's runs then, so messages are polled in `onWake`, which the engine calls
 * in every turn (control writes to the wake descriptor after it has posted).
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { attachSharedMemory, type SharedMemory, sharedClock } from '../rooms/shared.ts';
import { Director } from './director.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';
import type { MessageToWorker } from './messages-to-worker.ts';
import { obey } from './orders.ts';

export interface WorkerData {
  readonly index: number;
  readonly shared: SharedMemory;
  readonly engine: 'portable' | 'epoll';
  readonly reusePort: boolean;
  /** Of nftables, for the worker of the kernel. */
  readonly kernelTable?: string;
  /** One 32-bit word: 1 while the thread holds descriptors that nobody else can close. */
  readonly held: SharedArrayBuffer;
  /** One 32-bit word that grows with each tick. */
  readonly beats: SharedArrayBuffer;
}

/** How often work that is owed to no event is done. Milliseconds. */
const tickIntervalMs = 50;
/** A worker without flows sleeps longer; whatever it is told wakes it. */
const idleSleepMs = 500;

async function main(port: MessagePort, data: WorkerData): Promise<void> {
  const nowMs = sharedClock(data.shared.clockOriginMs);
  const beats = new Int32Array(data.beats);
  const views = attachSharedMemory(data.shared, data.index);
  const { histograms } = views.counters;
  const turnTook = (turnMs: number): void => histograms.observe('turn', 0, turnMs);
  const director = new Director({
    worker: data.index,
    ...views,
    nowMs,
    post: (message, transfer) => port.postMessage(message, transfer),
  });
  /** What is owed to no event; and that this thread lives is told. True: there is more. */
  const tick = (): boolean => {
    Atomics.add(beats, 0, 1);
    return director.tick();
  };
  if (data.engine === 'epoll') await serveWithEpoll(port, director, tick, nowMs, turnTook, data);
  else await servePortably(port, director, tick, nowMs, turnTook, data.reusePort);
}

// Each engine's modules are loaded only where it runs: koffi need not exist for the portable one.

async function serveWithEpoll(
  port: MessagePort,
  director: Director,
  tick: () => boolean,
  nowMs: () => number,
  turnTook: (turnMs: number) => void,
  { reusePort, held }: WorkerData,
): Promise<void> {
  const { createEpollEngine } = await import('../engine/epoll/engine.ts');
  const holds = new Int32Array(held);
  const post = (message: MessageFromWorker): void => port.postMessage(message);
  let tickedAtMs = 0;
  let longestTurnMs = 0;
  const onWake = (isWoken: boolean, turnMs: number, now: number): number => {
    if (turnMs > longestTurnMs) longestTurnMs = turnMs;
    const isDue = now - tickedAtMs >= tickIntervalMs;
    if (!isWoken && !isDue) return tickIntervalMs;
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      if (obey(next.message as MessageToWorker, director, post)) return 0;
    }
    if (!isDue) return tickIntervalMs;
    turnTook(longestTurnMs);
    tickedAtMs = tick() ? 0 : now;
    // Orders and the tick keep events waiting as well; the next one tells.
    longestTurnMs = nowMs() - now;
    if (tickedAtMs === 0) return 0;
    return director.registry.size > 0 ? tickIntervalMs : idleSleepMs;
  };
  Atomics.store(holds, 0, 1);
  const engine = createEpollEngine(director, { nowMs, onWake, reusePort });
  director.engine = engine;
  // `run` closes everything when this thread's code still runs at its end; else the word stays.
  const leave = (): void => void Atomics.store(holds, 0, 0);
  process.once('exit', leave);
  port.postMessage({
    type: 'ready',
    engine: 'epoll',
    wakeDescriptor: engine.wakeDescriptor,
  } satisfies MessageFromWorker);
  try {
    engine.run();
  } finally {
    leave();
  }
  port.close();
}

async function servePortably(
  port: MessagePort,
  director: Director,
  tick: () => boolean,
  nowMs: () => number,
  turnTook: (turnMs: number) => void,
  reusePort: boolean,
): Promise<void> {
  const { createPortableEngine } = await import('../engine/portable/portable.ts');
  director.engine = createPortableEngine(director, { nowMs, reusePort });
  const post = (message: MessageFromWorker): void => port.postMessage(message);
  let stopping = false;
  /** Whoever is served has had a turn by then. One alone: a tick or a message meanwhile must not make two of it. */
  let next: NodeJS.Immediate | undefined;
  const turn = (): void => {
    next = !stopping && tick() ? setImmediate(turn) : undefined;
  };
  const turnSoon = (): void => {
    if (next === undefined) turn();
  };
  let dueAtMs = nowMs() + tickIntervalMs;
  const ticker = setInterval(() => {
    const now = nowMs();
    // Node has no other measure of how long its loop was busy: its timer is late by that.
    turnTook(Math.max(0, now - dueAtMs));
    dueAtMs = now + tickIntervalMs;
    turnSoon();
  }, tickIntervalMs);
  port.on('message', (message: MessageToWorker) => {
    stopping = obey(message, director, post);
    if (stopping) {
      clearInterval(ticker);
      port.close();
    } else {
      turnSoon();
    }
  });
  port.postMessage({ type: 'ready', engine: 'portable', wakeDescriptor: -1 } satisfies MessageFromWorker);
}

if (parentPort !== null) await main(parentPort, workerData as WorkerData);
