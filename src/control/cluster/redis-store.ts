/**
 * The real store: requests of shards as commands to Redis. It only translates; when to ask, and what an error
 * means, is decided by its callers. Two connections, because a reader that waits for news would make everybody wait.
 */
import type { Redis } from 'ioredis';
import type { ClusterPlan } from '../../core/cluster-plan.ts';
import { redisRepliesBytesMax } from '../../core/limits.ts';
import { connectRedis } from './connect.ts';
import { FaultError } from './errors.ts';
import { beatsPerFlowTable } from './flow-table.ts';
import { toPosition } from './position.ts';
import type { RedisLink } from './redis/link.ts';
import type { RedisNode } from './redis/node.ts';
import { ReplyBudget } from './redis/reply-guard.ts';
import { RedisKeys } from './redis-keys.ts';
import { applyScript, beatScript, pulseScript, readScript, type Script } from './scripts.ts';
import type {
  ApplyReply,
  ClusterStore,
  Fenced,
  MemberRow,
  PinStep,
  PulseMode,
  PulseReply,
  ReadReply,
  StreamEntry,
} from './store.ts';
import { formatSteps, parseStreams, parseTimed, parseVerdict } from './stream-text.ts';

/** How long one wait for news takes at most; a stopped instance leaves within this. */
export const blockMs = 500;
/** A Redis Cluster cannot wait for several slots in one command, so there the streams are asked this often. */
const pollMs = 20;
/** Entries of each stream in one answer. */
const entriesPerAnswer = 8;
const scanCount = 1_000;

export class RedisStore implements ClusterStore {
  readonly keys: RedisKeys;
  readonly command: RedisLink;
  readonly follower: RedisLink;
  private readonly plan: ClusterPlan;
  private readonly streamShards: ReadonlyMap<string, number>;

  constructor(plan: ClusterPlan) {
    this.plan = plan;
    this.keys = new RedisKeys(plan.name, plan.instance, plan.shards);
    const shards = Array.from({ length: plan.shards }, (_, shard) => shard);
    this.streamShards = new Map(shards.map((shard) => [this.keys.stream(shard), shard]));
    const keys = [...this.streamShards.keys(), this.keys.members];
    const budget = new ReplyBudget(redisRepliesBytesMax);
    this.command = connectRedis(plan.redis, { keys, budget });
    this.follower = connectRedis(plan.redis, { keys, budget, blockMs });
  }

  get isConnected(): boolean {
    return this.command.isUsable;
  }

  async pulse(
    shard: number,
    token: string,
    incarnation: string,
    epoch: string,
    mode: PulseMode,
  ): Promise<PulseReply | Fenced> {
    const { keys, plan } = this;
    const where = [keys.stream(shard), keys.head(shard), keys.lease(shard)];
    const words = [token, incarnation, plan.leaseMs, epoch, mode];
    const [first, second] = await this.decide(pulseScript, where, words);
    if (second === undefined) return { kind: 'fenced', holder: first ?? '' };
    return { kind: 'ok', epoch: first ?? '', last: toPosition(second ?? '') };
  }

  async apply(
    shard: number,
    token: string,
    epoch: string,
    entriesMax: number,
    steps: readonly PinStep[],
  ): Promise<ApplyReply | Fenced> {
    const { keys, plan } = this;
    const base = keys.pinBase(shard);
    const where = [keys.stream(shard), keys.head(shard), keys.lease(shard)];
    for (const step of steps) where.push(base + step.text);
    const words = [token, epoch, entriesMax, plan.instance, base.length, formatSteps(steps)];
    const reply = await this.decide(applyScript, where, words);
    const [headEpoch = '', last, added] = reply;
    if (last === undefined) return { kind: 'fenced', holder: headEpoch };
    return {
      kind: 'ok',
      epoch: headEpoch,
      last: toPosition(last),
      added: added === '1',
      verdicts: reply.slice(3).map(parseVerdict),
    };
  }

  async read(shard: number, texts: readonly string[]): Promise<ReadReply> {
    const { keys } = this;
    const base = keys.pinBase(shard);
    const where = [keys.stream(shard), keys.head(shard), ...texts.map((text) => base + text)];
    const [epoch = '', last = '', ...values] = strings(await this.run(readScript, where, []));
    return {
      epoch,
      last: toPosition(last),
      pins: texts.map((text, index) => ({ text, ...parseTimed(values[index] ?? '') })),
    };
  }

  async entries(shard: number, position: string): Promise<readonly StreamEntry[]> {
    const key = this.keys.stream(shard);
    const reply = await this.command.ask(key, (redis) =>
      redis.xread('COUNT', entriesPerAnswer * 4, 'STREAMS', key, position),
    );
    return parseStreams(reply).get(key) ?? [];
  }

  /** Waits for entries after the cursors given, for at most {@link blockMs}. */
  async follow(cursors: ReadonlyMap<number, string>): Promise<ReadonlyMap<number, readonly StreamEntry[]>> {
    if (!this.follower.isOne) return this.followEach(cursors);
    const keys = [...cursors.keys()].map((shard) => this.keys.stream(shard));
    const where = [...keys, ...cursors.values()];
    try {
      return this.collect(
        await this.follower.ask(keys[0]!, (redis) =>
          redis.xread('COUNT', entriesPerAnswer, 'BLOCK', blockMs, 'STREAMS', ...where),
        ),
      );
    } catch (error) {
      // One key that is no stream must not keep us from the others. The next beat puts it right.
      if (!String(error).includes('WRONGTYPE')) throw error;
      return this.followEach(cursors);
    }
  }

  /** Each stream by itself, and without waiting for entries. */
  private async followEach(
    cursors: ReadonlyMap<number, string>,
  ): Promise<ReadonlyMap<number, readonly StreamEntry[]>> {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    const replies = await Promise.allSettled(
      [...cursors].map(([shard, cursor]) => {
        const key = this.keys.stream(shard);
        return this.follower.ask(key, (redis) =>
          redis.xread('COUNT', entriesPerAnswer, 'STREAMS', key, cursor),
        );
      }),
    );
    const failure = replies.find((reply) => reply.status === 'rejected');
    if (failure !== undefined && replies.every((reply) => reply.status === 'rejected')) throw failure.reason;
    return this.collect(
      replies.flatMap((reply) => (reply.status === 'fulfilled' ? (reply.value ?? []) : [])),
    );
  }

  /** The keys of all pins, a few hundred at a time, by shard. A key may come twice, and one made meanwhile not at all. */
  async *scan(): AsyncGenerator<Map<number, string[]>, void, undefined> {
    let failure: unknown;
    for (const node of this.command.primaries()) {
      try {
        await node.untilUsable(this.plan.redis.connectTimeoutMs);
        for await (const keys of this.scanNode(node)) yield this.byShard(keys);
      } catch (error) {
        // One node of a Redis Cluster that is down must not keep us from what the others have.
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  private async *scanNode(node: RedisNode): AsyncGenerator<string[], void, undefined> {
    const ask = (cursor: string): Promise<[string, string[]]> => {
      const page = node.ask((redis) => redis.scan(cursor, 'MATCH', this.keys.pinPattern, 'COUNT', scanCount));
      // Asked for ahead of time: when the reader gives up meanwhile, nobody hears of its failure.
      page.catch(() => {});
      return page;
    };
    let page: Promise<[string, string[]]> | undefined = ask('0');
    while (page !== undefined) {
      const [next, keys]: [string, string[]] = await page;
      page = next === '0' ? undefined : ask(next);
      yield keys;
    }
  }

  private byShard(keys: readonly string[]): Map<number, string[]> {
    const shards = new Map<number, string[]>();
    for (const key of keys) {
      const pin = this.keys.parsePin(key);
      if (pin === undefined) continue;
      const texts = shards.get(pin.shard);
      if (texts === undefined) shards.set(pin.shard, [pin.text]);
      else texts.push(pin.text);
    }
    return shards;
  }

  /** "I am here", and who else is. `layout` is what the first instance of the cluster wrote down. */
  async beat(member: string, counts: string, layout: string): Promise<{ layout: string; rows: MemberRow[] }> {
    const { keys, plan } = this;
    const own = [keys.of('instance', plan.instance), keys.of('counts', plan.instance)];
    const where = [keys.members, keys.layout, ...own];
    const words = [plan.instance, plan.leaseMs, member, counts, keys.common, layout];
    const [found = '', ...rest] = strings(await this.run(beatScript, where, words));
    const rows: MemberRow[] = [];
    for (let i = 0; i + 2 < rest.length; i += 3) {
      rows.push({ instance: rest[i]!, member: rest[i + 1]!, counts: rest[i + 2]! });
    }
    return { layout: found, rows };
  }

  /** Leaves without waiting for the lease: `member` says so until then, counts and flows go at once. */
  async leave(member: string): Promise<void> {
    const { keys, plan } = this;
    const { instance } = plan;
    const own = keys.of('instance', instance);
    await allOf<unknown>([
      this.command.ask(own, (redis) => redis.set(own, member, 'PX', plan.leaseMs)),
      this.drop(keys.of('counts', instance)),
      this.drop(keys.of('flows', instance)),
    ]);
  }

  /**
   * Changes this instance's rows of the connection table and prolongs their lease, which must last until they are told of
   * the next time. @returns false if there were none
   */
  async putFlows(set: ReadonlyMap<string, string>, gone: readonly string[]): Promise<boolean> {
    const { instance, leaseMs, heartbeatMs } = this.plan;
    const key = this.keys.of('flows', instance);
    const lastMs = leaseMs + beatsPerFlowTable * heartbeatMs;
    const ask = (command: (redis: Redis) => Promise<number>): Promise<number> =>
      this.command.ask(key, command);
    // All at once, and Redis takes them in this order. It looks whether the rows were there before new ones are set: these
    // would make a key that was gone anew, with these alone.
    const [wereThere] = await allOf([
      ask((redis) => redis.pexpire(key, lastMs)),
      ...(set.size > 0 ? [ask((redis) => redis.hset(key, ...[...set].flat()))] : []),
      ...(gone.length > 0 ? [ask((redis) => redis.hdel(key, ...gone))] : []),
      ask((redis) => redis.pexpire(key, lastMs)),
    ]);
    return wereThere === 1;
  }

  async dropFlows(): Promise<void> {
    await this.drop(this.keys.of('flows', this.plan.instance));
  }

  private drop(key: string): Promise<number> {
    return this.command.ask(key, (redis) => redis.del(key));
  }

  /** Rows of an instance's connection table, at most about `max`. */
  async flows(instance: string, max: number): Promise<string[]> {
    const key = this.keys.of('flows', instance);
    const rows: string[] = [];
    let cursor = '0';
    do {
      const [next, pairs] = await this.command.ask(key, (redis) =>
        redis.hscan(key, cursor, 'COUNT', scanCount),
      );
      cursor = next;
      for (let i = 1; i < pairs.length; i += 2) rows.push(pairs[i]!);
    } while (cursor !== '0' && rows.length < max);
    return rows.slice(0, max);
  }

  /** For a reader that hears nothing though there is news: it may listen to a server that is no longer the one. */
  reconnectFollower(): void {
    this.follower.reconnect();
  }

  close(): void {
    this.command.close();
    this.follower.close();
  }

  private collect(reply: unknown): Map<number, readonly StreamEntry[]> {
    const found = new Map<number, readonly StreamEntry[]>();
    for (const [key, entries] of parseStreams(reply)) {
      const shard = this.streamShards.get(key);
      if (shard !== undefined) found.set(shard, entries);
    }
    return found;
  }

  /** Runs a script that begins its answer with OK, or with FENCED and one more word. @returns what follows, or that word */
  private async decide(
    script: Script,
    keys: readonly string[],
    words: readonly (string | number)[],
  ): Promise<string[]> {
    const [verdict, ...rest] = strings(await this.run(script, keys, words));
    if (verdict === 'OK' && rest.length >= 2) return rest;
    if (verdict === 'FENCED') return rest.slice(0, 1);
    throw new FaultError('protocol', 'Redis answered a script with what it does not return');
  }

  /** Runs a script where its first key is. */
  private async run(
    { lua, sha }: Script,
    keys: readonly string[],
    words: readonly (string | number)[],
  ): Promise<unknown> {
    const key = keys[0]!;
    try {
      return await this.command.ask(key, (redis) => redis.evalsha(sha, keys.length, ...keys, ...words));
    } catch (error) {
      // Redis was started anew, its scripts were dropped, or this node of a Redis Cluster has not met it yet.
      if (!String(error).includes('NOSCRIPT')) throw error;
      return this.command.ask(key, (redis) => redis.eval(lua, keys.length, ...keys, ...words));
    }
  }
}

/** A reply of a script, all of whose items are texts; what is not, is ''. */
function strings(reply: unknown): string[] {
  if (!Array.isArray(reply))
    throw new FaultError('protocol', 'Redis answered a script with what is not a list');
  return reply.map((item) => (typeof item === 'string' ? item : ''));
}

/** The answers to commands sent together, once all have one; rejects like the first that failed. */
async function allOf<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(answers);
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}
