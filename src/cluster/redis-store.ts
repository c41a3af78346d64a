/**
 * The real store: requests of shards as commands to Redis. It only translates; when to ask, and what an error
 * means, is decided by its callers. Two connections, because a reader that waits for news would make everybody wait.
 */
import type { Redis } from 'ioredis';
import type { ClusterPlan } from '../core/cluster-plan.ts';
import {
  flowRowBytesMax,
  killsToldMax,
  killToldMs,
  memberBytesMax,
  memberCountsBytesMax,
  membersAnswerBytesMax,
  membersMax,
  operatorWordKeptMs,
  operatorWordsBytesMax,
  operatorWordsMax,
  redisKeyBytesMax,
  redisRepliesBytesMax,
} from '../core/limits.ts';
import { connectRedis } from './connect.ts';
import { FaultError } from './errors.ts';
import { beatsPerFlowTable } from './flow-table.ts';
import { toPosition } from './position.ts';
import type { RedisLink } from './redis/link.ts';
import type { RedisNode } from './redis/node.ts';
import { ReplyBudget } from './redis/reply-guard.ts';
import { keySlot } from './redis/slots.ts';
import { RedisKeys } from './redis-keys.ts';
import {
  applyScript,
  beatScript,
  flowsScript,
  keysScript,
  killsScript,
  pulseScript,
  putWordScript,
  readScript,
  type Script,
  tellKillScript,
  wordsScript,
} from './scripts.ts';
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
import type { ToldKill } from './told-kills.ts';

/** How long one wait for news takes at most; a stopped instance leaves within this. */
const blockMs = 500;
/** A Redis Cluster cannot wait for several slots in one command, so there the streams are asked this often. */
const pollMs = 20;
/** Entries of all streams in one answer; at least one of each. */
const entriesPerAnswer = 128;
/** Entries of one stream that is read by itself. */
const entriesOfOne = 32;
/** After an answer that was too large, the streams are read one by one for this long. */
const carefulMs = 60_000;
const scanCount = 1_000;
/** Pages of a connection table, which has some ten rows in each. */
const flowPagesMax = 1_000;

export class RedisStore implements ClusterStore {
  readonly keys: RedisKeys;
  readonly command: RedisLink;
  readonly follower: RedisLink;
  private readonly plan: ClusterPlan;
  private readonly streamShards: ReadonlyMap<string, number>;
  private readonly ignored: (fault: FaultError) => void;
  private carefulUntilMs = 0;
  /** Some key in Redis is too long for the answer to SCAN. */
  private scansCarefully = false;

  /** @param ignored told of what was too large to be ours and left out */
  constructor(plan: ClusterPlan, ignored: (fault: FaultError) => void = () => {}) {
    this.plan = plan;
    this.ignored = ignored;
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
    if (reply.length !== steps.length + 3)
      throw new FaultError('protocol', 'Redis decided about other steps than it was asked to');
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
    const isRead = (reply: readonly string[]): boolean =>
      reply.length === texts.length + 2 && looksLikePosition(reply[1]);
    const where = [keys.stream(shard), keys.head(shard), ...texts.map((text) => base + text)];
    const [epoch = '', last = '', ...values] = await this.run(readScript, where, [], isRead);
    return {
      epoch,
      last: toPosition(last),
      pins: texts.map((text, index) => ({ text, ...parseTimed(values[index] ?? '') })),
    };
  }

  entries(shard: number, position: string): Promise<readonly StreamEntry[]> {
    return this.readStream(this.command, shard, position);
  }

  /** Waits for entries after the cursors given, for at most {@link blockMs}. */
  async follow(cursors: ReadonlyMap<number, string>): Promise<ReadonlyMap<number, readonly StreamEntry[]>> {
    const isCareful = performance.now() < this.carefulUntilMs;
    if (isCareful || !this.follower.isOne) return this.followEach(cursors);
    const keys = [...cursors.keys()].map((shard) => this.keys.stream(shard));
    const where = [...keys, ...cursors.values()];
    const count = Math.max(1, Math.floor(entriesPerAnswer / keys.length));
    try {
      return this.collect(
        await this.follower.ask(keys[0]!, async (redis) =>
          this.streamsOf(await redis.xread('COUNT', count, 'BLOCK', blockMs, 'STREAMS', ...where)),
        ),
      );
    } catch (error) {
      this.noteLarge(error);
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
    const found = new Map<number, readonly StreamEntry[]>();
    let failure: unknown;
    let answers = 0;
    const reads = [...cursors].map(async ([shard, cursor]) => {
      const entries = await this.readStream(this.follower, shard, cursor);
      if (entries.length > 0) found.set(shard, entries);
      answers++;
    });
    for (const read of await Promise.allSettled(reads)) if (read.status === 'rejected') failure = read.reason;
    if (answers === 0 && failure !== undefined) throw failure;
    return found;
  }

  private async readStream(link: RedisLink, shard: number, cursor: string): Promise<readonly StreamEntry[]> {
    const key = this.keys.stream(shard);
    try {
      const streams = await link.ask(key, async (redis) =>
        this.streamsOf(await redis.xread('COUNT', entriesOfOne, 'STREAMS', key, cursor)),
      );
      return streams.get(key) ?? [];
    } catch (error) {
      if (isTooLarge(error)) await this.dropStream(key);
      throw error;
    }
  }

  /** What XREAD brings cannot be cut. A stream that is not only ours goes, and the keys are read again by all. */
  private async dropStream(key: string): Promise<void> {
    this.ignore(`${key} in Redis has entries that are larger than all that is asked for`);
    // The connection that brought it is on its way back.
    for (const node of this.command.primaries()) await node.untilUsable(this.plan.redis.connectTimeoutMs);
    await this.drop(key);
  }

  /** Reading several streams at once does not tell which one it was. */
  private noteLarge(error: unknown): void {
    if (isTooLarge(error)) this.carefulUntilMs = performance.now() + carefulMs;
  }

  private ignore(what: string): void {
    this.ignored(new FaultError('too-large', `${what}: ignored, and nobody of this cluster wrote it`));
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

  /** Tells of each shard that is seen to have gone to another node of a Redis Cluster, until what it returns is called. */
  whenMoved(heard: (shard: number) => void): () => void {
    const told = (slot: number): void => {
      for (const [key, shard] of this.streamShards) if (keySlot(key) === slot) heard(shard);
    };
    this.command.on('moved', told);
    return () => this.command.off('moved', told);
  }

  private async *scanNode(node: RedisNode): AsyncGenerator<string[], void, undefined> {
    const ask = (cursor: string): Promise<[string, string[]]> => {
      const page = this.scanPage(node, cursor);
      // Asked for ahead of time: when the reader gives up meanwhile, nobody hears of its failure.
      page.catch(() => {});
      return page;
    };
    let cursor = '0';
    let page: Promise<[string, string[]]> | undefined = ask(cursor);
    while (page !== undefined) {
      const [next, keys]: [string, string[]] = await page;
      if (next !== '0' && next === cursor)
        throw new FaultError('protocol', `${node.where}: SCAN goes in a circle`);
      cursor = next;
      page = next === '0' ? undefined : ask(next);
      yield keys;
    }
  }

  private async scanPage(node: RedisNode, cursor: string): Promise<[next: string, keys: string[]]> {
    const { pinPattern } = this.keys;
    if (this.scansCarefully) {
      const words = [cursor, pinPattern, scanCount, redisKeyBytesMax];
      const [next = '', tooLong, ...keys] = await node.ask(async (redis) => {
        const page = strings(await redis.eval(keysScript.lua, 0, ...words));
        if (isPage(page)) return page;
        throw new FaultError('protocol', `${node.where} answered a script with what it does not return`);
      });
      if (tooLong !== '0') this.ignore(`${tooLong} keys in Redis are longer than ${redisKeyBytesMax} bytes`);
      return [next, keys];
    }
    try {
      return await node.ask(async (redis) => {
        const page: unknown = await redis.scan(cursor, 'MATCH', pinPattern, 'COUNT', scanCount);
        const [next, keys] = Array.isArray(page) ? page : [];
        if (typeof next === 'string' && Array.isArray(keys)) return [next, strings(keys)];
        throw new FaultError('protocol', `${node.where} answered SCAN with what it does not return`);
      });
    } catch (error) {
      if (isTooLarge(error)) this.scansCarefully = true;
      throw error;
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
    const bounds = [membersMax, memberBytesMax, memberCountsBytesMax, membersAnswerBytesMax];
    const words = [plan.instance, plan.leaseMs, member, counts, keys.common, layout, ...bounds];
    const [found = '', tooLong, ...rest] = await this.run(
      beatScript,
      where,
      words,
      (reply) => isCount(reply[1]) && reply.length % 3 === 2,
    );
    if (tooLong !== '0') this.ignore(`${tooLong} of the instances in Redis said more than an instance says`);
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

  /** Writes an operator's word down. @returns false: a newer one stands */
  async putWord(name: string, word: string, latestMs: number): Promise<boolean> {
    const { keys } = this;
    const [stands] = await this.run(
      putWordScript,
      [keys.words, keys.word(name)],
      [name, word, latestMs, operatorWordKeptMs],
      (reply) => isCount(reply[0]),
    );
    return stands === '1';
  }

  /** What operators have said for this instance or for all: name and word. */
  async words(): Promise<readonly (readonly [name: string, word: string])[]> {
    const { keys, plan } = this;
    const [removed, ...found] = await this.run(
      wordsScript,
      [keys.words],
      [
        keys.word(''),
        plan.instance,
        operatorWordsMax,
        operatorWordsBytesMax,
        operatorWordKeptMs,
        Math.random(),
      ],
      (reply) => isCount(reply[0]) && reply.length % 2 === 1,
    );
    if (removed !== '0') this.ignore(`${removed} of the operators' words in Redis are none`);
    const words: [string, string][] = [];
    for (let i = 0; i + 1 < found.length; i += 2) words.push([found[i]!, found[i + 1]!]);
    return words;
  }

  /** An order to end flows, for those who look within half a minute. @returns false: there are too many */
  async tellKill(id: string, text: string): Promise<boolean> {
    const { keys } = this;
    const [isTaken] = await this.run(
      tellKillScript,
      [keys.kills, keys.kill(id)],
      [id, text, killToldMs, killsToldMax, keys.kill('')],
      (reply) => isCount(reply[0]),
    );
    return isTaken === '1';
  }

  async kills(): Promise<readonly ToldKill[]> {
    const { keys } = this;
    const isAnswer = (reply: readonly string[]): boolean =>
      reply.length % 3 === 0 && reply.length <= 3 * killsToldMax;
    const found = await this.run(killsScript, [keys.kills], [keys.kill(''), killsToldMax], isAnswer);
    const kills: ToldKill[] = [];
    for (let i = 0; i + 2 < found.length; i += 3) {
      const ageMs = Math.min(killToldMs, Math.max(0, killToldMs - Number(found[i + 1])));
      if (Number.isFinite(ageMs)) kills.push({ id: found[i]!, text: found[i + 2]!, ageMs });
    }
    return kills;
  }

  private drop(key: string): Promise<number> {
    return this.command.ask(key, (redis) => redis.del(key));
  }

  /** Rows of an instance's connection table, at most `max`, and no page of them after `untilMs` (performance.now). */
  async flows(instance: string, max: number, untilMs: number): Promise<string[]> {
    const key = this.keys.of('flows', instance);
    const rows: string[] = [];
    let cursor = '0';
    for (let pages = 0; pages < flowPagesMax && rows.length < max; pages++) {
      if (performance.now() >= untilMs) break;
      const words = [cursor, scanCount, flowRowBytesMax];
      const [next = '', tooLong, ...found] = await this.run(flowsScript, [key], words, isPage);
      if (tooLong !== '0') this.ignore(`${tooLong} rows of ${key} are longer than ${flowRowBytesMax} bytes`);
      rows.push(...found);
      cursor = next;
      if (cursor === '0') break;
    }
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

  /** The streams of an answer to XREAD; nothing is an answer, too. */
  private streamsOf(reply: unknown): Map<string, StreamEntry[]> {
    if (reply !== null && !Array.isArray(reply))
      throw new FaultError('protocol', 'Redis answered XREAD with what it does not return');
    const leftOut = { lines: 0 };
    const streams = parseStreams(reply, leftOut);
    if (leftOut.lines > 0) this.ignore(`${leftOut.lines} changes of pins in a stream have too long a text`);
    return streams;
  }

  private collect(streams: ReadonlyMap<string, StreamEntry[]>): Map<number, readonly StreamEntry[]> {
    const found = new Map<number, readonly StreamEntry[]>();
    for (const [key, entries] of streams) {
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
    const isDecision = ([word, ...rest]: readonly string[]): boolean =>
      word === 'FENCED' ? rest.length === 1 : word === 'OK' && rest.length >= 2 && looksLikePosition(rest[1]);
    return (await this.run(script, keys, words, isDecision)).slice(1);
  }

  /** Runs a script where its first key is. An answer that is not `expected` costs the connection. */
  private async run(
    { lua, sha }: Script,
    keys: readonly string[],
    words: readonly (string | number)[],
    expected: (reply: readonly string[]) => boolean,
  ): Promise<string[]> {
    const key = keys[0]!;
    const read = (reply: unknown): string[] => {
      const texts = strings(reply);
      if (expected(texts)) return texts;
      throw new FaultError('protocol', 'Redis answered a script with what it does not return');
    };
    try {
      return await this.command.ask(key, async (redis) =>
        read(await redis.evalsha(sha, keys.length, ...keys, ...words)),
      );
    } catch (error) {
      // Redis was started anew, its scripts were dropped, or this node of a Redis Cluster has not met it yet.
      if (!String(error).includes('NOSCRIPT')) throw error;
      return this.command.ask(key, async (redis) =>
        read(await redis.eval(lua, keys.length, ...keys, ...words)),
      );
    }
  }
}

/** What the scripts take for one: somebody may have written what is too large for a position. */
const looksLikePosition = (text: string | undefined): boolean => /^\d+-\d+$/.test(text ?? '');
const isCount = (text: string | undefined): boolean => /^\d{1,20}$/.test(text ?? '');

/** A cursor, and how many were left out. */
const isPage = (reply: readonly string[]): boolean => isCount(reply[0]) && isCount(reply[1]);

/** A list, all of whose items are texts; what is not, is ''. */
function strings(reply: unknown): string[] {
  if (!Array.isArray(reply)) throw new FaultError('protocol', 'Redis answered with what is not a list');
  return reply.map((item) => (typeof item === 'string' ? item : ''));
}

function isTooLarge(error: unknown): boolean {
  return error instanceof FaultError && error.fault === 'too-large';
}

/** The answers to commands sent together, once all have one; rejects like the first that failed. */
async function allOf<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(answers);
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}
