import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { serveHttp } from '../front/http.ts';
import { exitStatus } from './exit.ts';
import { pinsCommand } from './pins.ts';

const nobody = ['--admin', 'unix:/nonexistent/admin.sock'];

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function say(...words: readonly string[]): Promise<string> {
  const said: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  await pinsCommand().parseAsync([...words, ...nobody], { from: 'user' });
  return said.join('');
}

test.each([
  [['delete'], 'pins delete: say which: --pool, --backend or --client; --all for every pin\n'],
  [['move', 'b2'], 'pins move: say which: --pool, --backend or --client; --all for every pin\n'],
  [['list', '--most', 'abc'], '--most abc: must be a whole number from 1 to 100000\n'],
  [['list', '--most', '0'], '--most 0: must be a whole number from 1 to 100000\n'],
])('%j is refused before anybody is asked', async (words, why) => {
  expect(await say(...words)).toBe(why);
  expect(process.exitCode).toBe(exitStatus.usage);
});

test.each([
  [['delete', '--all']],
  [['delete', '--backend', 'b1']],
  [['move', 'b2', '--pool', 'p']],
  [['list', '--most', '5']],
  [['get', '10.0.0.1']],
])('%j is asked of the instance', async (words) => {
  expect(await say(...words)).toContain('no pinion answers');
  expect(process.exitCode).toBe(exitStatus.refused);
});

test('a pin that was not stored is printed, and the exit status says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-cli-'));
  const path = join(folder, 'admin.sock');
  const error = '10.0.0.9 is not pinned on this instance: the table is full';
  const refused = () => ({ status: 503, body: { error, outcome: 'not-stored' } });
  const service = await serveHttp({ kind: 'unix', path }, { 'POST /pins/set': refused });
  const printed: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  const words = ['set', 'front', '10.0.0.9', 'b1', '--admin', `unix:${path}`];
  await pinsCommand().parseAsync(words, { from: 'user' });
  service.close();
  rmSync(folder, { recursive: true });
  expect(JSON.parse(printed.join(''))).toEqual({ error, outcome: 'not-stored' });
  expect(process.exitCode).toBe(exitStatus.refused);
});
