import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TokenFiles } from './token-files.ts';

let made = 0;
let path = '';
const long = 'x'.repeat(32);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  // What was read from a file is kept by its name.
  path = join(tmpdir(), `pinion-token-${process.pid}-${++made}`);
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(path, { recursive: true, force: true });
});

test('a token is the first line of its file, as the file is now', () => {
  writeFileSync(path, `${long}\nnot this\n`);
  const files = new TokenFiles({ writeFile: path });
  expect(files.problem).toBeUndefined();
  expect(files.now).toEqual({ read: undefined, write: long });
  writeFileSync(`${path}.new`, `${long}-other\n`);
  renameSync(`${path}.new`, path);
  expect(files.now.write).toBe(long);
  vi.advanceTimersByTime(1_001);
  expect(files.now.write).toBe(`${long}-other`);
});

test.each([
  ['is gone', () => rmSync(path)],
  ['is emptied', () => writeFileSync(path, '')],
  ['has half of its token', () => writeFileSync(path, 'xxx')],
  ['is no text', () => writeFileSync(path, Buffer.alloc(32, 0xff))],
  ['is a folder', () => [rmSync(path), mkdirSync(path)]],
])('of a file that %s the token stays, until it has another', (_, spoil) => {
  writeFileSync(path, long);
  const files = new TokenFiles({ writeFile: path });
  spoil();
  for (let i = 0; i < 3; i++) {
    vi.advanceTimersByTime(1_001);
    expect(files.now.write).toBe(long);
  }
  rmSync(path, { recursive: true, force: true });
  writeFileSync(path, `${long}-other\n`);
  vi.advanceTimersByTime(1_001);
  expect(files.now.write, 'and is no token any more').toBe(`${long}-other`);
});

test('a file that is not there gives none, and none before it is', () => {
  const files = new TokenFiles({ writeFile: path });
  expect([files.now.write, files.problem]).toEqual([undefined, `${path} cannot be read: ENOENT`]);
  writeFileSync(path, long);
  vi.advanceTimersByTime(1_001);
  expect([files.now.write, files.problem]).toEqual([long, undefined]);
});

test('a token is replaced in its place by one of the same length and time', () => {
  const write = (token: string): void => {
    writeFileSync(path, token);
    utimesSync(path, 1_700_000_000, 1_700_000_000);
  };
  write(long);
  const files = new TokenFiles({ readFile: path });
  expect(files.now.read).toBe(long);
  write('y'.repeat(32));
  vi.advanceTimersByTime(1_001);
  expect(files.now.read).toBe('y'.repeat(32));
});

test.each([
  ['', 'its token has 0 characters, at least 16 are needed'],
  ['short', 'its token has 5 characters'],
  [`${long} and more`, 'its token has characters that no header can carry'],
  [`${long}\u00e4`, 'its token has characters that no header can carry'],
])('%j gives none, and the reason does not have it', (text, problem) => {
  writeFileSync(path, text);
  const files = new TokenFiles({ readFile: path });
  expect(files.now.read).toBeUndefined();
  expect(files.problem).toContain(`${path}: ${problem}`);
  if (text.length > 0) expect(files.problem).not.toContain(text);
});
