/**
 * Rooms: what a stranger could do to a thread that speaks with it (RELIABILITY: an exception, a forgotten promise, a loop
 * without end, a full heap) costs that thread alone. Flows, verdicts, pins and signals go on, and it comes back.
 */
import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, type TcpClient, tcpClient } from './support/clients.ts';
import {
  admin,
  adminToken,
  backendsOf,
  configText,
  listener,
  quickCheck,
  type Section,
} from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const faults = ['throw', 'reject', 'exit', 'fill-heap', 'loop'] as const;
const addresses = clientAddresses(20);

async function start(more: Section = {}) {
  const servers = await namedTcp(['a', 'b', 'c']);
  const text = configText({
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { policy: 'round-robin', health: quickCheck, backends: backendsOf(servers) } },
    ...more,
  });
  const pinion = await startPinion(text, { env: { PINION_TEST_FAULTS: '1' } });
  return { pinion, servers };
}

/** Clients that say something every now and then, and must be answered for as long as the story lasts. */
async function talkers(pinion: Pinion) {
  const clients = await inParallel(addresses, (from) => tcpClient(pinion.port('front'), { from }));
  const names = await Promise.all(clients.map((client: TcpClient) => client.line()));
  let said = 0;
  const timer = setInterval(() => {
    said++;
    for (const { socket } of clients) socket.write('.');
  }, 20);
  /** All of them are open, and have had every answer. */
  const check = async (): Promise<void> => {
    clearInterval(timer);
    await eventually('every answer', () =>
      clients.every((client, i) => client.receivedBytes === names[i]!.length + 1 + said),
    );
  };
  return { names, check };
}

async function died(pinion: Pinion, room: string, times: number): Promise<void> {
  await eventually(
    `${room} died`,
    () => pinion.events('room-died').filter((one) => one.room === room).length >= times,
  );
  await eventually(
    `${room} back`,
    () => pinion.events('room-restarted').filter((one) => one.room === room).length >= times,
  );
}

async function breakRoom(pinion: Pinion, room: string, how: string): Promise<void> {
  // The room that answers may be the one that breaks.
  await admin(pinion, 'POST', `/faults/rooms/${room}/${how}`).catch(() => {});
}

describe('a room that dies', () => {
  test.each(faults)('the checks: %s', async (how) => {
    const { pinion, servers } = await start();
    const { check } = await talkers(pinion);
    await breakRoom(pinion, 'checks', how);
    await died(pinion, 'checks', 1);
    // Verdicts stayed as they were, and new ones come.
    expect(pinion.events('backend-down').filter(({ reason }) => reason !== 'timeout')).toEqual([]);
    expect(await admin(pinion, 'GET', '/status')).toMatchObject({
      status: 200,
      body: { rooms: expect.arrayContaining([expect.objectContaining({ room: 'checks', restarts: 1 })]) },
    });
    await check();
    await servers[2]!.stop();
    await pinion.waitForLog((record) => record.event === 'backend-down' && record.backend === 'c');
    await servers[2]!.start();
    await pinion.waitForLog((record) => record.event === 'backend-up' && record.backend === 'c');
    await expect.poll(() => pinion.metric('pinion_room_restarts_total', { room: 'checks' })).toBe(1);
    expect((await pinion.stop('SIGTERM')).code).toBe(0);
  });

  test.each(faults)('the front: %s', async (how) => {
    const { pinion, servers } = await start();
    const { check } = await talkers(pinion);
    const ports = [pinion.port('admin'), pinion.port('metrics')];
    await breakRoom(pinion, 'front', how);
    await died(pinion, 'front', 1);
    await check();
    expect([pinion.port('admin'), pinion.port('metrics')], 'listens where it did').toEqual(ports);
    await expect.poll(() => pinion.metric('pinion_room_restarts_total', { room: 'front' })).toBe(1);
    // Pins by hand work on the table as it was.
    const { body } = await admin(pinion, 'GET', '/pins');
    expect((body as { pins: unknown[] }).pins.length).toBe(addresses.length);
    // A verdict that comes while nobody answers.
    await breakRoom(pinion, 'front', how);
    await servers[2]!.stop();
    await pinion.waitForLog((record) => record.event === 'backend-down' && record.backend === 'c');
    await died(pinion, 'front', 2);
    expect((await pinion.stop('SIGTERM')).code).toBe(0);
  });

  test('the front: where the token can be read no more it is what it was, and no other', async () => {
    const file = temporaryFile('token', adminToken);
    const { pinion } = await start({ admin: { listen: '127.0.0.1:0', tokens: { write_file: file } } });
    const ask = async (token: string, path = '/v1/status', method = 'GET'): Promise<number> => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`http://127.0.0.1:${pinion.port('admin')}${path}`, { method, headers })).status;
    };
    writeFileSync(file, '');
    for (let death = 1; death <= 2; death++) {
      await breakRoom(pinion, 'front', 'exit');
      await died(pinion, 'front', death);
      expect([await ask(adminToken), await ask('another')]).toEqual([200, 401]);
      await eventually('shown', async () => (await pinion.metric('pinion_files_unusable')) === 1);
    }
    const failed = { level: 40, room: 'front', file, isKept: true };
    for (const told of pinion.events('file-failed')) expect(told).toMatchObject(failed);
    await expect.poll(() => pinion.metric('pinion_room_restarts_total', { room: 'front' })).toBe(2);
    // The next one is the only one.
    const next = `${adminToken}-the-next`;
    writeFileSync(file, next);
    await eventually('another token', async () => (await ask(next)) === 200);
    writeFileSync(file, '');
    await ask(next, '/faults/rooms/front/throw', 'POST').catch(() => {});
    await died(pinion, 'front', 3);
    expect([await ask(adminToken), await ask(next)]).toEqual([401, 200]);
    await pinion.stop('SIGTERM');
    expect(pinion.process.output()).not.toContain(adminToken);
  });

  test('the front: of a file that is emptied the token stays, which is told once and shown', async () => {
    const file = temporaryFile('token', adminToken);
    const { pinion } = await start({ admin: { listen: '127.0.0.1:0', tokens: { write_file: file } } });
    writeFileSync(file, '');
    const failed = await pinion.waitForLog(({ event }) => event === 'file-failed');
    expect(failed).toMatchObject({ level: 40, room: 'front', file, isKept: true });
    expect(failed.msg).toMatch(/at least 16 are needed; make one: .*stays in use/);
    const { status, body } = await admin(pinion, 'GET', '/v1/status');
    expect(status).toBe(200);
    expect((body as { files: unknown[] }).files).toMatchObject([{ file, isKept: true }]);
    expect((body as { banners: unknown[] }).banners).toMatchObject([{ code: 'file', level: 'warning' }]);
    await expect.poll(() => pinion.metric('pinion_files_unusable')).toBe(1);
    writeFileSync(file, `${adminToken}-other`);
    await pinion.waitForLog(({ event }) => event === 'file-restored');
    expect((await admin(pinion, 'GET', '/v1/status')).status, 'the one before').toBe(401);
    expect(pinion.events('file-failed')).toHaveLength(1);
    expect(pinion.process.output()).not.toContain(adminToken);
  });

  test('the front: a signal that comes while it loops is obeyed', async () => {
    const { pinion } = await start();
    await breakRoom(pinion, 'front', 'loop');
    expect((await pinion.stop('SIGTERM')).code).toBe(0);
  });
});

requirePackage('redis')('a room that dies', () => {
  test.each(faults)('the cluster: %s', async (how) => {
    const redis = await startRedis();
    const { pinion, servers } = await start({ cluster: { name: 'test', instance: 'one', redis: redis.url } });
    const inStep = () => pinion.metric('pinion_cluster_state', { state: 'in-step' });
    await eventually('in step', async () => (await inStep()) === 1);
    const { check, names } = await talkers(pinion);
    await eventually(
      'pins told',
      async () => (await pinion.metric('pinion_cluster_pins_written_total'))! >= 20,
    );
    await breakRoom(pinion, 'cluster', how);
    // What is pinned while it is gone is told when it is back.
    const late = clientAddresses(40).slice(20);
    const lateNames = await inParallel(late, (from) => askTcp(pinion.port('front'), from));
    await died(pinion, 'cluster', 1);
    await eventually('in step again', async () => (await inStep()) === 1);
    await check();
    const other = await startPinion(
      configText({
        listeners: [listener('front', 'tcp', 'pool')],
        pools: { pool: { policy: 'round-robin', health: quickCheck, backends: backendsOf(servers) } },
        cluster: { name: 'test', instance: 'two', redis: redis.url },
      }),
    );
    await eventually('all pins learned', async () => (await other.metric('pinion_pins'))! >= 40);
    const there = await inParallel([...addresses, ...late], (from) => askTcp(other.port('front'), from));
    expect(there, 'the other instance has every pin').toEqual([...names, ...lateNames]);
    expect(pinion.events('cluster-name-taken'), 'it goes on under its own name').toEqual([]);
  });

  test('the cluster: its successor writes by another right, and leaves the name to who has taken it', async () => {
    const redis = await startRedis();
    const one = { cluster: { name: 'test', instance: 'one', redis: redis.url } };
    const { pinion: older } = await start(one);
    const state = (pinion: Pinion, is: string) =>
      eventually(is, async () => (await pinion.metric('pinion_cluster_state', { state: is })) === 1);
    const token = () => redis.command('GET', '{pinion:test:0}:lease:one');
    await state(older, 'in-step');
    const first = await token();
    await breakRoom(older, 'cluster', 'exit');
    await died(older, 'cluster', 1);
    await state(older, 'in-step');
    expect(await token()).not.toBe(first);
    const newer = (await start(one)).pinion;
    await state(newer, 'in-step');
    await state(older, 'name-taken');
    await breakRoom(older, 'cluster', 'exit');
    await died(older, 'cluster', 2);
    await state(older, 'name-taken');
    expect(newer.events('cluster-name-taken'), 'the name did not go to and fro').toEqual([]);
    await state(newer, 'in-step');
  });
});
