/**
 * The UDP conversations of one engine, found by the words of the socket address a datagram came from, with no text and no
 * allocation. Chained hashing over a power of two of buckets that doubles with the load; the hash is seeded per
 * engine, so nobody outside can choose addresses that collide. Beside it, for each listener, a list of those never replied
 * to, oldest first: what is given up when room is needed.
 */
import type { UdpConversation } from './udp-conversation.ts';

/** Words of a conversation's identity: sockaddr (7), local address (4), interface (1). Unused ones are 0. */
export const identityWords = 12;
export const localWordsAt = 7;
export const interfaceWordAt = 11;

interface Unreplied {
  oldest: UdpConversation | undefined;
  newest: UdpConversation | undefined;
}

export class ConversationTable {
  /** Scratch the caller fills before `find` and `add`. */
  readonly identity = new Int32Array(identityWords);
  readonly conversationsMax: number;
  #buckets: (UdpConversation | undefined)[] = new Array<UdpConversation | undefined>(1024).fill(undefined);
  #size = 0;
  readonly #unreplied = new Map<number, Unreplied>();
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000) | 0;

  constructor(conversationsMax: number) {
    this.conversationsMax = conversationsMax;
  }

  get size(): number {
    return this.#size;
  }

  /** The conversation of {@link identity} on the listener, or undefined. */
  find(listenerId: number): UdpConversation | undefined {
    const { identity } = this;
    const hash = this.#hash(identity, listenerId);
    let found = this.#buckets[hash & (this.#buckets.length - 1)];
    while (found !== undefined && !(found.hash === hash && sameIdentity(found, identity, listenerId))) {
      found = found.nextInBucket;
    }
    return found;
  }

  /** Puts in a conversation whose identity is a copy of {@link identity}. */
  add(conversation: UdpConversation): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    conversation.hash = this.#hash(conversation.identity, conversation.listenerId);
    const bucket = conversation.hash & (this.#buckets.length - 1);
    conversation.nextInBucket = this.#buckets[bucket];
    this.#buckets[bucket] = conversation;
    this.#size++;
    const list = this.#listOf(conversation.listenerId);
    conversation.older = list.newest;
    if (list.newest === undefined) list.oldest = conversation;
    else list.newest.newer = conversation;
    list.newest = conversation;
    conversation.unreplied = true;
  }

  remove(conversation: UdpConversation): void {
    const bucket = conversation.hash & (this.#buckets.length - 1);
    let at = this.#buckets[bucket];
    if (at === conversation) this.#buckets[bucket] = conversation.nextInBucket;
    else {
      while (at !== undefined && at.nextInBucket !== conversation) at = at.nextInBucket;
      if (at === undefined) return;
      at.nextInBucket = conversation.nextInBucket;
    }
    conversation.nextInBucket = undefined;
    this.#size--;
    this.replied(conversation);
  }

  /** Takes it off the list of those that may be evicted: it was replied to, or is trusted. */
  replied(conversation: UdpConversation): void {
    if (!conversation.unreplied) return;
    conversation.unreplied = false;
    const { older, newer } = conversation;
    const list = this.#listOf(conversation.listenerId);
    if (older === undefined) list.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) list.newest = older;
    else newer.older = older;
    conversation.older = undefined;
    conversation.newer = undefined;
  }

  /**
   * Ends the oldest conversation that was never replied to. False if there is none.
   * @param listenerId of this listener only: its limit is no business of the others
   */
  evict(listenerId?: number): boolean {
    let oldest: UdpConversation | undefined;
    if (listenerId !== undefined) oldest = this.#listOf(listenerId).oldest;
    else {
      for (const { oldest: one } of this.#unreplied.values()) {
        if (one === undefined) continue;
        if (oldest === undefined || one.flow.startedAtMs < oldest.flow.startedAtMs) oldest = one;
      }
    }
    oldest?.reset('evicted');
    return oldest !== undefined;
  }

  #listOf(listenerId: number): Unreplied {
    let list = this.#unreplied.get(listenerId);
    if (list === undefined) {
      list = { oldest: undefined, newest: undefined };
      this.#unreplied.set(listenerId, list);
    }
    return list;
  }

  /** Every conversation; made for shutdown, not for the loop. */
  all(): UdpConversation[] {
    const found: UdpConversation[] = [];
    for (const head of this.#buckets) {
      for (let at = head; at !== undefined; at = at.nextInBucket) found.push(at);
    }
    return found;
  }

  #grow(): void {
    const previous = this.#buckets;
    this.#buckets = new Array<UdpConversation | undefined>(previous.length * 2).fill(undefined);
    for (const head of previous) {
      for (let at = head; at !== undefined; ) {
        const next = at.nextInBucket;
        const bucket = at.hash & (this.#buckets.length - 1);
        at.nextInBucket = this.#buckets[bucket];
        this.#buckets[bucket] = at;
        at = next;
      }
    }
  }

  /** MurmurHash3's block mix and finaliser (A. Appleby, public domain) over the identity and the listener. */
  #hash(identity: Int32Array, listenerId: number): number {
    let h = this.#seed ^ listenerId;
    for (let i = 0; i < identityWords; i++) {
      let k = Math.imul(identity[i]!, 0xcc9e2d51);
      k = (k << 15) | (k >>> 17);
      h ^= Math.imul(k, 0x1b873593);
      h = (h << 13) | (h >>> 19);
      h = (Math.imul(h, 5) + 0xe6546b64) | 0;
    }
    h ^= h >>> 16;
    h = Math.imul(h, 0x85ebca6b);
    h ^= h >>> 13;
    h = Math.imul(h, 0xc2b2ae35);
    return h ^ (h >>> 16);
  }
}

function sameIdentity(conversation: UdpConversation, identity: Int32Array, listenerId: number): boolean {
  const own = conversation.identity;
  for (let i = 0; i < identityWords; i++) if (own[i] !== identity[i]) return false;
  return conversation.listenerId === listenerId;
}
