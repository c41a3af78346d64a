/**
 * A Redis Cluster: a connection to each node that serves one of our keys, and the table that says which. It is asked
 * for every two seconds and after every sign that it is no longer right; of redirects only the one command is
 * sent elsewhere. A node that is down makes its keys fail, and no others.
 *
 *    CLUSTER SLOTS of a node that answers, or else of the nodes of the configuration
 *          |
 *          v        key -> slot -> node        MOVED, ASK: there, at most a few times
 *      SlotTable  ------------------------->  RedisNode
 *
 * Besides what every link says, this one says `moved`, with the slot, when one of ours is seen to have gone to another node.
 *
 * Why not the Redis client's own Cluster (ioredis 6): it throws outside of every promise on answers it does not
 * expect (a MOVED without an address, slots that are none), and drops promises that reject.
 */
import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import type { HostPort } from '../../core/cluster-plan.ts';
import { redisNodesUnlistedMax } from '../../core/limits.ts';
import { FaultError, faultOf } from '../errors.ts';
import { retryDelayMs } from '../retry-delay.ts';
import { placeText } from './connector.ts';
import type { LinkOptions, RedisLink } from './link.ts';
import { RedisNode } from './node.ts';
import { parseRedirect } from './places.ts';
import { keySlot, parseSlots, type SlotTable } from './slots.ts';

const refreshMs = 2_000;
/** At least this long between two looks at the slots, whatever happens. */
const refreshMsMin = 100;
const redirectsMax = 4;
/** A node that no slot leads to is let go when it was not used for this long. */
const unlistedMs = 10_000;

interface Member {
  readonly place: HostPort;
  readonly node: RedisNode;
  usedAtMs: number;
}

export interface ClusterLinkOptions extends LinkOptions {
  readonly seeds: readonly HostPort[];
  /** One key of each slot that is in use: the nodes that serve these are connected to ahead of time. */
  readonly keys: readonly string[];
}

export class ClusterLink extends EventEmitter implements RedisLink {
  readonly isOne = false;
  private readonly options: ClusterLinkOptions;
  private readonly slots: readonly number[];
  private readonly members = new Map<string, Member>();
  /** Who served each slot of ours when somebody did last. */
  private readonly owners = new Map<number, string>();
  private table: SlotTable | undefined;
  private wasUsable = false;
  private isClosed = false;
  private isRefreshing = false;
  /** Something spoke against the table while it was being asked for. */
  private isOutdated = false;
  private refreshedAtMs = Number.NEGATIVE_INFINITY;
  private failures = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: ClusterLinkOptions) {
    super();
    this.options = options;
    this.slots = [...new Set(options.keys.map(keySlot))];
    this.schedule(0);
  }

  get isUsable(): boolean {
    return this.slots.some((slot) => {
      const place = this.table?.at(slot);
      return place !== undefined && this.members.get(placeText(place))?.node.isUsable === true;
    });
  }

  async ask<T>(key: string, command: (redis: Redis) => Promise<T>): Promise<T> {
    const slot = keySlot(key);
    let place = this.table?.at(slot);
    let isAsking = false;
    for (let redirects = 0; ; redirects++) {
      if (place === undefined) {
        this.wantRefresh();
        throw new FaultError('cluster-down', `no node of the Redis Cluster serves slot ${slot}`);
      }
      try {
        return await this.askAt(place, command, isAsking);
      } catch (error) {
        const redirect = parseRedirect((error as Error).message, place);
        if (redirect?.kind !== 'ask') this.wantRefresh();
        if (redirect?.kind === 'moved') this.emit('moved', slot);
        if (redirect === undefined || redirects >= redirectsMax) throw error;
        place = redirect.place;
        isAsking = redirect.kind === 'ask';
      }
    }
  }

  primaries(): readonly RedisNode[] {
    return (this.table?.primaries ?? []).map((place) => this.member(place).node);
  }

  reconnect(): void {
    for (const { node } of this.members.values()) node.reconnect();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    for (const { node } of this.members.values()) node.close();
  }

  private async askAt<T>(
    place: HostPort,
    command: (redis: Redis) => Promise<T>,
    isAsking: boolean,
  ): Promise<T> {
    const { node } = this.member(place);
    // One that was lost fails at once; one just heard of deserves the time it takes to connect.
    if (node.isUntried) await node.untilUsable(this.options.plan.connectTimeoutMs);
    return node.ask((redis) => {
      // Refused or lost, the command after it says so too.
      if (isAsking) redis.asking().catch(() => {});
      return command(redis);
    });
  }

  /** @throws FaultError when there are too many */
  private member(place: HostPort): Member {
    const name = placeText(place);
    const known = this.members.get(name);
    if (known !== undefined) {
      known.usedAtMs = performance.now();
      return known;
    }
    const { seeds, plan, blockMs, budget } = this.options;
    const membersMax = seeds.length + (this.table?.primaries.length ?? 0) + redisNodesUnlistedMax;
    if (this.members.size >= membersMax)
      throw new FaultError('cluster-down', `the Redis Cluster redirects to more nodes than it has: ${name}`);
    const node = new RedisNode({
      plan,
      role: 'server',
      blockMs,
      database: 0,
      budget,
      find: () => place,
      ready: () => this.tellUsable(),
      closed: () => {
        this.wantRefresh();
        this.tellUsable();
      },
      failed: (error) => this.tell(error),
    });
    const member = { place, node, usedAtMs: performance.now() };
    this.members.set(name, member);
    return member;
  }

  private wantRefresh(): void {
    this.isOutdated = true;
    this.schedule(Math.max(0, this.refreshedAtMs + refreshMsMin - performance.now()));
  }

  private schedule(delayMs: number): void {
    if (this.isClosed || this.isRefreshing) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(), delayMs);
  }

  private async refresh(): Promise<void> {
    this.isRefreshing = true;
    this.isOutdated = false;
    try {
      this.use(await this.findTable());
      this.failures = 0;
    } catch (error) {
      this.failures++;
      this.tell(error as Error);
    }
    this.isRefreshing = false;
    this.refreshedAtMs = performance.now();
    if (this.failures > 0) this.schedule(retryDelayMs(this.failures));
    else this.schedule(this.isOutdated ? refreshMsMin : refreshMs);
    this.tellUsable();
  }

  /** Asks the nodes that are connected, in any order, then those of the configuration. */
  private async findTable(): Promise<SlotTable> {
    const connected = [...this.members.values()].filter(({ node }) => node.isUsable);
    const places = connected.map(({ place }) => place).sort(() => Math.random() - 0.5);
    const isThere = new Set(places.map(placeText));
    places.push(...this.options.seeds.filter((seed) => !isThere.has(placeText(seed))));
    const failures: Error[] = [];
    for (const place of places) {
      if (this.isClosed) break;
      try {
        const { node } = this.member(place);
        await node.untilUsable(this.options.plan.connectTimeoutMs);
        return await node.ask(async (redis) => parseSlots(await redis.call('CLUSTER', 'SLOTS'), place));
      } catch (error) {
        failures.push(error as Error);
      }
    }
    const telling = failures.find((error) => faultOf(error) !== 'away') ?? failures[0];
    throw new FaultError(
      telling === undefined ? 'away' : faultOf(telling),
      `no node of the Redis Cluster says who serves which slot: ${telling?.message}`,
    );
  }

  private use(table: SlotTable): void {
    if (this.isClosed) return;
    this.table = table;
    const listed = new Set(table.primaries.map(placeText));
    const nowMs = performance.now();
    for (const [name, { node, usedAtMs }] of this.members) {
      if (listed.has(name) || nowMs - usedAtMs < unlistedMs) continue;
      this.members.delete(name);
      node.close();
    }
    for (const slot of this.slots) {
      const place = table.at(slot);
      if (place === undefined) continue;
      this.noteOwner(slot, placeText(place));
      this.member(place);
    }
  }

  private noteOwner(slot: number, name: string): void {
    const before = this.owners.get(slot);
    this.owners.set(slot, name);
    if (before !== undefined && before !== name) this.emit('moved', slot);
  }

  private tellUsable(): void {
    const { isUsable } = this;
    if (this.isClosed || isUsable === this.wasUsable) return;
    this.wasUsable = isUsable;
    this.emit(isUsable ? 'ready' : 'close');
  }

  private tell(error: Error): void {
    // An 'error' event nobody listens to is thrown.
    if (!this.isClosed && this.listenerCount('error') > 0) this.emit('error', error);
  }
}
