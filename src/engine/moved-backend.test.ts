/** What the kernel reports about an address that a backend had before is not held against the one it has now. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { Address } from '../core/address.ts';
import { Flow } from '../core/flow.ts';
import { keyOf } from '../core/key.ts';
import type { BackendView, ListenerView } from '../core/snapshot.ts';
import { close, type Descriptor } from '../linux/libc.ts';
import { backendView, listenerView } from './conformance/listener.ts';
import { loopback } from './conformance/messages.ts';
import type { Engine, EngineHost } from './engine.ts';
import { createEpollEngine } from './epoll/engine.ts';
import { createPortableEngine } from './portable/portable.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function openSocket(port = 0): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await Promise.race([
    once(socket, 'listening'),
    once(socket, 'error').then(([error]) => Promise.reject(error)),
  ]);
  return socket;
}

/** A port nobody has, of those that the kernel gives nobody unasked. */
async function closedPort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const socket = await openSocket(port).catch(() => undefined);
    if (socket === undefined) continue;
    socket.close();
    return port;
  }
}

/** One conversation with a backend at a closed port. Its datagram is refused while `dialed` is not over yet. */
class Host {
  backend: BackendView;
  unreachables = 0;
  onDialed: () => void = () => {};

  constructor(backend: BackendView) {
    this.backend = backend;
  }

  open(listener: ListenerView, client: Address, local: Address): Flow {
    return new Flow(1, listener, client, local, keyOf(client, listener.plan.affinity), performance.now());
  }

  route(flow: Flow): BackendView {
    flow.backend = this.backend;
    return this.backend;
  }

  dialed(): void {
    this.onDialed();
  }

  unreachable(): void {
    this.unreachables++;
  }

  backendNow(): BackendView {
    return this.backend;
  }

  dropped(): void {}
  closed(): void {}
  fault(error: unknown): void {
    throw error;
  }
}

const engines: Readonly<Record<string, (host: EngineHost) => { engine: Engine; turn: () => void }>> = {
  epoll: (host) => {
    const engine = createEpollEngine(host, { nowMs: () => performance.now(), onWake: () => 0 });
    cleanups.push(() => close(engine.wakeDescriptor as Descriptor));
    return { engine, turn: () => engine.turn(0) };
  },
  portable: (host) => ({
    engine: createPortableEngine(host, { nowMs: () => performance.now() }),
    turn: () => {},
  }),
};

test.each([
  ['epoll', true],
  ['epoll', false],
  ['portable', true],
  ['portable', false],
])('%s: a refusal by the old address, backend moved: %s', async (name, moves) => {
  const host = new Host(backendView(loopback('127.0.0.1', await closedPort())));
  const { engine, turn } = engines[name]!(host as Partial<EngineHost> as EngineHost);
  cleanups.push(() => engine.stop());
  const port = await new Promise<number>((resolve, reject) => {
    engine.listen(listenerView(0, 'udp', {}), (result) =>
      'port' in result ? resolve(result.port) : reject(new Error(result.message)),
    );
    turn();
  });
  const elsewhere = await openSocket();
  const client = await openSocket();
  cleanups.push(
    () => elsewhere.close(),
    () => client.close(),
  );
  let isOver = false;
  // The kernel refuses inside the send that follows; the engine hears of it in another turn.
  host.onDialed = () =>
    process.nextTick(() => {
      if (moves) {
        host.backend = backendView(loopback('127.0.0.1', elsewhere.address().port));
        engine.waysChanged();
      }
      isOver = true;
    });
  await new Promise((resolve) => client.send('anybody?', port, '127.0.0.1', resolve));
  for (let turns = 0; turns < 20; ) {
    turn();
    await turnOfTheLoop();
    if (isOver) turns++;
  }
  expect(host.unreachables).toBe(moves ? 0 : 1);
});
