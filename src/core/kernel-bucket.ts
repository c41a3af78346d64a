/**
 * The bucket of a client under `relay: kernel`: computed here as the kernel computes it, and written as the expression that makes the
 * kernel compute it, side by side, so that neither is changed without the other. A test in a network namespace asks
 * the kernel itself for 100,000 clients.
 *
 * IPv4 and IPv6 clients are hashed in their own form, a client-subnet by its network's address, a flow by address and port. The
 * key `none` has no pin and is spread by its address, as in the user relay.
 */
import { Address } from './address.ts';
import { jhash, reciprocalScale, turnWord } from './jhash.ts';
import { type Key, maskAddress } from './key.ts';
import { finishHash } from './key-hash.ts';
import type { AffinityPlan } from './plan.ts';

/** Affinity keys that the kernel can hash. */
export type KernelKey = 'client-ip' | 'client-subnet' | 'flow' | 'none';

export interface KernelBuckets {
  readonly key: KernelKey;
  /** Bits of a client-subnet; not looked at for other keys. */
  readonly prefixV4: number;
  readonly prefixV6: number;
  /** Of all instances that shall agree, and of all their lives. 32 bits, not 0: nft then takes one at random. */
  readonly seed: number;
  /** How many buckets there are: 1 to 2^32 - 1. */
  readonly modulus: number;
}

/** Of the kernel's hash of a client ("pini"): all instances, and all their lives, have to have the same. */
export const bucketSeed = 0x70696e69;
/** The second of a bucket's two hashes, so that it is another one than its number. */
const highSeed = 0x7f4a7c15;

/** What a policy looks at where it is asked for a bucket and not for one client: for Maglev it is the place in its table. */
export function keyOfBucket(bucket: number): Key {
  const words = { w0: 0, w1: 0, w2: 0, w3: bucket, port: 0 };
  const hashHigh = finishHash(bucket ^ highSeed);
  return { kind: 'none', kindNumber: 0, ...words, hashHigh, hashLow: bucket, text: `bucket ${bucket}` };
}

/** Whether the kernel can hash by this key. */
export function isKernelKey(key: AffinityPlan['key']): key is KernelKey {
  return key === 'client-ip' || key === 'client-subnet' || key === 'flow' || key === 'none';
}

// Registers of a rule. One thread's calls do not overlap, so one place is enough.
const registers = new Uint32Array(5);

/** The bucket of a client, 0 to `modulus - 1`. Its port counts for the key `flow` alone. */
export function kernelBucket(client: Address, buckets: KernelBuckets): number {
  const { key, seed, modulus } = buckets;
  const hashed = key === 'client-subnet' ? maskAddress(client, buckets.prefixV4, buckets.prefixV6) : client;
  let count = 0;
  if (hashed.family === 6) {
    registers[0] = turnWord(hashed.w0);
    registers[1] = turnWord(hashed.w1);
    registers[2] = turnWord(hashed.w2);
    count = 3;
  }
  registers[count++] = turnWord(hashed.w3);
  // A port takes a register of its own, in network order in its first two bytes.
  if (key === 'flow') registers[count++] = turnWord(client.port << 16);
  return reciprocalScale(jhash(registers, count, seed), modulus);
}

/** The expression for nft(8), of clients of one family: `jhash ip saddr mod 65537 seed 0x1234`. */
export function kernelBucketExpression(
  family: 4 | 6,
  transport: 'tcp' | 'udp',
  buckets: KernelBuckets,
): string {
  const source = family === 4 ? 'ip saddr' : 'ip6 saddr';
  const mask = subnetMask(family, buckets);
  const hashed =
    buckets.key === 'flow'
      ? `${source} . ${transport} sport`
      : mask === undefined
        ? source
        : `${source} and ${mask}`;
  return `jhash ${hashed} mod ${buckets.modulus} seed 0x${buckets.seed.toString(16)}`;
}

const ones = 0xffffffff;

/** As an address; undefined where all bits count. */
function subnetMask(family: 4 | 6, { key, prefixV4, prefixV6 }: KernelBuckets): string | undefined {
  const bits = family === 4 ? prefixV4 : prefixV6;
  if (key !== 'client-subnet' || bits >= (family === 4 ? 32 : 128)) return undefined;
  const all = family === 4 ? Address.v4(ones, 0) : new Address(ones, ones, ones, ones, 0);
  return maskAddress(all, prefixV4, prefixV6).ip;
}
