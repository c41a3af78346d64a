/**
 * The real store: requests of shards as commands to Redis. It only translates; when to ask, and what an error
 * means, is decided by its callers. Two connections, because a reader that waits for news would make everybody wait.
 */
import { type ChainableCommander, Cluster, type Redis } from 'ioredis';
import type { ClusterPlan } from '../../core/cluster-plan.ts';
import { connectRedis, isUsable, type RedisConnection } from './connect.ts';
import { beatsPerFlowTable } from './flow-table.ts';
import { toPosition } from './position.ts';
import { RedisKeys } from './redis-keys.ts';
import { applyScript, beatScript, pulseScript, readScript } from './scripts.ts';
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

type Script = (keys: number, ...rest: readonly (string | number)[]) => Promise<unknown>;
interface Scripts {
  readonly pinionPulse: Script;
  readonly pinionApply: Script;
  readonly pinionRead: Script;
  readonly pinionBeat: Script;
}

/** How long one wait for news takes at most; a stopped instance leaves within this. */
export const blockMs = 500;
/** A Redis Cluster cannot wait for several slots in one command, so there the streams are asked this often. */
const pollMs = 20;
/** Entries of each stream in one answer. */
const entriesPerAnswer = 8;
const scanCount = 1_000;

export class RedisStore implements ClusterStore {
  readonly keys: RedisKeys;
  readonly command: RedisConnection;
  readonly follower: RedisConnection;
  private readonly plan: ClusterPlan;
  private readonly scripts: Scripts;
  private readonly streamShards: ReadonlyMap<string, number>;

  /** @throws Error when a file of the plan (password, certificate) cannot be read */
  constructor(plan: ClusterPlan) {
    this.plan = plan;
    this.keys = new RedisKeys(plan.name, plan.instance, plan.shards);
    const shards = Array.from({ length: plan.shards }, (_, shard) => shard);
    this.streamShards = new Map(shards.map((shard) => [this.keys.stream(shard), shard]));
    this.command = connectRedis(plan.redis, 0);
    this.follower = connectRedis(plan.redis, blockMs);
    this.command.defineCommand('pinionPulse', { lua: pulseScript });
    this.command.defineCommand('pinionApply', { lua: applyScript });
    this.command.defineCommand('pinionRead', { lua: readScript });
    this.command.defineCommand('pinionBeat', { lua: beatScript });
    this.scripts = this.command as unknown as Scripts;
  }

  get isConnected(): boolean {
    return isUsable(this.command);
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
    const reply = await this.scripts.pinionPulse(3, ...where, token, incarnation, plan.leaseMs, epoch, mode);
    const [word, first, second] = strings(reply);
    if (word === 'FENCED') return { kind: 'fenced', holder: first ?? '' };
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
    const words: (string | number)[] = [keys.stream(shard), keys.head(shard), keys.lease(shard)];
    for (const step of steps) words.push(base + step.text);
    words.push(token, epoch, entriesMax, plan.instance, base.length, formatSteps(steps));
    const reply = strings(await this.scripts.pinionApply(steps.length + 3, ...words));
    if (reply[0] === 'FENCED') return { kind: 'fenced', holder: reply[1] ?? '' };
    const [, headEpoch = '', last = '', added] = reply;
    return {
      kind: 'ok',
      epoch: headEpoch,
      last: toPosition(last),
      added: added === '1',
      verdicts: reply.slice(4).map(parseVerdict),
    };
  }

  async read(shard: number, texts: readonly string[]): Promise<ReadReply> {
    const { keys } = this;
    const base = keys.pinBase(shard);
    const where = [keys.stream(shard), keys.head(shard), ...texts.map((text) => base + text)];
    const [epoch = '', last = '', ...values] = strings(await this.scripts.pinionRead(where.length, ...where));
    return {
      epoch,
      last: toPosition(last),
      pins: texts.map((text, index) => ({ text, ...parseTimed(values[index] ?? '') })),
    };
  }

  async entries(shard: number, position: string): Promise<readonly StreamEntry[]> {
    const key = this.keys.stream(shard);
    const reply = await this.command.xread('COUNT', entriesPerAnswer * 4, 'STREAMS', key, position);
    return parseStreams(reply).get(key) ?? [];
  }

  /** Waits for entries after the cursors given, for at most {@link blockMs}. */
  async follow(cursors: ReadonlyMap<number, string>): Promise<ReadonlyMap<number, readonly StreamEntry[]>> {
    if (this.follower instanceof Cluster) return this.followEach(cursors);
    const keys = [...cursors.keys()].map((shard) => this.keys.stream(shard));
    const where = [...keys, ...cursors.values()];
    try {
      return this.collect(
        await this.follower.xread('COUNT', entriesPerAnswer, 'BLOCK', blockMs, 'STREAMS', ...where),
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
      [...cursors].map(([shard, cursor]) =>
        this.follower.xread('COUNT', entriesPerAnswer, 'STREAMS', this.keys.stream(shard), cursor),
      ),
    );
    const failure = replies.find((reply) => reply.status === 'rejected');
    if (failure !== undefined && replies.every((reply) => reply.status === 'rejected')) throw failure.reason;
    return this.collect(
      replies.flatMap((reply) => (reply.status === 'fulfilled' ? (reply.value ?? []) : [])),
    );
  }

  /** The keys of all pins, a few hundred at a time, by shard. A key may come twice, and one made meanwhile not at all. */
  async *scan(): AsyncGenerator<Map<number, string[]>, void, undefined> {
    const nodes = this.command instanceof Cluster ? this.command.nodes('master') : [this.command];
    let failure: unknown;
    for (const node of nodes) {
      try {
        for await (const keys of this.scanNode(node)) yield this.byShard(keys);
      } catch (error) {
        // One node of a Redis Cluster that is down must not keep us from what the others have.
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  private async *scanNode(node: Pick<Redis, 'scan'>): AsyncGenerator<string[], void, undefined> {
    const ask = (cursor: string): Promise<[string, string[]]> => {
      const page = node.scan(cursor, 'MATCH', this.keys.pinPattern, 'COUNT', scanCount);
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
    const [found = '', ...rest] = strings(await this.scripts.pinionBeat(where.length, ...where, ...words));
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
    const pipeline = this.command.pipeline();
    pipeline.set(keys.of('instance', instance), member, 'PX', plan.leaseMs);
    pipeline.del(keys.of('counts', instance));
    pipeline.del(keys.of('flows', instance));
    await finish(pipeline);
  }

  /**
   * Changes this instance's rows of the connection table and prolongs their lease, which must last until they are told of
   * the next time. @returns false if there were none
   */
  async putFlows(set: ReadonlyMap<string, string>, gone: readonly string[]): Promise<boolean> {
    const { instance, leaseMs, heartbeatMs } = this.plan;
    const key = this.keys.of('flows', instance);
    const lastMs = leaseMs + beatsPerFlowTable * heartbeatMs;
    const pipeline = this.command.pipeline();
    // Before the rows are set: that would make a key that was gone anew, with these alone.
    pipeline.pexpire(key, lastMs);
    if (set.size > 0) pipeline.hset(key, ...[...set].flat());
    if (gone.length > 0) pipeline.hdel(key, ...gone);
    pipeline.pexpire(key, lastMs);
    const [wereThere] = await finish(pipeline);
    return wereThere === 1;
  }

  async dropFlows(): Promise<void> {
    await this.command.del(this.keys.of('flows', this.plan.instance));
  }

  /** Rows of an instance's connection table, at most about `max`. */
  async flows(instance: string, max: number): Promise<string[]> {
    const key = this.keys.of('flows', instance);
    const rows: string[] = [];
    let cursor = '0';
    do {
      const [next, pairs] = await this.command.hscan(key, cursor, 'COUNT', scanCount);
      cursor = next;
      for (let i = 1; i < pairs.length; i += 2) rows.push(pairs[i]!);
    } while (cursor !== '0' && rows.length < max);
    return rows.slice(0, max);
  }

  /**
   * For a reader that hears nothing though there is news: it may listen to a server that is no longer the one. One that is
   * on its way back already is left alone: ioredis (6.0) gives a connection up for good when it is told to
   * reconnect while it asks the Sentinels where to.
   */
  reconnectFollower(): void {
    // Never a Redis Cluster as a whole: while all its nodes are on their way back it waits for a node to close, for ever.
    const nodes = this.follower instanceof Cluster ? this.follower.nodes('all') : [this.follower];
    for (const node of nodes) if (node.status === 'ready') node.disconnect(true);
  }

  close(): void {
    this.command.disconnect();
    this.follower.disconnect();
  }

  private collect(reply: unknown): Map<number, readonly StreamEntry[]> {
    const found = new Map<number, readonly StreamEntry[]>();
    for (const [key, entries] of parseStreams(reply)) {
      const shard = this.streamShards.get(key);
      if (shard !== undefined) found.set(shard, entries);
    }
    return found;
  }
}

/** A reply of a script, all of whose items are texts; what is not, is ''. */
function strings(reply: unknown): string[] {
  if (!Array.isArray(reply)) throw new Error('an answer of Redis that is not a list');
  return reply.map((item) => (typeof item === 'string' ? item : ''));
}

async function finish(pipeline: ChainableCommander): Promise<unknown[]> {
  const replies = (await pipeline.exec()) ?? [];
  const failure = replies.find(([error]) => error !== null)?.[0];
  if (failure) throw failure;
  return replies.map(([, reply]) => reply);
}
