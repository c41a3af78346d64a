/** Binding over workers that die and start anew in the middle of it. */
import { expect, test } from 'vitest';
import type { Bind } from '../core/plan.ts';
import type { ListenerView } from '../core/snapshot.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { Listeners } from './listeners.ts';
import { PassedSockets } from './passed-sockets.ts';

interface Stage {
  readonly listeners: Listeners;
  /** What the workers were told, in order. */
  readonly told: [worker: number, MessageToWorker][];
  readonly events: string[];
  readonly running: Set<number>;
}

function stageOf(workers: number, passed?: PassedSockets): Stage {
  const told: Stage['told'] = [];
  const events: string[] = [];
  const running = new Set(Array.from({ length: workers }, (_, worker) => worker));
  const post = (worker: number, message: MessageToWorker): boolean => {
    if (running.has(worker)) told.push([worker, message]);
    return running.has(worker);
  };
  return {
    listeners: new Listeners(({ event }) => events.push(event), post, workers, passed),
    told,
    events,
    running,
  };
}

const door = '127.0.0.1 0 ';
const viewOf = (id: number): ListenerView => listenerView(id, 'tcp', {});
const asks = ({ told }: Stage): [number, number, number][] =>
  told.flatMap(([worker, message]) =>
    message.type === 'listen' && message.bind.kind === 'inet'
      ? [[worker, message.listenerId, message.bind.port] as [number, number, number]]
      : [],
  );
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const answer = (stage: Stage, worker: number, listenerId: number, port: number): void =>
  stage.listeners.answered(worker, { type: 'listening', listenerId, door, port });

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
  expect(stage.listeners.openBinds(7)).toEqual([{ kind: 'inet', ip: '127.0.0.1', port: 5_000 }]);
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
    door,
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
  for (const id of [1, 2]) stage.listeners.unlistened(0, id, undefined);
  await closed;
  const back = stage.listeners.reopen([viewOf(1), viewOf(2)]);
  await settle();
  stage.listeners.answered(0, {
    type: 'bind-failed',
    listenerId: 1,
    door,
    failure: { code: 'EADDRNOTAVAIL', message: '' },
  });
  await settle();
  stage.listeners.unlistened(0, 1, undefined);
  await settle();
  answer(stage, 0, 2, 5_002);
  const failures = await back;
  expect(failures.map(({ message }) => message)).toEqual([
    expect.stringMatching(
      /^listener listener-1: cannot bind .*EADDRNOTAVAIL; this machine has no such address/,
    ),
  ]);
  expect(stage.listeners.openBinds(1)).toEqual([]);
  expect(stage.listeners.openBinds(2)).toEqual([{ kind: 'inet', ip: '127.0.0.1', port: 5_002 }]);
});

const at = (port: number): Bind => ({ kind: 'inet', ip: '127.0.0.1', port });
const several = (id: number, ...ports: number[]): ListenerView => {
  const view = listenerView(id, 'tcp', { bind: at(ports[0]!) });
  return { ...view, plan: { ...view.plan, binds: ports.map(at) } };
};
/** Lets a living worker do what it is told. */
function obey(stage: Stage, taken: readonly number[] = []): void {
  for (const [worker, message] of stage.told.splice(0)) {
    if (message.type === 'unlisten') stage.listeners.unlistened(worker, message.listenerId, message.doors);
    if (message.type !== 'listen' || message.bind.kind !== 'inet') continue;
    const { listenerId, door, bind } = message;
    stage.listeners.answered(
      worker,
      taken.includes(bind.port)
        ? { type: 'bind-failed', listenerId, door, failure: { code: 'EADDRINUSE', message: '' } }
        : { type: 'listening', listenerId, door, port: bind.port },
    );
  }
}
async function whileObeyed<T>(stage: Stage, promise: Promise<T>, taken?: readonly number[]): Promise<T> {
  let result: { readonly value: T } | undefined;
  void promise.then((value) => {
    result = { value };
  });
  while (result === undefined) {
    await settle();
    obey(stage, taken);
  }
  return result.value;
}

test('a reload opens and closes single addresses of a listener, and asks nothing of the others', async () => {
  const stage = stageOf(1);
  expect(await whileObeyed(stage, stage.listeners.use([several(1, 10, 11, 12)]))).toBeUndefined();
  const use = stage.listeners.use([several(1, 11, 12, 13)]);
  await settle();
  expect(asks(stage)).toEqual([[0, 1, 13]]);
  obey(stage);
  await settle();
  expect(stage.told).toEqual([
    [0, { type: 'unlisten', listenerId: 1, code: 'listener-removed', doors: ['127.0.0.1 10 '] }],
  ]);
  expect(await whileObeyed(stage, use)).toBeUndefined();
  expect(stage.listeners.openBinds(1).map((bind) => bind.kind === 'inet' && bind.port)).toEqual([11, 12, 13]);
});

test('an address that cannot be had is named, and those opened with it are closed again', async () => {
  const stage = stageOf(2);
  await whileObeyed(stage, stage.listeners.use([several(1, 10, 11)]));
  const failure = await whileObeyed(stage, stage.listeners.use([several(1, 10, 11, 12, 13)]), [13]);
  expect(failure?.message).toContain('cannot bind tcp://127.0.0.1:13: EADDRINUSE');
  expect(stage.listeners.openBinds(1)).toEqual([at(10), at(11)]);
});

test('an address that goes from one listener to another is let go of first', async () => {
  const stage = stageOf(1);
  await whileObeyed(stage, stage.listeners.use([several(1, 10, 11), several(2, 20, 21)]));
  const use = stage.listeners.use([several(1, 10), several(2, 20, 21, 11)]);
  await settle();
  expect(stage.told.map(([, { type }]) => type)).toEqual(['unlisten']);
  expect(await whileObeyed(stage, use)).toBeUndefined();
  expect(stage.listeners.openBinds(2)).toEqual([at(20), at(21), at(11)]);
});

test('addresses that go together are given up in one word to each worker', async () => {
  const stage = stageOf(2);
  await whileObeyed(stage, stage.listeners.use([several(1, 10, 11, 12, 13)]));
  const use = stage.listeners.use([several(1, 10)]);
  await settle();
  expect(
    stage.told.map(([worker, message]) => [worker, message.type === 'unlisten' && message.doors]),
  ).toEqual([0, 1].map((worker) => [worker, [11, 12, 13].map((port) => `127.0.0.1 ${port} `)]));
  expect(await whileObeyed(stage, use)).toBeUndefined();
  expect(stage.listeners.openBinds(1)).toEqual([at(10)]);
});

test('a socket that is passed goes to those who bind its address, and not to the worker of the kernel, which binds none', () => {
  const bind: Bind = { kind: 'inet', ip: '127.0.0.1', port: 5_000 };
  const socket = { descriptor: 3, name: 'x', protocol: 'tcp', bind, onlyV6: false } as const;
  const open: number[] = [];
  const passed = new PassedSockets([socket], () => open.push(open.length) + 99);
  const view = listenerView(7, 'tcp', { bind });
  const stage = stageOf(1, passed);
  void stage.listeners.use([view]);
  const kernel = stageOf(1, passed);
  kernel.running.add(1);
  void kernel.listeners.use([{ ...view, plan: { ...view.plan, relay: 'kernel' } }]);
  const descriptors = ({ told }: Stage) =>
    told.map(([worker, message]) => [worker, message.type === 'listen' ? message.passed : message.type]);
  return settle().then(() => {
    expect(descriptors(stage)).toEqual([[0, 100]]);
    expect(descriptors(kernel)).toEqual([[1, undefined]]);
    expect(open.length, 'nobody is left with one').toBe(1);
  });
});
