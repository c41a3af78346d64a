import { renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TokenFiles } from './token-files.ts';

const path = join(tmpdir(), `pinion-token-${process.pid}`);
const long = 'x'.repeat(32);

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => {
  vi.useRealTimers();
  rmSync(path, { force: true });
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
  rmSync(path);
  vi.advanceTimersByTime(1_001);
  expect(files.now.write).toBeUndefined();
  expect(files.problem).toBe(`${path}: ENOENT`);
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
