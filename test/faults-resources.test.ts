/** What a machine runs out of, descriptors and ports: rows 15 to 17 of the reliability table. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { openBlackhole } from './support/blackhole.ts';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import {
  admin,
  backendsOf,
  configText,
  listener,
  noCheck,
  quickCheck,
  reload,
  type Section,
} from './support/config.ts';
import { eventually, lower, settled } from './support/eventually.ts';
import { namespacesWork, namespaceWrapper, runInNamespaceOf } from './support/namespace.ts';
import { type LogRecord, type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { cpuMicroseconds, descriptorKinds, openDescriptors } from './support/procfs.ts';
import { namedTcp, stopServers, type TestServer, tcpServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

function config(servers: readonly TestServer[], more: Section = {}): string {
  return configText({
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { health: quickCheck, backends: backendsOf(servers) } },
    ...more,
  });
}

/** The pages' own connections, kept alive by fetch, are gone before the figure is believed. */
function descriptorsAtRest(pinion: Pinion): Promise<number> {
  return settled('descriptors', () => lower(() => pinion.descriptors()), 6_000);
}

/** Backends that went down, but for those whose checks a busy machine answers late. */
function downsButLate(pinion: Pinion): LogRecord[] {
  return pinion.events('backend-down').filter(({ reason }) => reason !== 'timeout');
}

/** Connects from each address and waits for the name; those that are turned away give undefined. */
async function crowd(pinion: Pinion, addresses: readonly string[]) {
  return inParallel(addresses, async (from) => {
    const client = await tcpClient(pinion.port('front'), { from });
    return (await client.line().catch(() => undefined)) === undefined ? undefined : client;
  });
}

describe('row 15: descriptors', () => {
  test('limits.flows that do not fit are refused with what to do', async () => {
    const servers = await namedTcp(['a']);
    const wrapper = ['prlimit', '--nofile=1000:1000'];
    const start = startPinion(config(servers, { limits: { flows: 5_000 } }), { wrapper });
    await expect(start).rejects.toThrow(
      /limits\.flows is 5000, but 1000 descriptors \(ulimit -n\) carry at most \d+ flows; raise the descriptor limit/,
    );
  });

  /** The most that the refusal of more says. */
  async function flowsMost(text: (flows: number) => string, wrapper: readonly string[]): Promise<number> {
    const refusal = await startPinion(text(1_000_000), { wrapper }).catch((error: Error) => error.message);
    return Number(/carry at most (\d+) flows/.exec(String(refusal))?.[1]);
  }

  test.skipIf(!namespacesWork())('addresses that come while it runs at its most end nothing', async () => {
    const wrapper = ['prlimit', '--nofile=1000:1000', ...namespaceWrapper()];
    // It leads back here as soon as its address is this machine's: that is how the test knows that it has looked.
    const text = (flows: number): string =>
      configText({
        engine: 'portable',
        workers: 1,
        limits: { flows },
        listeners: [{ name: 'front', bind: 'udp://0.0.0.0:7777', pool: 'pool' }],
        pools: { pool: { health: noCheck, backends: [{ name: 'a', address: '10.9.9.9:7777' }] } },
        metrics: undefined,
      });
    const pinion = await startPinion(text(await flowsMost(text, wrapper)), { wrapper });
    const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
    for (let i = 1; i <= 9; i++) {
      const add = ['ip', 'addr', 'add', `10.9.9.${i}/32`, 'dev', 'lo'];
      execFileSync('nsenter', ['--target', String(pinion.process.pid), '--net', ...user, ...add]);
    }
    await pinion.waitForLog(({ event }) => event === 'backend-down');
    expect(pinion.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
    expect(pinion.process.status).toBeUndefined();
  });

  test('a reload that fits is taken, though old and new listeners are open at once for a moment', async () => {
    const servers = await namedTcp(['a', 'b']);
    const wrapper = ['prlimit', '--nofile=1000:1000'];
    const text = (flows: number, round: string, count: number): string =>
      configText({
        workers: 1,
        limits: { flows },
        shutdown: { drain: '0s' },
        listeners: Array.from({ length: 60 }, (_, i) => listener(`front${round}${i}`, 'tcp', 'pool')),
        pools: { pool: { health: noCheck, backends: backendsOf(servers.slice(0, count)) } },
      });
    const most = await flowsMost((flows) => text(flows, 'x', 1), wrapper);
    const pinion = await startPinion(text(most, 'x', 1), { wrapper });
    await reload(pinion, text(most, 'y', 2));
    expect(pinion.events('reload-refused')).toEqual([]);
    expect(await askTcp(pinion.port('fronty59'))).toMatch(/^[ab]$/);
  });

  test('by default the limit fits, and a crowd beyond it neither spins nor stays', async () => {
    const servers = await namedTcp(['a']);
    const pinion = await startPinion(config(servers), { wrapper: ['prlimit', '--nofile=400:400'] });
    const flowsMax = (await pinion.metric('pinion_flows_max'))!;
    expect(flowsMax).toBeGreaterThan(50);
    expect(pinion.events('starting')).toMatchObject([{ flowsMax }]);
    expect(pinion.events('descriptors-few')).toMatchObject([
      {
        level: 40,
        msg: `the descriptor limit 400 carries only ${flowsMax} flows; raise LimitNOFILE (ulimit -n)`,
      },
    ]);
    const baseline = await descriptorsAtRest(pinion);
    const served = (await crowd(pinion, clientAddresses(300))).filter((client) => client !== undefined);
    expect(served.length).toBe(flowsMax);
    await pinion.waitForLog((record) => record.event === 'clients-refused' && record.code === 'limit-flows');
    await isQuiet(pinion);
    await Promise.all(served.map((client) => client.leave()));
    await eventually('room again', () => askTcp(pinion.port('front')).catch(() => undefined));
    await eventually('descriptors freed', () => pinion.descriptors() <= baseline);
    expect(downsButLate(pinion)).toEqual([]);
  });

  test.each([
    ['epoll', 300, 2],
    ['epoll', 50, 4],
    ['portable', 300, 1],
  ])(
    '%s: the limit that is stated with %d listeners and %d workers is served, and pages answer then',
    async (engine, count, workers) => {
      const servers = await namedTcp(['a']);
      const names = Array.from({ length: count }, (_, i) => `l${i}`);
      const listeners = names.map((name) => listener(name, 'tcp', 'pool'));
      const text = config(servers, { listeners, engine, workers, log: { flows: { level: 'off' } } });
      const pinion = await startPinion(text, { wrapper: ['prlimit', '--nofile=1024:1024'] });
      const flowsMax = (await pinion.metric('pinion_flows_max'))!;
      const clients = await inParallel(clientAddresses(flowsMax), async (from, i) => {
        const client = await tcpClient(pinion.port(names[i % count]!), { from });
        return { client, name: await client.line().catch((error: Error) => error.message) };
      });
      expect(clients.filter(({ name }) => name !== 'a')).toEqual([]);
      expect((await admin(pinion, 'GET', '/status')).body).toMatchObject({ flows: flowsMax });
      expect(pinion.events('accept-paused')).toEqual([]);
      for (const { client } of clients) client.socket.destroy();
    },
  );

  test('a thousand backends whose checks are never answered leave descriptors for as many flows as are stated', async () => {
    const servers = await namedTcp(['a']);
    const silent = await openBlackhole('silent');
    const lost = Array.from({ length: 1_000 }, (_, i) => ({ name: `x${i}`, address: silent.address }));
    const text = config(servers, {
      listeners: [listener('front', 'tcp', 'pool'), listener('lost', 'tcp', 'lost')],
      pools: {
        pool: { health: noCheck, backends: backendsOf(servers) },
        lost: { health: { type: 'tcp', interval: '1s', timeout: '1s' }, backends: lost },
      },
    });
    const pinion = await startPinion(text, { wrapper: ['prlimit', '--nofile=1024:1024'] });
    const flowsMax = (await pinion.metric('pinion_flows_max'))!;
    await pinion.waitForLog((record) => record.event === 'backend-down');
    const reserved = Math.floor(flowsMax / 8); // of the listener without clients
    const clients = await inParallel(clientAddresses(flowsMax - reserved), async (from) => {
      const client = await tcpClient(pinion.port('front'), { from });
      return { client, name: await client.line().catch((error: Error) => error.message) };
    });
    expect(clients.filter(({ name }) => name !== 'a')).toEqual([]);
    expect((await admin(pinion, 'GET', '/status')).status).toBe(200);
    expect(pinion.events('accept-paused')).toEqual([]);
    for (const { client } of clients) client.socket.destroy();
    await silent.close();
  });

  test('readers that stall, as many as the limit allows, leave descriptors for everything else', async () => {
    const bytes = Buffer.alloc(16 * 1024 * 1024);
    const flood = await tcpServer((socket) => socket.write(bytes), { name: 'flood' });
    // As last keys they win over the suite's own choice: only this engine holds pipes.
    const text = config([flood], {
      listeners: [
        listener('front', 'tcp', 'pool', { tcp: { send_buffer: '64KiB', receive_buffer: '256KiB' } }),
      ],
      pools: { pool: { health: noCheck, backends: backendsOf([flood]) } },
      workers: 2,
      engine: 'epoll',
    });
    const pinion = await startPinion(text, { wrapper: ['prlimit', '--nofile=500:500'] });
    const flowsMax = (await pinion.metric('pinion_flows_max'))!;
    const stalled: Socket[] = [];
    try {
      for (const from of clientAddresses(flowsMax)) {
        const socket = connect({ port: pinion.port('front'), host: '127.0.0.1', localAddress: from });
        stalled.push(socket);
        // It reads until its flow has gone over to pipes.
        socket.on('data', () => socket.bytesRead > 2 * 1024 * 1024 && socket.pause());
      }
      await eventually('all of them stalled', () => stalled.every((socket) => socket.isPaused()));
      await expect.poll(() => pinion.metric('pinion_flows')).toBe(flowsMax);
      await settled('descriptors', () => pinion.descriptors());
      const { pipeEnds } = descriptorKinds(pinion.pid);
      expect(pipeEnds, 'the share of pipes is in use').toBeGreaterThan(0);
      expect(pinion.descriptors()).toBeLessThan(500 - 60);
      // One more is told so, and does not lie in the queue of accepts.
      expect(await (await tcpClient(pinion.port('front'))).outcome).toBe('ECONNRESET');
      expect(pinion.events('accept-paused')).toEqual([]);
      stalled.pop()?.destroy();
      const next = await eventually('room again', async () => {
        const client = await tcpClient(pinion.port('front'));
        return (await Promise.race([client.outcome, eventually('bytes', () => client.receivedBytes > 0)])) ===
          true
          ? client
          : undefined;
      });
      next.socket.destroy();
    } finally {
      for (const socket of stalled) socket.destroy();
    }
  });

  test('when they run out all the same, accepting pauses without spinning and resumes', async () => {
    const servers = await namedTcp(['a']);
    const pinion = await startPinion(config(servers));
    expect(await askTcp(pinion.port('front'))).toBe('a');
    await descriptorsAtRest(pinion);
    const giveBack = leaveDescriptors(pinion.pid, 10);
    const early = clientAddresses(40).map(async (from) => {
      const client = await tcpClient(pinion.port('front'), { from });
      return client.line().catch(() => undefined);
    });
    await sleep(500);
    await isQuiet(pinion);
    giveBack();
    const names = await Promise.all(early);
    expect(names.filter((name) => name !== undefined && name !== 'a')).toEqual([]);
    const refused = names.filter((name) => name === undefined).length;
    const pauses = (await pinion.metric('pinion_listener_accept_pauses_total')) ?? 0;
    expect(refused + pauses, 'they did run out').toBeGreaterThan(0);
    expect(await eventually('service again', () => askTcp(pinion.port('front')).catch(() => undefined))).toBe(
      'a',
    );
    expect(downsButLate(pinion), 'its own fault is not the backends').toEqual([]);
  });

  /** Over two seconds in which nothing happens the process uses far less than a core. */
  async function isQuiet(pinion: Pinion): Promise<void> {
    const before = cpuMicroseconds([pinion.pid]);
    await sleep(2_000);
    expect(cpuMicroseconds([pinion.pid]) - before).toBeLessThan(1_000_000);
  }

  /** Leaves the process `spare` more descriptors; returns what gives back all it had. */
  function leaveDescriptors(pid: number, spare: number): () => void {
    const text = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))!;
    const set = (soft: string): void => {
      execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:${text[2]}`]);
    };
    set(String(openDescriptors(pid) + spare));
    return () => set(text[1]!);
  }
});

/** Common to the programs that run inside a namespace: a backend on port 9000 and clients of port 7000. */
const insideProgram = `
  const net = require('node:net');
  const listen = (serve) => new Promise((resolve) => {
    const server = net.createServer({ allowHalfOpen: true }, serve).listen(9000, '127.0.0.1', () => resolve(server));
  });
  let next = 0;
  const connect = () => new Promise((resolve) => {
    const i = next++;
    const from = '127.' + (5 + (i >> 16)) + '.' + ((i >> 8) & 255) + '.' + (1 + (i & 127));
    const socket = net.connect({ port: 7000, host: '127.0.0.1', localAddress: from, localPort: 20000 + (i % 10000) });
    socket.once('data', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (act) => { for (let i = 0; i < 500; i++) { const found = await act(); if (found) return found; await sleep(50); } };
`;

const insideConfig = (health: Section): string =>
  configText({
    metrics: { listen: '127.0.0.1:9464' },
    listeners: [{ name: 'front', bind: 'tcp://127.0.0.1:7000', pool: 'pool', affinity: 'none' }],
    pools: {
      pool: { health, passive: { failures: 2 }, backends: [{ name: 'a', address: '127.0.0.1:9000' }] },
    },
  });

describe.skipIf(!namespacesWork())('in a namespace of its own', () => {
  test('row 16: without a source port (EADDRNOTAVAIL) clients are refused and the backend stays up', async () => {
    const wrapper = namespaceWrapper(['echo 50000 50009 > /proc/sys/net/ipv4/ip_local_port_range']);
    const pinion = await startPinion(insideConfig(quickCheck), { wrapper });
    const program = `${insideProgram}
      (async () => {
        await listen((socket) => { socket.write('a\\n'); socket.on('end', () => socket.end()); socket.on('error', () => {}); });
        const first = await until(connect);
        const held = [first, ...(await Promise.all(Array.from({ length: 40 }, connect)))].filter(Boolean);
        await sleep(3000); // several checks meanwhile
        const fetched = async () => (await fetchFresh('http://127.0.0.1:9464/metrics')).text();
        const isUp = async () => /pinion_backend_up\\{[^}]*\\} 1/.test(await fetched());
        const page = await fetched();
        const up = await until(isUp);
        for (const socket of held) socket.end();
        const again = await until(connect);
        console.log(JSON.stringify({ held: held.length, again: again !== undefined, up,
          faults: Number((/code="local-fault"\\} (\\d+)/.exec(page) || [])[1]) }));
        process.exit();
      })();`;
    const answer = JSON.parse(await runInNamespaceOf(pinion.pid, program));
    expect(answer).toMatchObject({ again: true, up: true });
    expect(answer.held).toBeGreaterThan(3);
    expect(answer.held).toBeLessThanOrEqual(10);
    expect(answer.held + answer.faults).toBeGreaterThanOrEqual(41);
    const downs = downsButLate(pinion).map(({ why }) => why);
    expect(downs.filter((why) => why !== 'ECONNREFUSED')).toEqual([]); // before the backend was started
  });

  test.each([
    { first: 'backend', serve: `socket.end('a\\n'); socket.resume()`, act: 'socket.end()', remote: 9000 },
    {
      first: 'client',
      serve: `socket.write('a\\n'); socket.on('end', () => socket.end())`,
      act: 'socket.end()',
      local: 7000,
    },
  ])('row 17: when the $first ends first, TIME_WAIT is not with pinion', async (story) => {
    const wrapper = namespaceWrapper(['echo 50000 50049 > /proc/sys/net/ipv4/ip_local_port_range']);
    const pinion = await startPinion(insideConfig(noCheck), { wrapper });
    // With fifty source ports, a TIME_WAIT for each connection would end this soon.
    const count = story.first === 'backend' ? 1_000 : 40;
    const program = `${insideProgram}
      (async () => {
        await listen((socket) => { socket.on('error', () => {}); ${story.serve}; socket.resume(); });
        let failed = 0;
        for (let i = 0; i < ${count}; i++) {
          const socket = await connect();
          if (socket === undefined) { failed++; continue; }
          ${story.act};
          await new Promise((resolve) => socket.destroyed ? resolve() : socket.once('close', resolve));
        }
        console.log(JSON.stringify({ failed }));
        process.exit();
      })();`;
    expect(JSON.parse(await runInNamespaceOf(pinion.pid, program))).toEqual({ failed: 0 });
    const waiting = timeWaits(pinion.pid);
    expect(waiting.length, 'somebody keeps them').toBeGreaterThan(0);
    const ours = waiting.filter(({ local, remote }) => local === story.local || remote === story.remote);
    expect(ours).toEqual([]);
  });

  /** Ports of the sockets in TIME_WAIT (state 06) in the network namespace of a process. */
  function timeWaits(pid: number): { readonly local: number; readonly remote: number }[] {
    return readFileSync(`/proc/${pid}/net/tcp`, 'latin1')
      .split('\n')
      .map((row) => row.trim().split(/\s+/))
      .filter((fields) => fields[3] === '06')
      .map((fields) => ({ local: portOf(fields[1]!), remote: portOf(fields[2]!) }));
  }

  function portOf(address: string): number {
    return Number.parseInt(address.slice(address.indexOf(':') + 1), 16);
  }
});
