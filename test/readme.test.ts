/** What the documents say is true: every YAML block is a good configuration, and the ten-line file and its commands work. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { askTcp } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { freePort } from './support/ports.ts';
import { type RunningProcess, startProcess, stopEverything } from './support/processes.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

afterAll(async () => {
  await stopEverything();
  await stopServers();
});

interface Block {
  readonly where: string;
  readonly text: string;
}

/** The fenced YAML blocks of a document, with the line each begins at. */
function yamlBlocks(file: string): Block[] {
  const text = readFileSync(`${root}${file}`, 'utf8');
  return [...text.matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)].map((match) => ({
    where: `${file}:${text.slice(0, match.index).split('\n').length}`,
    text: match[1]!,
  }));
}

/** A block may show only some sections; what it leaves out is put in, so that what it says is checked. */
function completed(text: string): string {
  const has = (section: string): boolean => new RegExp(`^${section}:`, 'm').test(text);
  const pools = [...text.matchAll(/^\s+(?:- \{ .*)?pool: (\w+)/gm)].map((match) => match[1]!);
  const backends = `{ backends: [ { name: a, address: 192.0.2.1:1 } ] }`;
  let whole = text;
  if (!has('pools')) {
    const names = pools.length === 0 ? ['pool'] : [...new Set(pools)];
    whole += `\npools: { ${names.map((name) => `${name}: ${backends}`).join(', ')} }\n`;
  }
  if (!has('listeners')) {
    const pool = /^pools:\n(?:\s*#.*\n)*\s+(\w+):/m.exec(text)?.[1] ?? 'pool';
    whole += `\nlisteners: [ { name: front, bind: "tcp://127.0.0.1:1", pool: ${pool} } ]\n`;
  }
  return whole;
}

const documents = ['README.md', ...readdirSync(`${root}docs`).map((file) => `docs/${file}`)].filter((file) =>
  file.endsWith('.md'),
);
// Those of other programs name the file they belong to.
const blocks = documents.flatMap(yamlBlocks).filter(({ text }) => !text.startsWith('# prometheus.yml'));

describe('the documents', () => {
  test('have examples', () => {
    expect(blocks.length).toBeGreaterThan(0);
  });

  test.each(blocks)('the YAML at $where is good', async ({ text }) => {
    const path = temporaryFile('pinion.yaml', completed(text));
    const { status, stderr } = await pinionCommand(['check', '--config', path]);
    expect(stderr.replace(/^warning: .*\n/gm, '')).toBe('');
    expect(status).toBe(0);
  });

  // alerts.yaml is Prometheus's.
  test.each(readdirSync(`${root}config`).filter((file) => file.endsWith('.yaml') && file !== 'alerts.yaml'))(
    'config/%s is good',
    async (file) => {
      const { status, stderr } = await pinionCommand(['check', '--config', `${root}config/${file}`]);
      // Of the machine it runs on: here nobody has made the folder of its socket.
      const said = stderr.replace(/^warning: .* there is no folder \/run\/pinion; .*\n/gm, '');
      expect({ status, said }).toEqual({ status: 0, said: '' });
    },
  );
});

/** The shell commands of a document, without what is said about them. */
function shellCommands(file: string): string[] {
  const text = readFileSync(`${root}${file}`, 'utf8');
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap((match) =>
    match[1]!.split('\n').map((line) => line.replace(/ +#.*$/, '')),
  );
}

/** A README's command, with our file for `my.yaml` and run as written: that of docs/INSTALL.md for a checkout, too. */
function startAsWritten(start: string, file: string): RunningProcess {
  const command = shellCommands('README.md').find((line) => line.startsWith(start));
  expect(command, `README has: ${start}`).toBeDefined();
  const shell = `exec ${command!.replace('my.yaml', file)}`;
  return startProcess({ name: command!, command: 'sh', args: ['-c', shell], folder: root });
}

test('the ten-line file of README balances two servers, and its commands work as they are written', async () => {
  const block = yamlBlocks('README.md').find(({ text }) => text.includes('127.0.0.1:8080'))!;
  expect(block.text.trim().split('\n').length).toBeLessThanOrEqual(10);
  const servers = await namedTcp(['one', 'two']);
  const port = await freePort();
  const socket = `${temporaryFolder('readme')}/pinion.sock`;
  const file = temporaryFile(
    'my.yaml',
    block.text
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replace('127.0.0.1:8001', servers[0]!.address)
      .replace('127.0.0.1:8002', servers[1]!.address)
      .replace('/tmp/pinion.sock', socket),
  );
  const check = startAsWritten('bin/pinion.js check', file);
  expect(await check.exited, check.output()).toEqual({ code: 0, signal: null });

  const pinion = startAsWritten('npm start -- ', file);
  // It installs and builds first.
  await pinion.waitForOutput(/"event":"ready"/, 100_000);
  const names = await Promise.all(Array.from({ length: 40 }, (_, i) => askTcp(port, `127.40.0.${i + 1}`)));
  expect(new Set(names)).toEqual(new Set(['one', 'two']));

  const status = startAsWritten('bin/pinion.js status', file);
  expect(await status.exited, status.output()).toEqual({ code: 0, signal: null });
  expect(status.output()).toMatch(/ READY [\s\S]*^web +tcp:\/\/127\.0\.0\.1:\d+ +servers /m);
});
