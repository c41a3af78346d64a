import { expect, test } from 'vitest';
import type { ListenerPlan } from '../core/plan.ts';
import { poolPlan } from '../engine/conformance/listener.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { Kills } from './kills.ts';

const grouped = ['slow', 'quick'].map((pool) => ({ pool, affinity: { key: 'client-ip', group: 'g' } }));

function bench() {
  const names = { slow: 60_000, quick: 0, alike: 60_000 };
  const pools = Object.entries(names).map(([name, closeOverMs]) => ({
    ...poolPlan({ name, closeOverMs }),
    backends: [
      { name: `${name}-1`, address: { kind: 'unix', path: '/b' }, weight: 1, maxConnections: 0 } as const,
    ],
  }));
  const orders: Extract<MessageToWorker, { type: 'end-flows' }>[] = [];
  const kills: Kills = new Kills({
    plan: () => ({ listeners: grouped as unknown as ListenerPlan[], pools }),
    workers: 2,
    post: (_, message) => {
      if (message.type !== 'end-flows') return false;
      orders.push(message);
      kills.counted(message.requestId!, 3);
      return true;
    },
  });
  const said = () => orders.map(({ select, overMs }) => [select.by === 'operator' && select.pools, overMs]);
  return { kills, said };
}

test('each pool has its time, and what the workers count is added up', async () => {
  const { kills, said } = bench();
  expect(await kills.kill({ client: '10.0.0.1' }, undefined)).toEqual({ connections: 12, overMs: 60_000 });
  expect(said()).toEqual([
    [['slow', 'alike'], 60_000],
    [['slow', 'alike'], 60_000],
    [['quick'], 0],
    [['quick'], 0],
  ]);
});

test('another time is for all, and who is moved is so in a pool that has the backend', async () => {
  const { kills, said } = bench();
  await kills.kill({ pool: 'slow' }, 5_000);
  await kills.kill({ movedTo: 'quick-1' }, undefined);
  expect(await kills.kill({ pool: 'slow', movedTo: 'quick-1' }, undefined)).toEqual({
    connections: 0,
    overMs: 0,
  });
  expect(said()).toEqual([
    [['slow'], 5_000],
    [['slow'], 5_000],
    [['quick'], 0],
    [['quick'], 0],
  ]);
});

test('a group means the pools of it', async () => {
  const { kills, said } = bench();
  await kills.kill({ pool: '@g' }, 1_000);
  expect(said()).toEqual([
    [['slow', 'quick'], 1_000],
    [['slow', 'quick'], 1_000],
  ]);
});
