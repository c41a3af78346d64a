/**
 * RELIABILITY rows 27 and 51 with a real Redis: values of 200 MB where pinion reads, one after the other, in every place
 * there is. Each is left out and counted, the pair goes on sharing, and neither instance takes more than 100 MB beyond rest.
 * Each instance is a process of its own, so that its memory is its own.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { until } from './support/cluster-node.ts';
import { startNodeProcess, stopNodeProcesses } from './support/node-process.ts';
import { stopEverything } from './support/processes.ts';
import { residentBytes } from './support/procfs.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(async () => {
  stopNodeProcesses();
  await stopEverything();
});

const memoryBeyondRestMax = 100 * 1024 * 1024;
const large = Buffer.alloc(200 * 1024 * 1024, 'x');
const common = '{pinion:test}:';
const shard = '{pinion:test:3}:';
const pinName = (text: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${shard}pin:`), Buffer.from(text)]);

const poisons: readonly [what: string, put: (redis: Redis) => Promise<unknown>, isCounted: boolean][] = [
  ['an entry of a stream', (redis) => redis.xadd(`${shard}changes`, '*', 'l', '0-0', 'p', large), true],
  ['an entry of another kind', (redis) => redis.xadd(`${shard}changes`, '*', large, 'x'), true],
  [
    'an instance',
    async (redis) => {
      await redis.set(`${common}instance:evil`, large);
      await redis.sadd(`${common}members`, 'evil');
    },
    true,
  ],
  [
    'the counts of an instance',
    async (redis) => {
      await redis.set(`${common}counts:sly`, large);
      await redis.set(`${common}instance:sly`, '{"v":1,"incarnation":"x"}');
      await redis.sadd(`${common}members`, 'sly');
    },
    true,
  ],
  ['the name of an instance', (redis) => redis.sadd(`${common}members`, large), false],
  ['a row of the connection table', (redis) => redis.hset(`${common}flows:a`, 'evil', large), true],
  ['a pin', (redis) => redis.set(pinName('arena/1/10.0.0.77'), large), false],
  [
    'the name of a pin, and a reason to read it',
    async (redis) => {
      await redis.set(pinName(large), 'x');
      await redis.del(`${shard}head`);
    },
    true,
  ],
  ['the head of a shard', (redis) => redis.set(`${shard}head`, large), false],
  ['a lease', (redis) => redis.set(`${shard}lease:a`, large), false],
  [
    "an operator's word",
    async (redis) => {
      await redis.set(`${common}word:a/arena/b1/state`, large);
      await redis.sadd(`${common}words`, 'a/arena/b1/state');
    },
    true,
  ],
  ["the name of an operator's word", (redis) => redis.sadd(`${common}words`, large), true],
  ['the layout', (redis) => redis.set(`${common}layout`, large), false],
];

requirePackage('redis')('200 MB in Redis', () => {
  test('in every place: left out, and the pair goes on', async () => {
    const redis = await startRedis();
    const writer = new Redis(redis.port);
    const [a, b] = [startNodeProcess(redis.url, 'a'), startNodeProcess(redis.url, 'b')];
    const nodes = [a, b];
    const inStep = async (): Promise<boolean> =>
      (await Promise.all(nodes.map((node) => node.call('state')))).every((state) => state === 'in-step');
    const tooLarge = async (): Promise<number> =>
      (await Promise.all(nodes.map((node) => node.call('faults', 'too-large')))).reduce<number>(
        (sum, count) => sum + Number(count),
        0,
      );
    await until('in step', inStep);
    await a.call('connections');
    const rest = nodes.map(({ pid }) => residentBytes(pid));
    let most = 0;
    let isOver = false;
    const watching = (async () => {
      for (; !isOver; await sleep(10))
        nodes.forEach(({ pid }, i) => {
          most = Math.max(most, residentBytes(pid) - rest[i]!);
        });
    })();
    let client = 0;
    for (const [what, put, isCounted] of poisons) {
      const before = await tooLarge();
      // Redis takes seconds for such a row on a slow machine: it has left it out, and nobody was there any more to hear of it.
      let isGivenUp = false;
      const ask = async (): Promise<void> => {
        const answer = await b.call('connections').catch(String);
        isGivenUp ||= String(answer).includes('timed out');
      };
      await put(writer);
      // In each shard: some 40 clients are in all of them.
      const clients = Array.from({ length: 40 }, () => ++client);
      await Promise.all(clients.map((one) => a.call('pin', one, 'b1')));
      await ask();
      await until(
        `followed after ${what}`,
        async () => {
          const found = await Promise.all(clients.map((one) => b.call('at', one)));
          return found.every((backend) => backend === 'b1');
        },
        60_000,
      );
      await until(`in step after ${what}`, inStep, 60_000);
      // A list that was being read when this came did not meet it: it is asked for again.
      const isTold = async (): Promise<boolean> => {
        if (isGivenUp || (await tooLarge()) > before) return true;
        await ask();
        return isGivenUp || (await tooLarge()) > before;
      };
      if (isCounted) await until(`counted: ${what}`, isTold, 60_000);
      // A second beat, with it still there or gone.
      await sleep(300);
      await until(`in step for good after ${what}`, inStep);
      expect(most / 2 ** 20, `MiB beyond rest after ${what}`).toBeLessThan(memoryBeyondRestMax / 2 ** 20);
    }
    isOver = true;
    writer.disconnect();
    await watching;
    expect(await b.call('has', 'cluster-layout-differs')).toBe(false);
  }, 600_000);
});
