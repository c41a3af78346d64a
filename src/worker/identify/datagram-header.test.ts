import { describe, expect, test } from 'vitest';
import { Address } from '../../core/address.ts';
import type { ProxyInPlan } from '../../core/proxy-plan.ts';
import { writeProxyHeader, writeProxyLine } from '../../wire/proxy-header.ts';
import { clientOfDatagram, prefaceOf } from './datagram-header.ts';

const at = (text: string): Address => Address.parseWithPort(text)!;
const plan: ProxyInPlan = { from: ['10.0.0.0/8'], timeoutMs: 3_000, udp: 'every' };
const peer = at('10.0.0.1:999');
const local = at('10.0.0.2:53');
const source = at('192.0.2.7:4711');
const destination = at('198.51.100.1:53');
const header = writeProxyHeader({ transport: 'datagram', source, destination, hasChecksum: true });
const local2 = writeProxyHeader({
  isLocal: true,
  transport: 'datagram',
  source: undefined,
  destination: undefined,
});
const saying = (start: Uint8Array, rest = 'hello'): Uint8Array => Buffer.concat([start, Buffer.from(rest)]);

function read(datagram: Uint8Array, from = peer): unknown {
  const found = clientOfDatagram(plan, from, local, datagram);
  if (found === undefined || found === 'proxy-header') return found;
  const { client, local: used, consumed, identity } = found;
  const rest = Buffer.from(datagram.subarray(consumed)).toString();
  return [`${client}`, `${used}`, `${identity.peer} ${identity.peerLocal}`, rest];
}

const sender = `${peer} ${local}`;

describe('the header of a datagram', () => {
  test.each([
    ['names the client', saying(header), [`${source}`, `${destination}`, sender, 'hello']],
    ['may have nothing behind it', header, [`${source}`, `${destination}`, sender, '']],
    [
      'may be a line, as nginx writes it',
      saying(writeProxyLine(source, destination)),
      [`${source}`, `${destination}`, sender, 'hello'],
    ],
    ['may name nobody', saying(local2), [`${peer}`, `${local}`, sender, 'hello']],
    [
      'is no one’s if it speaks of TCP',
      saying(writeProxyHeader({ transport: 'stream', source, destination })),
      [`${peer}`, `${local}`, sender, 'hello'],
    ],
  ])('%s', (_, datagram, expected) => {
    expect(read(datagram)).toEqual(expected);
    expect(prefaceOf(plan, peer, datagram)).toMatchObject({
      about: expected[0] === `${peer}` ? 'itself' : `${source} ${destination}`,
      length: datagram.length - expected[3]!.length,
    });
  });

  test('is missing where it is cut, wrong or not there, and that is never more to come', () => {
    const broken = saying(header);
    broken[20]! ^= 1;
    for (let length = 0; length < header.length; length++)
      expect(read(header.subarray(0, length))).toBe('proxy-header');
    for (const datagram of [broken, Buffer.from('hello'), Buffer.from('PROXY TCP4 1.2.3.4')]) {
      expect(read(datagram)).toBe('proxy-header');
      expect(prefaceOf(plan, peer, datagram)).toBe('proxy-header');
    }
  });

  test('is asked of nobody else, and believed of nobody else', () => {
    const stranger = at('192.0.2.9:1');
    for (const datagram of [saying(header), Buffer.from('hello')]) {
      expect(read(datagram, stranger)).toBeUndefined();
      expect(prefaceOf(plan, stranger, datagram)).toBeUndefined();
    }
  });

  test('tells clients apart by address, port and whom they asked', () => {
    const about = (from: string, to = `${destination}`): unknown => {
      const bytes = writeProxyHeader({ transport: 'datagram', source: at(from), destination: at(to) });
      return (prefaceOf(plan, peer, bytes) as { about: string }).about;
    };
    const all = [
      about('192.0.2.7:4711'),
      about('192.0.2.7:4712'),
      about('192.0.2.8:4711'),
      about('192.0.2.7:4711', '198.51.100.2:53'),
      about('[2001:db8::1]:4711', '[2001:db8::2]:53'),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(about('192.0.2.7:4711')).toBe(all[0]);
  });
});
