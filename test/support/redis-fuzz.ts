/**
 * pinion's own way to Redis (RedisStore) against servers that lie, in a process of its own, where nothing else can catch
 * what it throws. `node redis-fuzz.js FORM SEED REQUESTS LIES` ends with a line of JSON: what was asked and answered, and
 * everything that would have ended pinion's thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisStore } from '../../src/cluster/redis-store.ts';
import { parseRedisUrl } from '../../src/config/redis-url.ts';
import { clusterPlan } from '../../src/core/cluster-plan.ts';
import { seeded } from './cluster-world.ts';
import { RedisLiar } from './redis-liar.ts';

const [form, seed, requests, lies] = process.argv.slice(2);
const thrown = new Map<string, number>();
const note =
  (kind: string) =>
  (error: unknown): void => {
    const where = (error as Error)?.stack?.split('\n').slice(0, 3).join(' ') ?? String(error);
    thrown.set(`${kind}: ${where}`, (thrown.get(`${kind}: ${where}`) ?? 0) + 1);
  };
process.on('uncaughtException', note('uncaught'));
process.on('unhandledRejection', note('rejection'));

const random = seeded(Number(seed));
const liars: RedisLiar[] = [];
for (let i = 0; i < 3; i++) {
  const own = seeded(Math.floor(random() * 2 ** 32));
  const ports = (): number[] => liars.map(({ port }) => port);
  liars.push(await RedisLiar.start({ random: own, liesPercent: Number(lies), ports }));
}
const hosts = liars.map(({ port }) => `127.0.0.1:${port}`);
const url = {
  single: `redis://u:p@${hosts[0]}/1`,
  sentinel: `redis+sentinel://${hosts.join(',')}/m`,
  cluster: `redis+cluster://${hosts.join(',')}`,
}[form as 'single' | 'sentinel' | 'cluster'];

const counts = { asked: 0, fulfilled: 0 };

function everything(store: RedisStore): (() => Promise<unknown>)[] {
  const step = { text: 'p/1/1.1.1.1', expect: '', backend: 'b', pxMs: 1, ttlMs: 1, reason: 'policy' };
  const shard = Math.floor(random() * 16);
  return [
    () => store.pulse(shard, 't', 'i', 'e', 'take'),
    () => store.apply(shard, 't', 'e', 100, [step]),
    () => store.read(shard, [step.text]),
    () => store.entries(shard, '0-0'),
    () => store.follow(new Map([[shard, '0-0']])),
    () => store.beat('{}', '[]', '1 16'),
    () => store.putFlows(new Map([['a', 'b']]), ['c']),
    () => store.flows('me', 10, Number.POSITIVE_INFINITY),
    () => store.dropFlows(),
    () => store.putWord('me/p/b/state', '5 drain', 9),
    () => store.words(),
    () => store.leave('x'),
    async () => {
      let pages = 0;
      for await (const _ of store.scan()) if (pages++ > 20) break;
    },
  ];
}

/** One store for a while, asked for everything at once, again and again. */
async function life(): Promise<void> {
  const redis = { ...parseRedisUrl(url), commandTimeoutMs: 250, connectTimeoutMs: 250 };
  const store = new RedisStore(clusterPlan({ name: 'c', instance: 'me', redis }));
  for (const link of [store.command, store.follower]) link.on('error', () => {});
  for (let rounds = 0; rounds < 200 && counts.asked < Number(requests); rounds++) {
    // Most of what is asked is to reach somebody.
    for (let waits = 0; waits < 50 && !store.isConnected; waits++) await sleep(5);
    const asked = everything(store).map((ask) =>
      ask().then(
        () => void counts.fulfilled++,
        () => {},
      ),
    );
    counts.asked += asked.length;
    await Promise.race([Promise.allSettled(asked), sleep(1 + random() * 30)]);
    if (random() < 0.01) store.reconnectFollower();
  }
  store.close();
}

const answeredBy = (): number => liars.reduce((sum, { answered }) => sum + answered, 0);
const dying = setInterval(() => void liars[Math.floor(random() * 3)]!.restart().catch(() => {}), 700);
await Promise.all(
  Array.from({ length: 8 }, async () => {
    while (counts.asked < Number(requests)) await life();
  }),
);
clearInterval(dying);
await sleep(1_000);
process.stdout.write(
  `${JSON.stringify({ form, ...counts, answered: answeredBy(), thrown: [...thrown].slice(0, 10) })}\n`,
  () => process.exit(0),
);
