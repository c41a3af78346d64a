import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { LineOutput } from './line-output.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-lines-'));
  folders.push(folder);
  return join(folder, 'log');
}

/** A pipe that blocks nobody, and its reader. */
function pipe(): { readonly path: string; readonly reader: number; readonly writer: number } {
  const path = place();
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return { path, reader, writer: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
}

const line = (i: number): string => `${String(i).padStart(99, '.')}\n`;

test('lines come in order, whoever asks for the end waits for all of them, and later ones are no loss', async () => {
  const path = place();
  const output = new LineOutput(openSync(path, 'a'));
  for (let i = 0; i < 500; i++) output.write(line(i));
  await output.end(5_000);
  output.write('late\n');
  expect(readFileSync(path, 'latin1')).toBe(Array.from({ length: 500 }, (_, i) => line(i)).join(''));
  expect(output.dropped).toBe(0);
});

test('a full disk costs the lines, each of which is counted', async () => {
  const output = new LineOutput(openSync('/dev/full', 'w'));
  output.write('one\n');
  output.write('two\nand three\n');
  await output.end(5_000);
  expect(output.dropped).toBe(3);
});

test('so does a reader that is gone (EPIPE)', async () => {
  const { reader, writer } = pipe();
  closeSync(reader);
  const output = new LineOutput(writer);
  output.write('one\n');
  await vi.waitFor(() => expect(output.dropped).toBe(1));
  output.write('two\n');
  await output.end(5_000);
  expect(output.dropped).toBe(2);
});

test('what a full pipe does not take is kept up to the bound and counted beyond it; what was kept comes whole', async () => {
  const { reader, writer } = pipe();
  const output = new LineOutput(writer, 20_000);
  const count = 2_000;
  for (let i = 0; i < count; i++) {
    output.write(line(i));
    // The pipe takes 64 KiB meanwhile.
    if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(output.dropped).toBeGreaterThan(1_000);
  expect(output.dropped).toBeLessThan(count - 640);
  const chunk = Buffer.alloc(65_536);
  let text = '';
  const read = (): void => {
    try {
      for (;;) text += chunk.toString('latin1', 0, readSync(reader, chunk));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
    }
  };
  await vi.waitFor(
    () => {
      read();
      expect(text.length / 100).toBe(count - output.dropped);
    },
    { timeout: 10_000 },
  );
  const numbers = text
    .split('\n')
    .slice(0, -1)
    .map((one) => Number(one.replace(/^\.*/, '')));
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  // Nobody reads what follows: the end is not waited for without end.
  output.write(line(1).repeat(190));
  closeSync(reader);
  await output.end(100);
});

test('a file that was moved away keeps what was written, and the new one gets what follows', async () => {
  const path = place();
  const output = new LineOutput(openSync(path, 'a'));
  output.write('before\n');
  await vi.waitFor(() => expect(readFileSync(path, 'latin1')).toBe('before\n'));
  renameSync(path, `${path}.1`);
  output.write('on the way\n');
  output.use(openSync(path, 'a'));
  output.write('after\n');
  await output.end(5_000);
  const [former, now] = [`${path}.1`, path].map((file) => readFileSync(file, 'latin1'));
  expect(former! + now!).toBe('before\non the way\nafter\n');
  expect(former).toMatch(/^before\n/);
  expect(now).toMatch(/after\n$/);
  expect(output.dropped).toBe(0);
});

test('a pipe that is full only for a moment is not left alone for long', async () => {
  const { reader, writer } = pipe();
  const output = new LineOutput(writer);
  const chunk = Buffer.alloc(65_536);
  let bytes = 0;
  const reading = setInterval(() => {
    try {
      bytes += readSync(reader, chunk);
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
    }
  }, 1);
  // 60 pipes full: six seconds, if each waited for the longest.
  for (let i = 0; i < 39_000; i++) output.write(line(i));
  await output.end(3_000);
  clearInterval(reading);
  expect(bytes).toBeGreaterThan(39_000 * 100 - 3 * 65_536);
});

test('of outputs that follow on each other while one takes nothing none is left open', async () => {
  const { reader, writer } = pipe();
  const output = new LineOutput(writer);
  for (let i = 0; i < 1_000; i++) output.write(line(i));
  const later = [1, 2, 3].map(() => openSync('/dev/null', 'w'));
  for (const descriptor of later) output.use(descriptor);
  const isOpen = (descriptor: number): boolean => {
    try {
      return fstatSync(descriptor).isCharacterDevice();
    } catch {
      return false;
    }
  };
  await vi.waitFor(() => expect(later.map(isOpen)).toEqual([false, false, true]));
  closeSync(reader);
  await output.end(5_000);
});

test('what follows a cut line is counted once, also where the output is another one by then', async () => {
  const { path, reader, writer } = pipe();
  const output = new LineOutput(writer);
  // The pipe takes 655 lines and a part of the next.
  output.write(Array.from({ length: 700 }, (_, i) => line(i)).join(''));
  await new Promise((resolve) => setTimeout(resolve, 50));
  closeSync(reader);
  await vi.waitFor(() => expect(output.dropped).toBe(45));
  // Full as before, and it has a reader again: the next line waits.
  const another = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  output.write('one more\n');
  output.use(openSync('/dev/null', 'w'));
  closeSync(another);
  await output.end(5_000);
  expect(output.dropped).toBe(46);
});
