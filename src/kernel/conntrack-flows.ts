/**
 * What the kernel's connection tracking says, as flows that begin, are answered and end. Pure: entries come in, the host is
 * called; sockets and clocks are elsewhere.
 *
 *    TCP   opening --answered--> open --both have ended, or a reset--> over --destroyed--> closed
 *             \--- destroyed unanswered: refused; silent for too long: timed out, once ---/
 *
 * That a backend has answered and its client has not gone on (a forged SYN, a scan) is not told: the kernel is asked, before a backend is
 * said to be silent.
 *
 *    UDP   open (from its first datagram) --an answer--> answered --destroyed--> closed
 *
 * An entry of conntrack is known by the number the kernel gave it and its source port. Events can be lost (the socket's buffer was
 * full) and a successor begins with none: a list of all entries then says what is there ({@link beginList}, {@link endList}), and
 * anything that is heard of an unknown entry is its beginning.
 *
 * Does not promise: to know which side ended a connection, which the kernel does not say; to have seen a flow that began and
 * ended while events were lost.
 */
import type { TerminationCode } from '../core/termination.ts';
import { type ConntrackEntry, type ConntrackGlance, conntrackStatus, tcpState } from '../wire/conntrack.ts';

/** Moved so far, as conntrack counts: with the headers of IP and what is above. */
export interface Moved {
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
}

/** What the tuples of an entry mean here. `F` is the host's own flow. */
export interface FlowHost<Sight extends { readonly isReversed: boolean }, F> {
  /** Undefined: it is nobody's here. `isReversed`: it was picked up from a packet of the backend. */
  recognise(entry: ConntrackEntry): Sight | undefined;
  /** @returns undefined: it is not followed */
  begun(sight: Sight, entry: ConntrackEntry): F | undefined;
  /** TCP: it is open. UDP: its backend has answered. Once. */
  answered(flow: F): void;
  /** The entry as it is now; undefined: it is gone, or cannot be seen. */
  look(entry: ConntrackEntry): ConntrackEntry | undefined;
  /** TCP: its backend refused it, or has not answered in time. Once, and `closed` follows now or later. */
  failed(flow: F, how: 'backend-refused' | 'backend-timeout'): void;
  /** TCP: both sides have ended it, or one broke it off; the entry stays for a while. Once. */
  over(flow: F): void;
  moved(flow: F, moved: Moved): void;
  /** The entry is gone. Once for each flow. */
  closed(flow: F, code: TerminationCode): void;
}

/** Of a TCP flow. */
export interface FlowTimes {
  /** How long its backend may take for its first answer. */
  readonly answerWithinMs: number;
  /** How long the kernel remembers it at least while it is open and silent. */
  readonly idleMs: number;
}

interface Followed<F> {
  readonly flow: F;
  readonly protocol: 'tcp' | 'udp';
  readonly isReversed: boolean;
  readonly beganAtMs: number;
  readonly times: FlowTimes;
  /** As it was heard of first. */
  readonly entry: ConntrackEntry;
  /** Undefined: they are not told yet, or not counted. */
  packetsOfReply: number | undefined;
  /** Both ways, and when a list had them; undefined: none had. */
  listed: { readonly packets: number; readonly atMs: number } | undefined;
  /** It has moved something since. */
  movedSinceMs: number;
  isAnswered: boolean;
  hasFailed: boolean;
  isOver: boolean;
  /** The last of {@link tcpState}. */
  state: number;
  /** Why it is to end, if we end it. */
  endedBy: TerminationCode | undefined;
  /** When it went into `ending`; undefined: it is not there. */
  endedAtMs: number | undefined;
  /** The list in which, or since which, it was seen last. */
  seenInList: number;
}

/** Of an entry that is known. */
type Said = Pick<ConntrackEntry, 'event' | 'status' | 'tcpState' | 'originalCounters' | 'replyCounters'>;

/** An entry that we have deleted and of whose end nothing is heard has ended all the same. */
const destroyWithinMs = 2_000;
/** The kernel's time for a first answer is in whole seconds, and begins before we hear of it. */
const forgottenEarlyMsMax = 1_000;
/** Of one map, so that a single turn does not look at a hundred thousand. */
const lookedAtPerTurn = 5_000;
/** Each is a question to the kernel; of those that are not asked for in time their end tells it. */
const askedPerTurnMax = 100;

export class ConntrackFlows<Sight extends { readonly isReversed: boolean }, F> {
  private readonly host: FlowHost<Sight, F>;
  private readonly followed = new Map<number, Followed<F>>();
  /** TCP flows that wait for an answer, oldest first. */
  private readonly opening = new Map<number, Followed<F>>();
  /** Those that we have ended and that are not gone yet. */
  private readonly ending = new Map<number, Followed<F>>();
  private readonly keys = new Map<F, number>();
  private list = 0;
  private isListing = false;
  /** Entries that went while a list was made: it may name them still. */
  private readonly goneInList = new Set<number>();

  constructor(host: FlowHost<Sight, F>) {
    this.host = host;
  }

  get size(): number {
    return this.followed.size;
  }

  all(): F[] {
    return [...this.keys.keys()];
  }

  isOver(flow: F): boolean {
    const key = this.keys.get(flow);
    return key === undefined || this.followed.get(key)?.isOver !== false;
  }

  /** A flow's entry, as it was heard of first; undefined if it is gone. */
  entryOf(flow: F): ConntrackEntry | undefined {
    const key = this.keys.get(flow);
    return key === undefined ? undefined : this.followed.get(key)?.entry;
  }

  /** What is said of an entry that is known, for which nothing has to be made. @returns false: it is to be {@link heard} */
  glanced(glance: ConntrackGlance, nowMs: number): boolean {
    const key = keyOf(glance.id, glance.sourcePort);
    const one = this.followed.get(key);
    if (one === undefined || !glance.isOf(one.entry)) return false;
    this.goOn(key, one, glance, nowMs);
    return true;
  }

  /** @param timesOf those of a flow that begins now */
  heard(entry: ConntrackEntry, nowMs: number, timesOf: (sight: Sight) => FlowTimes): void {
    const key = keyOf(entry.id, entry.original.source.port);
    let one = this.followed.get(key);
    if (one === undefined) {
      if (entry.event === 'dump' && this.goneInList.has(key)) return;
      one = this.begin(key, entry, nowMs, timesOf);
      if (one === undefined) return;
    }
    // A number that was given anew: the end of the former one was not heard.
    else if (!isSame(one.entry, entry)) {
      this.close(key, one, this.codeOf(one, nowMs));
      one = this.begin(key, entry, nowMs, timesOf);
      if (one === undefined) return;
    }
    this.goOn(key, one, entry, nowMs);
  }

  private goOn(key: number, one: Followed<F>, said: Said, nowMs: number): void {
    one.seenInList = this.list;
    this.follow(key, one, said, nowMs);
    if (said.event === 'destroy') {
      if (this.isListing) this.goneInList.add(key);
      this.close(key, one, this.codeOf(one, nowMs));
    }
  }

  /** Before all entries are listed; events that come meanwhile are heard as always. */
  beginList(): void {
    this.list++;
    this.isListing = true;
    this.goneInList.clear();
  }

  /** All have been heard: what was not among them, and not heard of since, is gone. */
  endList(nowMs: number): void {
    this.isListing = false;
    this.goneInList.clear();
    for (const [key, one] of this.followed) {
      if (one.seenInList < this.list) this.close(key, one, this.codeOf(one, nowMs));
    }
  }

  /** The list could not be made. */
  giveUpList(): void {
    this.isListing = false;
    this.goneInList.clear();
  }

  /** The flow's entry is to be deleted for this reason, which is told with its end. @returns false: it is over, or ending */
  end(flow: F, code: TerminationCode, nowMs: number): boolean {
    const key = this.keys.get(flow);
    const one = key === undefined ? undefined : this.followed.get(key);
    if (key === undefined || one === undefined || one.endedBy !== undefined) return false;
    one.endedBy = one.isOver ? this.codeOf(one, nowMs) : code;
    return true;
  }

  /** It is not to be ended after all: nothing was done yet. @returns false: it is gone */
  keep(flow: F): boolean {
    const key = this.keys.get(flow);
    const one = key === undefined ? undefined : this.followed.get(key);
    if (one === undefined) return false;
    one.endedBy = undefined;
    return true;
  }

  /** The order to delete the flow's entry is out. */
  deleted(flow: F, nowMs: number): void {
    const key = this.keys.get(flow);
    const one = key === undefined ? undefined : this.followed.get(key);
    if (key === undefined || one === undefined) return;
    one.endedAtMs = nowMs;
    this.ending.set(key, one);
  }

  /** What time alone decides. Call it some times a second. */
  turn(nowMs: number): void {
    let left = lookedAtPerTurn;
    let asked = 0;
    for (const [key, one] of this.opening) {
      if (left-- === 0 || asked === askedPerTurnMax) break;
      if (nowMs - one.beganAtMs < one.times.answerWithinMs) continue;
      asked++;
      this.opening.delete(key);
      this.judge(key, one, nowMs);
    }
    for (const [key, one] of this.ending) {
      if (nowMs - one.endedAtMs! < destroyWithinMs) break;
      this.close(key, one, this.codeOf(one, nowMs));
    }
  }

  /** Everything is forgotten; each flow is closed. */
  closeAll(code: TerminationCode): void {
    for (const [key, one] of this.followed) this.close(key, one, code);
  }

  private begin(
    key: number,
    entry: ConntrackEntry,
    nowMs: number,
    timesOf: (sight: Sight) => FlowTimes,
  ): Followed<F> | undefined {
    const sight = this.host.recognise(entry);
    if (sight === undefined) return undefined;
    const flow = this.host.begun(sight, entry);
    if (flow === undefined) return undefined;
    const one: Followed<F> = {
      flow,
      protocol: entry.protocol,
      isReversed: sight.isReversed,
      beganAtMs: nowMs,
      times: timesOf(sight),
      entry,
      packetsOfReply: undefined,
      listed: undefined,
      movedSinceMs: entry.event === 'new' ? nowMs : Number.NEGATIVE_INFINITY,
      isAnswered: false,
      hasFailed: false,
      isOver: false,
      state: tcpState.none,
      endedBy: undefined,
      endedAtMs: undefined,
      seenInList: this.list,
    };
    this.followed.set(key, one);
    this.keys.set(flow, key);
    if (entry.protocol === 'tcp') this.opening.set(key, one);
    return one;
  }

  private follow(key: number, one: Followed<F>, said: Said, nowMs: number): void {
    if (said.tcpState !== undefined) one.state = said.tcpState;
    const { originalCounters, replyCounters } = said;
    one.packetsOfReply = replyCounters?.packets;
    if (originalCounters !== undefined && replyCounters !== undefined) {
      const packets = originalCounters.packets + replyCounters.packets;
      if (one.listed !== undefined && one.listed.packets !== packets) one.movedSinceMs = one.listed.atMs;
      if (said.event === 'dump') one.listed = { packets, atMs: nowMs };
      const [up, down] = one.isReversed
        ? [replyCounters, originalCounters]
        : [originalCounters, replyCounters];
      this.host.moved(one.flow, {
        packetsIn: up.packets,
        bytesIn: up.bytes,
        packetsOut: down.packets,
        bytesOut: down.bytes,
      });
    }
    if (!one.isAnswered && isAnswer(one, said)) {
      one.isAnswered = true;
      this.opening.delete(key);
      this.host.answered(one.flow);
    }
    if (one.isAnswered && !one.isOver && isOverIn(one)) {
      one.isOver = true;
      this.host.over(one.flow);
    }
  }

  /** Its backend has had its time. */
  private judge(key: number, one: Followed<F>, nowMs: number): void {
    const now = this.host.look(one.entry);
    // It is gone: of its end is heard.
    if (now === undefined) return;
    this.follow(key, one, now, nowMs);
    if (one.state === tcpState.synSent || one.state === tcpState.none) this.fail(one, 'backend-timeout');
  }

  private fail(one: Followed<F>, how: 'backend-refused' | 'backend-timeout'): void {
    if (one.hasFailed || one.isAnswered) return;
    one.hasFailed = true;
    this.host.failed(one.flow, how);
  }

  private close(key: number, one: Followed<F>, code: TerminationCode): void {
    this.followed.delete(key);
    if (!one.isAnswered) this.opening.delete(key);
    if (one.endedAtMs !== undefined) this.ending.delete(key);
    this.keys.delete(one.flow);
    // Conntrack forgets a connection whose first packet is answered by a reset at once.
    if (one.protocol === 'tcp' && one.endedBy === undefined && isFailure(code)) this.fail(one, code);
    this.host.closed(one.flow, code);
  }

  /** How it ended, as far as can be told. */
  private codeOf(one: Followed<F>, nowMs: number): TerminationCode {
    if (one.endedBy !== undefined) return one.endedBy;
    if (one.protocol === 'udp') return 'expired';
    // Where packets are counted, a refusal is one. Who never answered is forgotten when its time is over, or for a reason of ours.
    if (!one.isAnswered) {
      if (one.hasFailed) return 'backend-timeout';
      // It was its client who went no further.
      if (one.state === tcpState.synReceived) return 'closed';
      if (one.packetsOfReply !== 0) return 'backend-refused';
      return nowMs - one.beganAtMs >= one.times.answerWithinMs - forgottenEarlyMsMax
        ? 'backend-timeout'
        : 'closed';
    }
    if (one.state === tcpState.close) return 'reset';
    if (one.state !== tcpState.established) return 'closed';
    // One that is broken off in the middle of a stream stays open in conntrack, which then remembers it for ten seconds and not longer.
    return nowMs - one.movedSinceMs < one.times.idleMs ? 'reset' : 'idle';
  }
}

function isFailure(code: TerminationCode): code is 'backend-refused' | 'backend-timeout' {
  return code === 'backend-refused' || code === 'backend-timeout';
}

/** Exact up to 2^53: 32 bits and 16. */
function keyOf(id: number, sourcePort: number): number {
  return id * 65_536 + sourcePort;
}

function isSame(one: ConntrackEntry, other: ConntrackEntry): boolean {
  return (
    one.protocol === other.protocol &&
    one.original.source.equals(other.original.source) &&
    one.original.destination.equals(other.original.destination)
  );
}

/**
 * TCP: the handshake is done. A connection that was picked up in its middle begins in that state, with the packet of one side
 * alone. UDP: both have spoken.
 */
function isAnswer({ protocol, state }: Followed<unknown>, { status }: Said): boolean {
  if (protocol === 'udp') return (status & conntrackStatus.seenReply) !== 0;
  if (state === tcpState.close) return (status & conntrackStatus.seenReply) !== 0;
  return state >= tcpState.established && state < tcpState.close;
}

function isOverIn({ protocol, state }: Followed<unknown>): boolean {
  return protocol === 'tcp' && (state === tcpState.timeWait || state === tcpState.close);
}
