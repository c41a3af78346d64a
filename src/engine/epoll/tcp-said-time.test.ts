/** How long what a client has said is kept: as long as a dial may take, from the moment its backend's connection was made. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { Address } from '../../core/address.ts';
import { Flow } from '../../core/flow.ts';
import { keyOf } from '../../core/key.ts';
import type { BackendView, ListenerView } from '../../core/snapshot.ts';
import { close, type Descriptor } from '../../linux/libc.ts';
import { backendView, listenerView } from '../conformance/listener.ts';
import { loopback } from '../conformance/messages.ts';
import type { EarlyBreak, EngineHost } from '../engine.ts';
import { createEpollEngine } from './engine.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function listenOn(): Promise<{ server: Server; accepted: Socket[]; view: BackendView }> {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    accepted.push(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return {
    server,
    accepted,
    view: backendView(loopback('127.0.0.1', (server.address() as AddressInfo).port)),
  };
}

/** Goes on to the next backend whenever one breaks while what was said is held. */
class Host {
  readonly backends: BackendView[];
  readonly breaks: boolean[] = [];
  dials = 0;

  constructor(backends: BackendView[]) {
    this.backends = backends;
  }

  open(listener: ListenerView, client: Address, local: Address): Flow {
    return new Flow(1, listener, client, local, keyOf(client, listener.plan.affinity), 0);
  }

  route(flow: Flow): BackendView {
    flow.keepsSaid = true;
    flow.backend = this.backends.shift()!;
    return flow.backend;
  }

  dialed(): void {
    this.dials++;
  }

  brokeEarly(flow: Flow, _: EarlyBreak, isHeld: boolean): boolean {
    this.breaks.push(isHeld);
    flow.bytesIn = 0;
    return isHeld && this.backends.length > 0;
  }

  replied(): void {}
  closed(): void {}
  fault(error: unknown): void {
    throw error;
  }
}

test.each([
  [600, [true, true]],
  [1_100, [true, false]],
])('a second backend breaks %i ms after its connection, of 1000', async (laterMs, held) => {
  const backends = [await listenOn(), await listenOn(), await listenOn()];
  const host = new Host(backends.map(({ view }) => view));
  const clock = { nowMs: 10_000 };
  const engine = createEpollEngine(host as Partial<EngineHost> as EngineHost, {
    nowMs: () => clock.nowMs,
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
  const plan = listenerView(0, 'tcp', {});
  const timeouts = { ...plan.plan.timeouts, connectMs: 1_000, idleMs: 60_000 };
  engine.listen({ ...plan, plan: { ...plan.plan, timeouts } }, (result) => {
    if ('port' in result) port = result.port;
  });
  await until(() => port > 0);
  const client = connect(port, '127.0.0.1').on('error', () => {});
  cleanups.push(() => client.destroy());
  client.write('words');
  const [first, second] = backends.map(({ accepted }) => accepted);
  await until(() => host.dials === 1 && first!.length === 1);
  clock.nowMs += 900;
  first![0]!.resetAndDestroy();
  await until(() => host.dials === 2 && second!.length === 1);
  clock.nowMs += laterMs;
  // Timers have their turn after what is ready.
  for (let turns = 0; turns < 3; turns++) engine.turn(0);
  second![0]!.resetAndDestroy();
  await until(() => host.breaks.length === 2);
  expect(host.breaks).toEqual(held);
});
