/**
 * How fast pins are shared: two instances' cluster sides, each a process of its own, and one Redis, all on this
 * machine. `node dist/bench/cluster.js [--pins 1000000] [--json]`.
 *
 *   published and followed   pins a second from the first one made here to the last one readable there
 *   propagation              from the pin made on one instance to readable on the other, at 10 000 a second
 *   join                     a third instance starts while Redis holds all pins: until its table has them all
 *   memory                   what Redis needs for a pin, and for the streams
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import { type ClusterNode, clientKey, poolId, startNode, until } from '../test/support/cluster-node.ts';
import { stopEverything } from '../test/support/processes.ts';
import { type Redis, startRedis } from '../test/support/redis.ts';
import { describeMachine, machineText } from './machine.ts';

const ttlMs = 3_600_000;
const paceSeconds = 10;
const pinsPerSecond = 10_000;
const chunk = 4_096;
const settleMs = 1_000;
/** Clients of the propagation run, beyond those of the first. */
const paceFrom = 8_000_000;

/** CLOCK_MONOTONIC, the same in all processes. Milliseconds. */
const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

interface Order {
  readonly type: 'fill' | 'await' | 'pace' | 'watch';
  readonly pins: number;
}

/** What a child does. Answers are numbers. */
const roles: Record<Order['type'], (node: ClusterNode, pins: number) => Promise<number[]>> = {
  /** Makes pins as fast as they are taken. @returns when it began */
  async fill(node, pins) {
    const startedMs = machineMs();
    for (let client = 0; client < pins; client += chunk) {
      for (let i = client; i < Math.min(pins, client + chunk); i++) node.pin(i, 'b1', ttlMs);
      while (node.cluster.status().journal > chunk * 4) await sleep(1);
      await sleep(0);
    }
    return [startedMs];
  },
  /** @returns when the table had them all */
  async await(node, pins) {
    await until('all pins', () => node.live() >= pins && node.cluster.state === 'in-step', 300_000);
    return [machineMs()];
  },
  /** Makes pins at a steady rate. @returns when each was made */
  async pace(node, pins) {
    const madeMs: number[] = [];
    const startedMs = machineMs();
    while (madeMs.length < pins) {
      const due = Math.min(pins, Math.floor(((machineMs() - startedMs) / 1_000) * pinsPerSecond));
      while (madeMs.length < due) {
        node.pin(paceFrom + madeMs.length, 'b2', ttlMs);
        madeMs.push(machineMs());
      }
      await sleep(1);
    }
    return madeMs;
  },
  /** @returns when each became readable */
  async watch(node, pins) {
    const seenMs: number[] = new Array(pins).fill(0);
    let from = 0;
    // Anything ahead of the oldest that is missing by more than this is looked for later.
    const window = 4_000;
    while (from < pins) {
      const now = machineMs();
      for (let i = from; i < Math.min(pins, from + window); i++) {
        if (seenMs[i] === 0 && node.pins.lookup(poolId, clientKey(paceFrom + i), node.nowMs()) !== 0)
          seenMs[i] = now;
      }
      while (from < pins && seenMs[from] !== 0) from++;
      await sleep(1);
    }
    return seenMs;
  },
};

async function child(url: string, name: string, capacity: number): Promise<void> {
  const node = startNode({
    name,
    redis: parseRedisUrl(url),
    capacity,
    plan: { leaseMs: 5_000, heartbeatMs: 1_000 },
  });
  process.on('message', async (order: Order) => process.send!(await roles[order.type](node, order.pins)));
  process.on('disconnect', () => process.exit(0));
  await until('in step', () => node.cluster.state === 'in-step', 300_000);
  process.send!([machineMs()]);
}

const children: ChildProcess[] = [];

async function startChild(url: string, name: string, capacity: number): Promise<ChildProcess> {
  const started = fork(fileURLToPath(import.meta.url), ['child', url, name, String(capacity)]);
  children.push(started);
  await once(started, 'message');
  return started;
}

async function ask(to: ChildProcess, order: Order): Promise<number[]> {
  const answer = once(to, 'message');
  to.send(order);
  return (await answer)[0] as number[];
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.command('INFO', 'memory'))?.[1]);
}

async function streamBytes(redis: Redis): Promise<number> {
  let bytes = 0;
  for (let shard = 0; shard < 16; shard++) {
    bytes += Number(await redis.command('MEMORY', 'USAGE', `{pinion:test:${shard}}:changes`, 'SAMPLES', '0'));
  }
  return bytes;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

async function measure(pins: number, asJson: boolean): Promise<void> {
  const redis = await startRedis();
  const emptyBytes = await usedBytes(redis);
  const capacity = pins + pinsPerSecond * paceSeconds * 2;
  const first = await startChild(redis.url, 'lb-1', capacity);
  const second = await startChild(redis.url, 'lb-2', capacity);
  const [[startedMs], [followedMs]] = (await Promise.all([
    ask(first, { type: 'fill', pins }),
    ask(second, { type: 'await', pins }),
  ])) as [[number], [number]];
  const streams = await streamBytes(redis);
  const bytesPerPin = ((await usedBytes(redis)) - emptyBytes - streams) / pins;
  const joinFromMs = machineMs();
  const third = await startChild(redis.url, 'lb-3', capacity);
  const [joinedMs] = (await ask(third, { type: 'await', pins })) as [number];
  // What it costs to take down a process with a million pins is not propagation's.
  third.disconnect();
  await once(third, 'exit');
  await sleep(settleMs);
  const paced = pinsPerSecond * paceSeconds;
  const [seenMs, madeMs] = await Promise.all([
    ask(second, { type: 'watch', pins: paced }),
    ask(first, { type: 'pace', pins: paced }),
  ]);
  const delays = seenMs.map((seen, index) => seen - madeMs[index]!).sort((a, b) => a - b);
  const figures = {
    pins,
    pinsPerSecond: Math.round((pins / (followedMs - startedMs)) * 1_000),
    propagationP50Ms: Number(quantile(delays, 0.5).toFixed(1)),
    propagationP99Ms: Number(quantile(delays, 0.99).toFixed(1)),
    propagationMaxMs: Number(delays.at(-1)!.toFixed(1)),
    joinMs: Math.round(joinedMs - joinFromMs),
    redisBytesPerPin: Math.round(bytesPerPin),
    redisStreamBytes: streams,
  };
  if (asJson) {
    console.log(JSON.stringify(figures, undefined, 2));
    return;
  }
  console.log(machineText(await describeMachine()));
  console.log(
    `published and followed     ${figures.pinsPerSecond.toLocaleString('en')} pins/s (${pins.toLocaleString('en')} pins)`,
  );
  console.log(
    `propagation at 10,000/s    p50 ${figures.propagationP50Ms} ms, p99 ${figures.propagationP99Ms} ms, max ${figures.propagationMaxMs} ms`,
  );
  console.log(
    `join                       ${figures.joinMs.toLocaleString('en')} ms from the start of the process to all pins`,
  );
  console.log(
    `Redis memory               ${figures.redisBytesPerPin} bytes/pin; streams ${(streams / 1e6).toFixed(1)} MB in all`,
  );
}

if (process.argv[2] === 'child') {
  await child(process.argv[3]!, process.argv[4]!, Number(process.argv[5]));
} else {
  const { values } = parseArgs({
    options: { pins: { type: 'string', default: '1000000' }, json: { type: 'boolean', default: false } },
  });
  try {
    await measure(Number(values.pins), values.json);
  } finally {
    for (const one of children) if (one.connected) one.disconnect();
    await stopEverything();
  }
}
