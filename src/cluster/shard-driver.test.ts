import { expect, test } from 'vitest';
import { clusterPlan } from '../core/cluster-plan.ts';
import { ShardDriver } from './shard-driver.ts';
import { ShardReplica } from './shard-replica.ts';
import type { ApplyReply, ClusterStore, Fenced, PulseMode, Verdict } from './store.ts';

/** What a driver asks for its lease with. */
async function firstPulse(start: number): Promise<{ token: string; mode: PulseMode }> {
  const asked: { token: string; mode: PulseMode }[] = [];
  const store: Pick<ClusterStore, 'pulse'> = {
    pulse: async (_shard, token, _incarnation, _epoch, mode) => {
      asked.push({ token, mode });
      return { kind: 'ok', epoch: 'e', last: '0-0' };
    },
  };
  const replica = new ShardReplica('me', 10, { learn: () => true, gap: () => {} });
  const driver = new ShardDriver(0, replica, {
    store: store as ClusterStore,
    plan: clusterPlan({ name: 'c', instance: 'me', redis: {} as never }),
    incarnation: 'run',
    start,
    nowMs: () => 0,
    random: () => 0,
    failed: () => {},
    written: () => {},
  });
  driver.step();
  await Promise.resolve();
  return asked[0]!;
}

test('each start of the room has tokens of its own, and only the first takes the name from whoever has it', async () => {
  const pulses = await Promise.all([firstPulse(1), firstPulse(2), firstPulse(3)]);
  expect(pulses.map(({ mode }) => mode)).toEqual(['seize', 'take', 'take']);
  expect(new Set(pulses.map(({ token }) => token)).size).toBe(3);
  // That is how Redis knows the same process.
  for (const { token } of pulses) expect(token).toMatch(/^run/);
});

test('only what Redis has taken counts as written', async () => {
  const lost = { kind: 'lost', value: '1 b peer policy 1000 1', pxMs: 5 } as const;
  const told = (...verdicts: Verdict[]): ApplyReply => ({
    kind: 'ok',
    epoch: 'e',
    last: '1-0',
    added: true,
    verdicts,
  });
  const all = told({ kind: 'written' }, { kind: 'same' }, { kind: 'removed' }, { kind: 'foreign' }, lost);
  for (const [answer, count] of [
    [all, 3],
    [told({ kind: 'gone' }), 0],
    [{ kind: 'fenced', holder: 'another' } as Fenced, 0],
  ] as const) {
    const replica = new ShardReplica('me', 10, { learn: () => true, gap: () => {} });
    replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'seize', 'run', replica.known);
    const written: number[] = [];
    const driver = new ShardDriver(0, replica, {
      store: { apply: async () => answer } as Partial<ClusterStore> as ClusterStore,
      plan: clusterPlan({ name: 'c', instance: 'me', redis: {} as never }),
      incarnation: 'run',
      start: 1,
      nowMs: () => 0,
      random: () => 0,
      failed: (error) => expect.fail(String(error)),
      written: (pins) => written.push(pins),
    });
    for (let i = 0; i < ('verdicts' in answer ? answer.verdicts.length : 1); i++)
      replica.note({
        text: `k${i}`,
        expect: '',
        backend: 'b',
        attempted: undefined,
        ttlMs: 1_000,
        expiresAtMs: 1_000,
        reason: 'policy',
        isSweep: false,
        waiters: undefined,
      });
    driver.flush();
    await expect.poll(() => written).toEqual([count]);
  }
});
