/** The model the simulation runs on, against the real scripts: the same random steps must get the same answers. */
import type { Redis as Connection } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { RedisStore } from '../src/cluster/redis-store.ts';
import type { ApplyReply, Fenced, PinStep } from '../src/cluster/store.ts';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import { clusterPlan } from '../src/core/cluster-plan.ts';
import { until } from './support/cluster-node.ts';
import { seeded } from './support/cluster-world.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { RedisModel } from './support/redis-model.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(stopEverything);

const backends = ['b1', 'b2', 'b3'];

/** What of an answer does not depend on the clock. */
function essence(reply: ApplyReply | Fenced): unknown {
  if (reply.kind === 'fenced') return reply;
  const verdicts = reply.verdicts.map((verdict) =>
    verdict.kind === 'lost' ? ['lost', verdict.value] : verdict.kind,
  );
  return { epoch: reply.epoch, added: reply.added, verdicts };
}

requirePackage('redis')('the model of Redis', () => {
  test('answers two thousand random batches as the scripts do', async () => {
    const redis = await startRedis();
    const plan = clusterPlan({
      name: 'model',
      instance: 'w',
      redis: { ...parseRedisUrl(redis.url), commandTimeoutMs: 10_000 },
      shards: 1,
      leaseMs: 60_000,
    });
    const store = new RedisStore(plan);
    const ask = <T>(command: (redis: Connection) => Promise<T>): Promise<T> => store.command.ask('', command);
    const base = store.keys.pinBase(0);
    try {
      await until('connected', () => store.isConnected);
      const model = new RedisModel(1, () => performance.now());
      const random = seeded(Number(process.env.PINION_SEED ?? 7));
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
      let token = 'none';
      for (let round = 0; round < 2_000; round++) {
        const dice = random();
        if (dice < 0.03) {
          token = `me.${round}`;
          const mode = pick(['renew', 'take', 'seize'] as const);
          const held = round % 3 === 0 ? `other.${round}` : token;
          const ours = held.slice(0, held.indexOf('.'));
          const reply = await store.pulse(0, held, ours, `e${round}`, mode);
          const expected = model.pulse(0, 'w', held, ours, `e${round}`, mode, plan.leaseMs);
          expect({ ...reply, last: '' }, `round ${round}: pulse`).toEqual({ ...expected, last: '' });
          continue;
        }
        if (dice < 0.04) {
          await ask((redis) => redis.flushall());
          model.flushAll();
          continue;
        }
        if (dice < 0.08) {
          // Somebody else writes what is not ours.
          const text = `p/1/10.0.0.${Math.floor(random() * 12)}`;
          const value = pick([
            '2 whatever of tomorrow',
            'garbage',
            '',
            '1 b1 w policy 5',
            'x'.repeat(300),
            '7',
            '1 b2 q r 5 9',
          ]);
          await ask((redis) => redis.set(base + text, value));
          model.shards[0]!.pins.set(text, { value, untilMs: Number.POSITIVE_INFINITY });
          continue;
        }
        const steps = new Map<string, PinStep>();
        for (let i = Math.floor(random() * 6); i >= 0; i--) {
          const text = `p/1/10.0.0.${Math.floor(random() * 12)}`;
          const expectation = pick(['', '', ...backends, '*']);
          const backend = pick(['', ...backends, ...backends]);
          const pxMs = pick([3_600_000, 7_200_000]);
          steps.set(text, { text, expect: expectation, backend, pxMs, ttlMs: 3_600_000, reason: 'policy' });
        }
        const used = random() < 0.9 ? (model.shards[0]!.leases.get('w')?.value ?? 'none') : 'stale.1';
        const batch = [...steps.values()];
        const reply = await store.apply(0, used, `f${round}`, 1_000, batch);
        const expected = model.apply(0, 'w', used, `f${round}`, 1_000, batch);
        expect(essence(reply), `round ${round}: ${JSON.stringify(batch)}`).toEqual(essence(expected));
        if (reply.kind === 'fenced') continue;
        const texts = batch.map((step) => step.text);
        const values = (await store.read(0, texts)).pins.map((pin) => pin.value);
        expect(values, `round ${round}`).toEqual(model.read(0, texts).pins.map((pin) => pin.value));
        if (!reply.added) continue;
        const raw = await ask((redis) => redis.xrevrange(store.keys.stream(0), '+', '-', 'COUNT', 1));
        expect(raw[0]?.[0]).toBe(reply.last);
        const theirs = model.entries(0, '0-0', 1e6).at(-1)!;
        const ours = (await store.entries(0, '0-0')).at(-1);
        if (ours?.position === reply.last) {
          expect(ours.news.map(({ text, value }) => [text, value])).toEqual(
            theirs.news.map(({ text, value }) => [text, value]),
          );
        }
      }
    } finally {
      store.close();
    }
  });
});
