/**
 * What README and the pages show that have no test of their own (API, CHOOSING, CLUSTER, DASHBOARD, KEEPALIVED, MONITORING, OPERATING,
 * SECURITY, TUNING, and some of EDGE): configurations are started and commands run as they are written, and what is shown of
 * output is what is printed. On hosts of their own, where the addresses and ports that the pages name are free.
 * Only paths of files are others here. documents.test.ts holds who runs what.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import { newCertificate } from './support/certificates.ts';
import { commandFolder } from './support/command.ts';
import { blocksOf, blockWith, commandOf, documentPages, pageText } from './support/documents.ts';
import { eventually } from './support/eventually.ts';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';
import { startNginx } from './support/nginx.ts';
import { findCommand, requireCommand } from './support/packages.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { type RunningProcess, runToEnd, startProcess, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
let path: string;
/** What is /etc/pinion, /run/pinion and /var/log/pinion here. */
let folder: string;
let socket: string;
const here = (text: string): string => text.replaceAll(/\/(etc|run|var\/log)\/pinion\b/g, folder);

beforeEach(() => {
  path = `${commandFolder()}:${process.env.PATH}:/usr/sbin:/sbin`;
  folder = temporaryFolder('pages');
  socket = join(folder, 'admin.sock');
});

/** Greets with where it was reached and from where (`10.0.0.1:1 from 10.0.0.2`), then echoes; over UDP answers with the place. */
const serversProgram = `
for (const place of process.argv.slice(1)) {
  const [, ip, port] = /^(.*):(\\d+)$/.exec(place);
  require('node:net').createServer((socket) => {
    socket.on('error', () => {});
    socket.write(place + ' from ' + String(socket.remoteAddress) + '\\n');
    socket.pipe(socket);
  }).listen(Number(port), ip);
  const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (_, { port, address }) => udp.send(place, port, address));
  udp.bind(Number(port), ip);
}
setTimeout(() => console.log('serving'), 200);
`;

/** Connections from each of these addresses, so many each; they stay open. Prints each greeting, and how many there were. */
const crowdProgram = `
const [host, port, crowd] = process.argv.slice(1);
let greeted = 0;
for (const [from, count] of Object.entries(JSON.parse(crowd)))
  for (let i = 0; i < count; i++)
    require('node:net').connect({ host, port: Number(port), localAddress: from }).on('error', () => {})
      .once('data', (bytes) => console.log(bytes + 'greeted ' + ++greeted));
`;

/** pinion, and what the pages have beside it, are `here`; `others` has all servers of 10/8, and clients. */
let world: Namespaces;
const ownAddress = '192.168.9.1';

beforeAll(async () => {
  if (!hostsWork()) return;
  world = await createNamespaces('here', 'others');
  await world.link('here', [`${ownAddress}/24`], 'others', ['192.168.9.2/24']);
  await world.ip('here', 'route', 'add', 'default', 'via', '192.168.9.2');
  for (const network of ['10.0.0.0/8', '203.0.113.0/24'])
    await world.ip('others', 'route', 'add', 'local', network, 'dev', 'lo');
  for (const ip of ['192.0.2.7', '192.0.2.10'])
    await world.ip('here', 'address', 'add', `${ip}/32`, 'dev', 'lo');
});

afterEach(stopEverything);
afterAll(() => world?.close());

/** A command line in that world, with `pinion` on its path and the project's folder around it. Returns what it printed. */
const say = (line: string, host = 'here'): Promise<string> =>
  runToEnd({
    command: 'sh',
    args: ['-c', here(line)],
    wrapper: world.wrapper(host),
    folder: root,
    env: { PATH: path },
  });

/** The same, and it stays. */
const keep = (line: string, host = 'here'): RunningProcess =>
  startProcess({
    name: line,
    command: 'sh',
    args: ['-c', here(line)],
    wrapper: world.wrapper(host),
    folder: root,
    env: { PATH: path },
  });

async function serve(host: 'here' | 'others', ...places: readonly string[]): Promise<void> {
  const args = ['-e', serversProgram, ...places];
  await world.start(host, { command: process.execPath, args }).waitForOutput(/serving/);
}

const start = (text: string, env: NodeJS.ProcessEnv = {}): Promise<Pinion> =>
  startPinion(here(text), { wrapper: world.wrapper('here'), env });

/** The first line that a client is told; '' where it is told nothing. */
async function greeting(from: 'here' | 'others', ip: string, port: number): Promise<string> {
  const line = `require('node:net').connect({ host: '${ip}', port: ${port} })
    .once('data', function (bytes) { process.stdout.write(String(bytes)); this.destroy(); }).on('error', () => {})`;
  return (await world.run(from, process.execPath, '-e', line)).trim();
}

async function redis(host: 'here' | 'others'): Promise<RunningProcess> {
  const args = ['--port', '6379', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''];
  const started = world.start(host, {
    command: requireCommand('redis', 'redis-server'),
    args: [...args, '--dir', temporaryFolder('redis')],
  });
  await started.waitForOutput(/Ready to accept connections/);
  return started;
}

/** Lines that are shown, as what matches lines like them: durations and amounts of time may be others. */
const like = (line: string): RegExp =>
  new RegExp(
    `^${line
      .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace(/^\d{4}-\S+Z/, '\\S+Z')
      .replaceAll(/\b[\d\\.]+ ms\b/g, '[\\d.]+ m?s')
      .replaceAll(/(?<=[\d.]+:)\d{5}\b/g, '\\d+')}$`,
    'm',
  );

describe.skipIf(!hostsWork())('README', () => {
  test('the two minutes: the demo, and what is typed in the second terminal', async () => {
    expect(commandOf('README.md', 'npm start')).toBe('npm start');
    // It builds first, which readme.test.ts has it do: not twice at a time.
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: { start: string };
    };
    const demo = keep(/exec (node bin\/pinion\.js start)$/.exec(scripts.start)![1]!);
    await demo.waitForOutput(/Try, in another terminal:[\s\S]*metrics page/, 100_000);
    const talk = async (line: string): Promise<string> => {
      const talking = keep(`echo hello | ${line}`);
      const [, name] = await talking.waitForOutput(/^hello, this is (\w+)\n\1: hello$/m);
      await talking.stop();
      return name!;
    };
    if (findCommand('nc') !== undefined) {
      await talk(commandOf('README.md', 'nc 127.0.0.1'));
      expect(await say(commandOf('README.md', 'echo hi'))).toMatch(/^(ash|oak|elm): hi/);
    }
    const name = await talk(`${commandOf('README.md', 'curl --interface 127.0.0.2')} --silent --no-buffer`);
    if (findCommand('nc') !== undefined)
      expect(await talk(commandOf('README.md', 'nc -s 127.0.0.2'))).toBe(name);
    expect(await say(commandOf('README.md', 'bin/pinion.js explain'))).toMatch(
      new RegExp(`^backend +(trees/)?${name}$`, 'm'),
    );
    const top = commandOf('README.md', 'bin/pinion.js top');
    const screen = join(folder, 'screen');
    const shown = await say(
      `touch ${screen}; (until grep -q trees ${screen}; do sleep 0.2; done; echo q) |
        script --quiet --flush --return --command '${top}' /dev/null > ${screen}; cat ${screen}`,
    );
    expect(shown).toMatch(/trees\/oak/);
    expect(await say('curl --silent --show-error http://127.0.0.1:9465')).toMatch(/<!doctype html>/i);
  });

  test.skipIf(findCommand('python3') === undefined)(
    'a file of your own, with servers of Python',
    async () => {
      for (const port of [8001, 8002]) {
        keep(`exec ${commandOf('README.md', 'python3 -m http.server').replace('8001', String(port))}`);
        await eventually(`a server at ${port}`, () =>
          say(`curl --silent 127.0.0.1:${port}`).catch(() => undefined),
        );
      }
      await start(blockWith('README.md', '127.0.0.1:8080').replace('/tmp/pinion.sock', socket));
      await eventually('an answer', () =>
        say(`${commandOf('README.md', 'curl 127.0.0.1:8080')} --silent`).then(
          (text) => /<html/.test(text),
          () => false,
        ),
      );
    },
  );
});

describe.skipIf(!hostsWork())('the admin address', () => {
  const listeners = `listeners: [ { name: front, bind: "tcp://127.0.0.1:7100", pool: pool } ]
pools: { pool: { health: { type: none }, backends: [ { name: a, address: "127.0.0.1:7101" }, { name: b, address: "127.0.0.1:7102" } ] } }
`;

  test('API: on a unix socket, and on TCP with tokens', async () => {
    const unix = await start(blockWith('docs/API.md', 'admin: { listen: unix') + listeners);
    expect(await say('pinion ready --admin unix:/run/pinion/admin.sock')).toMatch(/ready/);
    await unix.stop();
    for (const name of ['read', 'write'])
      writeFileSync(join(folder, `${name}.token`), `the-token-for-${name}\n`);
    writeFileSync(join(folder, 'admin'), 'the-token-for-write\n');
    await start(blockWith('docs/API.md', 'credential:admin') + listeners, { CREDENTIALS_DIRECTORY: folder });
    const ask = (token: string, method: string, what: string) =>
      say(
        `curl --silent --output /dev/null --write-out '%{http_code}' -X ${method} -H 'Authorization: Bearer ${token}' http://192.0.2.10:9465${what}`,
      );
    expect(await ask('the-token-for-read', 'GET', '/v1/status')).toBe('200');
    expect(await ask('the-token-for-read', 'POST', '/v1/backends/pool/a/drain')).toBe('403');
    expect(await ask('the-token-for-write', 'POST', '/v1/backends/pool/a/drain')).toBe('200');
    // As docs/SECURITY.md replaces one.
    const token = commandOf('docs/SECURITY.md', 'openssl rand').replaceAll('token', 'write.token');
    await say(
      `cd ${folder} && ${token.replace('write.token.new', 'token.new').replace('write.token.new', 'token.new')}`,
    );
    expect(readFileSync(join(folder, 'write.token'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
  });

  test('MONITORING: each page that is named', async () => {
    await start(
      `metrics: { listen: 127.0.0.1:9464 }\nadmin: { listen: unix:${socket} }\n${listeners.replace('name: front', 'name: L')}`,
    );
    const text = pageText('docs/MONITORING.md').split('\n## Pages\n')[1]!;
    const pages = [...text.matchAll(/`(\/[a-z][^`]*)`/g)].map(([, name]) => name!);
    const plain = pages.filter((name) => name !== '/v1').map((name) => name.replaceAll(/[[\]]/g, ''));
    expect(plain.length).toBeGreaterThan(6);
    const filled = plain.map((name) =>
      name
        .replace('most=N', 'most=5')
        .replace('client=ADDRESS', 'client=192.0.2.7')
        .replace(/=(?=&|$)/g, ''),
    );
    const asked = filled
      // Words that are left empty may be left out; of what a client says each is for itself.
      .map((name) => name.replace('pool&backend&client&', '').replace('&speaks&server_name&alpn', ''))
      .map((name) => name.replace('&without=B', '&without=a').replace('&cluster', ''));
    for (const name of asked)
      expect([
        name,
        await say(
          `curl -sS -o /dev/null -w '%{http_code}' --unix-socket ${socket} 'http://localhost${name}'`,
        ),
      ]).toEqual([name, '200']);
    for (const name of ['/metrics', '/healthz', '/readyz', '/readyz?in-step'])
      expect(await say(`curl -sS -o /dev/null -w '%{http_code}' 'http://127.0.0.1:9464${name}'`)).toBe('200');
  });

  test('DASHBOARD: on TCP, and what ssh would do', async () => {
    await start(blocksOf('docs/DASHBOARD.md')[0]!.text);
    expect(await say('curl -sS http://127.0.0.1:9465/')).toMatch(/<!doctype html>/i);
    if (findCommand('ssh') === undefined) return;
    // It says what it would do, and connects to nobody.
    const forwards = ['ssh -L 9465:/run/pinion', 'ssh -L 9465:127'].map((begins) =>
      commandOf('docs/DASHBOARD.md', begins).replace('ssh ', 'ssh -G '),
    );
    expect(await say(forwards[0]!)).toMatch(/^localforward 9465 \S+\/admin\.sock$/m);
    expect(await say(forwards[1]!)).toMatch(/^localforward 9465 \[127\.0\.0\.1\]:9465$/m);
  });
});

requirePackage('nginx')('DASHBOARD: behind a proxy that ends TLS', () => {
  test.skipIf(!hostsWork())(
    'nginx as it is written leads to the page, and lets it change something',
    async () => {
      const { certFile, keyFile, caFile } = await newCertificate();
      writeFileSync(join(folder, 'read.token'), 'the-token-for-reading\n');
      writeFileSync(join(folder, 'write.token'), 'the-token-for-writing\n');
      const [, example, proxies] = blocksOf('docs/DASHBOARD.md').filter(({ language }) => language !== 'sh');
      // The certificate of these tests names another host.
      const name = 'redis.test';
      await start(example!.text.replace('lb.example.com', name));
      const nginx = proxies!.text
        .split('\n')
        .map((line) =>
          line
            .slice(0, line.includes('# Caddy') ? line.indexOf('# Caddy') : 68)
            .replace('lb.example.com', name),
        );
      const lines = [
        'http { access_log off;',
        ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${one};`),
        `server { listen 443 ssl; server_name ${name}; ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};`,
        ...nginx,
        '} }',
      ];
      await startNginx({ blocks: lines.join('\n'), port: 443, wrapper: world.wrapper('here') });
      const ask = (more: string) =>
        say(`curl -sS --cacert ${caFile} --resolve ${name}:443:127.0.0.1 ${more}`);
      const origin = `-H 'Origin: https://${name}' -H 'Sec-Fetch-Site: same-origin'`;
      const token = (word: string): string => `-H 'Authorization: Bearer the-token-for-${word}'`;
      const code = "-o /dev/null -w '%{http_code}'";
      expect(await ask(`https://${name}/`)).toMatch(/<!doctype html>/i);
      expect(await ask(`${code} https://${name}/v1/status`)).toBe('401');
      expect(await ask(`${code} ${token('reading')} https://${name}/v1/status`)).toBe('200');
      const drain = `-X POST ${code} ${token('writing')} 'https://${name}/v1/backends/servers/one/drain?dry_run'`;
      expect(await ask(`${origin} ${drain}`)).toBe('200');
      expect(await ask(`${origin.replace(name, 'evil.example')} ${drain}`)).toBe('403');
    },
  );
});

describe.skipIf(!hostsWork())('what is shown of output', () => {
  test('CHOOSING: how tiers stand', async () => {
    const text = blockWith('docs/CHOOSING.md', 'sorry').replace(/health: \{.*\}/, 'health: { type: none }');
    await start(`admin: { listen: unix:${socket} }\n${text}`);
    const at = `--admin unix:${socket}`;
    await say(`pinion maintenance pg/pg2 ${at}`);
    const printed = await say(`pinion explain --listener db --client 192.0.2.7 ${at}`);
    for (const line of blockWith('docs/CHOOSING.md', 'tier 1 ').trimEnd().split('\n'))
      expect(printed.replaceAll(/ {2,}/g, '  ')).toMatch(like(line.replaceAll(/ {2,}/g, '  ')));
  });

  test('EDGE: bandwidth, and when a session ends', async () => {
    await start(`admin: { listen: unix:${socket} }\n${blockWith('docs/EDGE.md', 'session_ends_after')}`);
    const explained = (name: string) =>
      say(`pinion explain --listener ${name} --client 203.0.113.9 --admin unix:${socket}`);
    const printed = `${await explained('files')}${await explained('dns')}`.replaceAll(/ {2,}/g, '  ');
    for (const line of blockWith('docs/EDGE.md', 'session ends ').trimEnd().split('\n'))
      expect(printed).toMatch(like(line.replaceAll(/ {2,}/g, '  ')));
  });

  test('MONITORING: lines of the log, and a file of their own for finished flows', async () => {
    const lines = blockWith('docs/MONITORING.md', 'by pin  client-closed').trimEnd().split('\n');
    const seven = `require('node:net').createServer((socket) => socket.on('error', () => {})
      .once('data', () => socket.write('7 bytes')).on('end', () => socket.end())).listen(7101, '127.0.0.1', () => console.log('serving'))`;
    const server = world.start('here', { command: process.execPath, args: ['-e', seven] });
    await server.waitForOutput(/serving/);
    const access = blockWith('docs/MONITORING.md', 'access: {').replace('level: warn', 'format: text');
    const text = `${access}listeners: [ { name: web, bind: "tcp://127.0.0.1:7100", pool: servers } ]
pools:
  servers:
    health: { type: none }
    passive: { failures: 99 }
    backends: [ { name: a, address: "127.0.0.1:7101" }, { name: b, address: "127.0.0.1:7109" } ]
`;
    const pinion = await startPinion(here(text), {
      wrapper: world.wrapper('here'),
      readyWhenBound: { transport: 'tcp', port: 7100 },
    });
    const client = `require('node:net').connect({ port: 7100, host: '127.0.0.1', localAddress: '192.0.2.7' }, function () { this.write('hello'); })
      .once('data', function () { this.end(); }).on('error', () => {})`;
    for (let i = 0; i < 2; i++) await world.run('here', process.execPath, '-e', client);
    await server.stop();
    await world.run('here', process.execPath, '-e', client.replace("this.write('hello');", ''));
    await pinion.process.waitForOutput(like(lines[1]!));
    for (const line of lines) {
      await eventually(`in the file: ${line}`, () =>
        like(line).test(readFileSync(join(folder, 'access.log'), 'utf8')),
      );
    }
  });

  test('OPERATING: the table of backends', async () => {
    await start(`admin: { listen: unix:${socket} }
listeners: [ { name: front, bind: "tcp://127.0.0.1:7100", pool: pg } ]
pools: { pg: { health: { interval: 500ms }, backends: [ { name: pg1, address: "127.0.0.1:7108" }, { name: pg2, address: "127.0.0.1:7109" } ] } }
`);
    const [header] = blockWith('docs/OPERATING.md', 'POOL/BACKEND').split('\n');
    const words = (line: string): string[] => line.trim().split(/ {2,}/);
    const [columns = '', ...rows] = (await say(`pinion backends --admin unix:${socket}`)).split('\n');
    // Into a pipe all columns are written, on a terminal as many as fit. What stands in them: commands.test.ts.
    expect(words(columns).filter((word) => words(header!).includes(word))).toEqual(words(header!));
    expect(rows.map((row) => row.replace(/ .*/, ''))).toEqual(expect.arrayContaining(['pg/pg1', 'pg/pg2']));
  });
});

requirePackage('redis')('with a Redis', () => {
  test.skipIf(!hostsWork())('CLUSTER: the names of keys, and how they are deleted', async () => {
    const server = await redis('here');
    await serve('here', '127.0.0.1:7101');
    const pinion =
      await start(`${blockWith('README.md', 'cluster: { name: game-eu').replace('10.0.0.5', '127.0.0.1')}
listeners: [ { name: front, bind: "tcp://127.0.0.1:7100", pool: pg } ]
pools: { pg: { health: { type: none }, backends: [ { name: pg1, address: "127.0.0.1:7101" } ] } }
admin: { listen: "unix:${socket}" }
`);
    await eventually('in step', () =>
      say(`pinion ready --in-step --admin unix:${socket}`).catch(() => undefined),
    );
    await eventually('an answer', async () => (await greeting('here', '127.0.0.1', 7100)) !== '');
    await say(`pinion weight pg/pg1 2 --admin unix:${socket}`);
    const keys = (): Promise<string> => say('redis-cli --scan');
    const shown = blockWith('docs/CLUSTER.md', ':pin:<pool>');
    const names = new Set([...shown.matchAll(/ ?:([a-z]+)/g)].map(([, name]) => name));
    await eventually('its pin in Redis', async () => (await keys()).includes(':pin:pg/1/127.0.0.1'));
    const found = (await keys()).trim().split('\n');
    for (const key of found) {
      const [, name] = /^\{pinion:game-eu(?::\d+)?\}:(\w+)/.exec(key) ?? [];
      expect([key, names.has(name)]).toEqual([key, true]);
    }
    const pin = await say(`redis-cli GET '${found.find((key) => key.includes(':pin:'))}'`);
    const form = /:pin:\S+ +(1 .*)$/m
      .exec(shown)![1]!
      .replaceAll(/<ttl ms>/g, '<ttl>')
      .split(' ');
    expect(pin.trim().split(' ').length, pin).toBe(form.length);
    await pinion.stop();
    const deletes = commandOf('docs/CLUSTER.md', 'redis-cli --scan');
    await say(`redis-cli SET '{pinion:game-eu2}:layout' 16 && redis-cli SET '{pinion:game-eu2:3}:head' x`);
    await say(deletes);
    expect((await keys()).trim().split('\n').sort()).toEqual([
      '{pinion:game-eu2:3}:head',
      '{pinion:game-eu2}:layout',
    ]);
    await server.stop();
  });

  test('CLUSTER: each form of its address is one', () => {
    const urls = blockWith('docs/CLUSTER.md', 'redis+sentinel://').trim().split(/\s+/);
    expect(urls.length).toBe(5);
    for (const url of urls)
      expect([url, parseRedisUrl(url)]).toEqual([url, expect.objectContaining({ form: expect.anything() })]);
  });

  test.skipIf(!hostsWork())('KEEPALIVED: the file of an instance, and what is looked at', async () => {
    await redis('others');
    await serve('others', '10.77.0.21:7777', '10.77.0.22:7777', '10.77.0.21:7000', '10.77.0.22:7000');
    await world.ip('here', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1');
    await world.ip('here', 'address', 'add', '10.77.0.101/32', 'dev', 'eth0');
    await world.ip('here', 'link', 'set', 'eth0', 'up');
    await start(blockWith('docs/KEEPALIVED.md', 'keepalived asks here'));
    await eventually('an answer', async () =>
      /^10\.77\.0\.2[12]:7000 from /.test(await greeting('others', ownAddress, 7000)),
    );
    await eventually('in step', () =>
      say(commandOf('docs/KEEPALIVED.md', 'pinion ready --in-step --admin')).catch(() => undefined),
    );
    expect(await say(commandOf('docs/KEEPALIVED.md', 'ip -brief'))).toMatch(/^eth0\S* .* 10\.77\.0\.101\/32/);
    await say('nft add table inet filter');
    await say("nft add chain inet filter input '{ type filter hook input priority 0; policy accept; }'");
    await say(commandOf('docs/KEEPALIVED.md', 'nft add rule'));
    expect(await say('nft list table inet filter')).toMatch(
      /ip saddr 10\.77\.0\.12 ip protocol (vrrp|112) accept/,
    );
    for (const name of ['net.ipv4.ip_nonlocal_bind', 'net.ipv6.ip_nonlocal_bind']) {
      expect(pageText('docs/KEEPALIVED.md')).toContain(name);
      await say(`sysctl ${name}=1`);
    }
    expect(await say('sysctl net.ipv4.ip_nonlocal_bind')).toBe('net.ipv4.ip_nonlocal_bind = 1\n');
    expect(await say(commandOf('docs/TROUBLESHOOTING.md', 'ss -ltnp'))).toMatch(/0\.0\.0\.0:7000/);
    await world.ip('here', 'link', 'delete', 'eth0');
  });

  test.skipIf(!hostsWork())('EDGE: what limits leave a client of a pair', async () => {
    await redis('others');
    await serve('others', '10.0.0.41:443');
    // The other instance has another port here, and is another one.
    const text = blockWith('docs/EDGE.md', 'limits: { scope: cluster, flows_per_client: 16');
    const instance = (name: string, port: number): Promise<Pinion> =>
      start(
        `admin: { listen: "unix:${folder}/${name}.sock" }\n${text
          .replace('name: edge', `name: edge, instance: ${name}`)
          .replace(/0\.0\.0\.0:443/, `0.0.0.0:${port}`)}`,
      );
    for (const [name, port] of [
      ['one', 1443],
      ['two', 2443],
    ] as const) {
      await instance(name, port);
      await eventually(`${name} serves`, async () => (await greeting('others', ownAddress, port)) !== '');
    }
    const crowd = async (port: number, of: Readonly<Record<string, number>>): Promise<void> => {
      const count = Object.values(of).reduce((sum, one) => sum + one, 0);
      const args = ['-e', crowdProgram, ownAddress, String(port), JSON.stringify(of)];
      await world
        .start('others', { command: process.execPath, args })
        .waitForOutput(new RegExp(`^greeted ${count}$`, 'm'));
    };
    const neighbours = Object.fromEntries(
      Array.from({ length: 32 }, (_, i) => [`203.0.113.${100 + i}`, i === 31 ? 2 : 16]),
    );
    await crowd(2443, { '203.0.113.9': 1 });
    await crowd(1443, { '203.0.113.9': 14 });
    await crowd(1443, neighbours);
    const lines = blockWith('docs/EDGE.md', 'flows_per_client: 14 of 16').trimEnd().split('\n');
    let printed = '';
    await eventually('what is shown', async () => {
      printed = await say(
        `pinion explain --listener front --client 203.0.113.9 --admin unix:${folder}/one.sock`,
      );
      printed = printed.replaceAll(/ {2,}/g, '  ');
      return lines.every((line) => like(line.replaceAll(/ {2,}/g, '  ')).test(printed));
    }).catch(() => expect(printed).toBe(lines.join('\n')));
  });
});

describe.skipIf(!hostsWork())('TUNING', () => {
  test('connections leave from each of these addresses', async () => {
    await serve('here', '127.0.0.1:6001');
    await start(blockWith('docs/TUNING.md', 'source: ['));
    await eventually('an answer', async () => (await greeting('here', '127.0.0.1', 6000)) !== '');
    const args = ['-e', crowdProgram, '127.0.0.1', '6000', JSON.stringify({ '127.0.0.9': 12 })];
    const clients = world.start('here', { command: process.execPath, args });
    await clients.waitForOutput(/^greeted 12$/m);
    const from = [...clients.output().matchAll(/ from (.*)$/gm)].map(([, ip]) => ip);
    expect([...new Set(from)].sort()).toEqual(['127.0.0.21', '127.0.0.22', '127.0.0.23']);
  });

  /** `net.core.somaxconn = 4096`, without remarks. */
  const settingsIn = (text: string): [string, string][] =>
    text
      .split('\n')
      .filter((line) => line.includes('=') && !line.startsWith('#'))
      .map((line) => line.split(' = ') as [string, string]);

  test('and others: each kernel setting is one, takes as many numbers, and those of a host of its own take these', async () => {
    const blocks = ['net.core.somaxconn = ', 'tcp_loose = 1'].map((has, i) =>
      blockWith(i === 0 ? 'docs/TUNING.md' : 'docs/KERNEL.md', has),
    );
    const reserved = /`(net\.ipv4\.ip_local_reserved_ports = [\d,]+)`/.exec(pageText('docs/TUNING.md'))![1]!;
    const settings = settingsIn([...blocks, reserved].join('\n'));
    expect(settings.length).toBeGreaterThan(12);
    const word = /\bnet\.(?:core|ipv4|ipv6|netfilter)\.[a-z_0-9.]*[a-z_0-9]/g;
    const named = new Set(documentPages.flatMap((page) => pageText(page).match(word) ?? []));
    // Those of connection tracking are there once something is tracked.
    await say(
      'nft add table inet t; nft add chain inet t c "{ type filter hook input priority 0; }"; nft add rule inet t c ct state new accept; nft delete table inet t',
    );
    const files = [...named].map((name) => `/proc/sys/${name.replaceAll('.', '/')}`);
    const there = (await say(`ls ${files.join(' ')} 2>/dev/null || true`)).split('\n');
    // Some are one for all, and not seen there.
    expect(files.filter((file) => !there.includes(file) && !existsSync(file))).toEqual([]);
    const own = settings.filter(([name]) => !/[rw]mem_max|nf_conntrack_max/.test(name));
    await say(own.map(([name, value]) => `sysctl -q -w '${name}=${value}'`).join(' && '));
    const now = await say(own.map(([name]) => `sysctl -n ${name}`).join('; '));
    expect(now.trimEnd().replaceAll('\t', ' ').split('\n')).toEqual(own.map(([, value]) => value));
    for (const [, value] of settings.filter((one) => !own.includes(one))) expect(value).toMatch(/^\d+$/);
    await say("sysctl -w 'net.ipv4.ip_local_port_range=32768 60999'");
  });
});
