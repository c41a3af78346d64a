/** Redis through pinion: pipelined load without an error, and a session that subscribes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configText, listener, quickCheck } from './support/config.ts';
import { requireCommand } from './support/packages.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { runToEnd, startProcess, stopEverything } from './support/processes.ts';
import { type Redis, startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';

afterAll(stopEverything);

requirePackage('redis')('Redis through pinion', () => {
  let redis: Redis;
  let pinion: Pinion;
  let target: string[];

  beforeAll(async () => {
    redis = await startRedis();
    pinion = await startPinion(
      configText({
        listeners: [listener('redis', 'tcp', 'cache')],
        pools: {
          cache: { health: quickCheck, backends: [{ name: 'r1', address: `127.0.0.1:${redis.port}` }] },
        },
      }),
    );
    target = ['-h', '127.0.0.1', '-p', String(pinion.port('redis'))];
  });

  test('redis-benchmark -P 16 has no error', async () => {
    const args = [
      ...target,
      '-P',
      '16',
      '-n',
      '200000',
      '-c',
      '50',
      '-t',
      'set,get,lrange_100',
      '-r',
      '1000',
      '--csv',
    ];
    const command = requireCommand('redis', 'redis-cli').replace(/redis-cli$/, 'redis-benchmark');
    const output = await runToEnd({ command, args });
    expect(output).not.toMatch(/error/i);
    const rates = [...output.matchAll(/^"([^"]+)","([\d.]+)"/gm)].map((row) => [row[1], Number(row[2])]);
    expect(rates.length).toBeGreaterThanOrEqual(3);
    expect(rates.filter(([, rate]) => !(Number(rate) > 0))).toEqual([]);
    const commands = Number(/cmdstat_set:calls=(\d+)/.exec(await redis.command('info', 'commandstats'))?.[1]);
    expect(commands).toBe(200_000);
  });

  test('a subscriber gets what another connection publishes, in order', async () => {
    const cli = requireCommand('redis', 'redis-cli');
    const subscriber = startProcess({ command: cli, args: [...target, 'subscribe', 'news'] });
    await subscriber.waitForOutput(/subscribe\nnews\n1/);
    for (let i = 0; i < 20; i++) {
      await runToEnd({ command: cli, args: [...target, 'publish', 'news', `item-${i}`] });
    }
    await subscriber.waitForOutput(/item-19/);
    const items = [...subscriber.output().matchAll(/item-(\d+)/g)].map((match) => Number(match[1]));
    expect(items).toEqual(Array.from({ length: 20 }, (_, i) => i));
    await subscriber.stop();
  });
});
