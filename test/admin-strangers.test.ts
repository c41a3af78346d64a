/**
 * Strangers at the admin API on TCP, of whom none may change anything: whatever they send, nothing but 4xx comes back, no answer has a
 * token in it, nothing is changed, and flows go on.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { streamsPerPeerMax } from '../src/core/limits.ts';
import { seededRandom } from '../src/core/seeded-random.fixture.ts';
import { newCertificate } from './support/certificates.ts';
import { admin, adminToken, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startNginx } from './support/nginx.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

const readToken = 'another-token-that-only-looks';
const strangers: Socket[] = [];

afterEach(async () => {
  for (const stranger of strangers.splice(0)) stranger.destroy();
  await stopEverything();
  await stopServers();
});

function stranger(pinion: Pinion, bytes: string): Socket {
  const socket = connect(pinion.port('admin'), '127.0.0.1');
  socket.on('error', () => {}).pause();
  socket.write(bytes, 'latin1');
  strangers.push(socket);
  return socket;
}

/** All that is answered until the connection is closed. */
function say(pinion: Pinion, bytes: string): Promise<string> {
  const socket = stranger(pinion, bytes);
  let said = '';
  socket.setEncoding('latin1').on('data', (piece) => {
    said += piece;
  });
  socket.resume().end();
  return new Promise((resolve) => socket.once('close', () => resolve(said)));
}

const changes = [
  'POST /v1/backends/pool/a/drain',
  'POST /v1/backends/pool/a/maintenance?force',
  'POST /v1/backends/pool/b/weight?to=0',
  'POST /v1/reload',
  'DELETE /v1/flows?all',
  'POST /v1/pins/delete?all',
  'POST /v1/pins/set?listener=front&client=127.0.0.1&backend=b',
  'POST /pools/pool/backends/a/drain',
  'POST /connections/kill?all=1',
  'POST /pins/delete?all=1',
  'POST /reload',
];
const looks = [
  'GET /v1/status',
  'GET /v1/flows',
  'GET /v1/stream',
  'GET /status',
  'GET /metrics',
  'GET /openapi.json',
];

const write = `Authorization: Bearer ${adminToken}`;
/** Each with what it asks for: none of them may. */
const wrong: readonly (readonly [asks: readonly string[], headers: string])[] = [
  // Where there is a token for reading this machine needs it, too.
  [[...changes, ...looks], 'Host: localhost'],
  [changes, `Host: localhost\r\nAuthorization: Bearer ${readToken}`],
  [[...changes, ...looks], 'Host: localhost\r\nAuthorization: Bearer a-token-that-tests-hava'],
  [[...changes, ...looks], 'Host: localhost\r\nAuthorization: Bearer '],
  [[...changes, ...looks], `Host: localhost\r\nAuthorization: Basic ${adminToken}`],
  [[...changes, ...looks], `Host: localhost\r\n${write}x`],
  [[...changes, ...looks], `Host: evil.example\r\n${write}`],
  [changes, `Host: localhost\r\nOrigin: http://evil.example\r\n${write}`],
  [changes, `Host: localhost\r\nOrigin: null\r\n${write}`],
  [changes, `Host: localhost\r\nSec-Fetch-Site: cross-site\r\n${write}`],
  [
    ['POST /v1/backends/pool/zz/drain', 'DELETE /v1/flows', 'POST /v1/reload?dryrun', 'PUT /v1/status'],
    `Host: localhost\r\n${write}`,
  ],
  [
    [`GET /v1/flows?client=${'9'.repeat(12_000)}`, 'GET /v1/events?since=%00', 'GET /v1/%ff'],
    `Host: localhost\r\n${write}`,
  ],
  [looks, `Host: localhost\r\nHost: localhost\r\n${write}`],
];

test('nothing but 4xx, no secret, no change, and flows go on', async () => {
  const tokens = {
    read_file: temporaryFile('read', readToken),
    write_file: temporaryFile('write', adminToken),
  };
  const pinion = await startPinion(
    configText({
      listeners: [listener('front', 'tcp', 'pool')],
      pools: { pool: { health: noCheck, backends: backendsOf(await namedTcp(['a', 'b'])) } },
      admin: { listen: '127.0.0.1:0', tokens },
    }),
  );
  const client = connect(pinion.port('front'), '127.0.0.1');
  const broken: string[] = [];
  client
    .on('error', ({ message }) => broken.push(message))
    .on('close', () => broken.push('closed'))
    .resume();
  await eventually(
    'the flow',
    async () =>
      ((await admin(pinion, 'GET', '/v1/status')).body as { totals: { flows: number } }).totals.flows === 1,
  );
  const before = await stateOf(pinion);

  for (const [asks, headers] of wrong) {
    const said = await Promise.all(
      asks.map((line) => say(pinion, `${line} HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`)),
    );
    for (const [i, text] of said.entries()) {
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
      expect({
        line: asks[i]!.slice(0, 60),
        headers,
        is4xx: status >= 400 && status < 500,
        text,
      }).toMatchObject({ is4xx: true });
      expect(text).not.toContain(readToken);
      expect(text).not.toContain(adminToken);
    }
  }
  await mutilated(pinion);
  await slowFollowers(pinion);

  expect(broken).toEqual([]);
  expect(await stateOf(pinion)).toEqual(before);
  const log = JSON.stringify(pinion.logs);
  expect(log).not.toContain(readToken);
  expect(log).not.toContain(adminToken);
  await expect.poll(() => pinion.metric('pinion_http_refused_total', { reason: 'failed' })).toBe(0);
  client.removeAllListeners('close').destroy();
});

/** What an operator could have changed. */
async function stateOf(pinion: Pinion): Promise<unknown> {
  const { body } = await admin(pinion, 'GET', '/v1/status');
  const { pools, totals, rooms } = body as {
    pools: {
      backends: { backend: string; state: string; operator: unknown; weight: unknown; pins: number }[];
    }[];
    totals: { flows: number };
    rooms: { room: string; restarts: number }[];
  };
  return {
    flows: totals.flows,
    restarts: rooms.map(({ room, restarts }) => `${room} ${restarts}`),
    backends: pools[0]!.backends.map(({ backend, state, operator, weight }) => ({
      backend,
      state,
      operator,
      weight,
    })),
  };
}

/** Bytes changed, left out, repeated: an answer below 500 or a cut. */
async function mutilated(pinion: Pinion): Promise<void> {
  const random = seededRandom(14);
  const upTo = (number: number): number => Math.floor(random() * number);
  const lines = [...changes, ...looks.filter((line) => !line.includes('stream'))];
  for (let round = 0; round < 20; round++) {
    const inputs = Array.from({ length: 25 }, () => {
      const request = `${lines[upTo(lines.length)]} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${readToken}\r\n\r\n`;
      const [at, length] = [upTo(request.length), upTo(8)];
      const middle = [
        String.fromCharCode(upTo(256)),
        '',
        request.slice(at, at + 20).repeat(1 + upTo(200)),
        '%00',
        '\r\n',
      ][upTo(5)]!;
      return request.slice(0, at) + middle + request.slice(at + length);
    });
    const said = await Promise.all(inputs.map((input) => say(pinion, input)));
    for (const [i, text] of said.entries()) {
      for (const [, status] of text.matchAll(/^HTTP\/1\.1 (\d+)/gm))
        expect({ input: inputs[i], isRight: Number(status) < 500 }).toEqual({
          input: inputs[i],
          isRight: true,
        });
      expect(text).not.toContain(adminToken);
    }
  }
}

/** Who follows and reads nothing has a place of a few; others are told so, and everybody else is answered. */
async function slowFollowers(pinion: Pinion): Promise<void> {
  const follow = `GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${readToken}\r\n\r\n`;
  for (let i = 0; i < streamsPerPeerMax; i++) stranger(pinion, follow);
  await eventually('one more to be refused', async () => {
    const socket = stranger(pinion, follow).resume();
    const [bytes] = await new Promise<Buffer[]>((resolve) => socket.once('data', (...args) => resolve(args)));
    socket.destroy();
    return /^HTTP\/1\.1 429 /.test(bytes!.toString());
  });
  expect((await admin(pinion, 'GET', '/v1/status')).status).toBe(200);
}

requirePackage('nginx')('behind a proxy that ends TLS', () => {
  test('its page may change what its token lets it, by the name of the proxy, and no other page', async () => {
    const { caFile, certFile, keyFile } = await newCertificate();
    const ca = readFileSync(caFile);
    const port = await freePort();
    const pinion = await startPinion(
      configText({
        listeners: [listener('front', 'tcp', 'pool')],
        pools: { pool: { health: noCheck, backends: backendsOf(await namedTcp(['a', 'b'])) } },
        admin: {
          listen: '127.0.0.1:0',
          origins: [`https://redis.test:${port}`],
          tokens: { write_file: temporaryFile('write', adminToken) },
        },
      }),
    );
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const hosts = { named: '$host', ported: '$http_host', own: '$proxy_host' };
    const blocks = [
      'http { access_log off;',
      ...paths.map((path) => `${path}_temp_path ${path};`),
      `server { listen 127.0.0.1:${port} ssl; ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};`,
      ...Object.entries(hosts).map(
        ([path, host]) =>
          `location /${path}/ { proxy_pass http://127.0.0.1:${pinion.port('admin')}/; proxy_set_header Host ${host}; }`,
      ),
      '} }',
    ];
    await startNginx({ blocks: blocks.join('\n'), port });
    const ask = (path: string, headers: Record<string, string>, host = `redis.test:${port}`) =>
      new Promise<number>((resolve, reject) => {
        const to = { host: '127.0.0.1', port, servername: 'redis.test', ca, path, method: 'POST' };
        request(
          { ...to, headers: { host, authorization: `Bearer ${adminToken}`, ...headers } },
          (response) => {
            resolve(response.resume().statusCode!);
          },
        )
          .on('error', reject)
          .end();
      });
    for (const path of Object.keys(hosts)) {
      const drain = (origin: string, site = 'same-origin', host?: string) =>
        ask(`/${path}/v1/backends/pool/a/drain?dry_run`, { origin, 'sec-fetch-site': site }, host);
      expect([path, await drain(`https://redis.test:${port}`)]).toEqual([path, 200]);
      expect([path, await drain('https://evil.example')]).toEqual([path, 403]);
      expect([path, await drain(`https://redis.test:${port}`, 'cross-site')]).toEqual([path, 403]);
      const rebound = await drain(`https://redis.test:${port}`, 'same-origin', 'evil.example');
      expect([path, rebound]).toEqual([path, path === 'own' ? 200 : 421]);
    }
  });
});
