/**
 * The UDP conversations of one engine, found by the words of the socket address a datagram came from, with no text and no
 * allocation. Chained hashing over a power of two of buckets that doubles with the load; the hash is seeded per
 * engine, so nobody outside can choose addresses that collide.
 */
import { PrefaceScopes } from './preface-scopes.ts';
import type { UdpConversation } from './udp-conversation.ts';

/** Words of a conversation's identity: sockaddr (7), local address (4), interface (1). Unused ones are 0. */
const identityWords = 12;
export const localWordsAt = 7;
export const interfaceWordAt = 11;

export class ConversationTable {
  /** Scratch the caller fills before `find` and `add`. */
  readonly identity = new Int32Array(identityWords);
  readonly conversationsMax: number;
  readonly scopes = new PrefaceScopes();
  #buckets: (UdpConversation | undefined)[] = new Array<UdpConversation | undefined>(1024).fill(undefined);
  #size = 0;
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000) | 0;

  constructor(conversationsMax: number) {
    this.conversationsMax = conversationsMax;
  }

  get size(): number {
    return this.#size;
  }

  /** The conversation of {@link identity} in this scope, the number of a listener's socket or one of {@link scopes}, or undefined. */
  find(scope: number): UdpConversation | undefined {
    const { identity } = this;
    const hash = this.#hash(identity, scope);
    let found = this.#buckets[hash & (this.#buckets.length - 1)];
    while (found !== undefined && !(found.hash === hash && sameIdentity(found, identity, scope))) {
      found = found.nextInBucket;
    }
    return found;
  }

  /** Puts in a conversation whose identity is a copy of {@link identity}. */
  add(conversation: UdpConversation): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    conversation.hash = this.#hash(conversation.identity, conversation.scope);
    const bucket = conversation.hash & (this.#buckets.length - 1);
    conversation.nextInBucket = this.#buckets[bucket];
    this.#buckets[bucket] = conversation;
    this.#size++;
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

  /** MurmurHash3's block mix and finaliser (A. Appleby, public domain) over the identity and the scope. */
  #hash(identity: Int32Array, scope: number): number {
    let h = this.#seed ^ scope;
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

function sameIdentity(conversation: UdpConversation, identity: Int32Array, scope: number): boolean {
  const own = conversation.identity;
  for (let i = 0; i < identityWords; i++) if (own[i] !== identity[i]) return false;
  return conversation.scope === scope;
}
