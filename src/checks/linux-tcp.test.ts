/** The `tcp` check both ways, side by side: they are one check. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { heldDescriptorsMax } from '../core/limits.ts';
import type { Bind } from '../core/plan.ts';
import { Arena } from '../linux/arena.ts';
import { AF_INET, SOCK_NONBLOCK, SOCK_STREAM } from '../linux/constants.ts';
import { encodeEndpoint } from '../linux/endpoint.ts';
import {
  accept,
  bind,
  close,
  connect,
  type Descriptor,
  handshakeMicroseconds,
  listen,
  socket,
  socketName,
} from '../linux/libc.ts';
import { decodePort, inetBytes } from '../wire/sockaddr.ts';
import { Cancellation } from './cancel.ts';
import type { CheckResult, Dialect } from './dialect.ts';
import { tcp } from './dialects/tcp.ts';
import { resultOf } from './faults.ts';
import { linuxTcp } from './linux-tcp.ts';

const heldMemory = (): SharedArrayBuffer => new SharedArrayBuffer(heldDescriptorsMax / 8);
const ways: readonly [string, Dialect][] = [
  ['node:net', tcp],
  ['the kernel’s sockets', linuxTcp(heldMemory())],
];
const folder = mkdtempSync(join(tmpdir(), 'pinion-tcp-'));
const open: (() => void)[] = [];

afterEach(() => {
  for (const end of open.splice(0)) end();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function serve(at: { host?: string; path?: string }, accepted: (socket: Socket) => void = () => {}) {
  const server = createServer((one) => accepted(one.on('error', () => {})));
  server.listen({ ...at, ...(at.path === undefined ? { port: 0 } : {}) });
  await once(server, 'listening');
  open.push(() => server.close());
  return server;
}

function targetOf(server: Server, ip = '127.0.0.1'): Bind {
  return { kind: 'inet', ip, port: (server.address() as AddressInfo).port };
}

/** Where nobody listens. */
async function nowhere(host: string): Promise<Bind> {
  const server = await serve({ host });
  const target = targetOf(server, host);
  await new Promise((resolve) => server.close(resolve));
  return target;
}

/** Undefined: it had nothing to say by then. */
async function ask(
  dialect: Dialect,
  target: Bind,
  timeoutMs = 5_000,
  source?: string,
  greeting?: Uint8Array,
): Promise<CheckResult | undefined> {
  const signal = new Cancellation();
  const asked = { target, source, greeting, timeoutMs, signal, options: {} as never };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  const result = await Promise.race([(async () => dialect.ask(asked))().catch(resultOf), late]);
  clearTimeout(timer);
  signal.abort();
  return result;
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

describe.each(ways)('over %s', (_, dialect) => {
  test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])('a server at %s passes', async (host) => {
    const server = await serve({ host });
    expect(await ask(dialect, targetOf(server, host))).toMatchObject({ verdict: 'pass' });
  });

  test('a greeting is said to the server before it is reset', async () => {
    let heard = '';
    const server = await serve({ host: '127.0.0.1' }, (one) => {
      one.on('data', (bytes) => {
        heard += bytes.toString('latin1');
      });
    });
    expect(await ask(dialect, targetOf(server), 5_000, undefined, Buffer.from('hello'))).toMatchObject({
      verdict: 'pass',
    });
    await vi.waitFor(() => expect(heard).toBe('hello'));
  });

  test('so does one at a unix socket; a file that is none, and a path without one, do not', async () => {
    const path = join(folder, `socket-${Math.random()}`);
    await serve({ path });
    expect(await ask(dialect, { kind: 'unix', path })).toMatchObject({ verdict: 'pass' });
    expect(await ask(dialect, { kind: 'unix', path: `${path}.gone` })).toEqual({
      verdict: 'fail',
      reason: 'refused',
      why: 'ENOENT',
    });
    expect(await ask(dialect, { kind: 'unix', path: folder })).toEqual({
      verdict: 'fail',
      reason: 'refused',
      why: 'ECONNREFUSED',
    });
  });

  test.each(['127.0.0.1', '::1'])('nobody at %s is refused', async (host) => {
    expect(await ask(dialect, await nowhere(host))).toEqual({
      verdict: 'fail',
      reason: 'refused',
      why: 'ECONNREFUSED',
    });
  });

  test('an address without a way there is unreachable', async () => {
    // TCP to all of a network: the kernel says ENETUNREACH without asking anybody.
    expect(await ask(dialect, { kind: 'inet', ip: '255.255.255.255', port: 1 })).toMatchObject({
      verdict: 'fail',
      reason: 'unreachable',
      why: 'ENETUNREACH',
    });
  });

  test('it comes from its source, and one that is not of this machine counts neither for nor against', async () => {
    // While it waits for an answer: state 02 is SYN_SENT, proc_net_tcp(5).
    const { target } = await fullServer();
    const asked = ask(dialect, target, 1_000, '127.66.6.6');
    await vi.waitFor(() =>
      expect(readFileSync('/proc/net/tcp', 'latin1')).toMatch(/ 0606427F:\S+ 0100007F:\S+ 02 /),
    );
    await asked;
    const server = await serve({ host: '127.0.0.1' });
    expect(await ask(dialect, targetOf(server), 5_000, '127.66.6.7')).toMatchObject({ verdict: 'pass' });
    expect(await ask(dialect, targetOf(server), 5_000, '192.0.2.77')).toEqual({
      verdict: 'unknown',
      why: 'EADDRNOTAVAIL',
    });
  });

  test('the server sees a reset, and nothing stays in TIME-WAIT', async () => {
    const seen: string[] = [];
    const server = await serve({ host: '127.0.0.1' }, (one) => {
      one.on('error', ({ message }) => seen.push(message)).on('end', () => seen.push('end'));
    });
    const target = targetOf(server);
    const { port } = target as { port: number };
    // On a busy machine somebody else's connection may have had our server's port as its own.
    const others = timeWaits(port);
    for (let i = 0; i < 5; i++) expect(await ask(dialect, target)).toMatchObject({ verdict: 'pass' });
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(0));
    expect(seen).not.toContain('end');
    expect(timeWaits(port).filter((ends) => !others.includes(ends))).toEqual([]);
  });

  test('who does not answer has nothing to say, and leaves no descriptor when time is over', async () => {
    const { target } = await fullServer();
    const before = descriptors();
    const asked = Array.from({ length: 20 }, () => ask(dialect, target, 150));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([undefined]));
    await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before));
  });
});

/** Both ends of each connection in TIME-WAIT that has `port`, as the kernel writes them: state 06, proc_net_tcp(5). */
function timeWaits(port: number): string[] {
  const text = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n');
  const ends = rows.map((row) => /^ *\d+: (\S+ \S+) 06 /.exec(row)?.[1] ?? '');
  return ends.filter((both) => both.split(' ').some((end) => end.endsWith(text)));
}

/** A socket that listens and whose queue is full: more SYNs are dropped (tcp_conn_request in net/ipv4/tcp_input.c). */
async function fullServer(): Promise<{ target: Bind; makeRoom: () => void }> {
  const name = new Arena(inetBytes).cut(inetBytes);
  const from = new Arena(inetBytes).cut(inetBytes);
  const newSocket = (): Descriptor => socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  const server = newSocket();
  const all = [server];
  open.push(() => {
    for (const fd of all) close(fd);
  });
  name.bytes.set(encodeEndpoint({ kind: 'inet', ip: '127.0.0.1', port: 0 })!.bytes);
  expect([bind(server, name, inetBytes), listen(server, 0), socketName(server, name)]).toEqual([0, 0, 0]);
  for (let i = 0; i < 4; i++) {
    const fd = newSocket();
    all.push(fd);
    connect(fd, name, inetBytes);
  }
  return {
    target: { kind: 'inet', ip: '127.0.0.1', port: decodePort(name.view, 0) },
    makeRoom: () => {
      // Those whose SYN was dropped would take the room.
      for (const fd of all.splice(1)) close(fd);
      for (let fd = accept(server, from, 0); fd >= 0; fd = accept(server, from, 0)) all.push(fd);
    },
  };
}

describe('over the kernel’s sockets alone', () => {
  test('an answer that comes late is seen, and says how long it took', async () => {
    const { target, makeRoom } = await fullServer();
    // Its SYN is dropped now, and sent again after a second, when there is room.
    const dialect = linuxTcp(heldMemory());
    const asked = ask(dialect, target, 8_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    makeRoom();
    const result = await asked;
    expect(result).toMatchObject({ verdict: 'pass' });
    expect((result as { tookMs: number }).tookMs).toBeGreaterThan(500);
  });

  test('how long a handshake took is known of a connection', async () => {
    const { port } = targetOf(await serve({ host: '127.0.0.1' })) as { port: number };
    const name = new Arena(inetBytes).cut(inetBytes);
    name.bytes.set(encodeEndpoint({ kind: 'inet', ip: '127.0.0.1', port })!.bytes);
    const fd = socket(AF_INET, SOCK_STREAM);
    expect(handshakeMicroseconds(fd), 'not connected yet').toBe(0);
    expect(connect(fd, name, inetBytes)).toBe(0);
    expect(handshakeMicroseconds(fd)).toBeGreaterThan(0);
    expect(handshakeMicroseconds(fd)).toBeLessThan(1_000_000);
    close(fd);
  });

  test('hundreds that are due together are answered, each once', async () => {
    const server = await serve({ host: '127.0.0.1' }, (one) => one.destroy());
    const [dialect, target, closed] = [linuxTcp(heldMemory()), targetOf(server), await nowhere('127.0.0.1')];
    const before = descriptors();
    const asked = Array.from({ length: 600 }, (_, i) => ask(dialect, i % 2 === 0 ? target : closed));
    const results = await Promise.all(asked);
    expect(results.filter((result) => result?.verdict === 'pass').length).toBeGreaterThan(250);
    for (const [i, result] of results.entries())
      if (i % 2 === 1) expect(result).toMatchObject({ verdict: 'fail', reason: 'refused' });
    // An epoll descriptor, and one of events.
    await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(before + 2));
  });
});
