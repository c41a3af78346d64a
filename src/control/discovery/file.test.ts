/** A listed file, real, in a folder that is watched: replaced, half written, gone, and in a folder that goes and comes. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readBackendList } from '../../config/backend-list.ts';
import type { BackendPlan } from '../../core/plan.ts';
import { file } from './file.ts';
import type { Means, Source } from './source.ts';

type Word = { readonly names: readonly string[] | undefined; readonly fault: string | undefined };

const list = (...names: string[]): string =>
  names.map((name, i) => `- { name: ${name}, address: "10.0.0.${i + 1}:1" }\n`).join('');

let folder: string;
let path: string;
let source: Source | undefined;
let words: Word[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinion-list-'));
  path = join(folder, 'in', 'list.yaml');
  mkdirSync(join(folder, 'in'));
  words = [];
});

afterEach(() => {
  source?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const means: Means = { readList: readBackendList, ask: async () => ({ is: 'none', why: '', noName: false }) };

function start(at = path): void {
  const tell = (backends: readonly BackendPlan[] | undefined, fault?: string): void => {
    words.push({ names: backends?.map(({ name }) => name), fault });
  };
  source = file.start({ options: { path: at }, means, tell });
}

/** The last word, once it is this. */
async function said(names: readonly string[] | undefined, fault: unknown = undefined): Promise<void> {
  await vi.waitFor(() => expect(words.at(-1)).toEqual({ names, fault }), { timeout: 8_000, interval: 20 });
}

test('another file takes its place by rename, and one is written over', async () => {
  writeFileSync(path, list('a', 'b'));
  start();
  await said(['a', 'b']);
  writeFileSync(`${path}.new`, list('a', 'b', 'c'));
  renameSync(`${path}.new`, path);
  await said(['a', 'b', 'c']);
  writeFileSync(path, '[{ "name": "d", "address": "10.0.0.9:1" }]');
  await said(['d']);
  expect(words.filter(({ fault }) => fault !== undefined)).toEqual([]);
});

test('one that is half written is not told of, if the rest comes', async () => {
  writeFileSync(path, list('a', 'b'));
  start();
  await said(['a', 'b']);
  writeFileSync(path, '- { name: c, addr');
  await new Promise((resolve) => setTimeout(resolve, 400));
  writeFileSync(path, list('c'));
  await said(['c']);
  expect(words.filter(({ fault }) => fault !== undefined)).toEqual([]);
});

test('one that is cut at the end of a line is not taken for a whole one', async () => {
  writeFileSync(path, list('a', 'b'));
  start();
  await said(['a', 'b']);
  const whole = list('c', 'd', 'e');
  for (const line of whole.split(/(?<=\n)/)) {
    writeFileSync(path, line, { flag: line.includes(' c,') ? 'w' : 'a' });
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  await said(['c', 'd', 'e']);
  const lists = new Set(words.map(({ names }) => String(names)));
  expect([...lists]).toEqual(['a,b', 'c,d,e']);
});

test('a folder where much happens puts off no look', async () => {
  writeFileSync(path, list('a'));
  start();
  await said(['a']);
  const noise = setInterval(() => writeFileSync(join(folder, 'in', 'noise'), String(Math.random())), 20);
  try {
    // More often than a look that waits for a calm moment would come.
    await new Promise((resolve) => setTimeout(resolve, 100));
    writeFileSync(path, list('a', 'b'));
    // Sooner than the look every ten seconds.
    await vi.waitFor(() => expect(words.at(-1)?.names).toEqual(['a', 'b']), { timeout: 6_000, interval: 20 });
  } finally {
    clearInterval(noise);
  }
});

test('one that stays half written is told with its place, once, and so is one that is gone', async () => {
  writeFileSync(path, list('a'));
  start();
  await said(['a']);
  writeFileSync(path, '- { name: c, addr');
  await said(undefined, expect.stringMatching(/list.yaml:1:\d+: /));
  rmSync(path);
  await said(undefined, `${path}: there is no such file`);
  writeFileSync(path, list('a'));
  await said(['a']);
  expect(words.filter(({ fault }) => fault !== undefined)).toHaveLength(2);
});

test('a link to a folder that is changed as Kubernetes does it', async () => {
  for (const [name, text] of [
    ['one', list('a')],
    ['two', list('b')],
  ] as const) {
    mkdirSync(join(folder, 'in', name));
    writeFileSync(join(folder, 'in', name, 'list.yaml'), text);
  }
  symlinkSync('one', join(folder, 'in', 'data'));
  symlinkSync('data/list.yaml', path);
  start();
  await said(['a']);
  symlinkSync('two', join(folder, 'in', 'next'));
  renameSync(join(folder, 'in', 'next'), join(folder, 'in', 'data'));
  await said(['b']);
});

test('what is not told by the kernel is seen by and by: the folder is another one', async () => {
  writeFileSync(path, list('a'));
  start();
  await said(['a']);
  renameSync(join(folder, 'in'), join(folder, 'old'));
  mkdirSync(join(folder, 'in'));
  writeFileSync(path, list('b'));
  await vi.waitFor(() => expect(words.at(-1)).toEqual({ names: ['b'], fault: undefined }), {
    timeout: 15_000,
    interval: 50,
  });
  writeFileSync(path, list('b', 'c'));
  await said(['b', 'c']);
});
