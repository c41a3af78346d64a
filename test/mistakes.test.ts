/**
 * Mistakes that people make, and what they are told: where it is, and what to do. Those that need another machine or a right are in
 * machine.test.ts; refused commands in commands.test.ts, the access log's and failed flows' in faults-log.test.ts.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { pinionCommand } from './support/command.ts';
import { configText, noCheck, type Section } from './support/config.ts';
import { startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const listeners = 'listeners: [ { name: web, bind: "tcp://127.0.0.1:8080", pool: s } ]\n';
const pools = 'pools: { s: { backends: [ { name: one, address: "127.0.0.1:8001" } ] } }\n';

describe('check', () => {
  test.each([
    [
      'a variable of the shell',
      `${listeners}pools:\n  s:\n    backends: [ { name: one, address: $\{DB1}:5432 } ]\n`,
      1,
      /:4:39: .*pinion fills in no variables: write the value in place of \$\{DB1\}\n {4}.*backends: .*\n +\^\n$/,
    ],
    [
      'a wrong indent, shown with its line',
      'listeners:\n  - name: web\n    bind: tcp://127.0.0.1:8080\n   pool: s\n',
      1,
      /:4:4: .*indented unlike those around it\n {4} {3}pool: s\n {4} {3}\^\n$/,
    ],
    [
      'a Redis without its scheme',
      `cluster: { name: c, redis: 127.0.0.1:6379 }\n${listeners}${pools}`,
      1,
      /:1:28: cluster\.redis: .*write redis:\/\/127\.0\.0\.1:6379$/m,
    ],
    [
      'a folder that is not there',
      `admin: { listen: "unix:/nonexistent/x.sock" }\n${listeners}${pools}`,
      0,
      /^warning: .*:1:18: admin\.listen: there is no folder \/nonexistent; create it or choose another path/m,
    ],
    [
      'an admin address for everybody',
      `admin: { listen: 0.0.0.0:9465 }\n${listeners}${pools}`,
      0,
      /^warning: .*:1:\d+: admin\.listen: .*admin\.tokens/m,
    ],
  ])('%s', async (_, text, status, says) => {
    const told = await pinionCommand(['check', temporaryFile('pinion.yaml', text)]);
    expect(told.stderr).toMatch(says);
    expect(told.status).toBe(status);
  });
});

test('a command to an instance that is not there names the address, and where that comes from', async () => {
  const file = temporaryFile(
    'pinion.yaml',
    `admin: { listen: "unix:/tmp/nobody.sock" }\n${listeners}${pools}`,
  );
  const { status, stderr } = await pinionCommand(['status', '--config', file]);
  expect(stderr).toContain('no pinion answers on unix:/tmp/nobody.sock, the admin.listen of ');
  expect(stderr).toMatch(/does it still listen on the address it was started with/);
  expect(status).toBe(1);
});

test('a server that is not there: which one, at which address', async () => {
  const port = await freePort();
  const pinion = await startPinion(oneBackend({ name: 'one', address: `127.0.0.1:${port}` }));
  const down = await pinion.waitForLog(({ event }) => event === 'backend-down');
  expect(down).toMatchObject({
    reason: 'refused',
    msg: `s/one is down: ECONNREFUSED (127.0.0.1:${port}; a check failed)`,
  });
});

test('a server that goes away: how often its check has failed', async () => {
  const servers = await namedTcp(['one']);
  const pinion = await startPinion(oneBackend({ name: 'one', address: servers[0]!.address }));
  await stopServers();
  const down = await pinion.waitForLog(({ event }) => event === 'backend-down');
  expect(down).toMatchObject({ reason: 'refused', failedChecks: 2 });
  expect(down.msg).toMatch(/ECONNREFUSED \(127\.0\.0\.1:\d+; 2 checks in a row failed\)$/);
});

test('a name that leads nowhere is named, with who does not know it', async () => {
  const pinion = await startPinion(oneBackend({ name: 'one', address: 'nowhere.invalid:5432' }));
  const down = await pinion.waitForLog(({ event }) => event === 'backend-down');
  expect(down.msg).toMatch(
    /^s\/one is down: nowhere\.invalid( has no address: neither the name servers|: no name server)/,
  );
});

test('what waits for a restart is said by the reload, and by status afterwards', async () => {
  const servers = await namedTcp(['one']);
  const text = (pins: number): string =>
    configText({
      limits: { pins },
      listeners: [{ name: 'web', bind: 'tcp://127.0.0.1:0', pool: 's' }],
      pools: { s: { health: noCheck, backends: [{ name: 'one', address: servers[0]!.address }] } },
    });
  const pinion = await startPinion(text(1_000));
  const { writeFileSync } = await import('node:fs');
  writeFileSync(pinion.configPath, text(2_000));
  pinion.process.signal('SIGHUP');
  const reloaded = await pinion.waitForLog(({ event }) => event === 'reloaded');
  expect(reloaded.msg).toMatch(/restart to change limits\.pins$/);
  const { stdout } = await pinionCommand(['status', '--admin', `127.0.0.1:${pinion.port('admin')}`]);
  expect(stdout).toMatch(/restart.*limits\.pins/i);
});

requirePackage('redis')('Redis', () => {
  const file = (redis: Section): string =>
    configText({
      cluster: { name: 'c', instance: 'i', redis },
      listeners: [{ name: 'web', bind: 'tcp://127.0.0.1:0', pool: 's' }],
      pools: { s: { health: noCheck, backends: [{ name: 'one', address: '127.0.0.1:9' }] } },
    });

  test.each([
    ['wants a password', undefined, /wants a password; set cluster\.redis\.password_file$/],
    ['refuses ours', 'wrong', /refused the password in .*secret .*WRONGPASS/],
  ])('%s', async (_, password, says) => {
    const redis = await startRedis({ args: ['--requirepass', 'right'], access: () => ['-a', 'right'] });
    const secret = password === undefined ? {} : { password_file: temporaryFile('secret', password) };
    const pinion = await startPinion(file({ url: `redis://127.0.0.1:${redis.port}`, ...secret }));
    const away = await pinion.waitForLog(({ event }) => event === 'cluster-away');
    expect(away.msg).toMatch(/^pins are not shared, clients are served: redis 127\.0\.0\.1:\d+ /);
    expect(away.msg).toMatch(says);
  });
});

function oneBackend(backend: Section): string {
  return configText({
    listeners: [{ name: 'web', bind: 'tcp://127.0.0.1:0', pool: 's' }],
    pools: { s: { health: { type: 'tcp', interval: '500ms', fall: 2 }, backends: [backend] } },
  });
}
