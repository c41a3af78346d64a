/** Checks of MySQL against a real MariaDB, its replica, and a real Galera node: what each finds, and what it leaves in the server. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { certificateName, newCertificate } from './support/certificates.ts';
import { admin, configText, listener, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { galeraLibrary, removeEmptyData, startMariaDb } from './support/mariadb.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

const engines = ['epoll', 'portable'] as const;
const often = { type: 'mysql', interval: '600ms', timeout: '600ms', fall: 1, rise: 1 };

afterEach(stopEverything);
afterAll(removeEmptyData);

/** A pinion of each engine, with one pool for each check, all of the same backend. */
function startBoth(
  port: number,
  checks: Readonly<Record<string, Section>>,
  more: Section = {},
): Promise<Pinion[]> {
  const names = Object.keys(checks);
  const pools = Object.fromEntries(
    names.map((name) => [
      name,
      {
        ...more,
        health: { ...often, ...checks[name] },
        backends: [{ name: 'a', address: `127.0.0.1:${port}` }],
      },
    ]),
  );
  const listeners = names.map((name) => listener(name, 'tcp', name));
  return Promise.all(
    engines.map((engine) => startPinion(configText({ engine, workers: 1, listeners, pools }))),
  );
}

interface Row {
  readonly pool: string;
  readonly up: boolean;
  readonly reason: string | null;
}

/** Until all find that: a pool to `up`, or the reason why it is down. */
async function become(pinions: readonly Pinion[], wanted: Readonly<Record<string, string>>): Promise<void> {
  for (const pinion of pinions) {
    await eventually(JSON.stringify(wanted), async () => {
      const { backends } = (await admin(pinion, 'GET', '/status')).body as { backends: Row[] };
      return Object.entries(wanted).every(([name, verdict]) => {
        const { up, reason } = backends.find(({ pool }) => pool === name)!;
        return (up ? 'up' : reason) === verdict;
      });
    });
  }
}

/** What the last check of a pool has said, on each. */
const whyOf = (pinions: readonly Pinion[], name: string): unknown[] =>
  pinions.map((pinion) => pinion.events('backend-down').findLast(({ pool }) => pool === name)?.why);

const secret = (text = 'secret'): string => temporaryFile('password', `${text}\n`);
const monitor = (): Section => ({ user: 'monitor', password_file: secret() });

requirePackage('mariadb')('MariaDB', () => {
  test('who is let in, over TLS and without, and which role it has', async () => {
    const certificate = await newCertificate();
    const server = await startMariaDb({
      settings: {
        'ssl-cert': certificate.certFile,
        'ssl-key': certificate.keyFile,
        'plugin-load-add': 'auth_ed25519',
      },
    });
    await server.query(`create user monitor@'%' identified by 'secret';
      create user secure@'%' identified by 'secret' require ssl;
      create user other@'%' identified via ed25519 using password('secret')`);
    const tls = { ...monitor(), user: 'secure', tls: true };
    const verified = { ...tls, verify: true, ca_file: certificate.caFile };
    const checks: Record<string, Section> = {
      nobody: {},
      hidden: { tls: true },
      monitor: monitor(),
      wrong: { ...monitor(), password_file: secret('other') },
      plain: { ...monitor(), user: 'secure' },
      secure: { ...verified, server_name: certificateName },
      stranger: { ...verified, server_name: 'other.test' },
      unspoken: { ...monitor(), user: 'other' },
      primary: { ...monitor(), role: 'primary' },
      replica: { ...monitor(), role: 'replica' },
    };
    // One that is cut on a busy machine is a session that has not ended as the protocol has it.
    const patience = { interval: '3s', timeout: '3s' };
    const pinions = await startBoth(
      server.port,
      Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, { ...check, ...patience }])),
    );
    const same = {
      nobody: 'up',
      hidden: 'up',
      monitor: 'up',
      wrong: 'not-authorized',
      plain: 'not-authorized',
      secure: 'up',
      stranger: 'check-failed',
      unspoken: 'not-authorized',
    };
    await become(pinions, { ...same, primary: 'up', replica: 'wrong-role' });
    await server.query('set global read_only = 1');
    await become(pinions, { ...same, primary: 'wrong-role', replica: 'up' });
    await expect
      .poll(() => whyOf(pinions, 'primary'))
      .toEqual(Array(2).fill('read_only is on, and a primary is wanted'));
    await expect
      .poll(() => whyOf(pinions, 'unspoken')[0])
      .toBe('it asks for client_ed25519, which a check does not speak');
    // Sessions end as the protocol has it.
    expect(await server.query("show global status like 'Aborted_clients'")).toBe('Aborted_clients\t0');
    await server.query('set global max_connections = 10');
    const held = Array.from({ length: 30 }, () => connect(server.port, '127.0.0.1').on('error', () => {}));
    await become(pinions, { nobody: 'full', monitor: 'full' });
    await expect.poll(() => whyOf(pinions, 'nobody')[0]).toBe('Too many connections');
    for (const socket of held) socket.destroy();
    await become(pinions, { nobody: 'up', monitor: 'up' });
    await server.stop();
    await become(pinions, { nobody: 'refused', monitor: 'refused', replica: 'refused' });
  });

  test('a host that checks is not banned, whatever its checks find, and whenever they are cut', async () => {
    // It counts errors of hosts whose names it has found, and not of 127.0.0.1.
    const hosts = join(temporaryFolder('hosts'), 'hosts');
    writeFileSync(hosts, '127.0.0.1 localhost\n127.0.0.2 checker.test\n');
    const isRoot = process.getuid?.() === 0;
    const unshare = [
      'unshare',
      '--mount',
      ...(isRoot ? [] : ['--user', '--map-current-user', '--keep-caps']),
    ];
    const server = await startMariaDb({
      namesResolved: true,
      wrapper: [...unshare, 'sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh'],
      settings: { 'max-connect-errors': 2, 'performance-schema': 'on', 'plugin-load-add': 'auth_ed25519' },
    });
    await server.query(`create user other@'%' identified via ed25519 using password('secret')`);
    const count = (column: string): Promise<string> =>
      server.query(`select ${column} from performance_schema.host_cache where ip = '127.0.0.2'`);
    const quick = { interval: '200ms', timeout: '200ms' };
    const checks = {
      nobody: quick,
      unspoken: { ...monitor(), ...quick, user: 'other' },
      unknown: { ...monitor(), ...quick },
      'no-tls': { ...quick, tls: true },
    };
    const pinions = await startBoth(server.port, checks, { source: '127.0.0.2' });
    const verdicts = { unspoken: 'not-authorized', unknown: 'not-authorized', 'no-tls': 'check-failed' };
    await become(pinions, { nobody: 'up', ...verdicts });
    await eventually('a hundred checks', async () => {
      const refused = await count('count_authentication_errors + count_auth_plugin_errors');
      return Number(refused) >= 100;
    });
    server.process.signal('SIGSTOP');
    await become(pinions, { nobody: 'timeout' });
    server.process.signal('SIGCONT');
    await become(pinions, { nobody: 'up', ...verdicts });
    expect(await count('host_validated, count_host_blocked_errors')).toBe('YES\t0');
  });

  test('a replica that is behind, and one that does not replicate', async () => {
    const [primary, replica] = await Promise.all([
      startMariaDb({ settings: { 'server-id': 1, 'log-bin': 'bin' } }),
      startMariaDb({ settings: { 'server-id': 2, 'read-only': 1 } }),
    ]);
    await primary.query(`create user copy@'%' identified by 'secret'; grant replication slave on *.* to copy@'%';
      create user monitor@'%' identified by 'secret'; grant slave monitor on *.* to monitor@'%'; create database d; create table d.t (a int)`);
    await replica.query(`change master to master_host='127.0.0.1', master_port=${primary.port}, master_user='copy',
      master_password='secret', master_connect_retry=1; start slave`);
    const near = { ...monitor(), role: 'replica', max_lag: '1s' };
    const pinions = await startBoth(replica.port, { near, far: { ...near, max_lag: '1h' } });
    await become(pinions, { near: 'up', far: 'up' });
    await replica.query('stop slave; change master to master_delay=1000; start slave');
    await primary.query('insert into d.t values (1)');
    await become(pinions, { near: 'lagging', far: 'up' });
    await expect.poll(() => whyOf(pinions, 'near')[0]).toMatch(/^it is \d+ s behind$/);
    await replica.query('stop slave; change master to master_delay=0; start slave');
    await become(pinions, { near: 'up', far: 'up' });
    await replica.query('stop slave');
    await become(pinions, { near: 'lagging', far: 'lagging' });
    await expect.poll(() => whyOf(pinions, 'far')[0]).toBe('it does not replicate');
  });

  test('Galera: synced, desynced, without its cluster', async () => {
    const provider = `gmcast.listen_addr=tcp://127.0.0.1:${await freePort()};gcache.size=1M`;
    const server = await startMariaDb({
      settings: {
        'wsrep-on': 'ON',
        'wsrep-provider': galeraLibrary,
        'wsrep-provider-options': provider,
        'wsrep-cluster-address': 'gcomm://',
        'wsrep-node-address': '127.0.0.1',
        'binlog-format': 'ROW',
      },
    });
    await server.query(`create user monitor@'%' identified by 'secret'`);
    const node = monitor();
    const pinions = await startBoth(server.port, {
      node,
      donor: { ...node, donor: 'up' },
      primary: { ...node, role: 'primary' },
    });
    await become(pinions, { node: 'up', donor: 'up', primary: 'up' });
    await server.query('set global read_only = 1');
    await become(pinions, { node: 'up', donor: 'up', primary: 'read-only' });
    await server.query('set global read_only = 0; set global wsrep_desync = on');
    await become(pinions, { node: 'lagging', donor: 'up', primary: 'lagging' });
    await expect.poll(() => whyOf(pinions, 'node')[0]).toBe('it is not synced: its state is Donor/Desynced');
    await server.query('set global wsrep_desync = off; set global wsrep_reject_queries = all');
    await become(pinions, { node: 'check-failed', donor: 'check-failed' });
    await expect.poll(() => whyOf(pinions, 'donor')[0]).toBe('wsrep_reject_queries is ALL');
    await server.query('set global wsrep_reject_queries = none');
    await become(pinions, { node: 'up', donor: 'up', primary: 'up' });
    // A cluster whose others nobody reaches.
    await server.query(`set global wsrep_cluster_address = 'gcomm://127.0.0.1:1?pc.wait_prim=no'`);
    await become(pinions, { node: 'check-failed', donor: 'check-failed', primary: 'check-failed' });
    await expect.poll(() => whyOf(pinions, 'donor')[0]).toBe('it is not ready: wsrep_ready is off');
  });
});
