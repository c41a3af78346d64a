/**
 * The affinity key: what a client is recognised by, in a form that fits the pin table (a kind, 128 bits and a port word,
 * readable back) and the hash policies (64 bits, equal on every instance). What the words mean is each kind's own matter:
 * key-kinds.ts.
 */
import { Address } from './address.ts';
import { type Identity, toldBytes } from './identity.ts';
import { type KeyWords, wordsOfBytes } from './key-bytes.ts';
import { finishHash, mixWord } from './key-hash.ts';
import { type KeyKind, keyKinds } from './key-kinds.ts';
import { type AffinityPlan, keyKindOf } from './plan.ts';

export class Key implements KeyWords {
  readonly kind: KeyKind;
  /** As in {@link keyKinds}. */
  readonly kindNumber: number;
  /** Signed, as in the pin table. */
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  /** 0 to 65535. */
  readonly port: number;
  /** Two independent 32-bit hashes of the words and the port word, whatever the kind. Unsigned. */
  readonly hashHigh: number;
  readonly hashLow: number;

  /** @param words an address, for kinds of addresses: masked for client-subnet; port 0 unless the kind is flow */
  constructor(kind: KeyKind, words: KeyWords) {
    this.kind = kind;
    this.kindNumber = keyKinds[kind].number;
    this.w0 = words.w0 | 0;
    this.w1 = words.w1 | 0;
    this.w2 = words.w2 | 0;
    this.w3 = words.w3 | 0;
    this.port = words.port;
    this.hashHigh = hashWords(words, 0x9747b28c);
    this.hashLow = hashWords(words, 0x3c6ef372);
  }

  /** The key as people and Redis read it, and what text-hashing policies (ring) hash: an address, for kinds of addresses. */
  get text(): string {
    return keyKinds[this.kind].print(this);
  }
}

/** The key of a client under an affinity plan: by its address where it does not say what is asked for. */
export function keyOf(client: Address, affinity: AffinityPlan, identity?: Identity): Key {
  switch (affinity.key) {
    case 'flow':
      return new Key('flow', client);
    case 'client-subnet':
      return new Key('client-subnet', maskAddress(client, affinity.prefixV4, affinity.prefixV6));
    case 'client-ip':
    case 'none':
      return new Key(affinity.key, client.port === 0 ? client : client.withPort(0));
    default: {
      const bytes = identity === undefined ? undefined : toldBytes(affinity.key, identity);
      const words = bytes === undefined ? undefined : wordsOfBytes(bytes);
      return words === undefined
        ? new Key('client-ip', client.withPort(0))
        : new Key(keyKindOf(affinity.key), words);
    }
  }
}

export function isSameKey(
  a: KeyWords & { readonly kind: KeyKind },
  b: KeyWords & { readonly kind: KeyKind },
): boolean {
  return a.kind === b.kind && hasSameWords(a, b);
}

/** The same 144 bits. */
export function hasSameWords(a: KeyWords, b: KeyWords): boolean {
  const isSame128 = ((a.w3 ^ b.w3) | (a.w0 ^ b.w0) | (a.w1 ^ b.w1) | (a.w2 ^ b.w2)) === 0;
  return isSame128 && a.port === b.port;
}

/** The network address of `address`, port 0. Prefix lengths in bits: v4 0 to 32, v6 0 to 128. */
export function maskAddress(address: Address, prefixV4: number, prefixV6: number): Address {
  if (address.family === 4) return Address.v4(maskWord(address.w3, prefixV4), 0);
  return new Address(
    maskWord(address.w0, prefixV6),
    maskWord(address.w1, prefixV6 - 32),
    maskWord(address.w2, prefixV6 - 64),
    maskWord(address.w3, prefixV6 - 96),
    0,
  );
}

function maskWord(word: number, bits: number): number {
  if (bits <= 0) return 0;
  if (bits >= 32) return word;
  return (word & (0xffffffff << (32 - bits))) >>> 0;
}

/** MurmurHash3_x86_32 (A. Appleby, public domain) over the four words of a key and its port word. Unsigned 32 bits. */
export function hashWords(words: KeyWords, seed: number): number {
  let h = seed | 0;
  h = mixWord(h, words.w0);
  h = mixWord(h, words.w1);
  h = mixWord(h, words.w2);
  h = mixWord(h, words.w3);
  h = mixWord(h, words.port);
  return finishHash(h ^ 20);
}
