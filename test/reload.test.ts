/** Reloads at bad moments: an address that changes hands, a plan that is refused half way, a worker that is away. */
import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import {
  admin,
  adminAt,
  backendsOf,
  configText,
  noCheck,
  quickCheck,
  reload,
  type Section,
} from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Names, namesInHand } from './support/names.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort, isBound } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, type TestServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const listenerAt = (name: string, port: number): Section => ({
  name,
  bind: `tcp://127.0.0.1:${port}`,
  pool: 'pool',
});

function configOf(
  listeners: readonly Section[],
  servers: readonly Pick<TestServer, 'name' | 'address'>[],
  more: Section = {},
): string {
  const pool = { policy: 'round-robin', health: noCheck, backends: backendsOf(servers) };
  return configText({ workers: 4, listeners, pools: { pool }, ...more });
}

/** Sends SIGHUP with a new file and waits for the answer, whatever it is. */
async function tryReload(pinion: Pinion, text: string): Promise<string | undefined> {
  const answers = () => [...pinion.events('reloaded'), ...pinion.events('reload-refused')];
  const before = answers().length;
  writeFileSync(pinion.configPath, text);
  pinion.process.signal('SIGHUP');
  await eventually('an answer to the reload', () => answers().length > before);
  return pinion.logs.findLast(({ event }) => event === 'reloaded' || event === 'reload-refused')?.event;
}

test('a listener may be renamed: its port goes from one to the other on every worker', async () => {
  const servers = await namedTcp(['a']);
  const port = await freePort();
  const pinion = await startPinion(configOf([listenerAt('name-0', port)], servers));
  for (let i = 1; i <= 10; i++) {
    await reload(pinion, configOf([listenerAt(`name-${i}`, port)], servers));
    expect(await askTcp(port)).toBe('a');
  }
  expect(pinion.events('reload-refused')).toEqual([]);
});

test('a refused reload ends no flow, closes no listener and forgets no drain', async () => {
  const servers = await namedTcp(['a', 'b']);
  const [front, side] = [await freePort(), await freePort()];
  const listeners = [listenerAt('front', front), listenerAt('side', side)];
  const pinion = await startPinion(configOf(listeners, servers));
  const open = await inParallel(clientAddresses(8), (from) => tcpClient(front, { from }));
  const names = await Promise.all(open.map((client) => client.line()));
  expect(new Set(names)).toEqual(new Set(['a', 'b']));
  await admin(pinion, 'POST', '/pools/pool/backends/b/drain');

  // Without b, without side, and with a listener where the first backend sits.
  const wrong = [listenerAt('front', front), listenerAt('taken', servers[0]!.port)];
  expect(await tryReload(pinion, configOf(wrong, servers.slice(0, 1)))).toBe('reload-refused');
  for (const [i, client] of open.entries()) {
    client.socket.write('still here');
    await eventually('the echo', () => client.text === `${names[i]}\nstill here`);
  }
  expect(await askTcp(side)).toBe('a');
  const { body } = await admin(pinion, 'GET', '/status');
  expect(body).toMatchObject({ backends: [{ backend: 'a' }, { backend: 'b', up: true, draining: true }] });
});

test('a refused reload ends no flow of a backend that it would have taken the address from', async () => {
  const [names, [server]] = [namesInHand(), await namedTcp(['a'])];
  const front = await freePort();
  const at = (name: string) => [{ name: 'a', address: `${name}:${server!.port}` }];
  names.answer('here.test', '127.0.0.1');
  names.answer('nowhere.test', undefined);
  const pinion = await startPinion(configOf([listenerAt('front', front)], at('here.test')), names);
  const client = await tcpClient(front);
  expect(await client.line()).toBe('a');
  const wrong = [listenerAt('front', front), listenerAt('taken', server!.port)];
  expect(await tryReload(pinion, configOf(wrong, at('nowhere.test')))).toBe('reload-refused');
  client.socket.write('still here');
  const echoed = eventually('the echo', () => client.text === 'a\nstill here');
  expect(await Promise.race([echoed.then(() => 'still open'), client.outcome])).toBe('still open');
  expect(await askTcp(front)).toBe('a');
  expect(pinion.events('backend-down')).toEqual([]);
});

test('a refused reload does not bring up a backend by taking its check away', async () => {
  const [server] = await namedTcp(['a']);
  const front = await freePort();
  const dead = [{ name: 'dead', address: `127.0.0.1:${await freePort()}` }];
  const text = (listeners: readonly Section[], health: Section) =>
    configText({ listeners, pools: { pool: { health, backends: backendsOf(dead) } } });
  const pinion = await startPinion(text([listenerAt('front', front)], quickCheck));
  await pinion.waitForLog(({ event }) => event === 'backend-down');
  const wrong = [listenerAt('front', front), listenerAt('taken', server!.port)];
  expect(await tryReload(pinion, text(wrong, noCheck))).toBe('reload-refused');
  const { body } = await admin(pinion, 'GET', '/status');
  expect(body).toMatchObject({ backends: [{ backend: 'dead', up: false }] });
  expect(pinion.events('backend-up')).toEqual([]);
});

test('a reload while a worker is away waits for it, and the worker gets the new listener', async () => {
  const servers = await namedTcp(['a']);
  const [front, late] = [await freePort(), await freePort()];
  const env = { PINION_TEST_FAULTS: '1' };
  const pinion = await startPinion(configOf([listenerAt('front', front)], servers), { env });
  await admin(pinion, 'POST', '/faults/workers/0/exit');
  await pinion.waitForLog((record) => record.event === 'worker-died');
  const both = configOf([listenerAt('front', front), listenerAt('late', late)], servers);
  expect(await tryReload(pinion, both)).toBe('reloaded');
  await inParallel(clientAddresses(32), (from) => askTcp(late, from));
  expect(await tryReload(pinion, configOf([listenerAt('front', front)], servers))).toBe('reloaded');
});

test('a reload while the last flows finish does not begin to listen anew', async () => {
  const servers = await namedTcp(['a']);
  const port = await freePort();
  const text = configOf([listenerAt('front', port)], servers, { shutdown: { drain: '60s' } });
  const pinion = await startPinion(text);
  const client = await tcpClient(port);
  await client.line();
  pinion.process.signal('SIGTERM');
  await eventually('the listener closed', () => !isBound('tcp', port, pinion.pid));
  expect(await tryReload(pinion, text)).toBe('reload-refused');
  expect(isBound('tcp', port, pinion.pid)).toBe(false);
  await client.leave();
  expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
});

test('who is accepted and has not told yet who it is is waited for by a shutdown', async () => {
  const servers = await namedTcp(['a']);
  const port = await freePort();
  const proxied = { ...listenerAt('front', port), proxy_protocol: { from: '127.0.0.1', timeout: '30s' } };
  const pinion = await startPinion(configOf([proxied], servers, { shutdown: { drain: '60s' } }));
  const client = await tcpClient(port);
  await eventually('it waits', async () => (await pinion.metric('pinion_listener_arrivals')) === 1);
  pinion.process.signal('SIGTERM');
  await eventually('the listener closed', () => !isBound('tcp', port, pinion.pid));
  client.socket.write('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n');
  expect(await client.line()).toBe('a');
  await client.leave();
  expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
});

test('a reload that is asked for after the file was read by another one reads it again', async () => {
  const [names, servers, [front, late]] = [
    namesInHand(),
    await namedTcp(['a']),
    [await freePort(), await freePort()],
  ];
  const pinion = await startPinion(configOf([listenerAt('front', front)], servers), names);
  const digestOf = ({ body }: { body: unknown }) => (body as { digest: string }).digest;
  const slow = [...servers, { name: 'b', address: `slow.test:${servers[0]!.port}` }];
  writeFileSync(pinion.configPath, configOf([listenerAt('front', front)], slow));
  const first = admin(pinion, 'POST', '/reload');
  await names.asked('slow.test');
  writeFileSync(pinion.configPath, configOf([listenerAt('late', late)], servers));
  const second = [admin(pinion, 'POST', '/reload'), admin(pinion, 'POST', '/reload')];
  await admin(pinion, 'GET', '/status');
  names.answer('slow.test', '127.0.0.1');
  const answers = await Promise.all([first, ...second]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const { body } = await admin(pinion, 'GET', '/status');
  expect(body).toMatchObject({ digest: digestOf(answers[1]!), listeners: [{ name: 'late' }] });
  expect(digestOf(answers[0]!)).not.toBe(digestOf(answers[1]!));
  expect(digestOf(answers[2]!)).toBe(digestOf(answers[1]!));
  expect(await askTcp(late)).toBe('a');
});

test('a name server that is away delays neither a start nor a reload, and its answer is used when it comes', async () => {
  const [names, servers] = [namesInHand(), await namedTcp(['a', 'b', 'c'])];
  const front = await freePort();
  const byName = ({ name, port }: TestServer) => ({ name, address: `${name}.test:${port}` });
  const [a, b, c] = [servers[0]!, byName(servers[1]!), byName(servers[2]!)];
  const listeners = [listenerAt('front', front)];
  const status = async () => (await admin(pinion, 'GET', '/status')).body;
  const pinion = await startPinion(configOf(listeners, [a, b]), names);
  expect(await askTcp(front)).toBe('a');
  expect(await status()).toMatchObject({ backends: [{ up: true }, { backend: 'b', up: false }] });
  expect(await tryReload(pinion, configOf(listeners, [c, b]))).toBe('reloaded');
  expect(await status()).toMatchObject({ backends: [{ up: false }, { up: false }] });
  for (const name of ['b', 'c']) {
    names.answer(`${name}.test`, '127.0.0.1');
    await pinion.waitForLog(({ event, backend }) => event === 'backend-up' && backend === name);
  }
  let round = 0;
  await eventually('both serve', async () => {
    // A worker uses an address once it has read the snapshot that brings it; who came before has a pin.
    const ask = (from: string) => askTcp(front, from).catch(() => undefined);
    round++;
    const served = new Set(await inParallel(clientAddresses(8 * round).slice(-8), ask));
    return served.size === 2 && !served.has(undefined);
  });
});

describe('a reload during the start', () => {
  /** A pinion whose start waits for the name `late.test`, with the answer to the reload that came meanwhile. */
  async function reloadWhileStarting(
    names: Names,
    first: readonly Section[],
    next: readonly Section[],
    server: TestServer,
  ): Promise<{ pinion: Pinion; answer: Promise<number | undefined> }> {
    const backends = [{ name: server.name, address: `late.test:${server.port}` }];
    const port = await freePort();
    const more = { admin: adminAt(`127.0.0.1:${port}`) };
    const readyWhenBound = { transport: 'tcp' as const, port };
    const pinion = await startPinion(configOf(first, backends, more), { env: names.env, readyWhenBound });
    await names.asked('late.test');
    writeFileSync(pinion.configPath, configOf(next, backends, more));
    await pinion.waitForLog(({ listener }) => listener === 'admin');
    const answer = admin(pinion, 'POST', '/reload').then(
      ({ status }) => status,
      () => undefined,
    );
    // It has come first, so it is known when this one is answered; by then a start that was to fail may have done so.
    await admin(pinion, 'GET', '/status').catch(() => undefined);
    return { pinion, answer };
  }

  const course = ({ logs }: Pinion) =>
    logs.map(({ event }) => event).filter((event) => event === 'ready' || event === 'reloaded');

  test('is done after it: what it says is in use is in use', async () => {
    const [names, [server]] = [namesInHand(), await namedTcp(['a'])];
    const [before, after] = [await freePort(), await freePort()];
    const [first, next] = [[listenerAt('before', before)], [listenerAt('after', after)]];
    const { pinion, answer } = await reloadWhileStarting(names, first, next, server!);
    names.answer('late.test', '127.0.0.1');
    expect(await answer).toBe(200);
    expect(await askTcp(after)).toBe('a');
    expect(isBound('tcp', before, pinion.pid)).toBe(false);
    await pinion.waitForLog(({ event }) => event === 'reloaded');
    expect(course(pinion)).toEqual(['ready', 'reloaded']);
  });

  test('is also one that comes while the pins of a cluster are read', async () => {
    const servers = await namedTcp(['a']);
    const [before, after, port] = [await freePort(), await freePort(), await freePort()];
    const more = {
      admin: adminAt(`127.0.0.1:${port}`),
      cluster: { name: 'nobody', redis: `redis://127.0.0.1:${await freePort()}` },
    };
    const readyWhenBound = { transport: 'tcp' as const, port };
    const pinion = await startPinion(configOf([listenerAt('before', before)], servers, more), {
      readyWhenBound,
    });
    await pinion.waitForLog(({ event }) => event === 'starting');
    expect(await tryReload(pinion, configOf([listenerAt('after', after)], servers, more))).toBe('reloaded');
    expect(course(pinion)).toEqual(['ready', 'reloaded']);
    expect(await askTcp(after)).toBe('a');
    expect(isBound('tcp', before, pinion.pid)).toBe(false);
  });

  test('does not keep SIGTERM waiting', async () => {
    const [names, [server]] = [namesInHand(), await namedTcp(['a'])];
    const [before, after] = [await freePort(), await freePort()];
    const [first, next] = [[listenerAt('before', before)], [listenerAt('after', after)]];
    const { pinion, answer } = await reloadWhileStarting(names, first, next, server!);
    pinion.process.signal('SIGTERM');
    expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
    // On a slow machine the start may have been over: names get seven seconds.
    const hasStarted = pinion.events('ready').length > 0;
    expect(hasStarted || (await answer) !== 200).toBe(true);
  });

  test('does not hide that the start fails', async () => {
    const [names, [server]] = [namesInHand(), await namedTcp(['a'])];
    const [first, next] = [[listenerAt('taken', server!.port)], [listenerAt('after', await freePort())]];
    const { pinion, answer } = await reloadWhileStarting(names, first, next, server!);
    names.answer('late.test', '127.0.0.1');
    expect(await pinion.process.exited).toEqual({ code: 1, signal: null });
    expect(await answer).not.toBe(200);
    expect(pinion.process.output()).toMatch('listener taken: cannot bind');
  });
});
