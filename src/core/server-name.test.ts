import { expect, test } from 'vitest';
import { NameTable, readNamePattern } from './server-name.ts';

const toAscii = (name: string): string | undefined =>
  name.startsWith('b') ? 'xn--bcher-kva.example' : undefined;

test.each([
  ['a.example', 'a.example'],
  ['A.Example.', 'a.example'],
  ['*.Example', '*.example'],
  ['*', '*'],
  ['localhost', 'localhost'],
  ['192.0.2.1', '192.0.2.1'],
  ['_x-y.example', '_x-y.example'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['*.bücher.example', '*.xn--bcher-kva.example'],
  ['éa.example', undefined],
  ['', undefined],
  ['.', undefined],
  ['*.', undefined],
  ['a*.example', undefined],
  ['a.*.example', undefined],
  ['**', undefined],
  ['a..example', undefined],
  ['-a.example', undefined],
  ['a.example:443', undefined],
  ['a b', undefined],
  [`${'a'.repeat(64)}.example`, undefined],
  [`${'a.'.repeat(127)}aa`, undefined],
])('the pattern %j is %j', (text, pattern) => {
  expect(readNamePattern(text, toAscii)).toBe(pattern);
});

const table = new NameTable<string>();
for (const pattern of ['a.example', '*.example', '*.b.example', '*']) table.add(pattern, pattern);
table.add('a.example', 'again');

test.each([
  ['a.example', ['a.example', 'again', '*', '*.example']],
  ['A.EXAMPLE.', ['a.example', 'again', '*', '*.example']],
  ['x.b.example', ['*', '*.b.example', '*.example']],
  ['y.x.b.example', ['*', '*.b.example', '*.example']],
  ['b.example', ['*', '*.example']],
  ['example', ['*']],
  ['.example', ['*']],
  ['aexample', ['*']],
  ['', []],
])('%j fits %j', (name, patterns) => {
  const found: string[] = [];
  table.each(name, (value) => found.push(value));
  expect(found.sort()).toEqual([...patterns].sort());
});
