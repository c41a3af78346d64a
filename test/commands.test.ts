/**
 * The commands that ask a running instance, as docs/OPERATING.md has them: each for people and with --json, what they say when
 * something is wrong, events as they come, and completion in a real bash.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tcpClient } from './support/clients.ts';
import { commandFolder, pinionCommand } from './support/command.ts';
import { backendsOf, configText, listener } from './support/config.ts';
import { blocksOf, commandIn } from './support/documents.ts';
import { eventually } from './support/eventually.ts';
import { findCommand } from './support/packages.ts';
import { type Pinion, pinionMain, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { startProcess, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

let pinion: Pinion;
let at: string[];
let admin: string;
/** A folder with a command of this name, as on a PATH. */
let bin: string;

beforeAll(async () => {
  const folder = temporaryFolder('commands');
  admin = `unix:${join(folder, 'admin.sock')}`;
  at = ['--admin', admin];
  const backends = [
    ...backendsOf(await namedTcp(['pg1', 'pg2'])),
    { name: 'pg3', address: `127.0.0.1:${await freePort()}` },
  ];
  pinion = await startPinion(
    configText({
      admin: { listen: admin },
      listeners: [listener('postgres', 'tcp', 'pg')],
      pools: { pg: { health: { interval: '500ms' }, backends } },
    }),
  );
  const client = await tcpClient(pinion.port('postgres'), { from: '127.0.0.1' });
  await client.line();
  await eventually('pg3 is down', () =>
    pinion.events('backend-down').some(({ backend }) => backend === 'pg3'),
  );
  bin = commandFolder();
});

afterAll(async () => {
  await stopEverything();
  await stopServers();
});

test('check loads no library that only a running instance needs, and of the one it needs no other languages', async () => {
  const folder = temporaryFolder('loaded');
  const [teller, told] = [join(folder, 'tell.cjs'), join(folder, 'told.json')];
  // Those that are CommonJS, as ioredis, pino and prom-client are; of ES modules the unit test of commands knows.
  writeFileSync(
    teller,
    `process.on('exit', () => require('fs').writeFileSync(${JSON.stringify(told)}, JSON.stringify(Object.keys(require.cache))));`,
  );
  const command = [process.execPath, '--require', teller, pinionMain(), 'check', 'config/demo.yaml'];
  execFileSync(command[0]!, command.slice(1), { stdio: 'ignore' });
  const loaded = JSON.parse(readFileSync(told, 'utf8')) as string[];
  const files = loaded.flatMap((path) => path.split('/node_modules/').slice(1));
  const packages = new Set(files.map((path) => path.split('/')[0]!).filter((name) => !name.startsWith('@')));
  expect([...packages].sort()).toEqual(['commander', 'zod']);
  expect(files.filter((path) => path.includes('/locales/'))).toEqual(['zod/v4/locales/en.cjs']);
});

describe('for people and for scripts', () => {
  test.each<[string[], RegExp, object]>([
    [['status'], /^pinion \S+ .* READY [\s\S]*^pg\/pg3 +DOWN .* refused: ECONNREFUSED/m, { ready: true }],
    [
      ['backends'],
      /^pg\/pg1 +UP [\s\S]*^pg\/pg3 +DOWN /m,
      { backends: [{}, {}, { state: 'down', code: 'refused' }] },
    ],
    [['pools'], /^pg +DEGRADED +2 of 3 /m, { pools: [{ pool: 'pg', state: 'degraded' }] }],
    [
      ['listeners'],
      /^postgres +tcp:\/\/127\.0\.0\.1:\d+ +pg +1 /m,
      { listeners: [{ listener: 'postgres', flows: 1 }] },
    ],
    [
      ['connections'],
      /^127\.0\.0\.1:\d+ +postgres +pg\/pg[12] +policy [\s\S]*^1 connection$/m,
      { connections: [{ listener: 'postgres' }] },
    ],
    [
      ['pins', 'list'],
      /^127\.0\.0\.1 +pg\/pg[12] +policy .*\n1 pin$/m,
      { pins: [{ pool: 'pg', client: '127.0.0.1' }] },
    ],
    [['events'], / ! {2}backend-down +pg\/pg3 is down: /, { isGap: false }],
    [['ready'], /^ready\n$/, { ready: true, why: null }],
    [['version'], /^pinion \S+ .*\n\S+ runs on unix:/, { running: { version: expect.any(String) } }],
    [
      ['drain', 'pg/pg1', '--dry-run'],
      /^ {2}pg2 {2}50 % -> 100 %\nNothing was changed\.$/m,
      { dryRun: true, pool: 'pg' },
    ],
    [['reload', '--dry-run'], /^Nothing changes\.$/m, { dryRun: true, errors: [] }],
  ])('%j', async (words, text, json) => {
    const [said, told] = await Promise.all([
      pinionCommand([...words, ...at]),
      pinionCommand([...words, ...at, '--json']),
    ]);
    expect(said).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(text) });
    expect(said.stdout, 'a pipe gets no colour').not.toContain('\x1b');
    expect({ ...told, stdout: JSON.parse(told.stdout) }).toMatchObject({
      status: 0,
      stderr: '',
      stdout: json,
    });
  });

  test('what is refused is told in words, and with --json as the instance has said it', async () => {
    const wrong = ['drain', 'pg/pg9', ...at];
    const error = 'no backend pg/pg9; there are: pg/pg1, pg/pg2, pg/pg3';
    expect(await pinionCommand(wrong)).toEqual({ status: 1, stdout: '', stderr: `${error}\n` });
    const { status, stdout } = await pinionCommand([...wrong, '--json']);
    expect({ status, body: JSON.parse(stdout) }).toEqual({ status: 1, body: { error } });
    const none = { status: 1, body: { error: 'no backend pg/gp1; there are: pg/pg1, pg/pg2, pg/pg3' } };
    expect(await pinionCommand(['backends', 'pg/gp1', ...at])).toEqual({
      status: 1,
      stdout: '',
      stderr: `${none.body.error}\n`,
    });
    const asJson = async (name: string) => {
      const { status, stdout } = await pinionCommand(['backends', name, '--json', ...at]);
      return { status, body: JSON.parse(stdout) };
    };
    expect(await asJson('pg/gp1')).toEqual(none);
    expect(await asJson('gp')).toEqual({ status: 1, body: { error: 'no pool gp; there are: pg' } });
    // --down leaves the same for a script as for a person.
    const down = await pinionCommand(['backends', '--down', '--json', ...at]);
    expect(JSON.parse(down.stdout).backends.map(({ state }: { state: string }) => state)).toEqual(['down']);
    expect((await pinionCommand(['backends', 'pg/pg1', '--down', ...at])).stdout).toBe(
      'all backends take new clients\n',
    );
    expect((await asJson('pg/pg2')).body.backends.map(({ backend }: { backend: string }) => backend)).toEqual(
      ['pg2'],
    );
  });

  test('where nobody is, the address is named, and what to do', async () => {
    const nobody = 'unix:/nonexistent/admin.sock';
    expect(await pinionCommand(['ready', '--admin', nobody])).toMatchObject({
      status: 1,
      stdout: `not ready: no pinion answers on ${nobody}; is it running, and is this its admin.listen?\n`,
    });
    const told = await pinionCommand(['ready', '--json', '--admin', nobody]);
    expect({ ...told, stdout: JSON.parse(told.stdout) }).toMatchObject({
      status: 1,
      stdout: { ready: false, why: expect.stringContaining(nobody) },
    });
    const moved = readFileSync(pinion.configPath, 'utf8').replace(admin, nobody);
    const file = join(bin, 'moved.yaml');
    writeFileSync(file, moved);
    expect(await pinionCommand(['reload', '--config', file])).toEqual({
      status: 1,
      stdout: '',
      stderr: `no pinion answers on ${nobody}, the admin.listen of ${file}; is it running, or does it still listen on the address it was started with? (--admin ADDRESS)\n`,
    });
  });
});

test('--watch shows it again, and events come as they happen', async () => {
  const start = (...words: string[]) =>
    startProcess({ name: words[0]!, command: process.execPath, args: [pinionMain(), ...words, ...at] });
  const [watching, following] = [
    start('pools', '--watch', '--every', '100ms'),
    start('events', '--follow', '--json'),
  ];
  await watching.waitForOutput(/POOL[\s\S]*\n\nPOOL/);
  await following.waitForOutput(/"event":"ready"/);
  await pinionCommand(['drain', 'pg/pg1', ...at]);
  await following.waitForOutput(/"event":"backend-operated".*pg\/pg1 drains/);
  await watching.waitForOutput(/^pg +DEGRADED +1 of 3 /m);
  await pinionCommand(['undrain', 'pg/pg1', ...at]);
  await Promise.all([watching.stop(), following.stop()]);
});

test('the commands of docs/OPERATING.md and TROUBLESHOOTING.md work as they are written', () => {
  const lines = ['docs/OPERATING.md', 'docs/TROUBLESHOOTING.md']
    .flatMap(blocksOf)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.trimEnd().split('\n').map(commandIn));
  expect(lines.length).toBeGreaterThan(25);
  const root = temporaryFolder('root');
  const scripts = lines.flatMap((line) => /^pinion completion .* > (\S+)$/.exec(line)?.[1] ?? []);
  for (const path of scripts) mkdirSync(dirname(join(root, path)), { recursive: true });
  // A reader of manuals is not everywhere.
  const here = lines.filter((line) => findCommand('man') !== undefined || !line.includes('man -l'));
  const script = here
    .map((line) => line.replace('/etc/pinion/pinion.yaml', pinion.configPath).replace(/> \//, `> ${root}/`))
    .map((line) => line.replace('NAME', 'postgres').replace('ADDRESS', '127.0.0.1'))
    .map((line) =>
      line === 'pinion top' ? `echo q | script --quiet --flush --return --command "${line}" /dev/null` : line,
    )
    .map((line) => `( ${line} ) || echo "FAILED $?: ${line.replaceAll('"', "'")}"`);
  const { stdout, stderr } = spawnSync('sh', ['-c', script.join('\n')], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, PINION_ADMIN: admin, MANPAGER: 'cat' },
  });
  expect({ stderr, failed: stdout.match(/^FAILED.*/gm) ?? [] }).toEqual({ stderr: '', failed: [] });
  expect(scripts.length).toBe(3);
  for (const path of scripts) expect(readFileSync(join(root, path), 'utf8')).toMatch(/pinion/);
  if (here.length === lines.length) expect(stdout).toMatch(/TCP and UDP load balancer that pins/);
}, 300_000);

test('bash completes commands, options and the names of the instance', () => {
  const complete = (line: string): string[] => {
    const script = `source <(pinion completion bash)
      COMP_LINE=${JSON.stringify(line)}; COMP_POINT=\${#COMP_LINE}; read -ra COMP_WORDS <<< "$COMP_LINE"
      [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(""); COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
      _pinion; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, PINION_ADMIN: admin };
    return execFileSync('bash', ['-c', script], { encoding: 'utf8', env }).trim().split('\n');
  };
  expect(complete('pinion expl')).toEqual(['explain']);
  expect(complete('pinion drain pg/')).toEqual(['pg/pg1', 'pg/pg2', 'pg/pg3']);
  expect(complete('pinion drain pg/pg1 --f')).toEqual(['--force']);
});

requirePackage('shells')('other shells complete the same', () => {
  const inShell = (shell: string, script: string): string[] => {
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, PINION_ADMIN: admin };
    return execFileSync(shell, ['-c', script], { encoding: 'utf8', env }).trim().split('\n');
  };

  test('fish', () => {
    const script = `pinion completion fish | source
      complete -C 'pinion expl'; complete -C 'pinion drain pg/'; complete -C 'pinion drain pg/pg1 --f'`;
    expect(inShell('fish', script).map((line) => line.split('\t')[0])).toEqual([
      'explain',
      'pg/pg1',
      'pg/pg2',
      'pg/pg3',
      '--force',
    ]);
  });

  test('zsh', () => {
    // What zsh is given to offer: what its own functions draw of it is theirs.
    const script = `function compdef { }; source <(pinion completion zsh)
      function _describe { print -l -- $described }
      words=(pinion expl); CURRENT=2; _pinion
      words=(pinion drain pg/); CURRENT=3; _pinion
      words=(pinion drain --admin unix:/nowhere -); CURRENT=5; _pinion`;
    const offered = inShell('zsh', script).map((line) => line.split(':')[0]);
    expect(offered.slice(0, 4)).toEqual(['explain', 'pg/pg1', 'pg/pg2', 'pg/pg3']);
    expect(offered).toContain('--force');
  });
});
