/**
 * Clients of one address that belong to different servers, with the programs people use: curl, openssl, psql, a QUIC client, a
 * player's handshake. Nothing is decrypted: certificates and bytes are those of the servers.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { helloOfCurl, helloOfOpenssl } from '../src/wire/hellos.fixture.ts';
import { encodeStatusQuestion } from '../src/wire/minecraft.ts';
import { startBrowser } from './support/browser.ts';
import { type Certificate, newCertificate } from './support/certificates.ts';
import { tcpClient } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { admin, configText, noCheck, reload, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startNginx } from './support/nginx.ts';
import { requireCommand } from './support/packages.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { type Postgres, startPostgres } from './support/postgres.ts';
import { runToEnd, startProcess, stopEverything } from './support/processes.ts';
import { cryptoFrame, exampleFrame, seal } from './support/quic.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, namedUdp, stopServers, type TestServer, udpServer } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

const engines = ['epoll', 'portable'] as const;

const direct: Server[] = [];

afterAll(async () => {
  for (const server of direct) server.close();
  await stopEverything();
  await stopServers();
});

/** A TLS server for each port, which says its name. */
async function secureServers(
  names: readonly string[],
  { certFile, keyFile }: Certificate,
): Promise<number[]> {
  const ports = await Promise.all(names.map(() => freePort()));
  const servers = names.map(
    (name, i) => `server {
      listen 127.0.0.1:${ports[i]} ssl; ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};
      location / { default_type text/plain; return 200 "${name}"; }
    }`,
  );
  await startNginx({ blocks: `http { access_log off; ${servers.join('\n')} }`, port: ports[0]! });
  return ports;
}

/** What a PostgreSQL of version 17 is to a client with `sslnegotiation=direct`: TLS at once, and `postgresql` chosen in it. */
async function directServer({ certFile, keyFile }: Certificate): Promise<number> {
  const server = createTlsServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile), ALPNProtocols: ['postgresql'] },
    (socket) => {
      socket.on('error', () => {});
      socket.end(`${socket.alpnProtocol} for ${socket.servername}`);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  direct.push(server);
  return (server.address() as AddressInfo).port;
}

/** A QUIC server that serves a file `who` with its name. */
async function quicServer(name: string, { certFile, keyFile }: Certificate): Promise<number> {
  const port = await freePort('udp');
  const folder = temporaryFolder('quic');
  writeFileSync(join(folder, 'who'), name);
  const args = ['-q', '-d', folder, '127.0.0.1', String(port), keyFile, certFile];
  startProcess({ name: `gtlsserver ${name}`, command: requireCommand('quic', 'gtlsserver'), args });
  return port;
}

/** This client asks for the host that it was told to connect to, so the host has to have the name. It knows version 1. */
async function overQuic(port: number, name: string): Promise<string> {
  const folder = temporaryFolder('quic');
  const out = join(folder, 'out');
  mkdirSync(out);
  writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${name}\n`);
  const client = requireCommand('quic', 'gtlsclient');
  const options = ['-q', `--download=${out}`, '--exit-on-all-streams-close'];
  const script = `mount --bind ${join(folder, 'hosts')} /etc/hosts && exec "$@"`;
  const args = [
    '-m',
    'sh',
    '-c',
    script,
    'sh',
    client,
    ...options,
    name,
    String(port),
    `https://${name}/who`,
  ];
  await runToEnd({ command: 'unshare', args, timeoutMs: 20_000 });
  return readFileSync(join(out, 'who'), 'latin1');
}

function curl(port: number, name: string, ...more: readonly string[]): Promise<string> {
  const url = `https://${name}:${port}/`;
  const args = ['-sSk', '--max-time', '20', ...more, '--resolve', `${name}:${port}:127.0.0.1`, url];
  return runToEnd({ command: requireCommand('curl', '/usr/bin/curl'), args });
}

interface UdpClient {
  readonly texts: readonly string[];
  send(bytes: Buffer): void;
  close(): void;
}

async function udpClient(port: number): Promise<UdpClient> {
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const texts: string[] = [];
  socket.on('message', (bytes) => texts.push(bytes.toString('latin1')));
  socket.on('error', () => {});
  return { texts, send: (bytes) => socket.send(bytes), close: () => socket.close() };
}

const pool = (ports: Readonly<Record<string, number>>): Section => ({
  health: noCheck,
  backends: Object.entries(ports).map(([name, port]) => ({ name, address: `127.0.0.1:${port}` })),
});
const poolOf = (server: TestServer): Section => pool({ [server.name]: server.port });

requirePackage(
  'nginx',
  'curl',
  'postgres',
  'quic',
)('servers by name', () => {
  let web: number[];
  let quic: number[];
  let databases: Postgres[];
  let version17: number;

  beforeAll(async () => {
    const certificate = await newCertificate();
    version17 = await directServer(certificate);
    web = await secureServers(['a', 'b', 'other'], certificate);
    quic = await Promise.all(['qa', 'qb'].map((name) => quicServer(name, certificate)));
    databases = await Promise.all([
      startPostgres({ certified: 'a.example' }),
      startPostgres({ certified: 'b.example' }),
      startPostgres({}),
    ]);
  });

  describe.each(engines)('%s', (engine) => {
    let pinion: Pinion;
    const ports: { web: number; quic: number; pg: number } = { web: 0, quic: 0, pg: 0 };

    beforeAll(async () => {
      const byName = (kind: string): Section[] => [
        { [kind]: { server_name: 'a.example' }, pool: `${kind}-a` },
        { [kind]: { server_name: ['*.b.example', 'b.example'] }, pool: `${kind}-b` },
      ];
      const [a, b, plain] = databases.map(({ port }) => port);
      pinion = await startPinion(
        configText({
          engine,
          workers: 1,
          listeners: [
            { name: 'web', bind: 'tcp://127.0.0.1:0', routes: byName('tls'), pool: 'other' },
            {
              name: 'pg',
              bind: 'tcp://127.0.0.1:0',
              routes: [
                ...byName('postgres'),
                { postgres: { server_name: 'direct.example' }, pool: 'postgres-17' },
              ],
              pool: 'plain',
            },
            {
              name: 'quic',
              bind: 'udp://127.0.0.1:0',
              routes: byName('quic'),
              affinity: { key: 'server-name' },
            },
          ],
          pools: {
            'tls-a': pool({ a: web[0]! }),
            'tls-b': pool({ b: web[1]! }),
            other: pool({ other: web[2]! }),
            // The first of these has no TLS: it is passed over.
            'postgres-a': pool({ plain: plain!, a: a! }),
            'postgres-b': pool({ b: b! }),
            'postgres-17': pool({ direct: version17 }),
            plain: pool({ plain: plain! }),
            'quic-a': pool({ qa: quic[0]! }),
            'quic-b': pool({ qb: quic[1]! }),
          },
        }),
      );
      for (const name of ['web', 'quic', 'pg'] as const) ports[name] = pinion.port(name);
    });

    test('curl and openssl reach the server they name', async () => {
      expect(await curl(ports.web, 'a.example')).toBe('a');
      expect(await curl(ports.web, 'x.b.example', '--tls-max', '1.2')).toBe('b');
      expect(await curl(ports.web, 'elsewhere.example')).toBe('other');
      const openssl = (...args: readonly string[]): Promise<string> =>
        runToEnd({
          command: 'sh',
          args: [
            '-c',
            `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -connect 127.0.0.1:${ports.web} ${args.join(' ')}`,
          ],
        });
      expect(await openssl('-servername', 'B.EXAMPLE')).toMatch(/\r\n\r\nb$/);
      expect(await openssl('-noservername')).toMatch(/\r\n\r\nother$/);
      const flow = await pinion.waitForLog(
        ({ event, serverName }) => event === 'flow' && serverName === 'B.EXAMPLE',
      );
      expect(flow).toMatchObject({ route: 2, pool: 'tls-b', backend: 'b' });
    });

    test('psql reaches the database it names, with TLS from end to end', async () => {
      const psql = (name: string, mode: string, certificate = ''): Promise<string> =>
        runToEnd({
          command: requireCommand('postgres', 'psql'),
          args: [
            '-XAtd',
            `host=${name} hostaddr=127.0.0.1 port=${ports.pg} user=pinion dbname=postgres sslmode=${mode}${certificate}`,
            '-c',
            "select current_setting('port') || ' ' || ssl from pg_stat_ssl where pid = pg_backend_pid()",
          ],
        });
      const [a, b, plain] = databases;
      const verified = ` sslrootcert=${a!.certificate}`;
      expect(await psql('a.example', 'verify-full', verified)).toBe(`${a!.port} true\n`);
      expect(await psql('b.example', 'require')).toBe(`${b!.port} true\n`);
      expect(await psql('b.example', 'disable'), 'in the clear nobody is named').toBe(
        `${plain!.port} false\n`,
      );
      await expect(psql('b.example', 'verify-full', verified)).rejects.toThrow(/certificate/);
    });

    test('TLS at once, as a client of PostgreSQL 17 may begin: by name, and nothing is asked of its server', async () => {
      const connect = `openssl s_client -quiet -connect 127.0.0.1:${ports.pg} -alpn postgresql`;
      // Node ends TLS without saying so, which openssl reports as an error.
      const script = `${connect} -servername direct.example < /dev/null 2> /dev/null || true`;
      expect(await runToEnd({ command: 'sh', args: ['-c', script] })).toBe('postgresql for direct.example');
      const flow = await pinion.waitForLog(
        ({ event, serverName }) => event === 'flow' && serverName === 'direct.example',
      );
      expect(flow).toMatchObject({ route: 3, pool: 'postgres-17', backend: 'direct' });
    });

    test('a QUIC client reaches the server it names', async () => {
      expect(await overQuic(ports.quic, 'a.example')).toBe('qa');
      expect(await overQuic(ports.quic, 'x.b.example')).toBe('qb');
      const { body } = await admin(pinion, 'GET', '/pins?pool=quic-b');
      expect(JSON.stringify(body)).toContain('x.b.example');
    });
  });
});

requirePackage('chromium')('QUIC version 2', () => {
  test('Chromium’s hello comes to the server it names, on either engine', async () => {
    const heard: Buffer[][] = [[], [], [], []];
    const servers = await Promise.all(heard.map((list) => udpServer((datagram) => void list.push(datagram))));
    const routes = [
      { quic: { server_name: 'a.example', alpn: 'h3' }, pool: 'a' },
      { quic: { server_name: '*.b.example' }, pool: 'b' },
    ];
    const pinions = await Promise.all(
      engines.map((engine, i) =>
        startPinion(
          configText({
            engine,
            workers: 1,
            listeners: [{ name: 'quic', bind: 'udp://127.0.0.1:0', routes }],
            pools: { a: poolOf(servers[2 * i]!), b: poolOf(servers[2 * i + 1]!) },
          }),
        ),
      ),
    );
    const origins = pinions.flatMap((pinion) =>
      ['a.example', 'x.b.example'].map((name) => `${name}:${pinion.port('quic')}`),
    );
    const browser = await startBrowser([
      '--enable-quic',
      '--quic-version=RFCv2',
      `--origin-to-force-quic-on=${origins.join(',')}`,
      '--host-resolver-rules=MAP * 127.0.0.1',
    ]);
    try {
      const page = await browser.newPage();
      // Nobody answers: these wait until the browser is closed.
      const asks = origins.map(
        (origin) => `fetch('https://${origin}/', { mode: 'no-cors' }).catch(() => {})`,
      );
      await page.evaluate(`void [${asks.join(', ')}]`);
      for (const [i, list] of heard.entries()) {
        await eventually(`a hello for ${origins[i]}`, () => list.length > 0);
        // RFC 9369: the version, and the type of a first packet; protection makes anything of the four low bits.
        const [first] = list;
        expect([first!.subarray(1, 5).toString('hex'), first![0]! >> 4]).toEqual(['6b3343cf', 0b1101]);
      }
    } finally {
      await browser.close();
    }
  });
});

describe.each(engines)('%s: what is read', (engine) => {
  let pinion: Pinion;
  let greeting: TestServer;
  let datagrams: Buffer[];

  beforeAll(async () => {
    const [lobby, ssh] = await namedTcp(['lobby', 'ssh']);
    greeting = (await namedTcp(['default']))[0]!;
    datagrams = [];
    const quic = await udpServer((message, _from, reply) => {
      datagrams.push(message);
      reply('quic');
    });
    const [token] = await namedUdp(['token']);
    const routes = [
      { minecraft: { host: 'play.example' }, pool: 'lobby' },
      { postgres: { server_name: 'a.example' }, pool: 'lobby' },
      { tls: {}, pool: 'ssh' },
      { first_bytes: 'SSH-2.0-', pool: 'ssh' },
      { client: '127.9.9.0/24', pool: 'ssh' },
    ];
    pinion = await startPinion(
      configText({
        engine,
        workers: 1,
        listeners: [
          {
            name: 'mixed',
            bind: 'tcp://127.0.0.1:0',
            routes,
            pool: 'default',
            timeouts: { identify: '3s' },
          },
          { name: 'closed', bind: 'tcp://127.0.0.1:0', routes: routes.slice(0, 4) },
          {
            name: 'udp',
            bind: 'udp://127.0.0.1:0',
            routes: [
              { quic: { server_name: 'example.com' }, pool: 'quic' },
              { first_bytes: { hex: '01 02' }, pool: 'token' },
            ],
            timeouts: { identify: '3s' },
          },
        ],
        pools: {
          lobby: poolOf(lobby!),
          ssh: poolOf(ssh!),
          default: poolOf(greeting),
          quic: poolOf(quic),
          token: poolOf(token!),
        },
      }),
    );
  });

  test('arrives as it was, whatever the pieces', async () => {
    const handshake = encodeStatusQuestion('play.example.', 25_565).toString('latin1');
    for (const size of [1_000, 5, 1]) {
      const client = await tcpClient(pinion.port('mixed'));
      for (let at = 0; at < handshake.length; at += size) {
        client.socket.write(handshake.slice(at, at + size), 'latin1');
        await new Promise((resolve) => setImmediate(resolve));
      }
      await eventually('all of it, back', () => client.text === `lobby\n${handshake}`);
      await client.leave();
    }
    // The last is what a client of PostgreSQL 17 begins with (sslnegotiation=direct).
    for (const [said, pool] of [
      ['SSH-2.0-x', 'ssh'],
      [Buffer.from(helloOfCurl).toString('latin1'), 'ssh'],
      [Buffer.from(helloOfOpenssl).toString('latin1'), 'lobby'],
    ]) {
      const client = await tcpClient(pinion.port('mixed'));
      client.socket.write(said!, 'latin1');
      await eventually('all of it, back', () => client.text === `${pool}\n${said}`);
      await client.leave();
    }
  });

  test('who is silent, at an address, or meant by nobody', async () => {
    const silent = await tcpClient(pinion.port('mixed'));
    expect(await silent.line(), 'after `timeouts.identify`').toBe('default');
    const there = await tcpClient(pinion.port('mixed'), { from: '127.9.9.9' });
    there.socket.write('hello');
    expect(await there.line()).toBe('ssh');
    await Promise.all([silent.leave(), there.leave()]);
    const stranger = await tcpClient(pinion.port('closed'));
    stranger.socket.write('GET / HTTP/1.0\r\n\r\n');
    expect(await stranger.outcome).toBe('ECONNRESET');
    await pinion.waitForLog(({ event, code }) => event === 'clients-refused' && code === 'no-route');
  });

  test('a hello in two datagrams, in one, or in none', async () => {
    const port = pinion.port('udp');
    const handshake = exampleFrame.subarray(4);
    const two = [
      [0, 100],
      [100, undefined],
    ].map(([from, to]) => seal({ payload: cryptoFrame(from!, handshake.subarray(from, to)) }));
    for (const parts of [two, [seal({ payload: exampleFrame })], [two[1]!, two[0]!]]) {
      datagrams.length = 0;
      const client = await udpClient(port);
      for (const part of parts) client.send(part);
      await eventually('an answer to each', () => client.texts.length === parts.length);
      expect(datagrams.map((bytes) => bytes.toString('hex'))).toEqual(
        parts.map((bytes) => bytes.toString('hex')),
      );
      client.close();
    }
    const token = await udpClient(port);
    token.send(Buffer.from('\x01\x02hello'));
    await eventually('an answer', () => token.texts[0] === 'token:\x01\x02hello');
    token.close();
    const refusedOf = async (): Promise<number> =>
      (await pinion.metric('pinion_listener_ended_total', { listener: 'udp', code: 'no-route' })) ?? 0;
    const before = await refusedOf();
    // At once, and after having been waited for.
    const [stranger, half] = await Promise.all([udpClient(port), udpClient(port)]);
    stranger.send(Buffer.from('hello'));
    half.send(two[0]!);
    await eventually('both refused', async () => (await refusedOf()) === before + 2);
    for (const client of [stranger, half]) client.close();
  });

  test('explain says which route, and open connections stay when routes change', async () => {
    const client = await tcpClient(pinion.port('mixed'));
    client.socket.write('SSH-2.0-x');
    expect(await client.line()).toBe('ssh');
    const explain = (...more: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
      pinionCommand([
        'explain',
        '--admin',
        `127.0.0.1:${pinion.port('admin')}`,
        '--listener',
        'mixed',
        '--client',
        '192.0.2.1',
        ...more,
      ]);
    expect((await explain('--speaks', 'minecraft', '--server-name', 'Play.Example')).stdout).toMatch(
      /route +1 \(minecraft play\.example\)\n(?:.*\n)*backend +lobby\n/,
    );
    expect((await explain('--first-bytes', 'SSH-2.0-x')).stdout).toMatch(
      /route +4 \(first bytes SSH-2\.0-\)\n(?:.*\n)*backend +ssh\n/,
    );
    expect((await explain()).stdout).toMatch(/route +none fits; pool default\n(?:.*\n)*backend +default\n/);
    const { status, body } = await admin(pinion, 'GET', '/explain?listener=closed&client=192.0.2.1');
    const hint =
      'no-route, as long as it says nothing: --speaks minecraft, --speaks postgres, --speaks tls, --first-bytes';
    expect([status, body]).toMatchObject([404, { error: expect.stringContaining(hint) }]);
    const text = readFileSync(pinion.configPath, 'utf8');
    await reload(pinion, text.replace('SSH-2.0-', 'SSH-3.0-'));
    const next = await tcpClient(pinion.port('mixed'));
    next.socket.write('SSH-2.0-x');
    expect(await next.line()).toBe('default');
    client.socket.write(' again');
    await eventually('still there', () => client.text === 'ssh\nSSH-2.0-x again');
    await Promise.all([client.leave(), next.leave()]);
  });
});
