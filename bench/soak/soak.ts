/**
 * A soak: everything a client, a backend or the network between may do, mixed, through one pinion on loopback; then
 * everyone leaves, and pinion must be what it was before.
 *
 *    warm-up (all works) -> rest, measured -> the soak (all works) -> rest, measured -> compared
 *
 * The warm-up sizes what pinion keeps by design: code V8 compiles, tables sized by the most that was open at once.
 * Load, backends and measurement share this process, so it says nothing about speed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { clientAddresses } from '../../test/support/clients.ts';
import { eventually, lower, settled } from '../../test/support/eventually.ts';
import type { Pinion } from '../../test/support/pinion.ts';
import { cpuMicroseconds, descriptorKinds } from '../../test/support/procfs.ts';
import { type Job, type Tally, work } from './crew.ts';
import { type Stage, setStage } from './stage.ts';
import * as tcp from './tcp-works.ts';
import * as udp from './udp-works.ts';

export interface SoakOptions {
  readonly warmMs: number;
  readonly soakMs: number;
  /** Datagrams the soak relays at least, both directions together; it goes on with the sizes alone until then. */
  readonly datagramsMin: number;
  readonly say?: (line: string) => void;
}

export interface Rest {
  /** Open descriptors that are not pipes. */
  readonly descriptors: number;
  readonly pipeEnds: number;
  readonly rssBytes: number;
}

export interface SoakResult {
  readonly tallies: readonly Tally[];
  readonly before: Rest;
  readonly after: Rest;
  readonly flowsLeft: number;
  readonly flowsTotal: number;
  readonly datagrams: number;
  readonly backendDeaths: number;
  readonly pipeEndsMost: number;
  readonly rssMostBytes: number;
  readonly cpuSeconds: number;
  /** What is not as it must be, for people; empty: all is well. */
  readonly misses: readonly string[];
}

/**
 * What resident memory may have grown by: garbage that idle workers have not collected (each keeps 12 MiB of young
 * generation, src/worker/client.ts), and less than 16 bytes for each of a million flows.
 */
const growthBytesMax = 16_000_000;
/** An idle pipe is closed after 2 to 4 s (src/linux/pipe-pool.ts). */
const pipesClosedWithinMs = 5_000;
/** Loopback loses datagrams only to full buffers, and each socket here has one datagram under way. */
const lostShareMax = 0.0001;

/** Nothing moves any more, and idle pipes are closed but for Node's own. The metrics page is not asked before: its connections are descriptors, too. */
async function atRest(pinion: Pinion): Promise<Rest> {
  const others = (): Promise<number> => lower(() => descriptorKinds(pinion.pid).others);
  const descriptors = await settled('descriptors', others, 3_000);
  const pipeEnds = await settled('pipes', () => descriptorKinds(pinion.pid).pipeEnds, pipesClosedWithinMs);
  const megabytes = await settled('memory', () => Math.round(pinion.rssBytes() / 1_000_000));
  return { descriptors, pipeEnds, rssBytes: megabytes * 1_000_000 };
}

interface Progress {
  seeds: number;
  trips: number;
  roundTrips: number;
}

function jobsOf({ pinion, fates }: Stage, progress: Progress): Job[] {
  const clients = clientAddresses(1_000);
  // Nobody else gets an answer meant for a client that has vanished and whose port is drawn again.
  const vanishingClients = clientAddresses(2_000).slice(1_000);
  const pick = (from: readonly string[]): string => from[Math.floor(Math.random() * from.length)]!;
  // Datagrams of one client have numbers of their own from it on.
  const nextSeed = (): number => {
    progress.seeds += 16;
    return progress.seeds;
  };
  const streams =
    (name: string, round: (to: tcp.Connecting) => Promise<void>, pauseMs = 0): Job['round'] =>
    async (opened) => {
      const seed = nextSeed();
      const port = pinion.port(name);
      try {
        await round({ port, from: pick(clients), seed, random: Math.random, fates, opened });
      } finally {
        fates.forget(seed);
      }
      await sleep(pauseMs);
    };
  const talking = (name: string, from = clients): udp.Talking => ({
    port: pinion.port(name),
    from: pick(from),
    seed: nextSeed(),
    random: Math.random,
    answered: () => progress.roundTrips++,
  });
  const vanish = (name: string) => async (): Promise<void> => {
    await udp.vanishing(talking(name, vanishingClients));
    await sleep(5);
  };
  return [
    { name: 'short connections', lanes: 8, round: streams('steady', tcp.shortConnection) },
    { name: 'keep-alive requests', lanes: 8, round: streams('steady', tcp.keepAlive) },
    { name: 'bulk both ways', lanes: 3, round: streams('steady', tcp.echo) },
    { name: 'bulk to the backend', lanes: 2, round: streams('steady', tcp.upload) },
    { name: 'bulk to the client', lanes: 2, round: streams('steady', tcp.download) },
    { name: 'slow readers', lanes: 4, round: streams('steady', tcp.slowReader) },
    { name: 'backend ends first', lanes: 2, round: streams('steady', tcp.backendEndsFirst) },
    { name: 'backend resets', lanes: 2, round: streams('steady', tcp.backendResets) },
    { name: 'client resets', lanes: 2, round: streams('steady', tcp.clientResets) },
    { name: 'storms of 200 resets', lanes: 1, round: streams('steady', tcp.resetStorm, 500) },
    { name: 'never connected', lanes: 8, round: streams('never', tcp.neverConnected) },
    { name: 'dying: bulk both ways', lanes: 4, mayFail: true, round: streams('fragile', tcp.echo) },
    { name: 'dying: bulk to the client', lanes: 2, mayFail: true, round: streams('fragile', tcp.download) },
    {
      name: 'dying: short connections',
      lanes: 2,
      mayFail: true,
      round: streams('fragile', tcp.shortConnection, 2),
    },
    { name: 'conversations', lanes: 8, round: () => udp.conversation(talking('datagrams')) },
    { name: 'clients that vanish', lanes: 2, round: vanish('datagrams') },
    {
      name: 'every datagram size',
      lanes: 4,
      round: (_, isOver) => udp.sweep(talking('datagrams'), () => progress.trips++, isOver),
    },
    {
      name: 'dying: conversations',
      lanes: 2,
      mayFail: true,
      round: () => udp.conversation(talking('fragile-datagrams')),
    },
    { name: 'dying: clients that vanish', lanes: 1, mayFail: true, round: vanish('fragile-datagrams') },
  ];
}

/** Runs the soak; rejects only when it could not be run. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const say = options.say ?? (() => {});
  const stage = await setStage();
  const { pinion } = stage;
  const progress: Progress = { seeds: 0, trips: 0, roundTrips: 0 };
  const jobs = jobsOf(stage, progress);
  const most = { pipeEnds: 0, rssBytes: 0 };
  const sampler = setInterval(() => {
    most.pipeEnds = Math.max(most.pipeEnds, descriptorKinds(pinion.pid).pipeEnds);
    most.rssBytes = Math.max(most.rssBytes, pinion.rssBytes());
  }, 500);
  const phase = async (milliseconds: number, alsoUntil: () => boolean) => {
    const end = performance.now() + milliseconds;
    const isTimeUp = (): boolean => performance.now() >= end;
    const only = jobs.filter(({ name }) => name === 'every datagram size');
    const others = jobs.filter((job) => !only.includes(job));
    const [deaths, ...tallies] = await Promise.all([
      stage.breakBackends(isTimeUp),
      work(others, isTimeUp),
      work(only, () => isTimeUp() && alsoUntil()),
    ]);
    return { deaths, tallies: tallies.flat() };
  };
  try {
    say(`warming up for ${options.warmMs / 1000} s`);
    await phase(options.warmMs, () => true);
    const before = await atRest(pinion);
    say(`at rest: ${restText(before)}; soaking for ${options.soakMs / 1000} s`);
    progress.trips = 0;
    progress.roundTrips = 0;
    const cpuBefore = cpuMicroseconds([pinion.pid]);
    const { deaths, tallies } = await phase(
      options.soakMs,
      () => 2 * progress.roundTrips >= options.datagramsMin,
    );
    const cpuSeconds = (cpuMicroseconds([pinion.pid]) - cpuBefore) / 1e6;
    clearInterval(sampler);
    const after = await atRest(pinion);
    say(`at rest: ${restText(after)}`);
    const flowsLeft = await flowsAtRest(pinion);
    const seen = {
      tallies,
      before,
      after,
      flowsLeft,
      flowsTotal: (await pinion.metric('pinion_listener_flows_total')) ?? 0,
      datagrams: 2 * progress.roundTrips,
      backendDeaths: deaths,
      pipeEndsMost: most.pipeEnds,
      rssMostBytes: most.rssBytes,
      cpuSeconds,
    };
    return { ...seen, misses: [...missesOf(seen, options), ...logged(pinion)] };
  } finally {
    clearInterval(sampler);
    await stage.close();
  }
}

async function flowsAtRest(pinion: Pinion): Promise<number> {
  try {
    await eventually('no flow', async () => (await pinion.metric('pinion_flows')) === 0, 10_000);
    return 0;
  } catch {
    return (await pinion.metric('pinion_flows')) ?? Number.NaN;
  }
}

/** Faults pinion itself spoke of. */
function logged(pinion: Pinion): string[] {
  return ['flow-fault', 'worker-died', 'failed'].flatMap((event) => {
    const { length } = pinion.events(event);
    return length === 0 ? [] : [`pinion logged ${event} ${length} times`];
  });
}

function missesOf(seen: Omit<SoakResult, 'misses'>, options: SoakOptions): string[] {
  const misses: string[] = [];
  const { before, after } = seen;
  for (const { name, mayFail, done, failed, lost, wrong, reasons } of seen.tallies) {
    const why = reasons.join('; ');
    if (wrong > 0) misses.push(`${name}: ${wrong} wrong payloads (${why})`);
    if (failed > 0 && !mayFail) misses.push(`${name}: ${failed} failures (${why})`);
    if (lost > lostShareMax * seen.datagrams && !mayFail)
      misses.push(`${name}: ${lost} datagrams lost (${why})`);
    if (done === 0) misses.push(`${name}: nothing was done`);
  }
  if (after.descriptors !== before.descriptors)
    misses.push(`descriptors: ${before.descriptors} before, ${after.descriptors} after`);
  if (after.pipeEnds !== before.pipeEnds)
    misses.push(`pipe ends: ${before.pipeEnds} before, ${after.pipeEnds} after`);
  if (after.rssBytes - before.rssBytes > growthBytesMax)
    misses.push(`memory: ${before.rssBytes} bytes before, ${after.rssBytes} after`);
  if (seen.flowsLeft !== 0) misses.push(`${seen.flowsLeft} flows left`);
  if (seen.datagrams < options.datagramsMin) misses.push(`only ${seen.datagrams} datagrams`);
  return misses;
}

export function restText({ descriptors, pipeEnds, rssBytes }: Rest): string {
  return `${descriptors} descriptors and ${pipeEnds} pipe ends, ${Math.round(rssBytes / 1e6)} MB resident`;
}
