import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { serveHttp } from '../../front/http.ts';
import { pinsCommand } from '../commands/change.ts';
import { exitStatus } from '../exit.ts';

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

const error = '10.0.0.9 is not pinned on this instance: the table is full';

async function setNotStored(...words: readonly string[]): Promise<{ printed: string; said: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-cli-'));
  const path = join(folder, 'admin.sock');
  const refused = () => ({ status: 503, body: { error, outcome: 'not-stored' } });
  const service = await serveHttp({ kind: 'unix', path }, { 'POST /pins/set': refused });
  const printed: string[] = [];
  const said: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  const command = ['set', 'front', '10.0.0.9', 'b1', '--admin', `unix:${path}`, ...words];
  await pinsCommand().parseAsync(command, { from: 'user' });
  service.close();
  rmSync(folder, { recursive: true });
  return { printed: printed.join(''), said: said.join('') };
}

test('a pin that was not stored is an error in words, or as JSON for who wants that, and the exit status says so', async () => {
  expect(await setNotStored()).toEqual({ printed: '', said: `${error}\n` });
  expect(process.exitCode).toBe(exitStatus.refused);
  const { printed, said } = await setNotStored('--json');
  expect({ ...JSON.parse(printed), said }).toEqual({ error, outcome: 'not-stored', said: '' });
});
