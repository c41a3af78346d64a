/**
 * The affinity key: what a client is recognised by, in a form that fits the pin table (fixed size, readable
 * back) and the hash policies (64 bits, equal on every instance).
 */
import { Address } from './address.ts';
import type { AffinityKey, AffinityPlan } from './plan.ts';

/** Numbers of the key kinds in the pin table and in Redis. Never renumber: peers of another version read them. */
export const keyKindNumbers = { 'client-ip': 1, 'client-subnet': 2, flow: 3, none: 0 } as const;

export class Key {
  readonly kind: AffinityKey;
  /** The client's address; masked for client-subnet; port 0 unless kind is flow. */
  readonly address: Address;
  /** Two independent 32-bit hashes of kind-independent content: the address words and port. Unsigned. */
  readonly hashHigh: number;
  readonly hashLow: number;

  constructor(kind: AffinityKey, address: Address) {
    this.kind = kind;
    this.address = address;
    this.hashHigh = hashAddress(address, 0x9747b28c);
    this.hashLow = hashAddress(address, 0x3c6ef372);
  }

  /** What text-hashing policies (ring) hash: the address as text; with the port for kind flow. */
  get text(): string {
    return this.kind === 'flow' ? this.address.toString() : this.address.ip;
  }
}

/** The key of a client under an affinity plan. */
export function keyOf(client: Address, affinity: AffinityPlan): Key {
  switch (affinity.key) {
    case 'flow':
      return new Key('flow', client);
    case 'client-subnet':
      return new Key('client-subnet', maskAddress(client, affinity.prefixV4, affinity.prefixV6));
    case 'client-ip':
    case 'none':
      return new Key(affinity.key, client.port === 0 ? client : client.withPort(0));
  }
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

/** MurmurHash3_x86_32 (A. Appleby, public domain) over the five words of an address. Unsigned 32 bits. */
export function hashAddress(address: Address, seed: number): number {
  let h = seed | 0;
  h = mixWord(h, address.w0);
  h = mixWord(h, address.w1);
  h = mixWord(h, address.w2);
  h = mixWord(h, address.w3);
  h = mixWord(h, address.port);
  return finishHash(h ^ 20);
}

/** One 4-byte block of MurmurHash3_x86_32. */
export function mixWord(h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  k = Math.imul(k, 0x1b873593);
  let mixed = h ^ k;
  mixed = (mixed << 13) | (mixed >>> 19);
  return (Math.imul(mixed, 5) + 0xe6546b64) | 0;
}

/** The finaliser fmix32 of MurmurHash3: a bijection of 32 bits with full avalanche. Unsigned. */
export function finishHash(h: number): number {
  let mixed = h;
  mixed ^= mixed >>> 16;
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return mixed >>> 0;
}
