/** Openings that a socket takes at another moment than usual: as its dial goes on, and once its port was closed. */
import { once } from 'node:events';
import { type AddressInfo, connect as connectTo, createServer } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import type { Address } from '../../core/address.ts';
import { Flow } from '../../core/flow.ts';
import { keyOf } from '../../core/key.ts';
import type { BackendView, ListenerView } from '../../core/snapshot.ts';
import { Arena } from '../../linux/arena.ts';
import { AF_INET, SOCK_DGRAM, SOCK_NONBLOCK, TCP_NODELAY } from '../../linux/constants.ts';
import { encodeEndpoint } from '../../linux/endpoint.ts';
import { EAGAIN } from '../../linux/errno.ts';
import {
  bind,
  close,
  connect,
  type Descriptor,
  receive,
  send,
  setOption,
  socket,
  socketName,
} from '../../linux/libc.ts';
import { decodeAddress } from '../../wire/sockaddr.ts';
import { backendView, listenerView } from '../conformance/listener.ts';
import { loopback } from '../conformance/messages.ts';
import type { EngineHost } from '../engine.ts';
import { createEpollEngine, type EpollEngine } from './engine.ts';

vi.mock('../../linux/libc.ts', async (original) => {
  const libc = await original<typeof import('../../linux/libc.ts')>();
  return { ...libc, send: vi.fn(libc.send), setOption: vi.fn(libc.setOption) };
});

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** Says `hdr:` first. */
class Host {
  readonly backend: BackendView;
  flow: Flow | undefined;
  leavesFrom: Address | undefined;
  isDialed = false;
  onUnreachable: () => void = () => {};

  constructor(backend: BackendView) {
    this.backend = backend;
  }

  open(listener: ListenerView, client: Address, local: Address): Flow {
    this.flow = new Flow(1, listener, client, local, keyOf(client, listener.plan.affinity), 0);
    this.flow.tracesDial = true;
    this.flow.opening = { send: Buffer.from('hdr:'), expect: undefined };
    return this.flow;
  }

  route(flow: Flow): BackendView {
    flow.backend = this.backend;
    return this.backend;
  }

  dialsFrom(_: Flow, local: Address): void {
    this.leavesFrom = local;
  }

  dialed(): void {
    this.isDialed = true;
  }

  unreachable(): void {
    this.onUnreachable();
  }

  proved(): boolean {
    return true;
  }

  replied(): void {}
  closed(): void {}
  fault(error: unknown): void {
    throw error;
  }
}

/** Starts an engine with one listener; the port it has. */
function start(host: Host, protocol: 'tcp' | 'udp'): { engine: EpollEngine; port: number } {
  const engine = createEpollEngine(host as Partial<EngineHost> as EngineHost, {
    nowMs: () => performance.now(),
    onWake: () => 0,
  });
  cleanups.push(
    () => engine.stop(),
    () => close(engine.wakeDescriptor as Descriptor),
  );
  let port = 0;
  engine.listen(listenerView(0, protocol, {}), (result) => {
    if ('port' in result) port = result.port;
  });
  engine.turn(0);
  return { engine, port };
}

async function until(engine: EpollEngine, isSo: () => boolean): Promise<void> {
  for (const lateMs = performance.now() + 10_000; !isSo(); ) {
    if (performance.now() > lateMs) throw new Error('it did not come to pass');
    engine.turn(0);
    await turnOfTheLoop();
  }
}

const arena = new Arena(1 << 14);
const name = arena.cut(128);
const buffer = arena.cut(1024);

function place(port: number): number {
  const endpoint = encodeEndpoint(loopback('127.0.0.1', port))!;
  name.bytes.set(endpoint.bytes);
  return endpoint.length;
}

/** A UDP socket on loopback, closed at the end. */
function datagrams(port: number): { readonly fd: Descriptor; readonly port: number } {
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
  const result = bind(fd, name, place(port));
  if (result < 0) throw new Error(`bind: ${result}`);
  socketName(fd, name);
  return { fd, port: decodeAddress(name.view, 0)!.port };
}

function say(fd: Descriptor, text: string): void {
  buffer.bytes.set(Buffer.from(text));
  send(fd, buffer, 0, text.length);
}

function hear(fd: Descriptor): string | undefined {
  const length = receive(fd, buffer, 0, buffer.length);
  return length < 0 ? undefined : Buffer.from(buffer.bytes.subarray(0, length)).toString();
}

test('a datagram that finds its port reported closed is repeated with what the backend has to hear', () => {
  let server = datagrams(0);
  const { port } = server;
  const host = new Host(backendView(loopback('127.0.0.1', port)));
  const { engine, port: front } = start(host, 'udp');
  const client = datagrams(0);
  cleanups.push(
    () => close(client.fd),
    () => close(server.fd),
  );
  connect(client.fd, name, place(front));
  say(client.fd, 'one');
  engine.turn(1_000);
  expect(hear(server.fd)).toBe('hdr:one');
  connect(server.fd, name, place(host.leavesFrom!.port));
  say(server.fd, 'answer');
  engine.turn(1_000);
  engine.turn(0);
  expect(hear(client.fd)).toBe('answer');
  close(server.fd);
  // Comes up as the error of the first is found.
  host.onUnreachable = () => {
    server = datagrams(port);
  };
  say(client.fd, 'lost');
  say(client.fd, 'two');
  engine.turn(1_000);
  expect(hear(server.fd)).toBe('hdr:two');
  say(client.fd, 'three');
  engine.turn(1_000);
  expect(hear(server.fd)).toBe('hdr:three');
});

test('what a client says right behind its header does not wait for an answer to that', async () => {
  let text = '';
  const server = createServer((accepted) => {
    accepted
      .on('error', () => {})
      .on('data', (bytes) => {
        text += bytes;
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const host = new Host(backendView(loopback('127.0.0.1', (server.address() as AddressInfo).port)));
  const { engine, port } = start(host, 'tcp');
  // As where the network is slow: the connection is not there yet when it is dialled.
  vi.mocked(send).mockImplementationOnce(() => -EAGAIN);
  vi.mocked(setOption).mockClear();
  const client = connectTo(port, '127.0.0.1').on('error', () => {});
  cleanups.push(() => client.destroy());
  await until(engine, () => host.isDialed && text === 'hdr:');
  client.write('words');
  await until(engine, () => text === 'hdr:words');
  // Linux holds a small segment back behind one that is not acknowledged (tcp_nagle_check).
  expect(vi.mocked(setOption).mock.calls.some(([, , option]) => option === TCP_NODELAY)).toBe(true);
});
