/** Ordinary mistakes of whoever operates it: each is one clear line and an exit status, never a stack trace. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { pinionCommand } from './support/command.ts';
import { configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, pinionMain, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { startProcess, stopEverything } from './support/processes.ts';
import { stopServers } from './support/servers.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

function config(more: Section = {}): string {
  return configText({
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { health: noCheck, backends: [{ name: 'a', address: '127.0.0.1:9' }] } },
    ...more,
  });
}

/** A start that is refused: one line on standard error and none in the log, exit status 1. */
async function refusedStart(more: Section): Promise<string> {
  const { status, stdout, stderr } = await pinionCommand(['run', temporaryFile('pinion.yaml', config(more))]);
  expect(status, stderr).toBe(1);
  expect(stdout.includes('failed'), stdout).toBe(false);
  expect(stderr.split('\n').length, stderr).toBe(2);
  return stderr;
}

describe('the admin address', () => {
  test('a file at its path is not lost', async () => {
    const path = temporaryFile('letter.txt', 'dear');
    expect(await refusedStart({ admin: { listen: `unix:${path}` } })).toBe(
      `pinion: admin.listen: cannot bind unix:${path}: a file that is not a socket is there; remove it, or choose another path\n`,
    );
    expect(readFileSync(path, 'utf8')).toBe('dear');
  });

  test('a second instance neither takes it nor removes it; one that was killed leaves it to the next', async () => {
    const path = join(temporaryFolder('admin'), 'admin.sock');
    const admin = { listen: `unix:${path}` };
    const first = await startPinion(config({ admin }));
    expect(await refusedStart({ admin })).toBe(
      `pinion: admin.listen: cannot bind unix:${path}: another process (a second pinion?) listens there; stop it, or give this one another path\n`,
    );
    expect(await pinionCommand(['ready', '--admin', `unix:${path}`])).toMatchObject({ status: 0 });
    await first.stop('SIGKILL');
    expect(existsSync(path)).toBe(true);
    const second = await startPinion(config({ admin }));
    expect((await statusOf(path)).startedAt).toEqual(expect.any(String));
    await second.stop();
    expect(existsSync(path)).toBe(false);
  });

  test('an instance that stops leaves the socket of its successor', async () => {
    const path = join(temporaryFolder('admin'), 'admin.sock');
    const admin = { listen: `unix:${path}` };
    const first = await startPinion(config({ admin }));
    rmSync(path);
    await startPinion(config({ admin }));
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    expect(await pinionCommand(['ready', '--admin', `unix:${path}`])).toMatchObject({ status: 0 });
  });

  test('a folder that is missing is named, a port that is taken as well', async () => {
    const folder = join(temporaryFolder('admin'), 'none');
    expect(await refusedStart({ admin: { listen: `unix:${folder}/admin.sock` } })).toMatch(
      new RegExp(
        `^/.*pinion.yaml:7:15: admin.listen: there is no folder ${folder}; create it or choose another path\n$`,
      ),
    );
    const first = await startPinion(config());
    const listen = `127.0.0.1:${first.port('metrics')}`;
    expect(await refusedStart({ metrics: { listen } })).toBe(
      `pinion: metrics.listen: cannot bind http://${listen}: EADDRINUSE; another process has this address; stop it, or choose another port\n`,
    );
  });
});

async function statusOf(path: string): Promise<Record<string, unknown>> {
  const { stdout } = await pinionCommand(['status', '--json', '--admin', `unix:${path}`]);
  return JSON.parse(stdout);
}

describe('asking an instance', () => {
  test('as a user who may not', async () => {
    const path = join('/tmp', `pinion-test-${process.pid}.sock`);
    await startPinion(config({ admin: { listen: `unix:${path}` } }));
    const nobody = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--'];
    const others = process.getuid?.() === 0 ? nobody : [];
    const owner = process.getuid?.() === 0;
    const { status, stderr } = await pinionCommand(['status', '--admin', `unix:${path}`], others);
    expect({ status, stderr }).toEqual(
      owner
        ? {
            status: 1,
            stderr: `unix:${path}: this user may not open it (it is its owner's alone); use sudo\n`,
          }
        : { status: 0, stderr: '' },
    );
  });

  test('where something else listens', async () => {
    const answers: [string, RegExp][] = [
      [
        'HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno',
        /\(it answered 404 with something that is not JSON\)/,
      ],
      ['220 mail.example ESMTP\r\n', /\(it does not speak HTTP\)/],
    ];
    for (const [text, reason] of answers) {
      const server = createServer((socket) => socket.on('error', () => {}).end(text));
      const port = await freePort();
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      const { status, stdout, stderr } = await pinionCommand(['status', '-a', `127.0.0.1:${port}`]);
      server.close();
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(`127.0.0.1:${port} is not a pinion admin address`);
      expect(stderr).toMatch(reason);
      expect(stderr.split('\n').length, stderr).toBe(2);
    }
  });

  test('that does not answer', async () => {
    const pinion = await startPinion(config());
    pinion.process.signal('SIGSTOP');
    const place = `127.0.0.1:${pinion.port('admin')}`;
    const result = await pinionCommand(['status', '-a', place]);
    pinion.process.signal('SIGCONT');
    expect(result).toEqual({
      status: 1,
      stdout: '',
      stderr: `${place} takes connections and does not answer within 5 s\n`,
    });
  });
});

/** An instance that answers `answers` one after the other, and again; undefined: it closes the connection instead. */
async function fickle(answers: readonly (object | undefined)[], stream?: string) {
  let asked = 0;
  const server = createHttpServer((request, response) => {
    if (request.url === stream) return void response.writeHead(200).write(': here\n\n');
    const body = answers[asked++ % answers.length];
    if (body === undefined) request.socket.destroy();
    else response.end(JSON.stringify(body));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { at: ['--admin', `127.0.0.1:${port}`], close, asked: () => asked };
}

describe('an instance that goes away in the middle of an answer', () => {
  test('is watched all the same', async () => {
    const { at, close } = await fickle([{ pools: [] }, undefined]);
    const args = [pinionMain(), 'pools', '--watch', '--every', '100ms', ...at];
    const watching = startProcess({ command: process.execPath, args });
    await watching.waitForOutput(/no pools[\s\S]*closed the connection without an answer[\s\S]*no pools/);
    await watching.stop();
    close();
  });

  test('does not end top', async () => {
    const { at, close, asked } = await fickle([{ events: [], last: '' }, undefined, undefined], '/v1/stream');
    const command = [process.execPath, pinionMain(), 'top', '--view', 'flows', ...at].join(' ');
    const terminal = spawn('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null']);
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text) => {
      shown += text;
    });
    const ended = once(terminal, 'exit');
    terminal.stdin.on('error', () => {});
    await eventually('flows to be asked for twice', () => asked() >= 3 || terminal.exitCode !== null);
    terminal.stdin.write('q');
    expect((await ended)[0], shown).toBe(0);
    close();
  });
});

test('a reload is waited for longer than anything else that is asked', async () => {
  const server = createHttpServer((_request, response) => {
    setTimeout(() => response.end('{"digest":"slow"}'), 6_000);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const result = await pinionCommand(['reload', '--json', '-a', `127.0.0.1:${port}`]);
  server.close();
  expect(result).toEqual({ status: 0, stdout: '{\n  "digest": "slow"\n}\n', stderr: '' });
});

test('reload says what waits for a restart, also the next time', async () => {
  const pinion = await startPinion(config({ workers: 1 }));
  const reload = (...more: string[]) =>
    pinionCommand(['reload', '--admin', `127.0.0.1:${pinion.port('admin')}`, ...more]);
  expect(JSON.parse((await reload('--json')).stdout)).toMatchObject({ needRestart: [] });
  writeFileSync(
    pinion.configPath,
    config({ workers: 2, shutdown: { drain: '1s' }, log: { level: 'debug', format: 'json' } }),
  );
  expect(JSON.parse((await reload('--dry-run', '--json')).stdout)).toMatchObject({
    changes: [],
    settings: ['log.level', 'shutdown'],
    pendingRestart: ['workers', 'log.format'],
    text: 'log.level changed, shutdown changed. No open flow ends. A restart changes workers, log.format.',
  });
  for (let round = 0; round < 2; round++) {
    const { status, stdout, stderr } = await reload();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(
      /^the configuration is in use \(digest \S+\)\nrestart to change workers, log\.format\n$/,
    );
  }
  const { status, stdout, stderr } = await reload('--json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ needRestart: ['workers', 'log.format'] });
  writeFileSync(pinion.configPath, 'nonsense');
  expect(await reload('--dry-run')).toMatchObject({ status: 1, stderr: '' });
  const dry = await reload('--dry-run', '--json');
  expect({ ...dry, stdout: JSON.parse(dry.stdout).errors.length }).toEqual({
    status: 1,
    stdout: 1,
    stderr: '',
  });
});

test('a password file that is missing is a refused configuration', async () => {
  const withFile = (key: string, value: unknown) =>
    refusedStart({ cluster: { name: 'c', redis: { url: 'rediss://127.0.0.1:1', [key]: value } } });
  expect(await withFile('password_file', '/nonexistent/password')).toMatch(
    /^\/.*:\d+:\d+: cluster\.redis\.password_file: \/nonexistent\/password: there is no such file\n$/,
  );
  expect(await withFile('password_file', 'credential:redis')).toMatch(
    /^\/.*:\d+:\d+: cluster\.redis\.password_file: \/.*\/redis: there is no such file\n$/,
  );
  expect(await withFile('tls', { ca_file: '/nonexistent/ca.pem' })).toMatch(
    /^\/.*:\d+:\d+: cluster\.redis\.tls\.ca_file: \/nonexistent\/ca\.pem: there is no such file\n$/,
  );
});

describe('standard output', () => {
  const intoShell = (command: string) =>
    spawnSync('sh', ['-c', `${process.execPath} ${pinionMain()} ${command}`], { encoding: 'utf8' });

  test.each(['schema', '--help', 'check --help', `check ${demoFile()}`])(
    'that is full: pinion %s',
    (command) => {
      const { status, stderr } = intoShell(`${command} > /dev/full`);
      expect({ status, stderr }).toEqual({ status: 1, stderr: 'cannot write to standard output: ENOSPC\n' });
    },
  );

  test('that is read no further', () => {
    expect(intoShell('schema | head -c 1')).toMatchObject({ status: 0, stdout: '{', stderr: '' });
  });
});

function demoFile(): string {
  return fileURLToPath(new URL('../config/demo.yaml', import.meta.url));
}

describe('which configuration', () => {
  test('check and run take the file as it is or with --config', async () => {
    for (const name of [[demoFile()], ['-c', demoFile()], ['--config', demoFile()]]) {
      const { status, stdout } = await pinionCommand(['check', ...name]);
      expect({ status, stdout }).toEqual({
        status: 0,
        stdout: `${demoFile()} is good: listeners 2, pools 2, backends 6\n`,
      });
    }
    const pinion: Pinion = await startPinion(config());
    await pinion.stop();
    expect(await pinionCommand(['run', '/nonexistent'])).toMatchObject({
      status: 1,
      stderr: '/nonexistent: there is no such file\n',
    });
  });

  test.each([
    [['check'], 'error: no configuration is given: pinion check FILE\nsee: pinion check --help\n'],
    [['run', '-c', ''], 'error: --config is empty\nsee: pinion run --help\n'],
    [['status', '-c', ''], 'error: --config is empty\nsee: pinion status --help\n'],
    [['check', ''], 'error: the name of the configuration is empty\nsee: pinion check --help\n'],
    [
      ['run', 'a', '-c', 'b'],
      'error: two configurations are given: a and --config b\nsee: pinion run --help\n',
    ],
    [['check', '--nonsense'], "error: unknown option '--nonsense'\nsee: pinion check --help\n"],
    [['pins', 'list', '--nonsense'], "error: unknown option '--nonsense'\nsee: pinion pins list --help\n"],
  ])('pinion %j is wrong usage, and the mistake stays in sight', async (args, said) => {
    expect(await pinionCommand(args)).toEqual({ status: 2, stdout: '', stderr: said });
  });
});

test('an older Node.js is turned away at once', () => {
  const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const oldest = /^>=(\d+\.\d+)\.0$/.exec(engines.node)?.[1];
  const pretend = `
    Object.defineProperty(process, 'version', { value: 'v18.20.8' });
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.8' } });`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, pinionMain(), '--help'];
  expect(spawnSync(process.execPath, args, { encoding: 'utf8' })).toMatchObject({
    status: 1,
    stdout: '',
    stderr: `pinion needs Node.js ${oldest} or newer; this is v18.20.8\n`,
  });
});
