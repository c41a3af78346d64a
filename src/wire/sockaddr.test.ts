import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import { Address } from '../core/address.ts';
import { decodeAddress, encodeAddress, encodeUnixPath } from './sockaddr.ts';

const view = (): DataView => new DataView(new ArrayBuffer(128));
const bytes = (of: DataView, start: number, length: number): number[] => [
  ...new Uint8Array(of.buffer, start, length),
];

test('sockaddr_in, byte by byte', () => {
  const into = view();
  assert.equal(encodeAddress(Address.parse('192.0.2.1', 8080)!, into, 0), 16);
  assert.deepEqual(bytes(into, 0, 16), [2, 0, 0x1f, 0x90, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test('sockaddr_in6, byte by byte', () => {
  const into = view();
  assert.equal(encodeAddress(Address.parse('2001:db8::1', 53)!, into, 4), 28);
  assert.deepEqual(bytes(into, 4, 8), [10, 0, 0, 53, 0, 0, 0, 0]);
  assert.deepEqual(bytes(into, 12, 20), [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
});

test('an IPv4 address on a dual-stack socket takes its mapped form, and comes back as IPv4', () => {
  const into = view();
  const address = Address.parse('203.0.113.7', 1)!;
  assert.equal(encodeAddress(address, into, 0, 6), 28);
  assert.deepEqual(bytes(into, 18, 6), [255, 255, 203, 0, 113, 7]);
  assert.ok(decodeAddress(into, 0)!.equals(address));
});

test('what was in the place before does not show through', () => {
  const into = view();
  new Uint8Array(into.buffer).fill(255);
  encodeAddress(Address.v4(0, 0), into, 0);
  assert.deepEqual(bytes(into, 0, 17), [2, ...new Array<number>(15).fill(0), 255]);
});

test('property: every address survives the way there and back', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(word, word, word, word, fc.nat(65535), (w0, w1, w2, w3, port) => {
      const into = view();
      for (const address of [new Address(w0, w1, w2, w3, port), Address.v4(w3, port)]) {
        encodeAddress(address, into, 8);
        assert.ok(decodeAddress(into, 8)!.equals(address));
      }
    }),
  );
});

test('other families have no address', () => {
  const into = view();
  encodeUnixPath('/run/x', into, 0);
  assert.equal(decodeAddress(into, 0), undefined);
});

test('unix paths: terminated, abstract, and refused when they do not fit', () => {
  const into = view();
  assert.equal(encodeUnixPath('/run/x', into, 0), 9);
  assert.deepEqual(bytes(into, 0, 9), [1, 0, ...Buffer.from('/run/x'), 0]);
  assert.equal(encodeUnixPath('@name', into, 0), 7);
  assert.deepEqual(bytes(into, 0, 7), [1, 0, 0, ...Buffer.from('name')]);
  assert.equal(encodeUnixPath('x'.repeat(107), into, 0), 110);
  for (const path of ['', 'x'.repeat(108), 'a\0b', 'ü'.repeat(54)]) {
    assert.equal(encodeUnixPath(path, into, 0), undefined);
  }
});
