/** Limits that are summed over a pair: what a client has on one instance counts on the other, while Redis is there. */
import { afterEach, expect, test } from 'vitest';
import { type TcpClient, tcpClient } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers, type TestServer } from './support/servers.ts';

const open: TcpClient[] = [];

afterEach(async () => {
  for (const client of open.splice(0)) client.socket.destroy();
  await stopEverything();
  await stopServers();
});

function start(instance: string, redisUrl: string, server: TestServer): Promise<Pinion> {
  const limits = { flows_per_client: 6, per_subnet: { prefix_v4: 24, flows: 9 }, scope: 'cluster' };
  return startPinion(
    configText({
      workers: 2,
      cluster: { name: 'limits', instance, redis: redisUrl, lease: '4s' },
      listeners: [listener('front', 'tcp', 'pool', { limits })],
      pools: { pool: { health: noCheck, backends: backendsOf([server]) } },
    }),
  );
}

/** Connects so many times, one after the other; those that are served stay. @returns how many were */
async function enter(pinion: Pinion, from: string, count: number): Promise<TcpClient[]> {
  const served: TcpClient[] = [];
  for (let i = 0; i < count; i++) {
    const client = await tcpClient(pinion.port('front'), { from });
    open.push(client);
    if ((await client.line().catch(() => undefined)) !== undefined) served.push(client);
  }
  return served;
}

/** Whether one more would be let in: it leaves at once. */
async function mayEnter(pinion: Pinion, from: string): Promise<boolean> {
  const [client] = await enter(pinion, from, 1);
  await client?.leave();
  return client !== undefined;
}

async function explained(pinion: Pinion, client: string): Promise<string> {
  const admin = `127.0.0.1:${pinion.port('admin')}`;
  return (await pinionCommand(['explain', '--admin', admin, '-l', 'front', '--client', client])).stdout;
}

requirePackage('redis')('limits of a pair', () => {
  test('are summed; each instance has its share while Redis is away; and summed again', async () => {
    const redis = await startRedis();
    const [server] = await namedTcp(['a']);
    const [one, two] = (await Promise.all(
      ['one', 'two'].map((instance) => start(instance, redis.url, server!)),
    )) as [Pinion, Pinion];
    const [client, neighbour, stranger] = ['127.9.0.1', '127.9.0.2', '127.9.1.1'] as const;
    const here = await enter(one, client, 8);
    expect(here).toHaveLength(6);
    await eventually('its flows on the other instance count', async () => !(await mayEnter(two, client)));
    await expect
      .poll(() => two.metric('pinion_listener_ended_total', { code: 'limit-client' }))
      .toBeGreaterThan(0);
    await expect
      .poll(() => explained(two, client))
      .toContain(
        'flows_per_client: 0 of 6 open here, 6 on the other instances; one more is refused (limit-client)',
      );
    expect(await enter(two, neighbour, 5), 'of the network of 9').toHaveLength(3);
    await expect.poll(() => two.metric('pinion_listener_ended_total', { code: 'limit-subnet' })).toBe(2);

    await redis.stop('SIGKILL');
    // Of what it has there nothing is known any more.
    await eventually('the share of this instance', () => mayEnter(two, client));
    expect(await enter(two, stranger, 8)).toHaveLength(3);
    await expect
      .poll(() => explained(two, stranger))
      .toContain(
        'flows_per_client: 3 of 6 open here; this one of 2 instances has a share of 3 while the others are not heard of; one more is refused',
      );

    await startRedis({ port: redis.port });
    await eventually(
      'its flows on the other instance count again',
      async () => !(await mayEnter(two, client)),
    );
    expect(await enter(two, stranger, 8), 'the whole limit again').toHaveLength(3);
    await eventually('of both together', async () => !(await mayEnter(one, stranger)));
    for (const flow of here.slice(4)) await flow.leave();
    await eventually('what has left does not count', () => mayEnter(two, client));
  });
});
