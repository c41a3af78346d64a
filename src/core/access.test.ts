import { expect, test } from 'vitest';
import { Access, type AccessView, type AddressList } from './access.ts';
import { Address } from './address.ts';
import { RangesBuilder } from './address-ranges.ts';
import { parseCidr } from './cidr.ts';

function list(texts: readonly string[], file?: string): AddressList {
  const builder = new RangesBuilder();
  for (const [i, text] of texts.entries()) builder.add(parseCidr(text)!, i + 1);
  return { file, shared: builder.build() };
}

function verdict(ip: string, view: Partial<AccessView>) {
  const access = new Access({ version: '1', allow: undefined, deny: [], ...view });
  const client = Address.parse(ip, 1)!;
  const said = access.verdict(client);
  expect(access.denies(client)).toBe(!said.isAllowed);
  return said;
}

test('without lists, and outside of deny, everybody comes in', () => {
  expect(verdict('10.0.0.1', {})).toEqual({ isAllowed: true, why: 'not in deny' });
  expect(verdict('10.0.0.1', { deny: [list(['10.0.0.2'])] }).isAllowed).toBe(true);
});

test('with allow, whoever is not in it is denied', () => {
  const allow = [list(['203.0.113.0/24']), list(['2001:db8::/32'], '/etc/allowed.txt')];
  expect(verdict('203.0.113.9', { allow })).toEqual({ isAllowed: true, why: 'allow: 203.0.113.0/24' });
  expect(verdict('2001:db8::9', { allow })).toEqual({
    isAllowed: true,
    why: 'allow: 2001:db8::/32 in /etc/allowed.txt:1',
  });
  expect(verdict('198.51.100.1', { allow })).toEqual({ isAllowed: false, why: 'not in allow' });
  // A file may be empty: then nobody is in it.
  expect(verdict('203.0.113.9', { allow: [list([])] }).isAllowed).toBe(false);
});

test('deny comes first', () => {
  const lists = { allow: [list(['203.0.113.0/24'])], deny: [list(['192.0.2.1', '203.0.113.66'], '/d')] };
  expect(verdict('203.0.113.66', lists)).toEqual({ isAllowed: false, why: 'deny: 203.0.113.66 in /d:2' });
  expect(verdict('203.0.113.65', lists).isAllowed).toBe(true);
});
