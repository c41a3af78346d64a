/** What comes together with the end of its side leaves together with it, in one segment; what does not, leaves at once. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import type { Address } from '../../core/address.ts';
import { Flow } from '../../core/flow.ts';
import { keyOf } from '../../core/key.ts';
import type { BackendView, ListenerView } from '../../core/snapshot.ts';
import { close, type Descriptor, send } from '../../linux/libc.ts';
import { backendView, listenerView } from '../conformance/listener.ts';
import { loopback } from '../conformance/messages.ts';
import type { EngineHost } from '../engine.ts';
import { createEpollEngine } from './engine.ts';

vi.mock('../../linux/libc.ts', async (original) => {
  const libc = await original<typeof import('../../linux/libc.ts')>();
  return { ...libc, send: vi.fn(libc.send) };
});

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

class Host {
  readonly backend: BackendView;

  constructor(backend: BackendView) {
    this.backend = backend;
  }

  open(listener: ListenerView, client: Address, local: Address): Flow {
    return new Flow(1, listener, client, local, keyOf(client, listener.plan.affinity), 0);
  }

  route(flow: Flow): BackendView {
    flow.backend = this.backend;
    return this.backend;
  }

  dialed(): void {}
  replied(): void {}
  closed(): void {}
  fault(error: unknown): void {
    throw error;
  }
}

test('the last bytes leave with the end that came with them, others at once', async () => {
  const accepted: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket.on('error', () => {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const host = new Host(backendView(loopback('127.0.0.1', (server.address() as AddressInfo).port)));
  const engine = createEpollEngine(host as Partial<EngineHost> as EngineHost, {
    nowMs: () => performance.now(),
    onWake: () => 0,
  });
  cleanups.push(
    () => engine.stop(),
    () => close(engine.wakeDescriptor as Descriptor),
  );
  const until = async (isSo: () => boolean): Promise<void> => {
    for (const lateMs = performance.now() + 10_000; !isSo(); ) {
      if (performance.now() > lateMs) throw new Error('it did not come to pass');
      engine.turn(0);
      await turnOfTheLoop();
    }
  };
  let port = 0;
  engine.listen(listenerView(0, 'tcp', {}), (result) => {
    if ('port' in result) port = result.port;
  });
  await until(() => port > 0);
  let heard = '';
  let hasEnded = false;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  cleanups.push(() => client.destroy());
  client
    .on('data', (bytes) => {
      heard += bytes;
    })
    .on('end', () => {
      hasEnded = true;
    });
  await until(() => accepted.length === 1);
  const backend = accepted[0]!;
  cleanups.push(() => backend.destroy());
  const waits = (): boolean[] => vi.mocked(send).mock.calls.map(([, , , , hasMore]) => hasMore === true);
  backend.write('first ');
  await until(() => heard === 'first ');
  expect(waits()).toEqual([false]);
  // Both are in the kernel before the engine looks.
  backend.end('last');
  await once(backend, 'finish');
  await until(() => hasEnded);
  expect(heard).toBe('first last');
  expect(waits()).toEqual([false, true]);
});
