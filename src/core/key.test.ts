import { describe, expect, test } from 'vitest';
import { type ProxyHeader, readProxyHeader, type Tlv, writeProxyHeader } from '../wire/proxy-header.ts';
import { Address } from './address.ts';
import type { Identity } from './identity.ts';
import { hashWords, hasSameWords, isSameKey, Key, keyOf, maskAddress } from './key.ts';
import type { AffinityPlan } from './plan.ts';

const affinity = (key: AffinityPlan['key']): AffinityPlan => ({
  key,
  prefixV4: 24,
  prefixV6: 64,
  ttlMs: 1000,
  claim: 'async',
  claimTimeoutMs: 50,
});
const v4 = Address.parse('192.0.2.77', 4000)!;
const v6 = Address.parse('2001:db8:1:2:3:4:5:6', 4000)!;

describe('keyOf', () => {
  test('client-ip forgets the port', () => {
    expect(keyOf(v4, affinity('client-ip')).text).toBe('192.0.2.77');
    expect(keyOf(v4, affinity('client-ip')).port).toBe(0);
  });

  test('flow keeps the port', () => {
    expect(keyOf(v4, affinity('flow')).text).toBe('192.0.2.77:4000');
    expect(keyOf(v6, affinity('flow')).text).toBe('[2001:db8:1:2:3:4:5:6]:4000');
  });

  test('client-subnet keeps the network', () => {
    expect(keyOf(v4, affinity('client-subnet')).text).toBe('192.0.2.0');
    expect(keyOf(v6, affinity('client-subnet')).text).toBe('2001:db8:1:2::');
  });

  test('one client hashes the same through IPv4 and a dual-stack socket', () => {
    const mapped = Address.parse('::ffff:192.0.2.77', 4000)!;
    expect(keyOf(mapped, affinity('client-ip')).hashHigh).toBe(keyOf(v4, affinity('client-ip')).hashHigh);
  });
});

test.each([
  [0, '0.0.0.0', '::'],
  [8, '192.0.0.0', '2000::'],
  [31, '192.0.2.76', '2001:db8::'],
  [32, '192.0.2.77', '2001:db8::'],
])('maskAddress keeps %i bits', (bits, expected4, expected6) => {
  expect(maskAddress(v4, bits, 0).ip).toBe(expected4);
  expect(maskAddress(v6, 0, bits).ip).toBe(expected6);
});

test('maskAddress masks every word of IPv6', () => {
  expect(maskAddress(v6, 0, 48).ip).toBe('2001:db8:1::');
  expect(maskAddress(v6, 0, 80).ip).toBe('2001:db8:1:2:3::');
  expect(maskAddress(v6, 0, 127).ip).toBe('2001:db8:1:2:3:4:5:6');
  expect(maskAddress(v6, 0, 128).equals(v6.withPort(0))).toBe(true);
});

// Instances of different versions must agree on the hash: these numbers may never change.
test('the hash is frozen', () => {
  expect(hashWords(v4.withPort(0), 0x9747b28c)).toMatchInlineSnapshot(`2036917907`);
  expect(hashWords(v6, 0x3c6ef372)).toMatchInlineSnapshot(`3374364994`);
});

test('keys are the same by kind, words and port word', () => {
  const key = new Key('flow', v6);
  expect(isSameKey(key, new Key('flow', v6))).toBe(true);
  expect(isSameKey(key, new Key('client-ip', v6))).toBe(false);
  expect(hasSameWords(key, v6)).toBe(true);
  for (const word of ['w0', 'w1', 'w2', 'w3', 'port'] as const)
    expect(hasSameWords({ ...key, [word]: key[word] ^ 1 }, key), word).toBe(false);
});

describe('what a client says', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const headerWith = (tlvs: readonly Tlv[]): ProxyHeader => {
    const written = writeProxyHeader({ transport: 'stream', source: v4, destination: v4, tlvs });
    return readProxyHeader(written) as ProxyHeader;
  };
  const identity: Identity = {
    peer: v6,
    peerLocal: v6,
    spoken: { protocol: 'tls', alpn: [], name: 'Play.Example.' },
    payload: bytes('tok/en'),
    header: headerWith([
      { type: 2, value: bytes('authority') },
      { type: 0xea, value: bytes('vpce-1') },
      { type: 0xea, value: bytes('vpce-2') },
    ]),
  };

  test.each<[AffinityPlan['key'], string, string]>([
    ['server-name', 'server-name', 'play.example'],
    [{ payload: { offset: 0, length: 6 } }, 'payload', 'tok%2fen'],
    [{ tlv: 0xea }, 'tlv', 'vpce-1'],
    [{ tlv: 2 }, 'tlv', 'authority'],
  ])('is its key by %j', (by, kind, text) => {
    const key = keyOf(v4, affinity(by), identity);
    expect([key.kind, key.text]).toEqual([kind, text]);
    const elsewhere = keyOf(v6, affinity(by), identity);
    expect([elsewhere.hashHigh, elsewhere.hashLow]).toEqual([key.hashHigh, key.hashLow]);
    // Who says nothing of the kind is recognised by its address.
    const silent = {
      peer: v6,
      peerLocal: v6,
      spoken: { protocol: 'tls' as const, alpn: [], name: '' },
      header: headerWith([]),
    };
    for (const nothing of [undefined, silent]) {
      const fallback = keyOf(v4, affinity(by), nothing);
      expect(isSameKey(fallback, keyOf(v4, affinity('client-ip')))).toBe(true);
      expect(fallback.hashHigh).toBe(keyOf(v4, affinity('client-ip')).hashHigh);
    }
  });

  test('does not matter where a client is recognised by its address', () => {
    for (const by of ['client-ip', 'client-subnet', 'flow', 'none'] as const)
      expect(isSameKey(keyOf(v4, affinity(by), identity), keyOf(v4, affinity(by)))).toBe(true);
  });
});
