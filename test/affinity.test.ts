/**
 * A thousand client addresses keep their backend: over repeated connections, when a backend is added, when an
 * unrelated one dies and returns. The clients of the dead one move, and stay where they went.
 */
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { askTcp, askUdp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, quickCheck, reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import type { Transport } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers, type TestServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});
afterAll(stopServers);

const clients = clientAddresses(1_000);

/** Short over UDP, where a conversation ends by its silence alone. */
const idle = { tcp: '1m', udp: '2s' };

function poolConfig(
  protocol: Transport,
  servers: readonly TestServer[],
  policy: string,
  affinity = {},
): string {
  return configText({
    log: { flows: { level: 'off' } },
    listeners: [listener('front', protocol, 'pool', { affinity, timeouts: { idle: idle[protocol] } })],
    pools: { pool: { policy, health: quickCheck, backends: backendsOf(servers) } },
  });
}

const kinds = {
  tcp: { ask: askTcp, start: (names: string[]) => namedTcp(names) },
  udp: { ask: askUdp, start: (names: string[]) => namedUdp(names, { checkable: true }) },
};

/** Who serves each client now. */
function census(pinion: Pinion, protocol: Transport): Promise<string[]> {
  const port = pinion.port('front');
  return inParallel(clients, (client) => kinds[protocol].ask(port, client));
}

async function flip(pinion: Pinion, event: string, backend: string, act: () => Promise<void>): Promise<void> {
  const before = pinion.events(event).length;
  await act();
  await eventually(`${event} ${backend}`, () =>
    pinion
      .events(event)
      .slice(before)
      .some((record) => record.backend === backend),
  );
}

describe.each(['tcp', 'udp'] as const)('a thousand clients over %s', (protocol) => {
  // Round-robin cannot find a client again by itself: what stays, stays by its pin. Maglev is what people run.
  test.each(['maglev', 'round-robin'])('keep their backend with %s', async (policy) => {
    const servers = await kinds[protocol].start(['a', 'b', 'c', 'd']);
    const pinion = await startPinion(poolConfig(protocol, servers.slice(0, 3), policy));
    const first = await census(pinion, protocol);
    expect(new Set(first)).toEqual(new Set(['a', 'b', 'c']));
    expect(await census(pinion, protocol), 'repeated').toEqual(first);

    await reload(pinion, poolConfig(protocol, servers, policy));
    expect(await census(pinion, protocol), 'd was added').toEqual(first);
    const newcomers = clientAddresses(1_400).slice(1_000);
    const theirs = await inParallel(newcomers, (client) => kinds[protocol].ask(pinion.port('front'), client));
    expect(theirs, 'new clients use the new backend').toContain('d');

    await flip(pinion, 'backend-down', 'b', () => servers[1]!.stop());
    const moved = await census(pinion, protocol);
    expect(moved.map((name, i) => (first[i] === 'b' ? name !== 'b' : name === first[i]))).not.toContain(
      false,
    );

    await flip(pinion, 'backend-up', 'b', () => servers[1]!.start());
    expect(await census(pinion, protocol), 'b has returned').toEqual(moved);
  });
});

describe('a drained backend', () => {
  test.each(['tcp', 'udp'] as const)('keeps its clients and gets no new ones over %s', async (protocol) => {
    const servers = await kinds[protocol].start(['a', 'b', 'c']);
    const pinion = await startPinion(poolConfig(protocol, servers, 'maglev'));
    const { ask } = kinds[protocol];
    const port = pinion.port('front');
    const old = clients.slice(0, 300);
    const first = await inParallel(old, (client) => ask(port, client));
    expect((await admin(pinion, 'POST', '/pools/pool/backends/b/drain')).status).toBe(200);
    expect(await inParallel(old, (client) => ask(port, client))).toEqual(first);
    const fresh = clients.slice(300, 600);
    const theirs = await inParallel(fresh, (client) => ask(port, client));
    expect(new Set(theirs)).toEqual(new Set(['a', 'c']));
    await admin(pinion, 'POST', '/pools/pool/backends/b/undrain');
    const last = await inParallel(clients.slice(600, 900), (client) => ask(port, client));
    expect(last).toContain('b');
    expect(await inParallel(fresh, (client) => ask(port, client)), 'those stay where they were sent').toEqual(
      theirs,
    );
  });
});

describe('what a client is recognised by', () => {
  test('client-subnet: neighbours share a backend', async () => {
    const servers = await namedTcp(['a', 'b', 'c']);
    const affinity = { key: 'client-subnet', prefix_v4: 24 };
    const pinion = await startPinion(poolConfig('tcp', servers, 'round-robin', affinity));
    const addresses = clientAddresses(60 * 5, 5);
    const answers = await inParallel(addresses, (client) => askTcp(pinion.port('front'), client), 1);
    const subnets = Array.from({ length: 60 }, (_, i) => new Set(answers.slice(i * 5, i * 5 + 5)));
    expect(subnets.filter((names) => names.size !== 1)).toEqual([]);
    expect(new Set(answers).size, 'subnets spread').toBe(3);
  });

  test('flow: connections of one address spread over the backends', async () => {
    const affinity = { key: 'flow' };
    const pinion = await startPinion(poolConfig('tcp', await namedTcp(['a', 'b', 'c']), 'maglev', affinity));
    const answers = await inParallel(Array.from({ length: 120 }), () => askTcp(pinion.port('front')));
    expect(new Set(answers).size).toBe(3);
  });

  test('an open connection stays with its backend while the pool around it changes', async () => {
    const servers = await namedTcp(['a', 'b', 'c']);
    const pinion = await startPinion(poolConfig('tcp', servers.slice(0, 2), 'maglev'));
    const client = await tcpClient(pinion.port('front'));
    const home = await client.line();
    await reload(pinion, poolConfig('tcp', servers, 'maglev'));
    const other = servers.find(({ name }) => name !== home && name !== 'c')!;
    await flip(pinion, 'backend-down', other.name, () => other.stop());
    client.socket.write('still there?');
    await eventually('the echo', () => client.text === `${home}\nstill there?`);
    await client.leave();
  });
});
