/** Bad configurations through the real command: one clear message each, the promised exit status, no stack trace. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { admin, backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, tcpServer } from './support/servers.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const pool = { backends: [{ name: 'a', address: '127.0.0.1:9' }] };
const front = listener('front', 'tcp', 'pool');

/** Both `check` and `run` refuse the file, with these lines on standard error and nothing on standard output. */
async function refused(path: string, ...lines: (string | RegExp)[]): Promise<void> {
  for (const command of ['check', 'run']) {
    const { status, stdout, stderr } = await pinionCommand([command, '--config', path]);
    expect(status, command).toBe(1);
    expect(stdout, command).toBe('');
    // The line of a mistake may follow, with a mark under the place.
    const said = stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('    '));
    expect(said.length, stderr).toBe(lines.length);
    for (const [i, line] of lines.entries()) {
      if (typeof line === 'string') expect(said[i]).toBe(`${path}${line}`);
      else expect(said[i]).toMatch(line);
    }
  }
}

function refusedText(text: string | Buffer, ...lines: (string | RegExp)[]): Promise<void> {
  const path = join(temporaryFolder('bad'), 'pinion.yaml');
  writeFileSync(path, text);
  return refused(path, ...lines);
}

function refusedConfig(config: Section, ...lines: RegExp[]): Promise<void> {
  const { listeners, pools, ...more } = config;
  return refusedText(
    configText({
      listeners: (listeners ?? [front]) as Section[],
      pools: (pools ?? { pool }) as Record<string, Section>,
      ...more,
    }),
    ...lines,
  );
}

describe('a file that cannot be a configuration', () => {
  test('missing', () => refused('/nonexistent/pinion.yaml', ': there is no such file'));

  test('a directory', () => refused(temporaryFolder('dir'), ': is a directory, not a file'));

  test('unreadable', async () => {
    const path = temporaryFile('pinion.yaml', configText({ listeners: [front], pools: { pool } }));
    chmodSync(path, 0o000);
    // Root may read everything, unless it gives that right away.
    const drop = [
      'setpriv',
      '--bounding-set=-dac_override,-dac_read_search',
      '--inh-caps=-dac_override,-dac_read_search',
      '--',
    ];
    const { status, stderr } = await pinionCommand(
      ['check', '--config', path],
      process.getuid?.() === 0 ? drop : [],
    );
    expect(status).toBe(1);
    expect(stderr).toBe(`${path}: may not be read by this user\n`);
  });

  test('a pipe that nobody writes to', async () => {
    const path = join(temporaryFolder('fifo'), 'pinion.yaml');
    execFileSync('mkfifo', [path]);
    await refused(path, ': is not a regular file');
  });

  test('empty', () => refusedText('', /pinion\.yaml.*: .*(empty|nothing)/i));

  test('only a comment', () => refusedText('# nothing here yet\n', /pinion\.yaml.*: .*(empty|nothing)/i));

  test('10 MB', () =>
    refusedText(`# ${'x'.repeat(10_000_000)}\n`, ': is 10000003 bytes; a configuration has at most 4 MiB'));

  test('binary', () =>
    refusedText(Buffer.from([1, 2, 10, 3, 0, 255]), ': is not text: it has a NUL byte in line 2'));

  test('not UTF-8', () =>
    refusedText(Buffer.from([0x61, 0xff, 0xfe, 0x62]), ': is not text: it is not valid UTF-8'));

  test('YAML that is broken', () => refusedText('listeners: [\n', /pinion\.yaml:\d+:\d+: /));
});

describe('a configuration that says something wrong', () => {
  test('duplicate names of listeners', () =>
    refusedConfig(
      { listeners: [front, { ...front }] },
      /:\d+:\d+: listeners\[1\]\.name: "front" is the name of another listener: listeners\[0\]\.name \(line \d+\)/,
    ));

  test('duplicate names of backends', () =>
    refusedConfig(
      { pools: { pool: { backends: [pool.backends[0], { name: 'a', address: '127.0.0.1:10' }] } } },
      /pools\.pool\.backends\[1\]\.name: "a" is the name of another backend of this pool/,
    ));

  test('a key twice', () =>
    refusedText(
      'listeners: []\nlisteners: []\npools: {}\n',
      ':1:12: listeners: needs at least one listener',
      ':2:1: listeners: is given twice (first in line 1)',
    ));

  test('an address in two listeners', () =>
    refusedConfig(
      {
        listeners: [
          { ...front, bind: 'tcp://0.0.0.0:5555' },
          { ...front, name: 'other', bind: 'tcp://127.0.0.1:5555' },
        ],
      },
      /listeners\[1\]\.bind: .* is taken: listeners\[0\]\.bind \(line \d+\) has /,
    ));

  test('an unknown pool, with a suggestion', () =>
    refusedConfig(
      { listeners: [{ ...front, pool: 'pol' }] },
      /:\d+:\d+: listeners\[0\]\.pool: there is no pool "pol"; did you mean pool\?$/,
    ));

  test('only backends of weight 0', () =>
    refusedConfig(
      { pools: { pool: { backends: [{ ...pool.backends[0], weight: 0 }] } } },
      /pools\.pool\.backends: every backend has weight 0/,
    ));

  test('an unknown key, with a suggestion', () =>
    refusedConfig(
      { pools: { pool: { ...pool, polcy: 'maglev' } } },
      /pools\.pool\.polcy: .*did you mean "?policy"?\?/,
    ));

  test('everything at once, in the order of the file', () =>
    refusedConfig(
      {
        listeners: [{ ...front, timeouts: { idle: 5 } }],
        pools: { pool: { ...pool, policy: 'magic' } },
        workers: 0,
      },
      /:\d+:\d+: listeners\[0\]\.timeouts\.idle: needs a unit: write 5s if that is meant/,
      /:\d+:\d+: pools\.pool\.policy: must be one of .*, not "magic"$/,
      /:\d+:\d+: workers: must be auto or a whole number from 1 to 64, not 0$/,
    ));
});

describe('a configuration that is odd and good', () => {
  test('a pool nobody uses is warned of, and served without', async () => {
    const path = temporaryFile(
      'pinion.yaml',
      configText({ listeners: [front], pools: { pool, spare: pool } }),
    );
    const { status, stdout, stderr } = await pinionCommand(['check', '--config', path]);
    expect(status).toBe(0);
    expect(stdout).toBe(`${path} is good: listeners 1, pools 2, backends 2\n`);
    expect(stderr).toMatch(/^warning: .*pinion\.yaml:\d+:\d+: pools\.spare: no listener uses this pool\n$/);
  });

  test('a backend of weight 0 gets no new clients', async () => {
    const servers = await namedTcp(['a', 'b']);
    const [a, b] = backendsOf(servers);
    const backends = [a!, { ...b, weight: 0 }];
    const pinion = await startPinion(
      configText({ listeners: [front], pools: { pool: { health: noCheck, backends } } }),
    );
    const names = await inParallel(clientAddresses(100), (from) => askTcp(pinion.port('front'), from));
    expect(new Set(names)).toEqual(new Set(['a']));
  });

  test('a thousand backends are served correctly', async () => {
    // One server on a thousand addresses says which of them it was reached by.
    const server = await tcpServer((socket) => socket.end(`${socket.localAddress}\n`), { ip: '0.0.0.0' });
    const backends = Array.from({ length: 1_000 }, (_, i) => {
      const ip = `127.50.${i >> 8}.${i & 255}`;
      return { name: ip, address: `${ip}:${server.port}` };
    });
    const more = { policy: 'maglev', table_size: 100_003, health: noCheck };
    const pinion = await startPinion(
      configText({ listeners: [front], pools: { pool: { ...more, backends } } }),
    );
    const ask = (from: string) => askTcp(pinion.port('front'), from);
    const clients = clientAddresses(2_000);
    const first = await inParallel(clients, ask);
    const known = new Set(backends.map(({ name }) => name));
    expect(first.filter((name) => !known.has(name))).toEqual([]);
    // 2,000 clients over 1,000 backends by chance leave about 135 of them alone (1000 / e^2).
    expect(new Set(first).size).toBeGreaterThan(800);
    expect(await inParallel(clients.slice(0, 500), ask)).toEqual(first.slice(0, 500));
    await expect.poll(() => pinion.metric('pinion_backend_up')).toBe(1_000);
  });

  test('a bad file on reload changes nothing and is told with its place', async () => {
    const servers = await namedTcp(['a']);
    const good = configText({
      listeners: [front],
      pools: { pool: { health: noCheck, backends: backendsOf(servers) } },
    });
    const pinion = await startPinion(good);
    writeFileSync(pinion.configPath, good.replace('"pool": "pool"', '"pool": "gone"'));
    pinion.process.signal('SIGHUP');
    const record = await pinion.waitForLog(({ event }) => event === 'reload-refused');
    expect(String(record.problems)).toMatch(
      /pinion\.yaml:\d+:\d+: listeners\[0\]\.pool: there is no pool "gone"/,
    );
    expect(await askTcp(pinion.port('front'))).toBe('a');
    rmSync(pinion.configPath);
    mkdirSync(pinion.configPath);
    pinion.process.signal('SIGHUP');
    await pinion.waitForLog(
      ({ event, msg }) => event === 'reload-refused' && /is a directory/.test(String(msg)),
    );
    expect(await askTcp(pinion.port('front'))).toBe('a');
  });
});

describe('wrong usage ends with status 2 and says what is right', () => {
  test.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['run'], /no configuration is given: pinion run FILE/],
    [['run', '--config'], /argument missing/],
    [['check', '--config', 'x', '--nonsense'], /unknown option '--nonsense'/],
    [
      ['explain', '--listener', 'front', '--client', 'nobody'],
      /--client: nobody is not an IP address, nor a key/,
    ],
    [['drain', 'nopool'], /nopool: write POOL\/BACKEND/],
  ])('pinion %s', async (args, message) => {
    const { status, stdout, stderr } = await pinionCommand(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('pinion alone shows its help', async () => {
    const { status, stdout } = await pinionCommand([]);
    expect(stdout).toMatch(/Usage: pinion/);
    expect(status).toBe(0);
  });
});

test('check --print does not show the password of the Redis', async () => {
  const cluster = { name: 'eu', redis: 'redis://pinion:s3cret@127.0.0.1' };
  const path = temporaryFile('pinion.yaml', configText({ listeners: [front], pools: { pool }, cluster }));
  const { status, stdout, stderr } = await pinionCommand(['check', '--print', '--config', path]);
  expect(status).toBe(0);
  expect(stderr).toContain('cluster.redis: the password is in the file; use password_file');
  expect(JSON.parse(stdout).cluster.redis).toMatchObject({ username: 'pinion', password: '***' });
  expect(stdout + stderr).not.toContain('s3cret');
});

describe('the address of Redis in a wrong place, password and all', () => {
  const secret = 's3cret';
  const address = `redis://user:${secret}@10.0.0.5:6379`;
  const typo = address.replace('redis:', 'redsi:');
  const written = (more: Section): string => configText({ listeners: [front], pools: { pool }, ...more });
  const misplaced: Readonly<Record<string, string>> = {
    'as the value of another key': written({ metrics: { listen: address } }),
    'as the value of a key there is not': written({ redis: address }),
    'as the address of a backend': written({ pools: { pool: { backends: [{ name: 'a', address }] } } }),
    'as the name of a backend': written({
      pools: { pool: { backends: [{ name: address, address: '127.0.0.1:9' }] } },
    }),
    'as the name of a pool': written({ pools: { pool, [address]: pool } }),
    'as the pool of a listener': written({ listeners: [{ ...front, pool: address }] }),
    'as the name of a listener, twice': written({
      listeners: [
        { ...front, name: address },
        { ...front, name: address },
      ],
    }),
    'with a typo in its scheme': written({ cluster: { name: 'c', redis: { url: typo } } }),
    'as the section of the cluster': written({ cluster: address }),
    'not in quotes where it needs them': `cluster: { redis: { url: redis://user:${secret}@[::1]:6379 } }\n`,
    'as no YAML': `cluster:\n  redis: ${address}\n    url: ${typo}: x\n`,
    'as a key given twice': `${address}: 1\n${address}: 2\n`,
    'as an alias': `cluster: *${secret}\n`.replace(secret, address.replaceAll(':', '')),
  };

  test('is not shown by check', async () => {
    for (const [where, text] of Object.entries(misplaced)) {
      const path = temporaryFile('pinion.yaml', text);
      const { status, stdout, stderr } = await pinionCommand(['check', '--config', path]);
      expect(status, where).toBe(1);
      expect(stderr, where).toContain(path);
      expect(stdout + stderr, where).not.toContain(secret);
    }
  });

  test('is not shown in the log of a reload, in its answer, on a page', async () => {
    const pinion = await startPinion(written({}));
    let refusals = 0;
    for (const [where, text] of Object.entries(misplaced)) {
      writeFileSync(pinion.configPath, text);
      pinion.process.signal('SIGHUP');
      refusals++;
      await eventually(`a refusal ${where}`, () => pinion.events('reload-refused').length === refusals);
      const answers = [
        await admin(pinion, 'POST', '/reload'),
        await admin(pinion, 'GET', '/status'),
        await pinion.metrics(),
      ];
      refusals++;
      await eventually(
        `a second refusal ${where}`,
        () => pinion.events('reload-refused').length === refusals,
      );
      expect(answers[0], where).toMatchObject({ status: 422 });
      expect(JSON.stringify(answers), where).not.toContain(secret);
      expect(pinion.process.output(), where).not.toContain(secret);
    }
    expect(pinion.events('reloaded')).toEqual([]);
  });
});
