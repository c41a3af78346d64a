import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type FileWord, KeptFiles } from './kept-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'pinion-kept-'));
const file = join(folder, 'a');
const other = join(folder, 'b');
const told: FileWord[] = [];
let kept = new KeptFiles();

beforeEach(() => {
  vi.useFakeTimers();
  told.length = 0;
  kept = new KeptFiles();
  kept.tell = (word) => told.push(word) > 0;
});
afterEach(() => {
  vi.useRealTimers();
  for (const one of [file, other]) rmSync(one, { force: true });
});

const filled = ([text]: readonly string[]): string => {
  if (text === '') throw new Error(`${file} is empty`);
  return text!.toUpperCase();
};
const use = () => kept.use('word', [file], filled);
const unusable = (why: string, isKept = true) => ({ is: 'unusable', file, why, isKept });
const usable = { is: 'usable', file, why: '', isKept: true };

test('what was good stays; that it is not is told once a second later, and that it is again once', () => {
  writeFileSync(file, 'one');
  expect(use()).toBe('ONE');
  writeFileSync(file, '');
  expect(use()).toBe('ONE');
  vi.advanceTimersByTime(900);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(200);
  expect(told).toEqual([unusable(`${file} is empty`)]);
  vi.advanceTimersByTime(60_000);
  expect(use()).toBe('ONE');
  expect(told).toHaveLength(1);
  writeFileSync(file, 'two');
  // Nobody asks.
  vi.advanceTimersByTime(5_000);
  expect(told).toEqual([unusable(`${file} is empty`), usable]);
  expect(use()).toBe('TWO');
  vi.advanceTimersByTime(60_000);
  expect(told).toHaveLength(2);
});

test('who is caught in the middle of writing is not told of', () => {
  writeFileSync(file, 'one');
  use();
  for (let i = 0; i < 20; i++) {
    writeFileSync(file, '');
    expect(use()).not.toBe('');
    writeFileSync(file, `word ${i}`);
    vi.advanceTimersByTime(1_000);
    expect(use()).toBe(`WORD ${i}`);
  }
  expect(told).toEqual([]);
});

test('another reason is told as well; the same file again after it was good, too', () => {
  writeFileSync(file, 'one');
  use();
  rmSync(file);
  use();
  vi.advanceTimersByTime(1_000);
  writeFileSync(file, '');
  vi.advanceTimersByTime(5_000);
  writeFileSync(file, 'one');
  expect(use()).toBe('ONE');
  rmSync(file);
  use();
  vi.advanceTimersByTime(1_000);
  const gone = unusable(`${file} cannot be read: ENOENT`);
  expect(told).toEqual([gone, unusable(`${file} is empty`), usable, gone]);
});

test('what was never good gives the reason to who asks, with its errno name, and is told', () => {
  expect(use).toThrow(
    expect.objectContaining({ message: `${file} cannot be read: ENOENT`, code: 'ENOENT', path: file }),
  );
  vi.advanceTimersByTime(1_000);
  expect(told).toEqual([unusable(`${file} cannot be read: ENOENT`, false)]);
  writeFileSync(file, 'one');
  expect(use()).toBe('ONE');
  expect(told[1]).toEqual(usable);
});

test('what is not taken is told again', () => {
  writeFileSync(file, 'one');
  use();
  let isTaken = false;
  kept.tell = (word) => isTaken && told.push(word) > 0;
  rmSync(file);
  use();
  vi.advanceTimersByTime(10_000);
  isTaken = true;
  vi.advanceTimersByTime(5_000);
  expect(told).toEqual([unusable(`${file} cannot be read: ENOENT`)]);
  isTaken = false;
  writeFileSync(file, 'two');
  expect(use()).toBe('TWO');
  isTaken = true;
  vi.advanceTimersByTime(5_000);
  expect(told[1]).toEqual(usable);
});

test('files that only work together: one that is renewed before the other changes nothing yet', () => {
  const pair = (texts: readonly string[]): string => {
    if (texts[0] !== texts[1]) throw new Error('they do not match');
    return texts[0]!;
  };
  const both = () => kept.use('pair', [file, other], pair);
  for (const one of [file, other]) writeFileSync(one, 'one');
  expect(both()).toBe('one');
  writeFileSync(file, 'two');
  expect(both()).toBe('one');
  writeFileSync(`${other}.new`, 'two');
  renameSync(`${other}.new`, other);
  expect(both()).toBe('two');
});

test('texts that are the same are not read into something anew', () => {
  writeFileSync(file, 'one');
  const parse = vi.fn(() => ({}));
  const first = kept.use('object', [file], parse);
  writeFileSync(file, 'one');
  chmodSync(file, 0o600);
  expect(kept.use('object', [file], parse)).toBe(first);
  expect(parse).toHaveBeenCalledTimes(1);
});

test('what is of no use any more is not looked at, and no problem', () => {
  for (const one of [file, other]) writeFileSync(one, 'one');
  use();
  kept.use('word', [other], ([text]) => text);
  rmSync(file);
  use();
  vi.advanceTimersByTime(1_000);
  kept.forgetAllBut(new Set([other]));
  expect(told.at(-1)).toMatchObject({ is: 'forgotten', file });
  vi.advanceTimersByTime(60_000);
  expect(told).toHaveLength(2);
  expect(vi.getTimerCount()).toBe(0);
  expect(use, 'and nothing of it is kept').toThrow('ENOENT');
});

/** What control has for the next thread. */
function control(isTaken = () => true) {
  const texts = new Map<string, readonly string[]>();
  let handed = 0;
  const of = (files: KeptFiles): KeptFiles => {
    // Of the thread before nothing is left.
    vi.clearAllTimers();
    files.inherit(new Map(texts));
    files.tell = (word) => told.push(word) > 0;
    files.handOver = (key, of) => {
      handed++;
      if (!isTaken()) return false;
      if (of === undefined) texts.delete(key);
      else texts.set(key, of);
      return true;
    };
    return files;
  };
  return { texts, of, handed: () => handed };
}

test('the next thread begins with what was good last where a file cannot be used, and tells that it cannot', () => {
  const { of, handed, texts } = control();
  kept = of(new KeptFiles());
  for (const text of ['one', 'two']) {
    writeFileSync(file, text);
    expect(use()).toBe(text.toUpperCase());
    use();
  }
  expect(handed(), 'each once').toBe(2);
  rmSync(file);
  kept = of(new KeptFiles());
  expect(use()).toBe('TWO');
  kept = of(new KeptFiles());
  expect(use()).toBe('TWO');
  vi.advanceTimersByTime(1_000);
  expect(told).toEqual([unusable(`${file} cannot be read: ENOENT`)]);
  writeFileSync(file, 'three');
  expect(use()).toBe('THREE');
  expect([...texts.values()]).toEqual([['three']]);
  // What can be used is not what was there before.
  writeFileSync(file, 'four');
  kept = of(new KeptFiles());
  expect(use()).toBe('FOUR');
});

test('what was handed over is of no use to who makes something else of it, or cannot', () => {
  const { of } = control();
  kept = of(new KeptFiles());
  writeFileSync(file, 'one');
  use();
  rmSync(file);
  kept = of(new KeptFiles());
  expect(() => kept.use('another word', [file], filled)).toThrow('ENOENT');
  expect(() =>
    kept.use('word', [file], () => {
      throw new Error('it is none');
    }),
  ).toThrow('ENOENT');
});

test('what control has not taken is handed over again, and what is of no use any more it forgets', () => {
  let isTaken = false;
  const { of, texts } = control(() => isTaken);
  kept = of(new KeptFiles());
  for (const one of [file, other]) writeFileSync(one, 'one');
  use();
  expect(texts.size).toBe(0);
  isTaken = true;
  use();
  kept.use('word', [other], filled);
  expect(texts.size).toBe(2);
  kept.forgetAllBut(new Set([other]));
  expect([...texts.keys()].join()).toContain(other);
  expect(texts.size).toBe(1);
  // By a thread that has not even asked for it.
  kept = of(new KeptFiles());
  expect(kept.isEmpty).toBe(false);
  kept.forgetAllBut(new Set([file]));
  expect([texts.size, kept.isEmpty]).toEqual([0, true]);
});
