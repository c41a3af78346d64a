/** Nobody reads the log, or its reader goes away: row 41 of the reliability table. Clients notice nothing. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel } from './support/clients.ts';
import { backendsOf, configText, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { fetchFresh } from './support/fresh-page.ts';
import { pinionMain } from './support/pinion.ts';
import { freePort, isBound } from './support/ports.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { removeTemporaryFolders, temporaryFile, temporaryFolder } from './support/temporary.ts';

const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await stopServers();
  removeTemporaryFolders();
});

interface Mute {
  readonly child: ChildProcess;
  readonly port: number;
  metric(name: string): Promise<number>;
}

/** A pinion whose standard output is the given descriptor. */
async function startInto(output: number, log: Readonly<Record<string, unknown>> = {}): Promise<Mute> {
  const servers = await namedTcp(['a', 'b']);
  const [port, metricsPort] = [await freePort(), await freePort()];
  const config = configText({
    metrics: { listen: `127.0.0.1:${metricsPort}` },
    log,
    listeners: [{ name: 'front', bind: `tcp://127.0.0.1:${port}`, pool: 'pool' }],
    pools: { pool: { health: noCheck, backends: backendsOf(servers) } },
  });
  const args = [pinionMain(), 'run', '--config', temporaryFile('pinion.yaml', config)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', output, 'inherit'] });
  children.push(child);
  await eventually('pinion listening', () => isBound('tcp', port, child.pid));
  return {
    child,
    port,
    async metric(name) {
      const page = await (await fetchFresh(`http://127.0.0.1:${metricsPort}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(page)?.[1]);
    },
  };
}

/** A pipe, which holds 64 KiB: both of its ends, opened by us. */
function openPipe(): { readonly reader: number; readonly writer: number } {
  const path = join(temporaryFolder('pipe'), 'log');
  execFileSync('mkfifo', [path]);
  // Reading and writing, so that opening waits for nobody (fifo(7)).
  const reader = openSync(path, 'r+');
  return { reader, writer: openSync(path, 'w') };
}

async function serves(mute: Mute, connections: number): Promise<void> {
  const clients = clientAddresses(connections);
  const names = await inParallel(clients, (from) => askTcp(mute.port, from), 64);
  expect(names.filter((name) => name !== 'a' && name !== 'b')).toEqual([]);
}

test('row 41: a pipe nobody reads stops the log, never the relay; what is lost is counted', async () => {
  const { reader, writer } = openPipe();
  const mute = await startInto(writer);
  // Each line is about 400 bytes: more than the pipe and the buffer together hold.
  for (let round = 0; round < 4; round++) await serves(mute, 4_000);
  const dropped = await eventually('lines dropped', async () => {
    const lines = await mute.metric('pinion_log_lines_dropped_total');
    return lines > 0 ? lines : undefined;
  });
  expect(dropped).toBeLessThan(16_000);
  await serves(mute, 200);

  // The reader wakes up: what was kept comes, whole lines, and then the new ones.
  const chunk = Buffer.alloc(65_536);
  let bytes = 0;
  while (bytes < 1_000_000) bytes += readSync(reader, chunk, 0, chunk.length, null);
  const ended = new Promise((resolve) => mute.child.once('exit', (code) => resolve(code)));
  mute.child.kill('SIGTERM');
  expect(await ended, 'it ends though the pipe is full again').toBe(0);
  closeSync(reader);
  closeSync(writer);
});

test('row 41: a reader that goes away (EPIPE) costs the lines, never the process', async () => {
  const path = join(temporaryFolder('pipe'), 'log');
  execFileSync('mkfifo', [path]);
  const cat = spawn('head', ['-c', '100', path], { stdio: 'ignore' });
  children.push(cat);
  const writer = openSync(path, 'w');
  const mute = await startInto(writer);
  closeSync(writer);
  await serves(mute, 500);
  await eventually(
    'lines counted as lost',
    async () => (await mute.metric('pinion_log_lines_dropped_total')) > 0,
  );
  await serves(mute, 500);
  const ended = new Promise((resolve) => mute.child.once('exit', (code) => resolve(code)));
  mute.child.kill('SIGTERM');
  expect(await ended).toBe(0);
});

test('a full disk under the file of finished flows costs its lines; the log goes on', async () => {
  const path = join(temporaryFolder('logs'), 'log');
  const mute = await startInto(openSync(path, 'w'), { access: { file: '/dev/full' } });
  await serves(mute, 200);
  await eventually(
    'each line counted as lost',
    async () => (await mute.metric('pinion_log_lines_dropped_total')) === 200,
  );
  await expect.poll(() => readFileSync(path, 'utf8')).toMatch(/"event":"ready".*\n$/);
});

test('the file of finished flows is opened again by SIGUSR1, and no line is lost', async () => {
  const path = join(temporaryFolder('logs'), 'access');
  const mute = await startInto(openSync('/dev/null', 'w'), { level: 'silent', access: { file: path } });
  const lines = (file: string): number => readFileSync(file, 'latin1').split('\n').length - 1;
  await serves(mute, 50);
  await eventually('50 lines', () => lines(path) === 50);
  renameSync(path, `${path}.1`);
  mute.child.kill('SIGUSR1');
  await eventually('the file is there again', () => existsSync(path));
  await serves(mute, 50);
  await eventually('50 more', () => lines(path) + lines(`${path}.1`) === 100);
  expect(lines(path)).toBeGreaterThan(0);
  expect(JSON.parse(readFileSync(path, 'utf8').split('\n')[0]!)).toMatchObject({
    event: 'flow',
    listener: 'front',
    code: 'client-closed',
  });
});
