/**
 * The pair as its clients see it: thousands of them talk through two virtual addresses while instances are killed and
 * come back, the pool grows and shrinks, and Redis hangs. Nobody may ever be answered by another backend than the
 * one that is his. Real keepalived with the recipe's files, real Redis, a network of namespaces.
 *
 * How long clients were without an answer is printed, not judged: it depends on the machine.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { everybodyAnswered } from './support/answered.ts';
import { reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { hostsWork } from './support/namespaces.ts';
import { type Balancer, type Clients, createPair, type Pair, virtualAddress } from './support/pair.ts';
import type { Report } from './support/pair-clients.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

const clientsOfEach = 2_000;
const periodMs = 1_000;
/** An instance that is ready has its address back by then, if it may: two yeses and preempt_delay. */
const readyNoticedMs = 8_000;
/** How long Redis is away, at least. */
const outageMs = 30_000;

function requireHosts(): (title: string, body: () => void) => void {
  if (hostsWork()) return requirePackage('keepalived', 'curl', 'redis', 'iproute2');
  const message = 'not run: needs root for network namespaces';
  return (title, body) => {
    if (process.env.CI !== 'true') {
      console.error(`${title}: ${message}`);
      return void describe.skip(title, body);
    }
    describe(title, () => {
      test('needs network namespaces', () => {
        throw new Error(message);
      });
    });
  };
}

requireHosts()('an active-active pair', () => {
  let pair: Pair;
  let clients: Clients;

  beforeAll(async () => {
    pair = await createPair({ clientsOfEach, periodMs });
    await Promise.all([pair.startBalancer('lb1'), pair.startBalancer('lb2')]);
    await inStep('lb1');
    await inStep('lb2');
    pair.startKeepalived('lb1');
    // A service manager starts a dead process again within a second, which keepalived may or may not notice. Here it does not.
    pair.startKeepalived('lb2', 'sleepy');
    await pair.addressAt('lb1', 'lb1');
    await pair.addressAt('lb2', 'lb2');
    clients = await pair.startClients();
  });

  afterAll(async () => {
    await stopEverything();
    pair?.network.close();
  });

  const inStep = (balancer: Balancer): Promise<unknown> =>
    eventually(`${balancer} in step`, async () => (await pair.status(balancer)).cluster?.state === 'in-step');

  const everybodyServed = (story: string): Promise<Report> =>
    everybodyAnswered(clients, clientsOfEach, story);

  /** Every client is answered, and answered again once that is over; nobody was answered by a wrong backend. */
  async function everybodyAtHome(story: string): Promise<Report> {
    await everybodyServed(story);
    const report = await everybodyServed(story);
    for (const protocol of ['tcp', 'udp'] as const) {
      const { silenceMs, connections, wrong, wrongExamples } = report[protocol];
      const { median, p99, max } = silenceMs;
      const opened = protocol === 'tcp' ? `; ${connections} connections opened` : '';
      console.info(
        `${story}, ${protocol}: longest silence ${median} ms median, ${p99} ms p99, ${max} ms max${opened}`,
      );
      expect({ story, protocol, wrong, wrongExamples }).toEqual({
        story,
        protocol,
        wrong: 0,
        wrongExamples: [],
      });
    }
    return report;
  }

  async function kill(balancer: Balancer): Promise<void> {
    const pinion = pair.balancers[balancer]!;
    pinion.process.signal('SIGKILL');
    await pinion.process.exited;
  }

  async function reloadBoth(): Promise<void> {
    for (const balancer of ['lb1', 'lb2'] as const)
      await reload(pair.balancers[balancer]!, pair.config(balancer));
  }

  test('every client finds a backend', async () => {
    const report = await everybodyAtHome('first answers');
    for (const { perBackend } of [report.tcp, report.udp])
      expect(Object.keys(perBackend).sort()).toEqual(['b1', 'b2', 'b3']);
  });

  test('a fourth backend takes nobody away', async () => {
    pair.backends = ['b1', 'b2', 'b3', 'b4'];
    await clients.mark();
    await reloadBoth();
    await everybodyAtHome('scaled out');
  });

  // From here on the hash alone would send a quarter of the UDP clients elsewhere: the shared pins must know.

  test('an instance is killed: its address moves, its clients do not', async () => {
    // A machine that is busy may have let it go for a while.
    await pair.addressAt('lb1', 'lb1');
    await everybodyAtHome('before lb1 is killed');
    await clients.mark();
    await kill('lb1');
    await pair.addressAt('lb1', 'lb2');
    const { tcp } = await everybodyAtHome('lb1 killed');
    expect(tcp.connections).toBeGreaterThanOrEqual(clientsOfEach / 2);
  });

  test('it comes back, knows everybody, and takes its address again', async () => {
    await clients.mark();
    await pair.startBalancer('lb1');
    await pair.addressAt('lb1', 'lb1');
    await everybodyAtHome('lb1 back');
  });

  test('an instance is restarted before keepalived has noticed', async () => {
    await clients.mark();
    await kill('lb2');
    // Redis is slow just then: an instance that lets clients in before it has read the pins would not know them.
    await pair.redisCommand('CLIENT', 'PAUSE', '2000', 'ALL');
    await pair.startBalancer('lb2');
    await everybodyAtHome('lb2 restarted under its address');
    await inStep('lb2');
    await pair.addressAt('lb2', 'lb2');
  });

  test('a host is cut off and found again', async () => {
    await clients.mark();
    await pair.network.cable('lb2', 'down');
    await eventually('both addresses on lb1', () => pair.network.hasAddress('lb1', virtualAddress.lb2));
    await everybodyAtHome('lb2 cut off');
    await clients.mark();
    await pair.network.cable('lb2', 'up');
    await pair.addressAt('lb2', 'lb2');
    await inStep('lb2');
    await everybodyAtHome('lb2 found again');
  });

  test('a backend is taken out: only its own clients move, and then stay', async () => {
    const before = await clients.report();
    await clients.leave('b1');
    pair.backends = ['b2', 'b3', 'b4'];
    await clients.mark();
    await reloadBoth();
    const after = await everybodyAtHome('scaled in');
    for (const protocol of ['tcp', 'udp'] as const) {
      expect(after[protocol].moved).toBe(before[protocol].perBackend.b1);
      expect(Object.keys(after[protocol].perBackend).sort()).not.toContain('b1');
    }
  });

  test('Redis is away for 30 s; meanwhile the pool shrinks and grows and an instance is killed and started', async () => {
    const before = await clients.report();
    await clients.mark();
    const away = sleep(outageMs);
    pair.redis!.signal('SIGSTOP');
    await eventually('Redis noticed', async () => (await pair.status('lb1')).cluster?.state !== 'in-step');
    await everybodyAtHome('without Redis');
    await clients.mark();
    await kill('lb1');
    await pair.addressAt('lb1', 'lb2');
    await everybodyAtHome('without Redis, lb1 killed');
    await clients.leave('b2');
    pair.backends = ['b3', 'b4'];
    await clients.mark();
    await reload(pair.balancers.lb2!, pair.config('lb2'));
    const scaledIn = await everybodyAtHome('without Redis, scaled in');
    for (const protocol of ['tcp', 'udp'] as const)
      expect(scaledIn[protocol].moved).toBe(before[protocol].moved + before[protocol].perBackend.b2!);
    pair.backends = ['b1', 'b3', 'b4'];
    await clients.mark();
    await reload(pair.balancers.lb2!, pair.config('lb2'));
    await everybodyAtHome('without Redis, scaled out');
    // It serves, but knows nobody: its address stays with the peer, who does.
    await clients.mark();
    await pair.startBalancer('lb1');
    await sleep(readyNoticedMs);
    expect(await pair.network.hasAddress('lb2', virtualAddress.lb1)).toBe(true);
    await everybodyAtHome('without Redis, lb1 started');
    await away;
    await clients.mark();
    pair.redis!.signal('SIGCONT');
    await inStep('lb1');
    await inStep('lb2');
    await pair.addressAt('lb1', 'lb1');
    await everybodyAtHome('Redis and lb1 back');
  });

  test('every client is at home through the other address, too', async () => {
    await clients.mark();
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await everybodyAtHome('at the end');
  });
});
