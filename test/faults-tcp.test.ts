/** TCP faults, each injected as it happens: rows 1 to 7 and 11 to 13 of the reliability table. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openBlackhole } from './support/blackhole.ts';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck, quickCheck, type Section } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type LogRecord, type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers, type TestServer, tcpServer } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

type Place = Pick<TestServer, 'name' | 'address'>;

function front(backends: readonly Place[], ofListener: Section = {}, ofPool: Section = {}): Promise<Pinion> {
  return startPinion(
    configText({
      workers: 1,
      listeners: [listener('front', 'tcp', 'pool', ofListener)],
      pools: { pool: { health: noCheck, backends: backendsOf(backends), ...ofPool } },
    }),
  );
}

/** The record of the first finished flow that matches. */
function flow(pinion: Pinion, code: string): ReturnType<Pinion['waitForLog']> {
  return pinion.waitForLog((record) => record.event === 'flow' && record.code === code);
}

const refuser = async (name: string): Promise<Place> => ({ name, address: `127.0.0.1:${await freePort()}` });

test('row 1: a backend that refuses costs nobody anything while another is up', async () => {
  const [good] = await namedTcp(['good']);
  const passive = { failures: 3, eject: '1m' };
  const pinion = await front([await refuser('refuses'), good!], {}, { policy: 'maglev', passive });
  const clients = clientAddresses(100);
  const ask = (from: string) => askTcp(pinion.port('front'), from);
  const retried = () => pinion.events('flow').filter((record) => record.reason === 'retry');
  expect(new Set(await inParallel(clients.slice(0, 50), ask, 1))).toEqual(new Set(['good']));
  await pinion.waitForLog((record) => record.event === 'backend-down');
  await eventually('all flows logged', () => pinion.events('flow').length === 50);
  const failures = retried().length;
  expect(failures).toBeGreaterThanOrEqual(3);
  expect(retried()[0]).toMatchObject({ tries: 2, backend: 'good' });
  await expect
    .poll(() => pinion.metric('pinion_backend_dial_failures_total', { backend: 'refuses' }))
    .toBe(failures);
  expect(new Set(await inParallel(clients.slice(50), ask, 1))).toEqual(new Set(['good']));
  await eventually('all flows logged', () => pinion.events('flow').length === 100);
  expect(retried().length, 'nobody is sent there any more').toBe(failures);
  expect(pinion.events('backend-down')).toMatchObject([{ backend: 'refuses' }]);
});

test('row 1: a backend that refuses newcomers while it finishes with its own keeps those', async () => {
  const [good] = await namedTcp(['good']);
  const leaving = createServer((socket) => socket.pipe(socket).on('error', () => {}));
  await once(leaving.listen(0, '127.0.0.1'), 'listening');
  const { port } = leaving.address() as AddressInfo;
  const ofPool = { policy: 'round-robin', passive: { failures: 2, eject: '1m' } };
  const places = [{ name: 'leaving', address: `127.0.0.1:${port}` }, good!];
  const pinion = await front(places, { affinity: 'none' }, ofPool);
  const open = await Promise.all([1, 2].map(() => tcpClient(pinion.port('front'))));
  await eventually('one connection on the good one', () => open.some(({ text }) => text === 'good\n'));
  const stays = open.find(({ text }) => text === '')!;
  leaving.close();
  for (let i = 0; i < 10; i++) expect(await askTcp(pinion.port('front'))).toBe('good');
  await pinion.waitForLog((record) => record.event === 'backend-down' && record.backend === 'leaving');
  stays.socket.write('still here');
  await eventually('the echo', () => stays.text === 'still here');
  await stays.leave();
});

test('row 1: tries are bounded', async () => {
  const places = await Promise.all(['a', 'b', 'c', 'd'].map(refuser));
  const pinion = await front(places, {}, { tries: 2, passive: { failures: 0 } });
  expect(await (await tcpClient(pinion.port('front'))).outcome).toBe('ECONNRESET');
  expect(await flow(pinion, 'backend-refused')).toMatchObject({ tries: 2 });
});

test('row 2: a backend that answers no SYN is given up after timeouts.connect', async () => {
  const blackhole = await openBlackhole('silent');
  const [good] = await namedTcp(['good']);
  const ofPool = { policy: 'round-robin', passive: { failures: 2, eject: '1m' } };
  const pinion = await front([blackhole, good!], { timeouts: { connect: '2s' } }, ofPool);
  const names = await inParallel(clientAddresses(40), (from) => askTcp(pinion.port('front'), from), 4);
  expect(names.filter((name) => name !== 'good')).toEqual([]);
  await eventually('all flows logged', () => pinion.events('flow').length === 40);
  const waited = pinion.events('flow').filter((record) => record.reason === 'retry');
  expect(waited.length).toBeGreaterThan(0);
  // Its time-out counts from the beginning of the turn that dials.
  expect(Number(waited[0]!.connectMs)).toBeGreaterThan(1_900);
  await pinion.waitForLog((record) => record.event === 'backend-down' && record.backend === 'silent');
  await blackhole.close();
});

test('row 2: alone in its pool, the client gets a reset and the log says why', async () => {
  const blackhole = await openBlackhole('silent');
  const pinion = await front([blackhole], { timeouts: { connect: '200ms' } });
  expect(await (await tcpClient(pinion.port('front'))).outcome).toBe('ECONNRESET');
  expect(await flow(pinion, 'backend-timeout')).toMatchObject({ listener: 'front', bytesIn: 0 });
  await blackhole.close();
});

test('row 3: with every backend down clients are reset, and served again when one returns', async () => {
  const servers = await namedTcp(['a', 'b']);
  const pinion = await front(servers, {}, { health: quickCheck });
  await Promise.all(servers.map((server) => server.stop()));
  await pinion.waitForLog((record) => record.event === 'pool-down');
  for (const from of clientAddresses(20)) {
    expect(await (await tcpClient(pinion.port('front'), { from })).outcome).toBe('ECONNRESET');
  }
  const isTold = (record: LogRecord): boolean =>
    record.event === 'clients-refused' && record.code === 'no-backend';
  expect(await pinion.waitForLog(isTold)).toMatchObject({ listener: 'front', count: 1 });
  const ups = () => pinion.events('backend-up').filter(({ backend }) => backend === 'b').length;
  const before = ups();
  await servers[1]!.start();
  await eventually('b is up', () => ups() > before);
  expect(await askTcp(pinion.port('front'))).toBe('b');
});

test('row 3: with fail_open the backends are tried all the same', async () => {
  const [server] = await namedTcp(['a']);
  const blind = { type: 'tcp', port: await freePort(), interval: '100ms', timeout: '100ms', fall: 1 };
  const pinion = await front([server!], {}, { health: blind, fail_open: true });
  await pinion.waitForLog((record) => record.event === 'pool-down');
  expect(await askTcp(pinion.port('front'))).toBe('a');
  expect(await pinion.waitForLog((record) => record.event === 'flow')).toMatchObject({ reason: 'fail-open' });
});

test.each(['epoll', 'portable'])(
  'row 4, %s: a backend that accepts and resets costs nobody anything, is told of, and is left out',
  async (engine) => {
    const [good] = await namedTcp(['good']);
    const deaf = await tcpServer((socket) => socket.resetAndDestroy(), { name: 'deaf' });
    const picky = await tcpServer((socket) => socket.on('data', () => socket.resetAndDestroy()), {
      name: 'picky',
    });
    const echo = await tcpServer((socket) => socket.pipe(socket), { name: 'echo' });
    const pool = { policy: 'round-robin', health: noCheck, passive: { failures: 3, eject: '1m' } };
    const unpinned = { affinity: 'none' };
    const pinion = await startPinion(
      configText({
        engine,
        workers: 1,
        listeners: [
          listener('server-first', 'tcp', 'a', unpinned),
          listener('client-first', 'tcp', 'b', unpinned),
        ],
        pools: {
          a: { ...pool, backends: backendsOf([deaf, good!]) },
          b: { ...pool, backends: backendsOf([picky, echo]) },
        },
      }),
    );
    for (let i = 0; i < 10; i++) {
      expect(await askTcp(pinion.port('server-first'))).toBe('good');
      const client = await tcpClient(pinion.port('client-first'));
      client.socket.write('question');
      await eventually('the echo', () => client.text === 'question');
      await client.leave();
    }
    for (const backend of ['deaf', 'picky']) {
      expect(
        await pinion.waitForLog((record) => record.event === 'backend-down' && record.backend === backend),
      ).toMatchObject({ reason: 'passive' });
    }
    await eventually('all flows logged', () => pinion.events('flow').length === 20);
    await expect.poll(() => pinion.metric('pinion_backend_early_breaks_total', { backend: 'picky' })).toBe(3);
    expect(deaf.count).toBe(3);
    const retried = pinion.events('flow').filter(({ tries }) => tries === 2);
    expect(retried.map(({ backend }) => backend).sort()).toEqual([
      'echo',
      'echo',
      'echo',
      'good',
      'good',
      'good',
    ]);
    expect(retried.find(({ backend }) => backend === 'echo')).toMatchObject({ reason: 'retry', bytesIn: 8 });
  },
);

test('row 4: backend RST mid-stream is passed on as RST, not FIN', async () => {
  const server = await tcpServer((socket) => {
    socket.write('half of an ans');
    socket.on('data', () => socket.resetAndDestroy());
  });
  const pinion = await front([server]);
  const client = await tcpClient(pinion.port('front'));
  await eventually('the first half', () => client.text === 'half of an ans');
  client.socket.write('go on');
  expect(await client.outcome).toBe('ECONNRESET');
  expect(await flow(pinion, 'backend-reset')).toMatchObject({ bytesOut: 14, bytesIn: 5, tries: 1 });
  expect(server.count, 'nothing is sent twice').toBe(1);
});

test('row 4: a reset that comes with the last bytes is still a reset', async () => {
  const server = await tcpServer((socket) => {
    socket.on('data', () => {
      socket.write(Buffer.alloc(100_000, 'z'));
      setImmediate(() => socket.resetAndDestroy());
    });
  });
  const pinion = await front([server]);
  // Told by a client that is reading all the time and so has nothing unread when the reset comes to it.
  for (let i = 0; i < 20; i++) {
    const client = await tcpClient(pinion.port('front'));
    client.socket.write('go');
    await client.outcome;
  }
  await eventually('all flows logged', () => pinion.events('flow').length === 20);
  expect(new Set(pinion.events('flow').map((record) => record.code))).toEqual(new Set(['backend-reset']));
});

test('row 5: a backend half-closes and goes on reading', async () => {
  let received = 0;
  const server = await tcpServer((socket) => {
    socket.end('that is all from me');
    socket.on('data', (bytes) => {
      received += bytes.length;
    });
  });
  const pinion = await front([server]);
  const client = await tcpClient(pinion.port('front'));
  expect(await client.outcome).toBe('end');
  expect(client.text).toBe('that is all from me');
  client.socket.end(Buffer.alloc(3_000_000, 'x'));
  expect(await flow(pinion, 'backend-closed')).toMatchObject({ bytesIn: 3_000_000, bytesOut: 19 });
  // The log line may come before this process has read the last of it.
  await eventually('all of it', () => received === 3_000_000);
});

test('row 5: a half-closed connection whose other side is silent ends by timeouts.half_close', async () => {
  const server = await tcpServer((socket) => socket.resume().end('bye'));
  const pinion = await front([server], { timeouts: { half_close: '3s' } });
  const client = await tcpClient(pinion.port('front'));
  expect(await client.outcome).toBe('end');
  await flow(pinion, 'half-close-timeout');
  // Whoever has read the end hears of a reset when it writes.
  await eventually('the client side gone', () => {
    if (!client.socket.destroyed) client.socket.write('still there?');
    return client.socket.destroyed;
  });
  await eventually('the backend side gone', () => server.sockets.size === 0);
});

test.each([
  ['row 6: a backend that never reads stops its client', 'client'],
  ['row 7: a client that never reads stops its backend', 'backend'],
] as const)('%s, and the stall ends by timeouts.idle', async (_title, sender) => {
  const accepted: Socket[] = [];
  const server = await tcpServer((socket) => {
    socket.pause();
    accepted.push(socket);
    // With data before it, libuv reports a reset as an end (POLLHUP after a partial read).
    socket.on('end', () => socket.destroy());
  });
  const pinion = await front([server], { timeouts: { idle: '3s' } });
  const client = await tcpClient(pinion.port('front'));
  client.socket.removeAllListeners('data').pause();
  const from = sender === 'client' ? client.socket : await eventually('the backend side', () => accepted[0]);
  const block = Buffer.alloc(1_000_000);
  while (from.writableLength < 200 * block.length) from.write(block);
  const taken = await settled('the sender', () => from.bytesWritten - from.writableLength);
  // What the kernel keeps for two connections; the memory of the process is test/backpressure.test.ts.
  expect(taken).toBeLessThan(64_000_000);
  await flow(pinion, 'idle');
  for (const socket of accepted) socket.resume(); // who does not read does not hear of a reset either
  await eventually('the backend side gone', () => server.sockets.size === 0);
});

test('row 11: a client that resets takes its backend connection with it at once', async () => {
  const [server] = await namedTcp(['a']);
  const pinion = await front([server!]);
  const baseline = await settled('descriptors', () => pinion.descriptors());
  const clients = await Promise.all(
    clientAddresses(50).map((from) => tcpClient(pinion.port('front'), { from })),
  );
  await Promise.all(clients.map((client) => client.line()));
  for (const client of clients) client.socket.resetAndDestroy();
  await eventually('no backend connection', () => server!.sockets.size === 0);
  await eventually('all flows logged', () => pinion.events('flow').length === 50);
  expect(new Set(pinion.events('flow').map((record) => record.code))).toEqual(new Set(['client-reset']));
  await eventually('descriptors freed', () => pinion.descriptors() === baseline);
});

requirePackage('netcat')('with nc', () => {
  test('row 12: nc -N half-closes and still gets the whole response', async () => {
    const request = 'a question that ends with the end of input\n';
    const server = await tcpServer((socket) => {
      let question = '';
      socket.on('data', (bytes) => {
        question += bytes;
      });
      // Only the end of the request starts the answer, and it is longer than any buffer on the way.
      socket.on('end', () => socket.end(`${question}${'y'.repeat(4_000_000)}`));
    });
    const pinion = await front([server]);
    const question = temporaryFile('question', request);
    const answer = temporaryFile('answer', '');
    const line = `nc.openbsd -N 127.0.0.1 ${pinion.port('front')} < ${question} > ${answer}`;
    await runToEnd({ command: 'sh', args: ['-c', line] });
    const text = readFileSync(answer, 'latin1');
    expect(text.length).toBe(request.length + 4_000_000);
    expect(text.startsWith(`${request}y`)).toBe(true);
    await flow(pinion, 'client-closed');
  });
});

test('row 13: a client that says nothing ends by timeouts.idle, one that works stays', async () => {
  const [server] = await namedTcp(['a']);
  const pinion = await front([server!], { timeouts: { idle: '3s' } });
  const silent = await tcpClient(pinion.port('front'), { from: '127.7.0.1' });
  const busy = await tcpClient(pinion.port('front'), { from: '127.7.0.2' });
  const typing = setInterval(() => busy.socket.write('.'), 50);
  expect(await silent.line()).toBe('a');
  expect(await silent.outcome).toBe('ECONNRESET');
  expect(await flow(pinion, 'idle')).toMatchObject({ client: expect.stringMatching(/^127\.7\.0\.1:/) });
  const before = busy.receivedBytes;
  await eventually('the busy one still served', () => busy.receivedBytes > before + 5);
  clearInterval(typing);
  await busy.leave();
});

test('row 13: flows_per_client caps one address and nobody else', async () => {
  const [server] = await namedTcp(['a']);
  const pinion = await front([server!], { limits: { flows_per_client: 3 } });
  const open = (from: string) => tcpClient(pinion.port('front'), { from });
  const held = [await open('127.7.0.1'), await open('127.7.0.1'), await open('127.7.0.1')];
  for (const client of held) expect(await client.line()).toBe('a');
  for (let i = 0; i < 5; i++) expect(await (await open('127.7.0.1')).outcome).toBe('ECONNRESET');
  expect(await askTcp(pinion.port('front'), '127.7.0.2')).toBe('a');
  await pinion.waitForLog((record) => record.event === 'clients-refused' && record.code === 'limit-client');
  await expect.poll(() => pinion.metric('pinion_listener_refused_total', { listener: 'front' })).toBe(5);
  await held[0]!.leave();
  await flow(pinion, 'client-closed');
  expect(
    await eventually('room again', () => askTcp(pinion.port('front'), '127.7.0.1').catch(() => undefined)),
  ).toBe('a');
});
