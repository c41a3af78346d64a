/**
 * The examples of docs/CHECKS.md, DISCOVERY.md and CHOOSING.md do what the pages say: each runs as it is written, on a host of its
 * own, beside the servers that it names, which are real where there are such (PostgreSQL, MariaDB, Galera, Redis, dnsmasq, nginx as
 * Patroni). Only paths of files and the name servers are others here.
 *
 *     edge: pinion --- others: 10/8, each port led to a unix socket of a server
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parsePlan } from '../src/config/load.ts';
import { newCertificate } from './support/certificates.ts';
import { reload } from './support/config.ts';
import { startDnsmasq } from './support/dnsmasq.ts';
import { blockWith, commandOf } from './support/documents.ts';
import { eventually } from './support/eventually.ts';
import { ask } from './support/fresh-page.ts';
import { a2sAnswer, a2sChallenge, bedrockAnswer, minecraftAnswer, quake3Answer } from './support/games.ts';
import { galeraLibrary, type MariaDb, removeEmptyData, startMariaDb } from './support/mariadb.ts';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';
import { startNginx } from './support/nginx.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { startPostgres } from './support/postgres.ts';
import { stopEverything } from './support/processes.ts';
import { type Redis, startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFolder } from './support/temporary.ts';

const pages = ['CHECKS', 'DISCOVERY', 'CHOOSING'].map((name) =>
  readFileSync(new URL(`../docs/${name}.md`, import.meta.url), 'utf8'),
);
const examples = pages.flatMap((page) =>
  [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text]) => text!),
);
const listedFile = /^```\n(- \{ name: arena-1[\s\S]*?)^```/m.exec(pages[1]!)![1]!;

/** Leads each place (`tcp 10.0.0.11:5432`) to a unix socket; of a datagram the connection is the question, and the answer. */
const leadingProgram = `
const { connect, createServer } = require('node:net');
for (const [place, path] of Object.entries(JSON.parse(process.argv[1]))) {
  const [, protocol, ip, port] = /^(\\w+) (.*):(\\d+)$/.exec(place);
  if (protocol === 'tcp') {
    createServer((client) => {
      const server = connect(path);
      for (const [one, other] of [[client, server], [server, client]])
        one.on('error', () => other.destroy()).on('close', () => other.destroy()).pipe(other);
    }).listen(Number(port), ip);
  } else {
    const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', (asked, from) => {
      const server = connect(path).on('error', () => {});
      const heard = [];
      server.on('data', (bytes) => heard.push(bytes));
      server.on('end', () => socket.send(Buffer.concat(heard), from.port, from.address));
      server.end(asked);
    });
    socket.bind(Number(port), ip);
  }
}
setTimeout(() => console.log('leading'), 200);
`;

const folder = temporaryFolder('check-examples');
const stands: Server[] = [];
/** What the agent beside a server says. */
let agentSays = 'up 75%\n';
let galera: MariaDb;
let redis: readonly Redis[];

/** A stand-in at a unix socket, whose path it returns. */
async function stand(serve: (socket: Socket) => void): Promise<string> {
  const path = join(folder, `stand-${stands.length}`);
  const server = createServer({ allowHalfOpen: true }, (socket) => serve(socket.on('error', () => {})));
  stands.push(server.listen(path));
  await once(server, 'listening');
  return path;
}

/** One that answers a datagram. */
const answering = (answer: (asked: Buffer) => Buffer | Promise<Buffer>): Promise<string> =>
  stand((socket) => socket.once('data', async (asked) => socket.end(await answer(asked))));

async function databases(): Promise<Record<string, string>> {
  const primary = await startPostgres();
  await primary.query(commandOf('docs/CHECKS.md', 'create role monitor').replace('...', 'secret'));
  await primary.query(commandOf('docs/CHECKS.md', 'grant pg_monitor'));
  const replica = await startPostgres({ replicaOf: primary });
  const pg = {
    'tcp 10.0.0.11:5432': primary.path,
    'tcp 10.0.0.12:5432': replica.path,
    'tcp 10.0.5.11:5432': replica.path,
  };
  const [one, other] = await Promise.all([
    startMariaDb({ settings: { 'server-id': 1, 'log-bin': 'bin' } }),
    startMariaDb({ settings: { 'server-id': 2, 'read-only': 1 } }),
  ]);
  const monitor = blockWith('docs/CHECKS.md', 'CREATE USER monitor')
    .replaceAll('10.0.0.%', 'localhost')
    .replace('...', 'secret');
  await one.query(
    `create user copy@'%' identified by 'secret'; grant replication slave on *.* to copy@'%';\n${monitor}`,
  );
  await other.query(`change master to master_host='127.0.0.1', master_port=${one.port}, master_user='copy',
    master_password='secret', master_connect_retry=1; start slave`);
  const provider = `gmcast.listen_addr=tcp://127.0.0.1:${await freePort()};gcache.size=1M`;
  galera = await startMariaDb({
    settings: {
      'wsrep-on': 'ON',
      'wsrep-provider': galeraLibrary,
      'wsrep-provider-options': provider,
      'wsrep-cluster-address': 'gcomm://',
      'wsrep-node-address': '127.0.0.1',
      'binlog-format': 'ROW',
    },
  });
  await galera.query(monitor);
  const mysql = {
    'tcp 10.0.0.31:3306': one.path,
    'tcp 10.0.0.32:3306': other.path,
    'tcp 10.0.0.41:3306': galera.path,
  };
  return { ...pg, ...mysql };
}

async function others(): Promise<Record<string, string>> {
  const sockets = [join(folder, 'redis-1'), join(folder, 'redis-2')] as const;
  const certificate = await newCertificate();
  writeFileSync(join(folder, 'ca.crt'), readFileSync(certificate.caFile));
  const securePort = await freePort();
  const secure = ['--tls-port', String(securePort), '--tls-auth-clients', 'no'];
  const files = ['--tls-cert-file', certificate.certFile, '--tls-key-file', certificate.keyFile];
  const trusted = ['--tls-ca-cert-file', certificate.caFile];
  const first = await startRedis({ args: ['--unixsocket', sockets[0], ...secure, ...files, ...trusted] });
  const second = await startRedis({
    args: ['--unixsocket', sockets[1], '--replicaof', '127.0.0.1', String(first.port)],
  });
  redis = [first, second];
  for (const one of redis) await one.command('acl', 'setuser', 'monitor', 'on', '>secret', '+ping', '+info');
  // Patroni answers by its status: https://patroni.readthedocs.io/en/latest/rest_api.html
  const patroni = { '10.0.0.11:8008': 200, '10.0.0.12:8008': 503 };
  const port = await freePort();
  const servers = Object.entries(patroni).map(
    ([place, status], i) =>
      `server { listen unix:${join(folder, place)}; ${i === 0 ? `listen 127.0.0.1:${port};` : ''} location = /primary { return ${status}; } location = /replica { return ${status === 200 ? 503 : '200 $arg_lag'}; } }`,
  );
  const web = ['ready', 'not yet'].map(
    (says, i) =>
      `server { listen unix:${join(folder, `web-${i}`)} ssl; ssl_certificate ${certificate.certFile}; ssl_certificate_key ${certificate.keyFile}; location = /health { return 200 "$host is ${says}"; } }`,
  );
  await startNginx({ port, blocks: `http { access_log off; ${[...servers, ...web].join(' ')} }` });
  const resolver = await startDnsmasq({
    hosts: {
      'www.example.org': ['192.0.2.1'],
      'replicas.db.example.org': ['10.0.0.11', '10.0.0.12'],
      'arena1.example.org': ['10.0.0.31'],
    },
    args: ['--srv-host=_arena._udp.example.org,arena1.example.org,27015,0,5'],
  });
  const resolve = async (asked: Buffer): Promise<Buffer> => {
    const socket = createSocket('udp4');
    socket.send(asked, resolver.port, resolver.host);
    const [answer] = await once(socket, 'message');
    socket.close();
    return answer;
  };
  return {
    'tcp 10.0.0.21:6379': sockets[0],
    'tcp 10.0.0.22:6379': sockets[1],
    'tcp 10.0.0.23:6380': await stand((socket) => {
      const server = connect(securePort, '127.0.0.1');
      server.on('error', () => {}).on('close', () => socket.destroy());
      socket.on('close', () => server.destroy());
      socket.pipe(server).pipe(socket);
    }),
    ...Object.fromEntries(Object.keys(patroni).map((place) => [`tcp ${place}`, join(folder, place)])),
    'tcp 10.0.0.51:8443': join(folder, 'web-0'),
    'tcp 10.0.0.52:8443': join(folder, 'web-1'),
    'udp 10.0.2.1:53': await answering(resolve),
    'tcp 10.0.3.1:25': await stand((socket) => {
      socket.write('220 mail.example.org\r\n');
      socket.once('data', (said) => socket.end(String(said) === 'QUIT\r\n' ? '221 bye\r\n' : '500 what\r\n'));
    }),
    'tcp 10.0.4.2:9777': await stand((socket) => socket.end(agentSays)),
  };
}

async function games(): Promise<Record<string, string>> {
  const source = await answering((asked) => (asked.length === 25 ? a2sChallenge : a2sAnswer(3, 16)));
  return {
    'udp 10.0.1.1:27015': source,
    'udp 10.0.0.31:27015': source,
    'udp 10.0.0.32:27015': await answering(() => a2sAnswer(16, 16)),
    'tcp 10.0.1.2:25565': await stand((socket) =>
      socket.once('data', () => socket.end(minecraftAnswer(5, 20))),
    ),
    'udp 10.0.1.3:19132': await answering((asked) => bedrockAnswer(asked, 2, 10)),
    // A protocol of our own: the two bytes the other way round.
    'udp 10.0.6.1:9987': await answering((asked) => Buffer.from(asked).reverse()),
    'udp 10.0.1.4:27960': await answering(() => quake3Answer(1)),
  };
}

/** Backend to `up`, or why it is down. */
type Verdicts = Readonly<Record<string, string>>;

interface Story {
  /** What its example has, and no other. */
  readonly has: string;
  readonly verdicts: Verdicts;
  /** What is done then, and what becomes of it. */
  readonly later?: readonly [act: () => Promise<unknown>, verdicts: Verdicts];
  /** Tiers in their order, beginning with 1. */
  readonly tiers?: readonly number[];
}

const stories: readonly Story[] = [
  {
    has: 'type: dns, name: _arena',
    verdicts: {
      'pg/pg1': 'up',
      'pg/pg9': 'refused',
      'pg/sorry': 'refused',
      'cache/r1': 'up',
      'arena/s1': 'up',
      'login/m1': 'up',
      'found/arena1.example.org:27015': 'up',
    },
    tiers: [1, 2, 3, 1, 1, 1, 1],
  },
  {
    has: 'type: https',
    verdicts: { 'web/w1': 'up', 'web/w2': 'check-failed', 'replicas/pg2': 'up', 'voice/v1': 'up' },
  },
  {
    has: 'user: monitor, password_file: credential:pg',
    verdicts: {
      'primary/pg1': 'up',
      'primary/pg2': 'wrong-role',
      'replicas/pg1': 'wrong-role',
      'replicas/pg2': 'up',
    },
  },
  { has: 'type: http, path: /primary', verdicts: { 'primary/pg1': 'up', 'primary/pg2': 'check-failed' } },
  {
    has: 'donor: down',
    verdicts: {
      'primary/my1': 'up',
      'primary/my2': 'wrong-role',
      'replicas/my1': 'wrong-role',
      'replicas/my2': 'up',
      'galera/g1': 'up',
      'galera/g2': 'refused',
      'galera/g3': 'refused',
    },
    later: [() => galera.query('set global wsrep_desync = on'), { 'galera/g1': 'lagging' }],
  },
  {
    has: 'type: redis, role: primary, user',
    verdicts: { 'cache/r1': 'up', 'cache/r2': 'wrong-role', 'sessions/r3': 'up' },
    // What Sentinel says to them.
    later: [
      async () => {
        await redis[1]!.command('replicaof', 'no', 'one');
        await redis[0]!.command('replicaof', '127.0.0.1', String(redis[1]!.port));
      },
      { 'cache/r1': 'wrong-role', 'cache/r2': 'up' },
    ],
  },
  {
    has: 'type: bedrock',
    verdicts: { 'source/s1': 'up', 'java/j1': 'up', 'bedrock/b1': 'up', 'arena/q1': 'up' },
  },
  { has: 'type: dns, name: www', verdicts: { 'dns/d1': 'up', 'dns/d2': 'refused' } },
  { has: 'name: mail', verdicts: { 'mail/m1': 'up' } },
  {
    has: 'type: agent',
    verdicts: { 'api/a1': 'up', 'jobs/j1': 'up' },
    later: [async () => (agentSays = 'down # disk full\n'), { 'jobs/j1': 'agent', 'api/a1': 'up' }],
  },
  { has: 'on_down: { wrong-role: close, timeout', verdicts: { 'db/pg1': 'up' } },
  { has: 'no_reply: {', verdicts: { 'arena/q1': 'up', 'arena/q2': 'up' } },
  { has: 'max_connection_age: 12h', verdicts: { 'mqtt/m1': 'up', 'mqtt/m2': 'refused' } },
  { has: 'retry_on: unsaid', verdicts: { 'orders/o1': 'up', 'orders/o2': 'refused' } },
  {
    has: 'replicas.db.example.org',
    verdicts: { 'replicas/10.0.0.11:5432': 'up', 'replicas/10.0.0.12:5432': 'up' },
  },
  { has: '# Consul', verdicts: { 'arena/arena1.example.org:27015': 'up', 'arena/lobby': 'refused' } },
  { has: 'type: file', verdicts: { 'arena/arena-1': 'up', 'arena/arena-2': 'up' } },
  {
    has: 'zone: a                     #',
    verdicts: { 'pg/pg1': 'up', 'pg/pg2': 'up', 'pg/pg5': 'up', 'pg/pg9': 'refused', 'pg/sorry': 'refused' },
    tiers: [1, 1, 2, 3, 4],
  },
  {
    has: 'close_backup: true',
    verdicts: { 'pg/pg1': 'up', 'pg/spare': 'refused' },
    tiers: [1, 2],
  },
  { has: 'slow_start: 30s', verdicts: { 'web/w1': 'up', 'web/w2': 'refused' } },
  { has: 'panic_below: 40%', verdicts: { 'web/w1': 'up', 'web/w2': 'refused', 'web/w3': 'refused' } },
];

test('each example has its story, and each story its example', () => {
  for (const text of examples)
    expect(
      stories.filter(({ has }) => text.includes(has)).map(({ has }) => has),
      text,
    ).toHaveLength(1);
  for (const { has } of stories)
    expect(
      examples.filter((text) => text.includes(has)),
      has,
    ).toHaveLength(1);
});

const exampleOf = (has: string): string => examples.find((text) => text.includes(has))!;

/** As it is written, but for files, name servers, and where it is asked how it is. */
function placedHere(text: string): string {
  const toResolver = `servers: [ "10.0.2.1:53" ]`;
  return `${text
    .replaceAll('/etc/pinion/arena.yaml', join(folder, 'arena.yaml'))
    .replaceAll('/etc/pinion/', `${folder}/`)
    .replaceAll('/usr/lib/nagios/plugins/check_tcp', join(folder, 'check_tcp'))
    .replace('name: replicas.db.example.org,', `$& ${toResolver},`)
    .replace('record: SRV, refresh', `record: SRV, ${toResolver}, refresh`)
    .replace(/servers: \[ "127[^\n]*/, toResolver)}\nadmin: { listen: "unix:${folder}/admin.sock" }\n`;
}

interface Row {
  readonly pool: string;
  readonly backend: string;
  readonly up: boolean;
  readonly reason: string | null;
  readonly tier: number;
}

const rows = async (): Promise<Row[]> =>
  ((await ask(join(folder, 'admin.sock'), 'GET', '/status')) as { backends: Row[] }).backends;

async function become(wanted: Verdicts): Promise<void> {
  let found: Record<string, string> = {};
  await eventually('these verdicts', async () => {
    const all = await rows();
    found = Object.fromEntries(
      all.map(({ pool, backend, up, reason }) => [`${pool}/${backend}`, up ? 'up' : String(reason)]),
    );
    return Object.entries(wanted).every(([name, verdict]) => found[name] === verdict);
  }).catch(() => expect(found).toMatchObject(wanted));
}

requirePackage(
  'postgres',
  'mariadb',
  'redis',
  'nginx',
  'dnsmasq',
)('as it is written', () => {
  let world: Namespaces;
  let pinion: Pinion;

  beforeAll(async () => {
    if (!hostsWork()) return;
    writeFileSync(join(folder, 'pg'), 'secret\n');
    writeFileSync(join(folder, 'mysql'), 'secret\n');
    writeFileSync(join(folder, 'redis'), 'secret\n');
    writeFileSync(join(folder, 'arena.yaml'), listedFile);
    writeFileSync(
      join(folder, 'check_tcp'),
      '#!/bin/bash\n[ "$1 $3" = "-H -p" ] && exec 3<>"/dev/tcp/$2/$4"\n',
    );
    chmodSync(join(folder, 'check_tcp'), 0o755);
    const served = Object.assign({}, ...(await Promise.all([databases(), others(), games()])));
    // Of those whose check is a connect, one in each pool.
    const plain = await stand(() => {});
    for (const place of ['10.0.5.1:1883', '10.0.0.31:8080', '10.0.4.1:8080', '10.0.0.1:443'])
      served[`tcp ${place}`] = plain;
    world = await createNamespaces('edge', 'others');
    await world.link('edge', ['192.168.9.1/24'], 'others', ['192.168.9.2/24']);
    await world.ip('edge', 'route', 'add', 'default', 'via', '192.168.9.2');
    await world.ip('others', 'route', 'add', 'local', '10.0.0.0/8', 'dev', 'lo');
    const args = ['-e', leadingProgram, JSON.stringify(served)];
    await world.start('others', { command: process.execPath, args }).waitForOutput(/leading/);
    pinion = await startPinion(placedHere(exampleOf(stories[0]!.has)), {
      wrapper: world.wrapper('edge'),
      env: { CREDENTIALS_DIRECTORY: folder },
    });
  });

  afterAll(async () => {
    await stopEverything();
    world?.close();
    removeEmptyData();
    for (const server of stands) server.close();
  });

  test.skipIf(!hostsWork()).each(stories)('$has', async ({ has, verdicts, later, tiers }) => {
    const text = placedHere(exampleOf(has));
    expect(parsePlan(text, 'example')).not.toHaveProperty('problems');
    await reload(pinion, text);
    await become(verdicts);
    const all = await rows();
    expect(all.map(({ pool, backend }) => `${pool}/${backend}`).toSorted()).toEqual(
      Object.keys(verdicts).toSorted(),
    );
    if (tiers !== undefined) expect(all.map(({ tier }) => tier)).toEqual(tiers);
    if (later === undefined) return;
    const [act, after] = later;
    await act();
    await become(after);
  });
});
