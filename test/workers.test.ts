/**
 * Row 42 under traffic, with the epoll engine: a defect met while serving one flow costs that flow, a worker that exits
 * costs its own flows and no descriptor (the kernel closes nothing of a dead thread). What needs no traffic is in
 * faults-process.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import type { WorkerClient } from '../src/worker/client.ts';
import type { MessageFromWorker } from '../src/worker/messages-from-worker.ts';
import { askTcp, askUdp, clientAddresses, inParallel } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { descriptorKinds, openDescriptors } from './support/procfs.ts';
import { namedTcp, namedUdp, stopServers, tcpServer, udpServer } from './support/servers.ts';
import { askOverTcp, askOverUdp, type TrafficClient } from './support/traffic.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

async function start(): Promise<Pinion> {
  const echo = await tcpServer((socket) => socket.pipe(socket), { name: 'echo' });
  const udpEcho = await udpServer((message, _from, reply) => reply(message), { name: 'udp-echo' });
  const [named] = await namedTcp(['named']);
  const [udpNamed] = await namedUdp(['udp-named']);
  const quickIdle = { timeouts: { idle: '1s' } };
  const pool = (one: typeof echo) => ({
    health: noCheck,
    passive: { failures: 0 },
    backends: backendsOf([one]),
  });
  const pinion = await startPinion(
    configText({
      workers: 2,
      listeners: [
        listener('echo', 'tcp', 'echo', { affinity: 'none' }),
        listener('udp-echo', 'udp', 'udp-echo', quickIdle),
        listener('named', 'tcp', 'named', { affinity: 'none' }),
        listener('udp-named', 'udp', 'udp-named', quickIdle),
      ],
      pools: {
        echo: pool(echo),
        'udp-echo': pool(udpEcho),
        named: pool(named!),
        'udp-named': pool(udpNamed!),
      },
      // As a last key it wins over the suite's own choice: this story is about one engine.
      engine: 'epoll',
    }),
    { env: { PINION_TEST_FAULTS: '1' } },
  );
  return pinion;
}

const addresses = clientAddresses(1_000);

/** Small requests, streams large enough for pipes, and conversations. */
async function traffic(
  pinion: Pinion,
): Promise<{ readonly tcp: TrafficClient[]; readonly udp: TrafficClient[] }> {
  const small = inParallel(addresses.slice(0, 40), (from) => askOverTcp(pinion.port('echo'), from, 200));
  const large = inParallel(addresses.slice(40, 46), (from) =>
    askOverTcp(pinion.port('echo'), from, 3_000_000),
  );
  const udp = inParallel(addresses.slice(60, 100), (from) => askOverUdp(pinion.port('udp-echo'), from, 700));
  const all = { tcp: [...(await small), ...(await large)], udp: await udp };
  await allAnswer([...all.tcp, ...all.udp], 2);
  return all;
}

/** Each of the clients gets some more answers. */
async function allAnswer(clients: readonly TrafficClient[], more: number): Promise<void> {
  const wanted = clients.map(({ answers }) => answers + more);
  await eventually('answers to everybody', () => clients.every(({ answers }, i) => answers >= wanted[i]!));
}

async function leave(clients: readonly TrafficClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.leave()));
}

const wrongOf = (clients: readonly TrafficClient[]): number =>
  clients.reduce((sum, { wrong }) => sum + wrong, 0);

/** Which worker serves each open flow, by the client's name. */
async function workersOf(pinion: Pinion): Promise<Map<string, number>> {
  const { body } = await admin(pinion, 'GET', '/connections?most=100000');
  const { connections } = body as { connections: { client: string; worker: number }[] };
  return new Map(connections.map(({ client, worker }) => [client, worker]));
}

/** Longer at rest than the pages' connections, kept alive by fetch, and than the idle time of UDP. */
function othersAtRest(pinion: Pinion): Promise<number> {
  return settled('descriptors', () => descriptorKinds(pinion.pid).others, 6_000);
}

/** A WorkerClient of the build: a worker's entry must be JavaScript (Node 20 starts no TypeScript in a thread). */
async function builtWorker(ready: () => void): Promise<WorkerClient> {
  const build = new URL(process.env.PINION_DIST ?? '../dist/', import.meta.url);
  const client = await import(new URL('src/worker/client.js', build).href);
  const memory = await import(new URL('src/rooms/shared.js', build).href);
  const { shared } = memory.createSharedMemory(1, 1024);
  return new client.WorkerClient(
    { index: 0, shared, engine: 'epoll', reusePort: false },
    { message: (_: number, { type }: MessageFromWorker) => type === 'ready' && ready(), died: () => {} },
  );
}

test('a worker that leaves before it is woken does not take the wake descriptor along', async () => {
  let isReady = false;
  const client = await builtWorker(() => {
    isReady = true;
  });
  const post = Worker.prototype.postMessage;
  // The main thread loses the processor between the message and the write that wakes.
  Worker.prototype.postMessage = function (message) {
    post.call(this, message);
    if (message.type === 'stop') blockThread(300);
  };
  try {
    client.start();
    await eventually('the worker', () => isReady);
    const before = openDescriptors(process.pid);
    // It is awake, as it is after the orders of a shutdown.
    client.post({ type: 'unlisten', doors: undefined, listenerId: 1, code: 'shutdown' });
    await client.stop(10_000);
    expect(openDescriptors(process.pid)).toBeLessThan(before);
  } finally {
    Worker.prototype.postMessage = post;
  }
});

test('a worker that is stopped before it was heard to be ready is not woken by a write that goes nowhere', async () => {
  let readies = 0;
  const client = await builtWorker(() => readies++);
  client.start();
  const stopped = client.stop(10_000);
  // It comes up, takes the order and leaves; then we hear of it.
  blockThread(1_000);
  await stopped;
  expect(readies).toBe(1);
});

function blockThread(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

/** Idle pipes one worker may keep, two ends each (src/linux/pipe-pool.ts). */
const pipeEndsKeptByWorker = 2 * 32;

test('a defect met while serving one flow gives up that flow alone, under traffic', async () => {
  const pinion = await start();
  await askTcp(pinion.port('named'));
  const baseline = await othersAtRest(pinion);
  const { tcp, udp } = await traffic(pinion);
  const rounds = 3;
  for (let round = 1; round <= rounds; round++) {
    await admin(pinion, 'POST', '/faults/flow');
    // Each of the two workers throws once, for whoever comes next.
    const fates = await eventually('both have thrown', async () => {
      const some = addresses.slice(100 * round, 100 * round + 16);
      const all = await inParallel(some, (from) =>
        askTcp(pinion.port('named'), from).catch(() => 'given up'),
      );
      expect(all.filter((fate) => fate !== 'named' && fate !== 'given up')).toEqual([]);
      return pinion.events('flow-fault').length >= 2 * round ? all : undefined;
    });
    expect(fates.length).toBe(16);
    await allAnswer([...tcp, ...udp], 2);
  }
  expect(pinion.events('flow-fault').length).toBe(2 * rounds);
  const victims = () => pinion.events('flow').filter(({ code }) => code === 'worker-error').length;
  await eventually('flows given up', () => victims() >= 2 * rounds);
  expect(await settled('flows given up', victims)).toBe(2 * rounds);
  expect(tcp.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined)).toEqual([]);
  expect(wrongOf([...tcp, ...udp])).toBe(0);
  expect(pinion.events('worker-died')).toEqual([]);
  await leave([...tcp, ...udp]);
  expect(await othersAtRest(pinion)).toBe(baseline);
  await expect.poll(() => pinion.metric('pinion_flows')).toBe(0);
});

test('a worker that exits under traffic costs its own flows and no descriptor', async () => {
  const pinion = await start();
  await askTcp(pinion.port('named'));
  const baseline = await othersAtRest(pinion);
  const pipeEndsBefore = descriptorKinds(pinion.pid).pipeEnds;
  for (const worker of [0, 1]) {
    const { tcp, udp } = await traffic(pinion);
    // A worker that is late with its answer is left out of the list.
    const served = await eventually('all flows in the list', async () => {
      const all = await workersOf(pinion);
      return tcp.every(({ name }) => all.has(name)) && all;
    });
    const own = tcp.filter(({ name }) => served.get(name) === worker);
    const others = tcp.filter(({ name }) => served.get(name) === 1 - worker);
    expect([own.length > 0, others.length > 0, own.length + others.length]).toEqual([true, true, 46]);

    await admin(pinion, 'POST', `/faults/workers/${worker}/exit`);
    await pinion.waitForLog((record) => record.event === 'worker-died' && record.worker === worker);
    await eventually('its connections reset', () => own.every(({ outcome }) => outcome !== undefined));
    expect(new Set(own.map(({ outcome }) => outcome))).toEqual(new Set(['ECONNRESET']));
    await allAnswer(others, 3);
    await pinion.waitForLog((record) => record.event === 'worker-restarted' && record.worker === worker);
    await allAnswer([...others, ...udp], 3);
    expect(others.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined)).toEqual([]);
    expect(wrongOf([...tcp, ...udp]), 'whatever was cut, no byte was wrong').toBe(0);

    await eventually('both serve new clients', async () => {
      // It says that it is there before it has bound.
      const fresh = await inParallel(addresses.slice(200, 264), (from) =>
        askOverTcp(pinion.port('echo'), from, 200),
      );
      await allAnswer(fresh, 1);
      const now = await workersOf(pinion);
      await leave(fresh);
      return new Set(fresh.map(({ name }) => now.get(name))).size === 2;
    });
    const answers = await inParallel(addresses.slice(264, 328), (from) =>
      askUdp(pinion.port('udp-named'), from),
    );
    expect(new Set(answers)).toEqual(new Set(['udp-named']));

    await leave([...tcp, ...udp]);
    expect(await othersAtRest(pinion), `after worker ${worker} had died`).toBe(baseline);
    expect(descriptorKinds(pinion.pid).pipeEnds).toBeLessThanOrEqual(
      pipeEndsBefore + 2 * pipeEndsKeptByWorker,
    );
    await expect.poll(() => pinion.metric('pinion_flows')).toBe(0);
    // The page's own connection must not count in the next round.
    await sleep(100);
  }
  await expect.poll(() => pinion.metric('pinion_worker_restarts_total')).toBe(2);
});
