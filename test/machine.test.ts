/**
 * What this machine, or this user, cannot do is told before anything is started: all of it, each with its place in the file. By a user
 * without rights, on both engines; by `check`; and by a reload, which changes nothing then.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { afterEach, expect, test } from 'vitest';
import { askTcp } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { backendsOf, configText, noCheck, reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const isRoot = process.getuid?.() === 0;
/** Without any capability; of another user where we are root, whose folders are closed to it. */
const powerless = isRoot
  ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--bounding-set=-all', '--']
  : [];

/** Which that user may read. */
function fileOf(engine: string): string {
  const path = temporaryFile('pinion.yaml', wishes(engine));
  chmodSync(dirname(path), 0o755);
  chmodSync(path, 0o644);
  return path;
}

/** One wish on each line, so that its place tells which it is. */
function wishes(engine: string): string {
  return `engine: ${engine}
metrics: { listen: 127.0.0.1:81 }
admin: { listen: "unix:/nonexistent/admin.sock" }
listeners:
- name: far
  bind: tcp://192.0.2.77:9000
  pool: a
- name: low
  bind: udp://127.0.0.1:82
  bind_device: none0
  deny: [ file:/nonexistent/denied ]
  pool: b
- { name: socket, pool: b, bind: "unix:/root/s.sock" }
pools:
  a:
    transparent: true
    backends: [ { name: x, address: "unix:/root/x.sock" }, { name: y, address: "127.0.0.1:9" } ]
  b:
    source: 192.0.2.7
    mark: 7
    device: none0
    health: { type: redis, password_file: /nonexistent/secret }
    backends: [ { name: x, address: "127.0.0.1:9" } ]
`;
}

/** `3: admin.listen: there is no ...`: a line's number and what follows the place. */
function told(path: string, stderr: string): string[] {
  return stderr
    .trim()
    .split('\n')
    .map((line) => line.replace(`${path}:`, '').replace(/^((?:warning: )?\d+):\d+:/, '$1:'));
}

const address = [
  /^3: admin\.listen: there is no folder \/nonexistent; create it or choose another path/,
  /^6: listeners\[0\]\.bind: EADDRNOTAVAIL; this machine has no such address/,
];
const lowPorts = [
  /^2: metrics\.listen: EACCES: port 81 needs CAP_NET_BIND_SERVICE: under systemd add it to AmbientCapabilities=/,
  /^9: listeners\[1\]\.bind: EACCES: port 82 needs CAP_NET_BIND_SERVICE: /,
];
const files = [
  /^11: listeners\[1\]\.deny: \/nonexistent\/denied: there is no such file/,
  /^13: listeners\[2\]\.bind: uid \d+ may not write in \/root/,
];
const source = [/^19: pools\.b\.source: 192\.0\.2\.7 is no address of this machine; it has .*127\.0\.0\.1/];
const ofEpoll = [
  /^10: listeners\[1\]\.bind_device: there is no device none0; there are: .*\blo\b/,
  /^16: pools\.a\.transparent: EPERM: needs CAP_NET_ADMIN: under systemd add it to AmbientCapabilities=/,
  /^20: pools\.b\.mark: EPERM: needs CAP_NET_ADMIN: /,
  /^21: pools\.b\.device: there is no device none0; there are: /,
];
const later = [
  /^warning: 17: pools\.a\.backends\[0\]\.address: uid \d+ may not look into \/root$/,
  /^warning: 22: pools\.b\.health\.password_file: \/nonexistent\/secret: there is no such file$/,
];
const goesWithout = [10, 16, 20, 21].map(
  (line) => new RegExp(`^warning: ${line}: \\S+: the portable engine goes without it; write engine: epoll`),
);
const refusing = [...address, ...lowPorts, ...files];

/** Each pattern is met by one line, and no line is left over. */
function expectAll(lines: readonly string[], patterns: readonly RegExp[]): void {
  for (const pattern of patterns)
    expect(
      lines.filter((line) => pattern.test(line)),
      String(pattern),
    ).toHaveLength(1);
  expect(lines, lines.join('\n')).toHaveLength(patterns.length);
}

test.each([
  ['epoll', [...refusing, ...ofEpoll, ...later]],
  // The device of pool b decides which addresses there are, and this engine goes without it.
  ['portable', [...refusing, ...source, ...later, ...goesWithout]],
] as const)('%s: a start says all of it, and does not begin', async (engine, patterns) => {
  const path = fileOf(engine);
  const { status, stderr } = await pinionCommand(['run', path], powerless);
  expect(status, stderr).toBe(1);
  expectAll(told(path, stderr), patterns);
});

test('check warns, for it may be another machine that the file is for', async () => {
  const path = fileOf('epoll');
  const { status, stdout, stderr } = await pinionCommand(['check', path], powerless);
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: `${path} is good: listeners 3, pools 2, backends 3\n`,
  });
  const lines = told(path, stderr);
  const refused = lines.filter((line) => line.endsWith(' (run would not start here)'));
  expectAll(
    refused.map((line) => line.replace('warning: ', '')),
    [...refusing, ...ofEpoll],
  );
  expectAll(
    lines.filter((line) => !refused.includes(line)),
    later,
  );
});

test.each(['epoll', 'portable'])(
  '%s: a reload that asks what cannot be done changes nothing; one that asks for no more than before goes on',
  async (engine) => {
    const servers = await namedTcp(['a', 'b']);
    const port = await freePort();
    const text = (server: number, more: object, source: readonly string[]): string =>
      configText({
        engine,
        workers: 1,
        listeners: [{ name: 'front', bind: `tcp://127.0.0.1:${port}`, pool: 'pool', ...more }],
        pools: { pool: { health: noCheck, source, backends: backendsOf([servers[server]!]) } },
      });
    // The portable engine does not pass over an address that is not there.
    const sources = engine === 'epoll' ? ['127.0.1.1', '192.0.2.7'] : ['127.0.1.1'];
    const pinion = await startPinion(text(0, {}, sources));
    if (engine === 'epoll')
      await expect
        .poll(() => pinion.process.output())
        .toMatch(/^warning: .*pools\.pool\.source: 192\.0\.2\.7 is no address/m);
    expect(await askTcp(port)).toBe('a');

    writeFileSync(
      pinion.configPath,
      text(
        1,
        { deny: ['file:/nonexistent/denied'] },
        ['127.0.1.1', '192.0.2.8'].slice(engine === 'epoll' ? 1 : 0),
      ),
    );
    pinion.process.signal('SIGHUP');
    await eventually('a refusal', () => pinion.events('reload-refused').length === 1);
    expect(pinion.events('reload-refused')[0]!.problems).toEqual([
      expect.stringMatching(/:\d+:\d+: listeners\[0\]\.deny: \/nonexistent\/denied: there is no such file$/),
      expect.stringMatching(
        /:\d+:\d+: pools\.pool\.source: 192\.0\.2\.8 is no address of this machine; it has/,
      ),
    ]);
    expect(await askTcp(port)).toBe('a');

    // The port it has is not asked for again, and what was missing before is still missing.
    await reload(pinion, text(1, {}, sources));
    expect(await askTcp(port)).toBe('b');
  },
);

test.skipIf(!isRoot)('a user with the right to read all files may read those that are not his', async () => {
  const secret = temporaryFile('secret', '192.0.2.66\n');
  chmodSync(secret, 0o600);
  const path = temporaryFile(
    'pinion.yaml',
    `listeners: [ { name: l, bind: "tcp://127.0.0.1:0", pool: p, deny: [ "file:${secret}" ] } ]
pools: { p: { health: { type: none }, backends: [ { name: x, address: "127.0.0.1:9" } ] } }
`,
  );
  for (const file of [secret, path]) chmodSync(dirname(file), 0o755);
  chmodSync(path, 0o644);
  const as = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'];
  const rights = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search', '--'];
  expect((await pinionCommand(['check', path], [...as, '--'])).stderr).toContain('may not read');
  expect((await pinionCommand(['check', path], [...as, ...rights])).stderr).toBe('');
});
