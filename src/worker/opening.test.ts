import { describe, expect, test } from 'vitest';
import { Address, noAddress } from '../core/address.ts';
import { Flow } from '../core/flow.ts';
import { keyOf } from '../core/key.ts';
import type { ProxyTlv } from '../core/proxy-plan.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import { type ProxyHeader, readProxyHeader, type Tlv, tlvType } from '../wire/proxy-header.ts';
import { openingOf, withoutUntold } from './opening.ts';

const at = (text: string): Address => Address.parseWithPort(text)!;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function flowOf(
  client: Address,
  local: Address,
  came?: readonly Tlv[],
  protocol: 'tcp' | 'udp' = 'tcp',
): Flow {
  const listener = listenerView(0, protocol, {});
  const header = {
    version: 2,
    isLocal: false,
    transport: 'stream',
    addresses: undefined,
    sourcePath: undefined,
    tlvs: came ?? [],
    length: 0,
  } as const;
  const identity = came === undefined ? undefined : { peer: client, peerLocal: local, header };
  return new Flow(7, listener, client, local, keyOf(client, listener.plan.affinity), 0, identity);
}

function told(flow: Flow, version: 1 | 2, tlvs: readonly ProxyTlv[] = []): ProxyHeader {
  const opening = openingOf(flow, { version, tlvs, udp: 'first' }, 'me')!;
  expect(opening.expect).toBeUndefined();
  const header = readProxyHeader(opening.send);
  expect(header).toMatchObject({ length: opening.send.length });
  return header as ProxyHeader;
}

describe('what backends hear first', () => {
  const client = at('192.0.2.7:4711');
  const local = at('198.51.100.1:443');
  const v6 = at('[2001:db8::7]:1');

  test.each([1, 2] as const)('version %i names the client and the address it used', (version) => {
    for (const [source, destination] of [
      [client, local],
      [v6, at('[2001:db8::1]:2')],
      [v6, local],
    ] as const) {
      const { addresses } = told(flowOf(source, destination), version);
      expect(`${addresses?.source} ${addresses?.destination}`).toBe(`${source} ${destination}`);
    }
  });

  test.each([1, 2] as const)('version %i names nobody for a client on a unix socket', (version) => {
    expect(told(flowOf(noAddress, noAddress), version).addresses).toBeUndefined();
  });

  test('whose client was told that it may speak TLS is asked for it, behind the header', () => {
    const flow = flowOf(client, local, []);
    const asking = new Flow(7, flow.listener, client, local, flow.key, 0, {
      ...flow.identity!,
      hasAskedForTls: true,
    });
    const question = Buffer.from('0000000804d2162f', 'hex');
    const expected = Uint8Array.of(0x53);
    expect(openingOf(asking, undefined, 'me')).toEqual({ send: question, expect: expected });
    const { send, expect: answer } = openingOf(asking, { version: 2, tlvs: [], udp: 'first' }, 'me')!;
    const { length } = readProxyHeader(send) as ProxyHeader;
    expect([Buffer.from(send.subarray(length)), answer]).toEqual([question, expected]);
  });

  test('a pool that asks for nothing has none', () => {
    expect(openingOf(flowOf(client, local), undefined, 'me')).toBeUndefined();
  });

  test.each(['first', 'every'] as const)('over UDP it says so, and in which datagrams: %s', (udp) => {
    const flow = flowOf(client, local, undefined, 'udp');
    const opening = openingOf(flow, { version: 2, tlvs: [], udp }, 'me')!;
    expect(readProxyHeader(opening.send)).toMatchObject({ transport: 'datagram', length: 28 });
    expect(opening.isInEach ?? false).toBe(udp === 'every');
    const tcp = openingOf(flowOf(client, local), { version: 2, tlvs: [], udp }, 'me')!;
    expect(tcp.isInEach).toBeUndefined();
  });

  const came = [
    { type: tlvType.authority, value: bytes('db.example') },
    { type: 0xe0, value: bytes('custom') },
    { type: tlvType.uniqueId, value: bytes('theirs') },
  ];
  const texts = ({ tlvs }: ProxyHeader): string[] =>
    tlvs.map(({ type, value }) => `${type} ${Buffer.from(value)}`);

  test.each<readonly [readonly ProxyTlv[], readonly Tlv[] | undefined, readonly string[]]>([
    [[], came, []],
    [['authority'], came, ['2 db.example']],
    [['authority'], undefined, []],
    [['unique-id'], undefined, ['5 me-7']],
    [['unique-id'], came, ['5 theirs']],
    [['incoming'], came, ['2 db.example', '224 custom', '5 theirs']],
    [['checksum', 'incoming', 'unique-id'], came, ['5 theirs', '2 db.example', '224 custom']],
  ])('%j of what came in', (tlvs, incoming, expected) => {
    expect(texts(told(flowOf(client, local, incoming), 2, tlvs))).toEqual(expected);
  });

  test('the server name that a route has read, where no proxy said one', () => {
    const named = (came?: readonly Tlv[]): Flow => {
      const { listener, key, identity } = flowOf(client, local, came);
      const spoken = { protocol: 'tls', name: 'Shop.example', alpn: [] } as const;
      return new Flow(7, listener, client, local, key, 0, {
        peer: client,
        peerLocal: local,
        ...identity,
        spoken,
      });
    };
    expect(texts(told(named(), 2, ['authority']))).toEqual(['2 Shop.example']);
    expect(texts(told(named([]), 2, ['incoming', 'authority']))).toEqual(['2 Shop.example']);
    expect(texts(told(named(came), 2, ['authority']))).toEqual(['2 db.example']);
    expect(texts(told(named(), 2, ['incoming']))).toEqual([]);
  });
});

test('of what a proxy said a flow keeps what backends of its pool are told', () => {
  const came = [tlvType.alpn, tlvType.authority, tlvType.uniqueId, 0xea].map((type) => ({
    type,
    value: bytes('x'),
  }));
  const { identity } = flowOf(at('192.0.2.7:1'), at('192.0.2.8:2'), came);
  const kept = (tlvs?: readonly ProxyTlv[], version: 1 | 2 = 2) =>
    withoutUntold(identity, tlvs && { version, tlvs, udp: 'first' })?.header?.tlvs.map(({ type }) => type);
  expect(kept()).toEqual([]);
  expect(kept(['checksum'])).toEqual([]);
  expect(kept(['authority'])).toEqual([tlvType.authority]);
  expect(kept(['unique-id', 'checksum'])).toEqual([tlvType.uniqueId]);
  expect(kept(['unique-id'], 1)).toEqual([]);
  expect(kept(['incoming'])).toEqual(came.map(({ type }) => type));
  expect(withoutUntold(undefined, undefined)).toBeUndefined();
});
