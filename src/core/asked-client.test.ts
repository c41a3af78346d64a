import { expect, test } from 'vitest';
import { askedText, keyOfAsked, readAskedClient } from './asked-client.ts';
import type { AffinityPlan } from './plan.ts';

const by = (key: AffinityPlan['key']): AffinityPlan => ({
  key,
  prefixV4: 24,
  prefixV6: 64,
  ttlMs: 1000,
  claim: 'async',
  claimTimeoutMs: 50,
});
const ask = (text: string, key: AffinityPlan['key']): string => {
  const { kind, text: value } = keyOfAsked(readAskedClient(text), by(key));
  return `${kind} ${value}`;
};

test('a client is named by its address, or by its key', () => {
  expect(ask('192.0.2.77', 'client-ip')).toBe('client-ip 192.0.2.77');
  expect(ask('192.0.2.77:4000', 'flow')).toBe('flow 192.0.2.77:4000');
  expect(ask('192.0.2.77', 'client-subnet')).toBe('client-subnet 192.0.2.0');
  expect(ask('flow=[2001:db8::1]:53', 'flow')).toBe('flow [2001:db8::1]:53');
  expect(ask('server-name=Play.Example', 'server-name')).toBe('server-name play.example');
  expect(ask('payload=a%00b', { payload: { offset: 3, length: 3 } })).toBe('payload a%00b');
  expect(ask('tlv=vpce-1', { tlv: 0xea })).toBe('tlv vpce-1');
});

test('one that says nothing of what a listener asks for is named by its address', () => {
  expect(ask('192.0.2.77:4000', 'server-name')).toBe('client-ip 192.0.2.77');
  expect(ask('client-ip=192.0.2.77', { tlv: 1 })).toBe('client-ip 192.0.2.77');
});

test.each<[string, AffinityPlan['key']]>([
  ['payload=abc', 'server-name'],
  ['server-name=play.example', 'client-ip'],
  ['client-ip=192.0.2.77', 'flow'],
  ['flow=192.0.2.77:1', 'server-name'],
])('nobody is recognised by %s where it is by %j', (text, key) => {
  expect(() => ask(text, key)).toThrow('this listener recognises clients by');
});

test('what is neither an address nor a key is said to be so', () => {
  for (const text of ['', 'play.example', 'name=play.example'])
    expect(() => readAskedClient(text)).toThrow(
      'is not an IP address, nor a key such as server-name=play.example',
    );
  expect(() => readAskedClient('quic-id=zz')).toThrow('zz is no key of kind quic-id');
});

test('it is told as it was asked for', () => {
  for (const text of [
    '192.0.2.77',
    '192.0.2.77:4000',
    '[2001:db8::1]:53',
    'server-name=play.example',
    'quic-id=8394',
  ])
    expect(askedText(readAskedClient(text))).toBe(text);
});
