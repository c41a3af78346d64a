/** A file that is a list of backends: what is read of it, and what is said of one that is none. */
import { expect, test } from 'vitest';
import { parseBackendList, readBackendList } from './backend-list.ts';

const a = { name: 'a', address: { kind: 'inet', ip: '10.0.0.1', port: 1 }, weight: 1, maxConnections: 0 };
const b = { ...a, name: 'b', address: { ...a.address, ip: '10.0.0.2' }, weight: 5 };

test.each([
  ['- { name: a, address: 10.0.0.1:1 }\n- name: b\n  address: 10.0.0.2:1\n  weight: 5\n', [a, b]],
  ['[\n\t{ "name": "a", "address": "10.0.0.1:1" }\n]\n', [a]],
  ['[]', []],
])('%j is a list', (text, backends) => {
  expect(parseBackendList(text, 'list.yaml')).toEqual({ value: backends });
});

test.each([
  ['', 'list.yaml: is empty: it needs a list of backends, or [] for none'],
  ['# nothing\n', 'list.yaml: is empty: it needs a list of backends, or [] for none'],
  ['{ a: 1 }', 'list.yaml:1:1: must be a list of backends (- name: ...), not a map'],
  [
    '- { name: a, address: 10.0.0.1:1 }\n- { name: b, adress: 1 }\n',
    /^list.yaml:2:3: \[1\].address: is missing \(and 1 more\)$/,
  ],
  [
    '- { name: a, address: 10.0.0.1:1, wieght: 2 }\n',
    /^list.yaml:1:35: \[0\].wieght: unknown key; did you mean weight\?$/,
  ],
  ['- { name: a, address: 10.0.0.1 }\n', /^list.yaml:1:23: \[0\].address: /],
  [
    '- { name: a, address: "10.0.0.1:1" }\n- { name: a, address: "10.0.0.1:2" }\n',
    'list.yaml:2:11: [1].name: "a" is the name of another backend of this list: line 1',
  ],
  ['- { name: a, addr', /^list.yaml:1:\d+: /],
  ['- { name: a, name: b, address: 10.0.0.1:1 }\n', /^list.yaml:1:14: /],
  [
    JSON.stringify(Array.from({ length: 5_000 }, (_, i) => ({ name: `b${i}`, address: '10.0.0.1:1' }))),
    'list.yaml:1:1: has more than 4096 backends',
  ],
])('%.40j is refused with its place', (text, refused) => {
  expect(parseBackendList(text, 'list.yaml')).toEqual({
    refused: typeof refused === 'string' ? refused : expect.stringMatching(refused),
  });
});

test('a file that is not there, and what is no file', () => {
  expect(readBackendList('/no/such/list')).toEqual({ refused: '/no/such/list: there is no such file' });
  expect(readBackendList('/tmp')).toEqual({ refused: '/tmp: is a directory, not a file' });
});
