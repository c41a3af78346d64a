/**
 * The value of one pin, unpacked: a scratch object that is loaded from shared memory, changed and saved.
 * Each thread has a few and reuses them, so no operation of the data plane allocates. Whoever loads or saves
 * holds the group's lock, or checks its sequence afterwards (lock.ts).
 *
 * The state word: kind 4 bits, reason 5, flags 5, sixty-fourths 6, expiry from 2^32 ms up 12. With the expiry
 * word this is 44 bits of milliseconds: 557 years, whatever origin the clock has. Nothing wraps.
 *
 * Whether the client is connected now: workers count its flows as they open and close, and say for those that stay
 * open that they are still there. What was last said more than {@link connectedErasMax} eras ago has lapsed, so that a
 * worker that died leaves no client behind that looks connected for ever. An era is {@link sweepsPerEra} of
 * control's sweeps, one a second, and not a time: in a process that was stopped nobody is taken for gone.
 */
import { backendWord, expiryWord, stateWord, ttlWord, useWord } from './layout.ts';

/** Why a client is pinned where it is. Never renumber: peers of another version read them. */
export const pinReasonNumbers = {
  policy: 1,
  retry: 2,
  'fail-open': 3,
  operator: 4,
  peer: 5,
  'backend-down': 6,
  /** Its backend has told the key: the connection id of QUIC that it chose. */
  learned: 7,
} as const;
export type PinReason = keyof typeof pinReasonNumbers;

const reasonNames = new Map<number, PinReason>();
for (const [name, number] of Object.entries(pinReasonNumbers)) reasonNames.set(number, name as PinReason);

/** Nobody chose a backend for a client by this key: it was told, by a server, an operator or a newer peer. */
export function isTold(reason: number): boolean {
  const { learned, operator, peer } = pinReasonNumbers;
  return reason === learned || reason === operator || reason === peer;
}

/** The backend has served this client. Others are not told of a pin before. */
export const confirmedFlag = 1;
/** Control has not been told of the last change. */
export const dirtyFlag = 2;
/** No longer a pin: kept only until control has been told of its removal. */
export const removedFlag = 4;

export const kindMask = 15;
const reasonShift = 4;
const flagsShift = 9;
const slidShift = 14;
const expiryShift = 20;
const epochMs = 2 ** 32;
export const ttlMsMax = 0xffffffff;
/** Eras are numbered modulo 256. A full turn of the sweep of the largest table is 80 of them, and ends what has lapsed. */
const eraMask = 255;
const sweepsPerEra = 16;
/** About two minutes; open flows are seen every ten seconds. */
const connectedErasMax = 8;
/** So many flows or more: no longer counted down, and ended by lapsing alone. */
const openFlowsMax = 255;
const slidMax = 63;
/** A quarter, in sixty-fourths. */
const slidToReport = 16;

export class PinEntry {
  kind = 0;
  reason = 0;
  flags = 0;
  /** How far the expiry has slid since control was last told, in sixty-fourths of the ttl; stops at 63. */
  slid = 0;
  backendId = 0;
  /** The backend the cluster was last told of, or told us of; 0 if none. */
  knownId = 0;
  ttlMs = 0;
  expiresAtMs = 0;
  /** Instance number of the last to set the backend; 0 is this instance. */
  writer = 0;
  /** Of this client, in all workers. */
  openFlows = 0;
  /** The era in which a worker last said so. */
  seenInEra = 0;

  /** `at`: index of the entry's first word. */
  load(words: Int32Array, at: number): void {
    const state = Atomics.load(words, at + stateWord);
    const backends = Atomics.load(words, at + backendWord);
    const use = Atomics.load(words, at + useWord);
    this.kind = state & kindMask;
    this.reason = (state >>> reasonShift) & 31;
    this.flags = (state >>> flagsShift) & 31;
    this.slid = (state >>> slidShift) & 63;
    this.expiresAtMs = (state >>> expiryShift) * epochMs + (Atomics.load(words, at + expiryWord) >>> 0);
    this.backendId = backends >>> 16;
    this.knownId = backends & 0xffff;
    this.ttlMs = Atomics.load(words, at + ttlWord) >>> 0;
    this.openFlows = use >>> 24;
    this.seenInEra = (use >>> 16) & eraMask;
    this.writer = use & 0xffff;
  }

  /**
   * The state word goes last: a thread killed half way leaves a pin with the old flags. Then it may hold a
   * change that is not marked as one, which {@link isUnreported} finds all the same.
   */
  save(words: Int32Array, at: number): void {
    const state =
      this.kind |
      (this.reason << reasonShift) |
      (this.flags << flagsShift) |
      (this.slid << slidShift) |
      (Math.floor(this.expiresAtMs / epochMs) << expiryShift);
    Atomics.store(words, at + backendWord, (this.backendId << 16) | this.knownId);
    Atomics.store(words, at + useWord, (this.openFlows << 24) | (this.seenInEra << 16) | this.writer);
    Atomics.store(words, at + ttlWord, this.ttlMs | 0);
    Atomics.store(words, at + expiryWord, this.expiresAtMs | 0);
    Atomics.store(words, at + stateWord, state);
  }

  /** As {@link save}, of an entry of which only the open flows have changed. */
  saveUse(words: Int32Array, at: number): void {
    Atomics.store(words, at + useWord, (this.openFlows << 24) | (this.seenInEra << 16) | this.writer);
  }

  /**
   * A pin that counts: not removed, and not expired. As long as its client is connected it does not expire, though the
   * worker had no time to say so.
   * @param sweep the number of control's last sweep
   */
  isLive(nowMs: number, sweep: number): boolean {
    if ((this.flags & removedFlag) !== 0) return false;
    return this.expiresAtMs > nowMs || this.isConnected(eraOf(sweep));
  }

  get isConfirmed(): boolean {
    return (this.flags & confirmedFlag) !== 0;
  }

  /** What the cluster should know: nothing, as long as no backend has served this client. */
  get reportableId(): number {
    return (this.flags & (removedFlag | confirmedFlag)) === confirmedFlag ? this.backendId : 0;
  }

  /** Worth telling: another backend than the cluster knows of, or an expiry a quarter of the ttl later. */
  get hasNews(): boolean {
    return this.reportableId !== this.knownId || (this.reportableId !== 0 && this.slid >= slidToReport);
  }

  get isUnreported(): boolean {
    return (this.flags & dirtyFlag) !== 0 || this.reportableId !== this.knownId;
  }

  /** Last use. The ttl may differ from pin to pin, so this and not the expiry says which one is stalest. */
  get usedAtMs(): number {
    return this.expiresAtMs - this.ttlMs;
  }

  get reasonName(): PinReason {
    return reasonNames.get(this.reason) ?? 'policy';
  }

  /** A new expiry, a ttl from now. Fractions of a millisecond are dropped. */
  setExpiry(ttlMs: number, nowMs: number): void {
    this.ttlMs = Math.min(Math.floor(ttlMs), ttlMsMax);
    this.expiresAtMs = Math.floor(nowMs + this.ttlMs);
  }

  /** True if a use now moves the expiry by more than a sixteenth of the ttl. Less is not worth a dirty cache line. */
  isDueToSlide(ttlMs: number, nowMs: number): boolean {
    return nowMs + ttlMs - this.expiresAtMs > ttlMs / 16;
  }

  /** Moves the expiry, never back, and keeps account of how far. */
  slide(ttlMs: number, nowMs: number): void {
    const before = this.expiresAtMs;
    if (nowMs + ttlMs <= before) return;
    this.setExpiry(ttlMs, nowMs);
    this.slid = Math.min(slidMax, this.slid + Math.floor(((this.expiresAtMs - before) * 64) / this.ttlMs));
  }

  /** Keeps account of how far the expiry is beyond the one others know, which is earlier. */
  slidSince(knownExpiryMs: number): void {
    this.slid = Math.min(slidMax, Math.floor(((this.expiresAtMs - knownExpiryMs) * 64) / this.ttlMs));
  }

  /** @param era see {@link eraOf} */
  isConnected(era: number): boolean {
    return this.openFlows !== 0 && ((era - this.seenInEra) & eraMask) <= connectedErasMax;
  }

  /** A flow of this client has opened. */
  flowOpened(era: number): void {
    if (!this.isConnected(era)) this.openFlows = 0;
    if (this.openFlows < openFlowsMax) this.openFlows++;
    this.seenInEra = era;
  }

  flowClosed(): void {
    if (this.openFlows > 0 && this.openFlows < openFlowsMax) this.openFlows--;
  }

  /** True if a flow that stays open must say so now. Half of the time it has: more often is not worth a dirty cache line. */
  isDueToBeSeen(era: number): boolean {
    return this.openFlows === 0 || ((era - this.seenInEra) & eraMask) >= connectedErasMax / 2;
  }

  /** A flow of this client is open. Where the count was lost (the pin was made anew, or has lapsed), it is one from now on. */
  flowSeen(era: number): void {
    if (!this.isConnected(era)) this.openFlows = 1;
    this.seenInEra = era;
  }

  /**
   * Makes this the value of a new pin, by this instance; the client's open flows stay counted. `isRevival`: in place
   * of a removed pin of the same key, whose removal was not reported and is now part of the change.
   */
  reset(kind: number, isRevival: boolean): void {
    this.kind = kind;
    this.flags = isRevival ? this.flags & dirtyFlag : 0;
    this.knownId = isRevival ? this.knownId : 0;
    this.slid = 0;
    this.writer = 0;
  }
}

/** The era of a sweep. */
export function eraOf(sweep: number): number {
  return Math.floor(sweep / sweepsPerEra) & eraMask;
}
