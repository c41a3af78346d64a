/**
 * `relay: kernel` with real packets: clients, two balancers and backends on hosts of their own (network namespaces). Two hundred clients
 * speak over TCP and two hundred over UDP all the while; each remembers who answered it first and how often it had to connect, so a
 * connection that is lost and an answer from somebody else both show.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { everybodyRight } from './support/answered.ts';
import { reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { createKernelWorld, type KernelWorld } from './support/kernel-world.ts';
import type { Balancer, Clients } from './support/pair.ts';
import type { Report } from './support/pair-clients.ts';
import { stopEverything } from './support/processes.ts';
import { requireKernel } from './support/require-kernel.ts';

const clientsOfEach = 200;
const periodMs = 250;

requireKernel('redis', 'iproute2')('the kernel carries it', () => {
  let world: KernelWorld;
  let clients: Clients;

  beforeAll(async () => {
    world = await createKernelWorld(clientsOfEach, periodMs);
    await world.serveBy('lb1');
    await Promise.all([world.startBalancer('lb1'), world.startBalancer('lb2')]);
    clients = await world.startClients();
  });

  afterAll(async () => {
    await stopEverything();
    world?.network.close();
  });

  /** Everybody is answered from now on, by whom they belong to. */
  const everybody = (story: string): Promise<Report> => everybodyRight(clients, clientsOfEach, story);

  /** As {@link everybody}, and no TCP connection was opened since the mark. */
  async function nobodyLost(story: string): Promise<void> {
    const { tcp, udp } = await everybody(story);
    console.info(`${story}: longest silence TCP ${tcp.silenceMs.max} ms, UDP ${udp.silenceMs.max} ms`);
    expect({ story, connections: tcp.connections }).toEqual({ story, connections: 0 });
  }

  /** Connections as pinion lists them: everybody is among them. */
  const listed = (balancer: Balancer): Promise<readonly unknown[]> =>
    eventually('everybody in the list', async () => {
      const answer = await world.askAdmin(balancer, 'GET', '/connections');
      const { connections } = answer as { connections: readonly unknown[] };
      return connections.length >= 2 * clientsOfEach && connections;
    });

  async function reloadBoth(): Promise<void> {
    for (const balancer of ['lb1', 'lb2'] as const)
      await reload(world.balancers[balancer]!, world.config(balancer));
  }

  test('TCP and UDP clients find their backends over IPv4 and IPv6', async () => {
    const report = await everybody('first answers');
    for (const { perBackend } of [report.tcp, report.udp])
      expect(Object.keys(perBackend).sort()).toEqual(['b1', 'b2', 'b3']);
    expect(await world.askV6('tcp')).toMatch(/^b[123]$/);
    expect(await world.askV6('udp')).toMatch(/^b[123]:who$/);
    expect(await listed('lb1')).toContainEqual(
      expect.objectContaining({ listener: 'tcp', client: expect.stringMatching(/^10\.77\.16\.1:/) }),
    );
  });

  test('a backend that is added takes nobody away, not with a new connection either', async () => {
    world.backends = ['b1', 'b2', 'b3', 'b4'];
    await clients.mark();
    await reloadBoth();
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await nobodyLost('scaled out');
  });

  test('pinion is killed and comes back: its connections never notice, and it knows its clients', async () => {
    await clients.mark();
    await world.kill('lb1');
    await everybody('without pinion');
    await world.startBalancer('lb1');
    await everybody('with the next one');
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await nobodyLost('killed and started again');
    await listed('lb1');
  });

  test('twenty reloads that move most of the buckets move nobody', async () => {
    await clients.mark();
    for (let i = 0; i < 20; i++) {
      world.more = { table_size: i % 2 === 0 ? 1031 : 1021 };
      await reload(world.balancers.lb1!, world.config('lb1'));
    }
    await reloadBoth();
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await nobodyLost('twenty reloads');
  });

  test('a balancer is cut off: the other goes on with its connections, and every byte arrives', async () => {
    const download = await world.download(2, 50 * 1024 * 1024, 8);
    await clients.mark();
    await world.network.cable('lb1', 'down');
    await world.serveBy('lb2');
    await nobodyLost('taken over');
    await download.waitForOutput(/whole|faults/, 60_000);
    expect(download.output()).toContain('whole');
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await everybody('crossed after the takeover');
  });

  test('a table that somebody deletes is made again', async () => {
    await clients.mark();
    await world.table('lb2', 'delete', 'table', 'inet', 'pinion_lb2');
    await eventually('the table is there again', () =>
      world.table('lb2', 'list', 'set', 'inet', 'pinion_lb2', 'layout/1').then(
        () => true,
        () => false,
      ),
    );
    // The kernel translates nothing in between: who spoke then has been reset.
    await everybody('table deleted');
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
  });

  test('connections that an operator ends are reset, and no others', async () => {
    const ofB1 = (await everybody('before')).tcp.perBackend.b1!;
    await clients.mark();
    await world.askAdmin('lb2', 'POST', '/connections/kill?pool=tcp&backend=b1&over-ms=0');
    await eventually('each of them has connected again', async () => {
      const { tcp } = await clients.report();
      return tcp.connections >= ofB1;
    });
    const { tcp } = await everybody('after');
    expect(tcp.connections).toBe(ofB1);
    await eventually('each is in the log', () => {
      const ended = world.balancers.lb2!.events('flow');
      return ended.filter(({ code, backend }) => code === 'operator' && backend === 'b1').length >= ofB1;
    });
  });

  test('clients of a backend that is removed go elsewhere, and nobody else does', async () => {
    const ofB3 = (await everybody('before')).tcp.perBackend.b3!;
    await clients.mark();
    await clients.leave('b3');
    world.backends = ['b1', 'b2', 'b4'];
    await reloadBoth();
    await eventually('each of them has connected again', async () => {
      const { tcp } = await clients.report();
      return tcp.connections >= ofB3 && (tcp.perBackend.b3 ?? 0) === 0;
    }).catch(async (error: Error) => {
      throw new Error(`${error.message} (${ofB3}): ${JSON.stringify(await clients.report(), null, 1)}`);
    });
    const { tcp } = await everybody('scaled in');
    expect(tcp.connections).toBe(ofB3);
  });

  test('a stop leaves connections and table, and tells what to do about them', async () => {
    await clients.mark();
    await world.balancers.lb2!.stop();
    await nobodyLost('stopped');
  });
});
