/** Binding over workers that die and start anew in the middle of it. */
import { expect, test } from 'vitest';
import type { ListenerView } from '../core/snapshot.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { Listeners } from './listeners.ts';

interface Stage {
  readonly listeners: Listeners;
  /** What the workers were told, in order. */
  readonly told: [worker: number, MessageToWorker][];
  readonly events: string[];
  readonly running: Set<number>;
}

function stageOf(workers: number): Stage {
  const told: Stage['told'] = [];
  const events: string[] = [];
  const running = new Set(Array.from({ length: workers }, (_, worker) => worker));
  const post = (worker: number, message: MessageToWorker): boolean => {
    if (running.has(worker)) told.push([worker, message]);
    return running.has(worker);
  };
  return {
    listeners: new Listeners(({ event }) => events.push(event), post, workers),
    told,
    events,
    running,
  };
}

const viewOf = (id: number): ListenerView => listenerView(id, 'tcp', {});
const asks = ({ told }: Stage): [number, number, number][] =>
  told.flatMap(([worker, message]) =>
    message.type === 'listen' ? [[worker, message.listenerId, message.port] as [number, number, number]] : [],
  );
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const answer = (stage: Stage, worker: number, listenerId: number, port: number): void =>
  stage.listeners.answered(worker, { type: 'listening', listenerId, port });

test('a worker that starts anew while another is asked waits for its turn, and binds the same port', async () => {
  const stage = stageOf(2);
  stage.listeners.workerDied(1);
  const opened = stage.listeners.use([viewOf(7)]);
  await settle();
  stage.listeners.openOn(1);
  expect(asks(stage)).toEqual([[0, 7, 0]]);
  answer(stage, 0, 7, 5_000);
  await settle();
  expect(asks(stage)).toEqual([
    [0, 7, 0],
    [1, 7, 5_000],
  ]);
  answer(stage, 1, 7, 5_000);
  expect(await opened).toBeUndefined();
  expect(stage.listeners.openPort(7)).toBe(5_000);
});

test('a worker that answered, died and started anew before the others answered is asked in the end', async () => {
  const stage = stageOf(2);
  const opened = stage.listeners.use([viewOf(7)]);
  await settle();
  answer(stage, 0, 7, 5_000);
  await settle();
  stage.listeners.workerDied(0);
  stage.listeners.openOn(0);
  answer(stage, 1, 7, 5_000);
  expect(await opened).toBeUndefined();
  expect(asks(stage)).toEqual([
    [0, 7, 0],
    [1, 7, 5_000],
    [0, 7, 5_000],
  ]);
});

test('a worker that could not have a listener is asked again by the next use', async () => {
  const stage = stageOf(1);
  const opened = stage.listeners.use([viewOf(7)]);
  await settle();
  answer(stage, 0, 7, 5_000);
  await opened;
  stage.running.delete(0);
  stage.listeners.workerDied(0);
  stage.running.add(0);
  // Its snapshot is that of a reload which will be refused.
  stage.listeners.openOn(0);
  stage.listeners.answered(0, {
    type: 'bind-failed',
    listenerId: 7,
    failure: { code: 'ENOENT', message: 'the snapshot has no such listener' },
  });
  await settle();
  expect(await stage.listeners.use([viewOf(7)])).toBeUndefined();
  await settle();
  expect(asks(stage)).toEqual([
    [0, 7, 0],
    [0, 7, 5_000],
    [0, 7, 5_000],
  ]);
  answer(stage, 0, 7, 5_000);
  await settle();
  expect(stage.events).toEqual(['listening', 'bind-failed']);
});

test('the way back after a failure opens what can be opened, and tells what cannot', async () => {
  const stage = stageOf(1);
  const opened = stage.listeners.use([viewOf(1), viewOf(2)]);
  for (const id of [1, 2]) {
    await settle();
    answer(stage, 0, id, 5_000 + id);
  }
  expect(await opened).toBeUndefined();
  const closed = stage.listeners.use([]);
  await settle();
  for (const id of [1, 2]) stage.listeners.unlistened(0, id);
  await closed;
  const back = stage.listeners.reopen([viewOf(1), viewOf(2)]);
  await settle();
  stage.listeners.answered(0, {
    type: 'bind-failed',
    listenerId: 1,
    failure: { code: 'EADDRNOTAVAIL', message: '' },
  });
  await settle();
  stage.listeners.unlistened(0, 1);
  await settle();
  answer(stage, 0, 2, 5_002);
  const failures = await back;
  expect(failures.map(({ message }) => message)).toEqual([
    expect.stringMatching(
      /^listener listener-1: cannot bind .*EADDRNOTAVAIL; this machine has no such address/,
    ),
  ]);
  expect([stage.listeners.openPort(1), stage.listeners.openPort(2)]).toEqual([undefined, 5_002]);
});
