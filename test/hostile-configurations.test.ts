/**
 * A file of up to 4 MiB, whatever is in it, is judged in bounded time and memory, with a place for what is wrong and at most
 * a hundred problems. Each in a process of its own. On an idle machine the slowest takes 1.5 s; what is asserted leaves
 * room for a busy one, and is what these files took ten times before (some took 15 minutes and 3 GB).
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { problemsMax } from '../src/core/limits.ts';
import { pinionCommand } from './support/command.ts';
import { bad, good } from './support/hostile-configurations.ts';
import { temporaryFolder } from './support/temporary.ts';

const cpuMsMax = 10_000;
const memoryMiBMax = 500;

interface Judged {
  readonly isPlan: boolean;
  readonly problems: readonly { readonly line: number; readonly message: string; readonly path: string }[];
  readonly cpuMs: number;
  readonly memoryMiB: number;
}

const judge = `
const { loadPlan } = await import(process.argv[1]);
const before = process.cpuUsage();
const result = loadPlan(process.argv[2]);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({
  isPlan: 'plan' in result,
  problems: result.problems ?? [],
  cpuMs: (user + system) / 1000,
  memoryMiB: process.resourceUsage().maxRSS / 1024,
}));`;
const loader = new URL('../dist/src/config/load.js', import.meta.url).href;
const folder = temporaryFolder('hostile');

async function judgementOf(text: string | Uint8Array): Promise<Judged> {
  const path = join(folder, 'file.yaml');
  writeFileSync(path, text);
  const args = ['--input-type=module', '-e', judge, loader, path];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 16 * 1024 * 1024 });
  const judged = JSON.parse(stdout) as Judged;
  expect(judged.cpuMs).toBeLessThan(cpuMsMax);
  expect(judged.memoryMiB).toBeLessThan(memoryMiBMax);
  return judged;
}

test.each(Object.keys(good))('good: %s', async (kind) => {
  expect(await judgementOf(good[kind]!())).toMatchObject({ isPlan: true });
});

test.each(Object.keys(bad))('bad: %s', async (kind) => {
  const { problems } = await judgementOf(bad[kind]!());
  expect(problems.length).toBeGreaterThan(0);
  expect(problems.length).toBeLessThanOrEqual(problemsMax);
  for (const { line, message, path } of problems) {
    // Only what is no text at all has no place.
    if (!message.startsWith('is not text')) expect(line).toBeGreaterThan(0);
    expect(message.length + path.length).toBeLessThan(1_000);
  }
});

test('the command says how many more there are', async () => {
  const path = join(folder, 'many.yaml');
  writeFileSync(path, bad['all of it wrong']!());
  const { status, stderr } = await pinionCommand(['check', path]);
  expect(status).toBe(1);
  const lines = stderr.trimEnd().split('\n');
  expect(lines.filter((line) => !line.startsWith('warning'))).toHaveLength(problemsMax + 1);
  expect(stderr).toMatch(/: and \d\d,\d\d\d more problems\n/);
});
