/**
 * Who is in the cluster: every instance says every second who it is, and hears who else is. An instance whose lease
 * runs out is lost; Redis's clock measures that, so no two hosts' clocks are ever compared. With the same beat come
 * the flows each instance holds on each backend; their sum is what others add to their own when they balance and
 * limit.
 */
import type { BackendStates } from '../core/backend-states.ts';
import { listenersMax, memberBytesMax, membersMax } from '../core/limits.ts';
import type { PinNames } from '../pins/names.ts';
import { rowsOfCounts } from './counts-text.ts';
import type { ClusterWatcher } from './events.ts';
import { listenersOf, type MemberListeners, type MemberNetwork, parseNetwork } from './member-listeners.ts';
import type { MemberRow } from './store.ts';

export interface ClusterIdentity {
  readonly host: string;
  readonly version: string;
  /** SHA-256 of the configuration's meaning; asked for at every beat, as a reload changes it. */
  readonly digest: () => string;
  readonly startedAt: Date;
  readonly listeners: () => readonly string[];
  readonly network: () => MemberNetwork;
}

export interface Member {
  readonly instance: string;
  readonly incarnation: string;
  readonly host: string;
  readonly version: string;
  readonly digest: string;
  /** ISO 8601, by its own clock: for people. */
  readonly startedAt: string;
  readonly listeners: readonly string[];
  readonly flows: number;
  readonly pins: number;
  readonly left: boolean;
}

/** A count as an instance tells it: pool, backend, flows. */
export type FlowCount = readonly [pool: string, backend: string, flows: number];

/** Lost instances remembered, to tell one that is back from one that is new. */
const lostMax = 256;

export class Members {
  /** All instances, this one too, by name. */
  readonly members = new Map<string, Member>();
  private readonly instance: string;
  private readonly identity: ClusterIdentity;
  private readonly names: PinNames;
  private readonly states: BackendStates;
  private readonly watch: ClusterWatcher;
  private readonly lost = new Map<string, string>();
  private readonly differing = new Set<string>();
  /** What each row said, so that one that says the same again is not read again. */
  private read = new Map<string, ReadMember>();
  private readonly networks = new Map<string, Network>();
  /** Grows when {@link members} has changed. */
  version = 0;
  /** Grows when {@link listeners} may have changed; 0 until others have been heard of. */
  networksVersion = 0;
  private counted = new Map<number, number>();

  constructor(
    instance: string,
    identity: ClusterIdentity,
    names: PinNames,
    states: BackendStates,
    watch: ClusterWatcher,
  ) {
    this.instance = instance;
    this.identity = identity;
    this.names = names;
    this.states = states;
    this.watch = watch;
  }

  /** This instance, as it tells others. */
  own(incarnation: string, flows: number, pins: number, left: boolean): string {
    const { host, version, startedAt } = this.identity;
    const member: Omit<Member, 'instance'> & MemberNetwork & { v: number } = {
      v: 1,
      incarnation,
      host,
      version,
      digest: this.identity.digest(),
      startedAt: startedAt.toISOString(),
      listeners: this.identity.listeners(),
      ...this.identity.network(),
      flows,
      pins,
      left,
    };
    return JSON.stringify(member);
  }

  /** What a beat brought. */
  heard(rows: readonly MemberRow[]): void {
    const present = new Map<string, ParsedMember>();
    const sums = new Map<number, number>();
    const read = new Map<string, ReadMember>();
    for (const row of rows.slice(0, membersMax)) {
      const known = this.read.get(row.instance);
      const one = known?.text === row.member ? known : { text: row.member, member: parseMember(row) };
      read.set(row.instance, one);
      const { member } = one;
      if (member === undefined) continue;
      if (!member.left) present.set(row.instance, member);
      if (row.instance !== this.instance && !member.left) this.addCounts(row.counts, sums);
      if (member.left) this.gone(row.instance, 'instance-left');
    }
    this.read = read;
    for (const instance of [...this.members.keys()]) {
      if (!present.has(instance)) this.gone(instance, 'instance-lost');
    }
    for (const [instance, { member, network }] of present) {
      this.see(instance, member);
      if (instance !== this.instance) this.seeNetwork(instance, network);
    }
    if (this.networksVersion === 0) this.networksVersion = 1;
    this.useCounts(sums);
  }

  /** Redis has been away for longer than any count may be believed. */
  forgetCounts(): void {
    this.useCounts(new Map());
  }

  /** Flows peers hold, over all backends. */
  get peerFlows(): number {
    let sum = 0;
    for (const flows of this.counted.values()) sum += flows;
    return sum;
  }

  /** Where the others listen. */
  listeners(): MemberListeners {
    const networks = [...this.networks.values()].map(({ network }) => network);
    return listenersOf(networks, this.identity.network().machine);
  }

  private gone(instance: string, event: 'instance-left' | 'instance-lost'): void {
    const known = this.members.get(instance);
    if (known === undefined) return;
    this.members.delete(instance);
    this.version++;
    if (this.networks.delete(instance)) this.networksVersion++;
    this.differing.delete(instance);
    if (instance === this.instance) return;
    if (event === 'instance-lost' && this.lost.size < lostMax) this.lost.set(instance, known.incarnation);
    this.watch({ event, instance });
  }

  private see(instance: string, member: Member): void {
    const known = this.members.get(instance);
    if (member !== known) this.version++;
    this.members.set(instance, member);
    if (instance === this.instance) return;
    if (known?.incarnation !== member.incarnation) {
      const isBack = this.lost.get(instance) === member.incarnation;
      this.lost.delete(instance);
      const { host, version } = member;
      this.watch(
        isBack ? { event: 'instance-back', instance } : { event: 'instance-joined', instance, host, version },
      );
    }
    const ours = this.identity.digest();
    const differs = member.digest !== ours;
    if (differs === this.differing.has(instance)) return;
    if (differs) {
      this.differing.add(instance);
      this.watch({ event: 'instance-digest-differs', instance, ours, theirs: member.digest });
    } else {
      this.differing.delete(instance);
      this.watch({ event: 'instance-digest-agrees', instance });
    }
  }

  private seeNetwork(instance: string, network: MemberNetwork): void {
    const known = this.networks.get(instance);
    if (known?.network === network) return;
    const text = JSON.stringify(network);
    if (text !== known?.text) this.networksVersion++;
    this.networks.set(instance, { network, text });
  }

  private addCounts(text: string, sums: Map<number, number>): void {
    for (const [pool, backend, flows] of parseCounts(text)) {
      const backendId = this.names.backendId(pool, backend);
      if (backendId !== 0) sums.set(backendId, (sums.get(backendId) ?? 0) + flows);
    }
  }

  private useCounts(sums: Map<number, number>): void {
    for (const backendId of this.counted.keys())
      if (!sums.has(backendId)) this.states.setPeerFlows(backendId, 0);
    for (const [backendId, flows] of sums) this.states.setPeerFlows(backendId, Math.min(flows, 0x7fffffff));
    this.counted = sums;
  }

  get differingDigests(): number {
    return this.differing.size;
  }
}

interface ParsedMember {
  readonly member: Member;
  readonly network: MemberNetwork;
  readonly left: boolean;
}

interface ReadMember {
  readonly text: string;
  readonly member: ParsedMember | undefined;
}

interface Network {
  readonly text: string;
  readonly network: MemberNetwork;
}

function parseMember({ instance, member: text }: MemberRow): ParsedMember | undefined {
  if (text.length > memberBytesMax) return undefined;
  const raw = parseObject(text);
  if (raw?.v !== 1) return undefined;
  const word = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 256) : '');
  const count = (value: unknown): number => (typeof value === 'number' && value >= 0 ? value : 0);
  const listeners = Array.isArray(raw.listeners) ? raw.listeners.slice(0, listenersMax).map(word) : [];
  const left = raw.left === true;
  const member: Member = {
    instance,
    incarnation: word(raw.incarnation),
    host: word(raw.host),
    version: word(raw.version),
    digest: word(raw.digest),
    startedAt: word(raw.startedAt),
    listeners,
    flows: count(raw.flows),
    pins: count(raw.pins),
    left,
  };
  return { member, network: parseNetwork(raw), left };
}

function parseCounts(text: string): FlowCount[] {
  return rowsOfCounts(text).filter(
    (row): row is FlowCount =>
      Array.isArray(row) &&
      typeof row[0] === 'string' &&
      typeof row[1] === 'string' &&
      Number.isInteger(row[2]) &&
      row[2] >= 0,
  );
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const raw: unknown = JSON.parse(text);
    return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
      ? (raw as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
