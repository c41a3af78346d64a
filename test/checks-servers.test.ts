/**
 * Health checks that speak, against the real servers: what each says of a backend, why it is down, and what becomes of connections
 * that are open when its role changes.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { tcpClient } from './support/clients.ts';
import { admin, configText, listener, type Section } from './support/config.ts';
import { startDnsmasq } from './support/dnsmasq.ts';
import { eventually } from './support/eventually.ts';
import { a2sAnswer, quake3Answer } from './support/games.ts';
import { requireCommand } from './support/packages.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { startPostgres } from './support/postgres.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

const engines = ['epoll', 'portable'] as const;
const open: { close(): void }[] = [];

afterEach(async () => {
  await stopEverything();
  for (const one of open.splice(0)) one.close();
});

/** A session of PostgreSQL takes its time on a busy machine. */
const often = { interval: '1s', timeout: '1s', fall: 1, rise: 1 };

/** One pool for each check, all of the same backend. */
function poolsOf(address: string, checks: Readonly<Record<string, Section>>): Record<string, Section> {
  return Object.fromEntries(
    Object.entries(checks).map(([name, health]) => [
      name,
      { health: { ...often, ...health }, backends: [{ name: 'a', address }] },
    ]),
  );
}

function start(
  pools: Readonly<Record<string, Section>>,
  protocol: 'tcp' | 'udp',
  engine: string,
): Promise<Pinion> {
  const listeners = Object.keys(pools).map((pool) => listener(pool, protocol, pool));
  return startPinion(configText({ engine, workers: 1, listeners, pools }));
}

/** Pool to `up`, or the reason why it is down. */
async function verdicts(pinion: Pinion): Promise<Record<string, string>> {
  const { backends } = (await admin(pinion, 'GET', '/status')).body as {
    backends: { pool: string; up: boolean; reason: string | null }[];
  };
  return Object.fromEntries(backends.map(({ pool, up, reason }) => [pool, up ? 'up' : String(reason)]));
}

const become = (pinion: Pinion, wanted: Record<string, string>): Promise<unknown> =>
  eventually(JSON.stringify(wanted), async () => {
    const found = await verdicts(pinion);
    return Object.entries(wanted).every(([pool, verdict]) => found[pool] === verdict);
  });

/** What was told last of a pool's backend going down. */
const lastDown = (pinion: Pinion, pool: string) =>
  pinion.events('backend-down').findLast((event) => event.pool === pool);

requirePackage('postgres')('PostgreSQL', () => {
  test.each(engines)('%s: start-up, a session, its role, and what it refuses', async (engine) => {
    const server = await startPostgres();
    await server.query(`create role monitor login password 'secret'`);
    const password = join(temporaryFolder('secret'), 'password');
    writeFileSync(password, 'secret\n');
    const login = { type: 'postgres', user: 'monitor', password_file: password };
    const pools = poolsOf(`127.0.0.1:${server.port}`, {
      startup: { type: 'postgres' },
      session: login,
      primary: { ...login, role: 'primary' },
      replica: { ...login, role: 'replica' },
      nobody: { type: 'postgres', user: 'nobody' },
      nowhere: { ...login, database: 'nowhere' },
    });
    const pinion = await start(pools, 'tcp', engine);
    await become(pinion, {
      startup: 'up',
      session: 'up',
      primary: 'up',
      replica: 'wrong-role',
      nobody: 'not-authorized',
      nowhere: 'not-authorized',
    });
    await expect
      .poll(() => lastDown(pinion, 'replica'))
      .toMatchObject({
        reason: 'wrong-role',
        why: 'it is a primary, and a replica is wanted',
      });
    await server.stop();
    await become(pinion, { startup: 'refused', session: 'refused', replica: 'refused' });
  });

  test.each(engines)(
    '%s: each way to log in, right and wrong, and no word of it in its log but of what is wrong',
    async (engine) => {
      // The last password is none by SASLprep as it stands: the ligature is two letters, the soft hyphen nothing.
      const secrets = {
        scram: 'secret',
        digest: 'secret',
        clear: 'secret',
        prepared: 'se\u00adcret \ufb01 \u2168',
      };
      const ways = { scram: 'scram-sha-256', digest: 'md5', clear: 'password', prepared: 'scram-sha-256' };
      const server = await startPostgres({
        access: [
          ...Object.entries({ ...ways, gss: 'gss' }).map(
            ([user, way]) => `host all ${user} 127.0.0.1/32 ${way}`,
          ),
          'local all scram scram-sha-256',
          'host all pinion_check 127.0.0.1/32 scram-sha-256',
        ],
      });
      for (const [user, secret] of Object.entries(secrets)) {
        await server.query(
          `set password_encryption = '${user === 'digest' ? 'md5' : 'scram-sha-256'}'; create role ${user} login password '${secret}'`,
        );
      }
      const file = (secret: string): string => temporaryFile('password', `${secret}\n`);
      // A time-out would be told.
      const patience = { interval: '3s', timeout: '3s' };
      const login = (user: keyof typeof secrets, secret: string = secrets[user]) => ({
        type: 'postgres',
        ...patience,
        user,
        password_file: file(secret),
      });
      const right: Record<string, Section> = {
        startup: { type: 'postgres', ...patience },
        scram: login('scram'),
        digest: login('digest'),
        clear: login('clear'),
        prepared: login('prepared'),
      };
      const wrong: Record<string, Section> = {
        'scram-wrong': login('scram', 'other'),
        'digest-wrong': login('digest', 'other'),
        'clear-wrong': login('clear', 'other'),
        'no-password': { type: 'postgres', user: 'scram' },
        gss: { type: 'postgres', user: 'gss' },
      };
      const from = server.process.output().length;
      const pools = {
        ...poolsOf(`127.0.0.1:${server.port}`, right),
        ...poolsOf(`unix:${server.path}`, { socket: login('scram') }),
      };
      const well = await start(pools, 'tcp', engine);
      const verdict = (checks: object, of: string) =>
        Object.fromEntries(Object.keys(checks).map((name) => [name, of]));
      await become(well, verdict(pools, 'up'));
      // Some more of each; those under way when it stops are cut.
      await setTimeout(6_500);
      expect(server.process.output().slice(from)).toBe('');
      expect(await well.stop()).toMatchObject({ code: 0 });

      const others = await start(poolsOf(`127.0.0.1:${server.port}`, wrong), 'tcp', engine);
      await become(others, verdict(wrong, 'not-authorized'));
      // A first check that is late on a busy machine is told as well: the last one counts.
      const why = () => Object.fromEntries(others.events('backend-down').map(({ pool, why }) => [pool, why]));
      await expect.poll(why).toEqual({
        'scram-wrong': 'password authentication failed for user "scram"',
        'digest-wrong': 'password authentication failed for user "digest"',
        'clear-wrong': 'password authentication failed for user "clear"',
        'no-password': 'it asks for a password, and there is no password_file',
        gss: 'it asks for GSSAPI, which a check does not speak',
      });
    },
  );

  test.each(engines)('%s: TLS', async (engine) => {
    const server = await startPostgres({
      certified: 'pg.example',
      access: ['hostssl all secure 127.0.0.1/32 scram-sha-256', 'host all secure 127.0.0.1/32 reject'],
    });
    await server.query(`create role secure login password 'secret'`);
    const login = { type: 'postgres', user: 'secure', password_file: temporaryFile('password', 'secret') };
    const verified = { ...login, tls: true, verify: true, ca_file: server.certificate };
    const from = server.process.output().length;
    // A time-out would be told.
    const patience = { interval: '5s', timeout: '5s' };
    const checks = {
      startup: { type: 'postgres', tls: true },
      unverified: { ...login, tls: true },
      verified: { ...verified, server_name: 'pg.example' },
      another: { ...verified, server_name: 'other.example' },
      plain: login,
    };
    const pinion = await start(
      poolsOf(
        `127.0.0.1:${server.port}`,
        Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, { ...check, ...patience }])),
      ),
      'tcp',
      engine,
    );
    await become(pinion, {
      startup: 'up',
      unverified: 'up',
      verified: 'up',
      another: 'check-failed',
      plain: 'not-authorized',
    });
    expect(server.process.output().slice(from)).not.toMatch(/message type|could not receive/);
  });

  test.each(engines)('%s: a replica that does not receive any more is lagging', async (engine) => {
    const primary = await startPostgres();
    await primary.query('create role monitor login');
    const replica = await startPostgres({ replicaOf: primary });
    const replicaCheck = { type: 'postgres', user: 'monitor', role: 'replica' };
    const pinion = await start(
      poolsOf(`127.0.0.1:${replica.port}`, {
        replica: replicaCheck,
        near: { ...replicaCheck, max_lag: '2s' },
        few: { ...replicaCheck, max_lag_bytes: '1MiB' },
        primary: { ...replicaCheck, role: 'primary' },
      }),
      'tcp',
      engine,
    );
    await primary.query('create table t (a int)');
    await become(pinion, { replica: 'up', near: 'up', few: 'up', primary: 'wrong-role' });
    await replica.query('select pg_wal_replay_pause()');
    await primary.query('insert into t select generate_series(1, 100000)');
    await become(pinion, { replica: 'up', few: 'lagging' });
    // Each may have been behind before, while the replica caught up after its start: only what is told last counts.
    await eventually('few is told to be behind by as much', () =>
      /^it is \d+\.\d MiB behind$/.test(String(lastDown(pinion, 'few')?.why)),
    );
    await replica.query('select pg_wal_replay_resume()');
    await become(pinion, { near: 'up', few: 'up' });
    // The primary is at rest for longer: nothing is missing.
    const before = pinion.events('backend-down').length;
    await setTimeout(3_000);
    await become(pinion, { replica: 'up', near: 'up' });
    const since = pinion.events('backend-down').slice(before);
    expect(since.filter(({ reason }) => reason === 'lagging')).toEqual([]);
    await primary.stop();
    await become(pinion, { replica: 'up', near: 'lagging' });
    await expect
      .poll(() => lastDown(pinion, 'near'))
      .toMatchObject({ reason: 'lagging', why: expect.stringMatching(/^it is \d+\.\d s behind$/) });
  });
});

requirePackage('redis')('Redis', () => {
  test.each(engines)(
    '%s: a replica that is promoted loses the connections of those who read',
    async (engine) => {
      const primary = await startRedis();
      const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
      const pools = poolsOf(`127.0.0.1:${replica.port}`, {
        any: { type: 'redis' },
        replica: { type: 'redis', role: 'replica', max_lag: '30s' },
        primary: { type: 'redis', role: 'primary' },
      });
      const pinion = await start(pools, 'tcp', engine);
      await become(pinion, { any: 'up', replica: 'up', primary: 'wrong-role' });
      const [reader, bystander] = [
        await tcpClient(pinion.port('replica')),
        await tcpClient(pinion.port('any')),
      ];
      for (const client of [reader, bystander]) {
        client.socket.write('PING\r\n');
        expect(await client.line()).toBe('+PONG\r');
      }
      await replica.command('replicaof', 'no', 'one');
      await become(pinion, { any: 'up', replica: 'wrong-role', primary: 'up' });
      expect(await reader.outcome).toBe('ECONNRESET');
      bystander.socket.write('PING\r\n');
      await eventually('the other goes on', () => bystander.text === '+PONG\r\n+PONG\r\n');
      await replica.command('config', 'set', 'requirepass', 'secret');
      await become(pinion, { any: 'not-authorized' });
      // The check is not let in; who is there already stays.
      bystander.socket.write('PING\r\n');
      await eventually('and still does', () => bystander.text.length > '+PONG\r\n'.length * 2);
    },
  );
});

requirePackage('dnsmasq')('dnsmasq', () => {
  test.each(engines)('%s: the code of the answer, over UDP', async (engine) => {
    const server = await startDnsmasq({ hosts: { 'a.example': ['192.0.2.1'] } });
    const pools = poolsOf(`127.0.0.1:${server.port}`, {
      known: { type: 'dns', name: 'a.example', record: 'A' },
      refused: { type: 'dns', name: 'b.example', record: 'A' },
    });
    const pinion = await start(pools, 'udp', engine);
    await become(pinion, { known: 'up', refused: 'check-failed' });
    await server.stop();
    await become(pinion, { known: 'refused' });
  });
});

requirePackage('qstat')('the game servers that checks are tested with', () => {
  test.each([
    ['a2s', () => a2sAnswer(3, 16), /^A2S,[^,]+,A server,de_dust,16,3,/],
    ['q3s', () => quake3Answer(1), /^Q3S,[^,]+,A server,q3dm6,2,1,/],
  ])('%s: qstat finds name, map, slots and players', async (type, answer, line) => {
    const server = createSocket('udp4').on('message', (_, from) =>
      server.send(answer(), from.port, from.address),
    );
    server.bind(0, '127.0.0.1');
    open.push(server);
    await once(server, 'listening');
    const args = ['-raw', ',', '-retry', '3', `-${type}`, `127.0.0.1:${server.address().port}`];
    expect(await runToEnd({ command: requireCommand('qstat', 'quakestat'), args })).toMatch(line);
  });
});

test.each(engines)('%s: HTTP as Patroni answers it, on a port of its own', async (engine) => {
  let role = 'primary';
  const agent = createServer((request, response) => {
    response.writeHead(request.url === `/${role}` ? 200 : 503).end('{}');
  }).listen(0, '127.0.0.1');
  const server = createTcpServer((socket) => socket.pipe(socket).on('error', () => {})).listen(
    0,
    '127.0.0.1',
  );
  open.push(agent, server);
  await eventually('both listen', () => agent.listening && server.listening);
  const { port } = agent.address() as AddressInfo;
  const pools = poolsOf(`127.0.0.1:${(server.address() as AddressInfo).port}`, {
    write: { type: 'http', path: '/primary', port, status: 200 },
    read: { type: 'http', path: '/replica', port, status: 200 },
  });
  const pinion = await start(pools, 'tcp', engine);
  await become(pinion, { write: 'up', read: 'check-failed' });
  role = 'replica';
  await become(pinion, { write: 'check-failed', read: 'up' });
  await expect
    .poll(() => lastDown(pinion, 'write'))
    .toMatchObject({ why: 'it answers 503 Service Unavailable' });
});
