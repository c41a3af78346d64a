/** Buckets as the kernel made them (test/kernel-bucket.test.ts asks it for many more), and the expressions that make it. */
import { expect, test } from 'vitest';
import { Address } from './address.ts';
import { type KernelBuckets, kernelBucket, kernelBucketExpression } from './kernel-bucket.ts';

const of = (key: KernelBuckets['key'], more: Partial<KernelBuckets> = {}): KernelBuckets => ({
  key,
  prefixV4: 20,
  prefixV6: 52,
  seed: 0x1234,
  modulus: 65_537,
  ...more,
});
const at = (text: string): Address => Address.parseWithPort(text)!;

test('the port counts for flows alone, the subnet for clients of it', () => {
  const [one, other] = [at('192.0.2.1:1'), at('192.0.2.1:2')];
  for (const key of ['client-ip', 'client-subnet', 'none'] as const)
    expect(kernelBucket(one, of(key))).toBe(kernelBucket(other, of(key)));
  expect(kernelBucket(one, of('flow'))).not.toBe(kernelBucket(other, of('flow')));
  expect(kernelBucket(at('192.0.15.255:1'), of('client-subnet'))).toBe(
    kernelBucket(at('192.0.0.0:2'), of('client-ip')),
  );
  expect(kernelBucket(at('[2001:db8:0:fff::1]:1'), of('client-subnet'))).toBe(
    kernelBucket(at('[2001:db8::]:2'), of('client-ip')),
  );
});

test('the expression says what is hashed', () => {
  const text = (family: 4 | 6, buckets: KernelBuckets): string =>
    kernelBucketExpression(family, 'tcp', buckets);
  expect(text(4, of('client-ip'))).toBe('jhash ip saddr mod 65537 seed 0x1234');
  expect(text(6, of('none', { seed: 0xdeadbeef }))).toBe('jhash ip6 saddr mod 65537 seed 0xdeadbeef');
  expect(text(4, of('flow'))).toBe('jhash ip saddr . tcp sport mod 65537 seed 0x1234');
  expect(text(4, of('client-subnet'))).toBe('jhash ip saddr and 255.255.240.0 mod 65537 seed 0x1234');
  expect(text(6, of('client-subnet'))).toBe(
    'jhash ip6 saddr and ffff:ffff:ffff:f000:: mod 65537 seed 0x1234',
  );
  expect(text(4, of('client-subnet', { prefixV4: 32 }))).toBe('jhash ip saddr mod 65537 seed 0x1234');
});
