import { describe, expect, test } from 'vitest';
import { Address } from '../../core/address.ts';
import type { ListenerPlan } from '../../core/plan.ts';
import { Arrival } from '../../engine/arrival.ts';
import { listenerView } from '../../engine/conformance/listener.ts';
import { tlvType, writeProxyHeader, writeProxyLine } from '../../wire/proxy-header.ts';
import { identifierOf } from './identify.ts';

const at = (text: string): Address => Address.parseWithPort(text)!;
const peer = at('10.0.0.1:999');
const local = at('10.0.0.2:5432');
const source = at('192.0.2.7:4711');
const destination = at('198.51.100.1:443');
const from = ['10.0.0.0/8', '2001:db8::/32', '192.168.1.1'];

function planOf(bind?: ListenerPlan['bind'], trusted = from): ListenerPlan {
  const { plan } = listenerView(0, 'tcp', bind === undefined ? {} : { bind });
  return { ...plan, proxyProtocol: { from: trusted, timeoutMs: 3_000, udp: 'first' } };
}

const hear = (bytes: Uint8Array, hearing: 'open' | 'ended' | 'late' = 'open'): unknown => {
  const heard = new Arrival(identifierOf(planOf(), peer, local)!, 0).hear(bytes, hearing, () => {});
  if (typeof heard === 'string') return heard;
  const { identity, client, local: used } = heard.identified;
  const rest = Buffer.from(heard.rest).toString();
  return { client: `${client}`, local: `${used}`, peer: `${identity.peer} ${identity.peerLocal}`, rest };
};
const with_ = (header: Uint8Array, rest: string): Uint8Array => Buffer.concat([header, Buffer.from(rest)]);
const told = { client: '192.0.2.7:4711', local: '198.51.100.1:443', peer: '10.0.0.1:999 10.0.0.2:5432' };
const untold = { client: '10.0.0.1:999', local: '10.0.0.2:5432', peer: '10.0.0.1:999 10.0.0.2:5432' };

describe('a PROXY header', () => {
  test.each([
    ['10.0.0.1:1', true],
    ['11.0.0.1:1', false],
    ['192.168.1.1:1', true],
    ['192.168.1.2:1', false],
    ['[2001:db8::1]:1', true],
    ['[2001:db9::1]:1', false],
  ])('is asked of %s: %s', (text, isAsked) => {
    expect(identifierOf(planOf(), at(text), local) !== undefined).toBe(isAsked);
  });

  test('is asked on a unix socket where the plan says so, and of no listener that does not', () => {
    const bind = { kind: 'unix', path: '/run/front' } as const;
    expect(identifierOf(planOf(bind), peer, local)).toBeUndefined();
    expect(identifierOf(planOf(bind, ['unix']), peer, local)).toBeDefined();
    expect(identifierOf(planOf(undefined, ['unix']), peer, local)).toBeUndefined();
    expect(identifierOf(listenerView(0, 'tcp', {}).plan, peer, local)).toBeUndefined();
  });

  test('names the client, and the address it used; all behind it is the client’s', () => {
    expect(hear(with_(writeProxyLine(source, destination), 'PROXY'))).toEqual({ ...told, rest: 'PROXY' });
    const header = writeProxyHeader({ transport: 'stream', source, destination, hasChecksum: true });
    expect(hear(with_(header, 'hello'))).toEqual({ ...told, rest: 'hello' });
    expect(hear(header, 'ended')).toEqual({ ...told, rest: '' });
  });

  test('that names nobody leaves the connection’s own addresses', () => {
    const nobody = { source: undefined, destination: undefined };
    for (const header of [
      writeProxyLine(undefined, undefined),
      writeProxyHeader({ isLocal: true, transport: 'stream', ...nobody }),
      writeProxyHeader({ transport: 'stream', ...nobody }),
      writeProxyHeader({ transport: 'datagram', source, destination }),
    ])
      expect(hear(with_(header, 'x'))).toEqual({ ...untold, rest: 'x' });
  });

  test('that is missing, wrong, cut or late is a refusal; who says nothing at all has gone', () => {
    const line = writeProxyLine(source, destination);
    const header = writeProxyHeader({ transport: 'stream', source, destination, hasChecksum: true });
    expect(hear(Buffer.from('GET / HTTP/1.0\r\n'))).toBe('proxy-header');
    expect(hear(Buffer.from('P'))).toBe('more');
    expect(hear(line.subarray(0, -1))).toBe('more');
    expect(hear(line.subarray(0, -1), 'ended')).toBe('proxy-header');
    expect(hear(line.subarray(0, -1), 'late')).toBe('proxy-header');
    header[header.length - 1]! ^= 1;
    expect(hear(header)).toBe('proxy-header');
    expect(hear(new Uint8Array(0), 'late')).toBe('proxy-header');
    expect(hear(new Uint8Array(0), 'ended')).toBe('client-closed');
  });

  test('is kept with what it says beside', () => {
    const value = new TextEncoder().encode('db.example');
    const tlvs = [{ type: tlvType.authority, value }];
    const header = writeProxyHeader({ transport: 'stream', source, destination, tlvs });
    const heard = new Arrival(identifierOf(planOf(), peer, local)!, 0).hear(header, 'open', () => {});
    expect(heard).toMatchObject({ identified: { identity: { header: { version: 2, tlvs } } } });
  });
});
