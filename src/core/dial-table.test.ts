import { expect, test } from 'vitest';
import { Address } from './address.ts';
import { DialTable } from './dial-table.ts';

const at = (text: string): Address => Address.parseWithPort(text)!;

test('another thread knows the other end of a dial until it is over', () => {
  const dials = new DialTable();
  const other = new DialTable(dials.shared);
  dials.note('tcp', at('10.0.0.1:40000'), 7);
  expect(other.backendOf('tcp', at('10.0.0.1:40000'))).toBe(7);
  expect(other.backendOf('udp', at('10.0.0.1:40000'))).toBe(0);
  expect(other.backendOf('tcp', at('10.0.0.1:40001'))).toBe(0);
  expect(other.backendOf('tcp', at('10.0.0.2:40000'))).toBe(0);
  dials.clear('tcp', at('10.0.0.1:40000'), 7);
  expect(other.backendOf('tcp', at('10.0.0.1:40000'))).toBe(0);
});

test('an end does not clear what somebody else noted since', () => {
  const dials = new DialTable();
  dials.note('udp', at('[2001:db8::1]:40000'), 16_384);
  dials.note('udp', at('[2001:db8::1]:40000'), 2);
  dials.clear('udp', at('[2001:db8::1]:40000'), 16_384);
  expect(dials.backendOf('udp', at('[2001:db8::1]:40000'))).toBe(2);
  dials.clearAll();
  expect(dials.backendOf('udp', at('[2001:db8::1]:40000'))).toBe(0);
});

test('a high backend and a high IP do not spill into each other', () => {
  const dials = new DialTable();
  dials.note('tcp', at('255.255.255.255:65535'), 0xffff);
  expect(dials.backendOf('tcp', at('255.255.255.255:65535'))).toBe(0xffff);
});
