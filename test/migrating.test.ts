/**
 * docs/MIGRATING.md: what it shows of HAProxy and nginx is what these take, and its translations do the same. The original, in the real
 * program, and the translation stand side by side before the same servers, each as it is written and on a host of its own; the same
 * clients ask both, and get the same answers.
 *
 *     servers and clients (10/8): others --- haproxy, nginx, pinion: one host each
 */
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blockWith, pageText } from './support/documents.ts';
import { eventually } from './support/eventually.ts';
import { startHaproxy } from './support/haproxy.ts';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';
import { startNginx, streamModule } from './support/nginx.ts';
import { requireCommand } from './support/packages.ts';
import { startPinion } from './support/pinion.ts';
import { type Postgres, startPostgres } from './support/postgres.ts';
import { type RunningProcess, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

const page = 'docs/MIGRATING.md';
const originals = { haproxy: blockWith(page, 'frontend pg'), nginx: blockWith(page, 'upstream game') };
const translations = {
  haproxy: blockWith(page, 'health: { type: postgres'),
  nginx: blockWith(page, 'policy: ring'),
};
/** Where each stands, seen from the clients. */
const places = { haproxy: '192.168.1.1', nginx: '192.168.2.1', pinion: '192.168.3.1' } as const;
type Balancer = keyof typeof places;

/** Leads each place (10.0.0.11:5432) to a unix socket. */
const leadingProgram = `
const { connect, createServer } = require('node:net');
for (const [ip, path] of Object.entries(JSON.parse(process.argv[1]))) {
  createServer((client) => {
    const server = connect(path);
    for (const [one, other] of [[client, server], [server, client]])
      one.on('error', () => other.destroy()).on('close', () => other.destroy()).pipe(other);
  }).listen(5432, ip);
}
setTimeout(() => console.log('leading'), 200);
`;

/**
 * Clients of PostgreSQL: each logs in and asks the server for its name. Prints who served each, in their order; '' is nobody. One that
 * stays says whom it is served by, and when its session is over.
 */
const sessionsProgram = `
const [host, manner, ...froms] = process.argv.slice(1);
const words = ['user', 'pinion', 'database', 'postgres', ''].join('\\0') + '\\0';
const hello = Buffer.alloc(8 + words.length);
hello.writeUInt32BE(hello.length, 0);
hello.writeUInt32BE(196_608, 4);
hello.write(words, 8);
const query = Buffer.from('Q\\0\\0\\0\\0show cluster_name\\0');
query.writeUInt32BE(query.length - 1, 1);
const session = (from) => new Promise((resolve) => {
  const socket = require('node:net').connect({ host, port: 5432, localAddress: from });
  socket.write(hello);
  let heard = Buffer.alloc(0);
  let name = '';
  let asked = false;
  socket.on('data', (bytes) => {
    heard = Buffer.concat([heard, bytes]);
    while (heard.length > 4 && heard.length > heard.readUInt32BE(1)) {
      const length = heard.readUInt32BE(1) + 1;
      const [kind, body] = [String.fromCharCode(heard[0]), heard.subarray(5, length)];
      heard = heard.subarray(length);
      if (kind === 'Z' && !asked) asked = socket.write(query);
      if (kind !== 'D') continue;
      name = String(body.subarray(6));
      if (manner === 'stays') console.log('served by ' + name);
      else socket.destroy();
    }
  });
  socket.on('error', () => {}).on('close', () => resolve(name));
});
Promise.all(froms.map(session)).then((names) => console.log(manner === 'stays' ? 'over' : JSON.stringify(names)));
`;

/** A UDP server that answers with its place. */
const datagramServer = `
const [ip] = process.argv.slice(1);
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (_, { address, port }) => socket.send(ip, port, address));
socket.bind(7777, ip, () => console.log('serving'));
`;

/** Asks once from each address, all at once; prints who answered each: '' is nobody. */
const datagramClients = `
const [host, ...froms] = process.argv.slice(1);
const ask = (from) => new Promise((resolve) => {
  const socket = require('node:dgram').createSocket('udp4');
  const done = (text) => { clearTimeout(timer); socket.close(); resolve(text); };
  const timer = setTimeout(() => done(''), 2_000);
  socket.on('message', (message) => done(String(message)));
  socket.bind(0, from, () => socket.send('hello', 7777, host));
});
Promise.all(froms.map(ask)).then((answers) => console.log(JSON.stringify(answers)));
`;

/** The rows of a table whose first column is headed so: what stands between backquotes on each side. */
function rowsOf(heading: string): { readonly there: readonly string[]; readonly here: readonly string[] }[] {
  const rows = pageText(page).split(`\n| ${heading} | pinion |\n|---|---|\n`)[1]!.split('\n\n')[0]!;
  return rows.split('\n').map((row) => {
    const [there, here] = row
      .split(' | ')
      .map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((one) => one[1]!));
    return { there: there!, here: here! };
  });
}

/** Words of a directive, without what a reader puts in. */
const wordsIn = (text: string): string[] => text.match(/[a-z$][\w.$-]*[a-z\d]/gi) ?? [];

const haproxyWords = `
global
    maxconn 1000
    stats socket ADMIN level admin
peers pair
    peer here 127.0.0.1:10000
resolvers names
    nameserver one 127.0.0.1:53
defaults
    mode tcp
    timeout connect 2s
    timeout client 8h
    timeout server 8h
    timeout client-fin 10s
    timeout server-fin 10s
    retries 2
    option redispatch
    option tcpka
    option clitcpka
    option srvtcpka
frontend front
    bind 127.0.0.1:6000
    bind 127.0.0.1:6001 accept-proxy
    acl strangers src 192.0.2.0/24
    stick-table type ip size 1m expire 30m store conn_cur,conn_rate(10s)
    tcp-request connection track-sc0 src
    tcp-request connection reject if strangers
    tcp-request inspect-delay 3s
    use_backend http if { req.ssl_sni -i a.example }
    default_backend pg
backend pg
    balance source
    hash-type consistent
    option pgsql-check user monitor
    stick-table type ip size 1m expire 30m peers pair
    stick on src
    server pg1 127.0.0.1:6002 check agent-check agent-port 6003 weight 2 maxconn 400 slowstart 10s on-marked-down shutdown-sessions
    server pg2 127.0.0.1:6003 check send-proxy on-marked-up shutdown-backup-sessions
    server pg3 127.0.0.1:6004 check send-proxy-v2 backup
    server-template found 2 _pg._tcp.example.org resolvers names check
backend mysql
    balance leastconn
    option mysql-check user monitor
    server one 127.0.0.1:6005 check
backend redis
    balance roundrobin
    option redis-check
    server one 127.0.0.1:6006 check
backend http
    balance random(2)
    option httpchk
    server one 127.0.0.1:6007 check
backend other
    option tcp-check
    server one 127.0.0.1:6008 check
`;

const nginxWords = `
stream {
    limit_conn_zone $binary_remote_addr zone=clients:1m;
    map $ssl_preread_server_name $pool {
        a.example named;
        default game;
    }
    upstream game {
        hash $remote_addr consistent;
        server 10.0.1.1:7777 max_fails=3 fail_timeout=10s;
    }
    upstream named {
        least_conn;
        server 10.0.1.2:443;
    }
    upstream drawn {
        random two least_conn;
        server 10.0.1.2:443;
        server 10.0.1.3:443;
    }
    server {
        listen 127.0.0.1:6100 proxy_protocol;
        set_real_ip_from 10.0.0.0/8;
        ssl_preread on;
        allow 10.0.0.0/8;
        deny all;
        limit_conn clients 16;
        proxy_protocol on;
        proxy_connect_timeout 2s;
        proxy_timeout 8h;
        proxy_next_upstream_tries 2;
        proxy_upload_rate 1m;
        proxy_download_rate 1m;
        proxy_bind $remote_addr transparent;
        proxy_pass $pool;
    }
    server {
        listen 127.0.0.1:6101 udp;
        proxy_responses 1;
        proxy_pass drawn;
    }
}
`;

function judged(command: string, args: readonly string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

const judgedByHaproxy = (text: string) =>
  judged(requireCommand('haproxy', 'haproxy'), ['-c', '-f', temporaryFile('haproxy.cfg', text)]);

/** With what Debian's own file has around it. */
function judgedByNginx(blocks: string) {
  const folder = temporaryFolder('nginx');
  const around = `load_module ${streamModule};\npid ${folder}/pid;\nerror_log stderr;\nevents { }\n`;
  const file = temporaryFile('nginx.conf', around + blocks);
  return judged(requireCommand('nginx', 'nginx'), ['-t', '-p', folder, '-e', 'stderr', '-c', file]);
}

/** What HAProxy's socket answers. */
function tell(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(path, () => socket.write(`${line}\n`));
    socket.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    socket.on('error', reject).on('end', () => resolve(said));
  });
}

requirePackage('haproxy', 'nginx')('what is shown of other programs', () => {
  test('is what they take', () => {
    expect(judgedByHaproxy(originals.haproxy)).toEqual({
      status: 0,
      output: 'Configuration file is valid\n',
    });
    const { status, output } = judgedByNginx(originals.nginx);
    expect({ status, said: output.replaceAll(/nginx: (the )?configuration file .*\n/g, '') }).toEqual({
      status: 0,
      said: '',
    });
  });

  test('has words of HAProxy, and commands it answers', async () => {
    const folder = temporaryFolder('words');
    const path = join(folder, 'admin');
    const text = haproxyWords.replace('ADMIN', path);
    const { status, output } = judgedByHaproxy(text);
    expect(status, output).toBe(0);
    const there = rowsOf('HAProxy').flatMap((row) => row.there);
    expect(there.length).toBeGreaterThan(40);
    const orders = there.filter((span) => /^(set|show) /.test(span));
    const started = await startHaproxy({ config: text, port: 6000 });
    for (const order of [...orders, 'set server pg/pg1 state maint', 'set server pg/pg1 weight 50%'])
      expect([order, await tell(path, order)]).toEqual([
        order,
        expect.not.stringMatching(/^(unknown|usage|invalid|require|no such|permission)/i),
      ]);
    await started.stop();
    const known = new Set(wordsIn(text));
    const strange = there
      .filter((span) => !orders.includes(span))
      .filter((span) => wordsIn(span).some((word) => !known.has(word)));
    // The rest of `set server ... state`.
    expect(strange).toEqual(['maint']);
  });

  test('has words of nginx', () => {
    const { status, output } = judgedByNginx(nginxWords);
    expect(status, output).toBe(0);
    const there = rowsOf('nginx').flatMap((row) => row.there);
    expect(there.length).toBeGreaterThan(20);
    const known = new Set(wordsIn(nginxWords));
    const strange = there.filter((span) => wordsIn(span).some((word) => !known.has(word)));
    expect(strange).toEqual(['nginx -t', 'nginx -s reload']);
  });

  test('has a translation that there is: each word is a key, a value of one, or a command', () => {
    const reference = pageText('docs/CONFIGURATION.md');
    const manual = pageText('docs/pinion.1');
    const words = new Set([
      ...[...reference.matchAll(/^\| `([^`]+)` \| ([^|]*)/gm)].flatMap(([, key, takes]) =>
        [key!, ...(takes!.match(/`[^`]+`/g) ?? [])].flatMap((text) => text.match(/[a-z][\w-]*/g) ?? []),
      ),
      ...[...manual.matchAll(/^\.SS "pinion ([^"]+)"/gm)].flatMap(
        ([, usage]) => usage!.match(/[a-z]+/g) ?? [],
      ),
    ]);
    const here = ['HAProxy', 'nginx'].flatMap((heading) => rowsOf(heading).flatMap((row) => row.here));
    expect(here.length).toBeGreaterThan(50);
    const strange = here
      .map((span) => span.replace(/^pinion |\bpg\/pg1\b|\d+m\b/g, '').replace(/\.\.\./, ''))
      .filter((span) => (span.match(/[a-z][\w-]*/g) ?? []).some((word) => !words.has(word)));
    expect(strange).toEqual([]);
  });
});

requirePackage(
  'haproxy',
  'nginx',
  'postgres',
)('the same clients get the same answers', () => {
  let world: Namespaces;
  let servers: Record<'pg1' | 'pg2' | 'spare', Postgres>;
  const arenas = new Map<string, RunningProcess>();

  beforeAll(async () => {
    if (!hostsWork()) return;
    const names = ['pg1', 'pg2', 'spare'] as const;
    const started = await Promise.all(
      names.map((name) => startPostgres({ settings: { cluster_name: name } })),
    );
    servers = Object.fromEntries(names.map((name, i) => [name, started[i]!])) as typeof servers;
    for (const one of started) await one.query('create role monitor login');
    world = await createNamespaces('others', ...Object.keys(places));
    await world.ip('others', 'route', 'add', 'local', '10.0.0.0/8', 'dev', 'lo');
    for (const [host, address] of Object.entries(places)) {
      await world.link(host, [`${address}/24`], 'others', [address.replace(/1$/, '2/24')]);
      await world.ip(host, 'route', 'add', 'default', 'via', address.replace(/1$/, '2'));
    }
    const led = JSON.stringify({
      '10.0.0.11': servers.pg1.path,
      '10.0.0.12': servers.pg2.path,
      '10.0.0.13': servers.spare.path,
    });
    const node = process.execPath;
    await world
      .start('others', { command: node, args: ['-e', leadingProgram, led] })
      .waitForOutput(/leading/);
    for (const ip of ['10.0.1.1', '10.0.1.2']) arenas.set(ip, await startArena(ip));
    await startHaproxy({ config: originals.haproxy, port: 5432, wrapper: world.wrapper('haproxy') });
    await startNginx({
      blocks: originals.nginx,
      port: 7777,
      transport: 'udp',
      wrapper: world.wrapper('nginx'),
    });
    // Both translations in one file: they have no name in common.
    const [one, other] = [translations.haproxy, translations.nginx].map((text) => text.split('pools:\n'));
    const both = `${one![0]}${other![0]!.replace('listeners:\n', '')}pools:\n${one![1]}${other![1]}`;
    await startPinion(`${both}shutdown: { drain: 0s }\n`, { wrapper: world.wrapper('pinion') });
  });

  afterAll(async () => {
    for (const one of Object.values(servers ?? {})) one.process.signal('SIGCONT');
    await stopEverything();
    world?.close();
  });

  async function startArena(ip: string): Promise<RunningProcess> {
    const server = world.start('others', { command: process.execPath, args: ['-e', datagramServer, ip] });
    await server.waitForOutput(/serving/);
    return server;
  }

  const clients = Array.from({ length: 12 }, (_, i) => `10.9.0.${i + 1}`);
  const sessionsOf = (through: Balancer, manner: 'stays' | 'leaves', froms: readonly string[]) =>
    world.start('others', {
      command: process.execPath,
      args: ['-e', sessionsProgram, places[through], manner, ...froms],
    });

  /** Who serves each client of PostgreSQL now; '' is nobody. */
  async function everybody(through: Balancer): Promise<string[]> {
    const asking = sessionsOf(through, 'leaves', clients);
    const [names] = await asking.waitForOutput(/^\[.*\]$/m, 60_000);
    return JSON.parse(names) as string[];
  }

  test.skipIf(!hostsWork())('of the database behind HAProxy', async () => {
    for (const through of ['haproxy', 'pinion'] as const) {
      const first = await eventually(`${through} serves`, async () => {
        const names = await everybody(through);
        return names.includes('') ? undefined : names;
      });
      // The spare one has nobody, and each comes to the same server again.
      expect(first).not.toContain('spare');
      expect(await everybody(through)).toEqual(first);
    }
    // Both servers stand still: their sessions are ended, and the spare one serves.
    const sessions = (['haproxy', 'pinion'] as const).map((through) =>
      sessionsOf(through, 'stays', clients.slice(0, 1)),
    );
    for (const one of sessions) await one.waitForOutput(/served by pg[12]/);
    for (const one of [servers.pg1, servers.pg2]) one.process.signal('SIGSTOP');
    for (const one of sessions) await one.waitForOutput(/^over$/m, 60_000);
    for (const through of ['haproxy', 'pinion'] as const)
      await eventually(
        `${through}: spare`,
        async () => (await everybody(through)).every((name) => name === 'spare'),
        60_000,
      );
    // One is back: it has them all, and the spare one nobody.
    servers.pg1.process.signal('SIGCONT');
    for (const through of ['haproxy', 'pinion'] as const)
      await eventually(
        `${through}: pg1`,
        async () => (await everybody(through)).every((name) => name === 'pg1'),
        60_000,
      );
  });

  test.skipIf(!hostsWork())('of the game behind nginx, each at the same server', async () => {
    const froms = Array.from({ length: 40 }, (_, i) => `10.9.${i % 7}.${i + 1}`);
    const answers = async (through: Balancer): Promise<string[]> =>
      JSON.parse(
        await world.run('others', process.execPath, '-e', datagramClients, places[through], ...froms),
      ) as string[];
    const there = await answers('nginx');
    expect(new Set(there)).toEqual(new Set(['10.0.1.1', '10.0.1.2']));
    expect(await answers('pinion')).toEqual(there);
    // One is lost. nginx goes on asking it, as its port is no failure there; here it is left out.
    await arenas.get('10.0.1.1')!.stop();
    await eventually('the other one alone', async () =>
      (await answers('pinion')).every((ip) => ip === '10.0.1.2'),
    );
  });
});
