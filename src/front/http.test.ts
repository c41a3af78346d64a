import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { httpPipelinedMax, httpTakenMs, streamsPerPeerMax } from '../core/limits.ts';
import type { AllRoutes } from './answer.ts';
import { type Answer, type HttpService, serveHttp } from './http.ts';

let folder: string;
const open: { close(): void }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinion-http-'));
});

afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(folder, { recursive: true });
});

const changes: string[] = [];
const routes: AllRoutes = {
  'GET /page': () => ({ status: 200, body: 'a page\n' }),
  'GET /large': () => ({ status: 200, body: 'x'.repeat(64 * 1024 * 1024) }),
  'GET /pools/:pool': ({ params }) => ({ status: 200, body: { pool: params.pool } }),
  'GET /stream': () => ({
    status: 200,
    contentType: 'text/event-stream',
    begin: (stream) => stream.write(Buffer.from('begun\n')),
  }),
  'POST /change': () => {
    changes.push('change');
    return { status: 200, body: { changed: true } };
  },
};

async function serveUnix(path: string, group?: string): Promise<HttpService> {
  const service = await serveHttp({ kind: 'unix', path }, routes, { group });
  open.push(service);
  return service;
}

async function serveTcp(origins?: readonly string[]): Promise<number> {
  const service = await serveHttp({ kind: 'inet', ip: '127.0.0.1', port: 0 }, routes, { origins });
  open.push(service);
  return service.port;
}

interface Reply {
  readonly status: number | undefined;
  readonly allow: string | undefined;
  readonly text: string;
}

function ask(
  where: number | string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const place = typeof where === 'string' ? { socketPath: where } : { host: '127.0.0.1', port: where };
  return new Promise((resolve, reject) => {
    const call = request(
      { ...place, agent: false, method, path, headers: { host: 'localhost', ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode, allow: response.headers.allow, text }),
        );
      },
    );
    call.on('error', reject).end();
  });
}

describe('a unix socket', () => {
  test("is its owner's alone, answers, and is gone after the end", async () => {
    const path = join(folder, 'admin.sock');
    const service = await serveUnix(path);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect((await ask(path, 'GET', '/page')).text).toBe('a page\n');
    service.close();
    expect(existsSync(path)).toBe(false);
  });

  test('is that of a group as well, by number or name, and of no group that there is not', async () => {
    const path = join(folder, 'group.sock');
    const isRoot = process.getuid!() === 0;
    const [line] = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .filter((one) => (isRoot ? /^[a-z][\w-]*:[^:]*:[1-9]\d*:/ : /^$/).test(one));
    const [name, , number] = line!.split(':');
    for (const group of isRoot ? [name!, number!] : [`${process.getgid!()}`]) {
      const service = await serveUnix(path, group);
      const { mode, gid } = lstatSync(path);
      expect([mode & 0o777, gid]).toEqual([0o660, isRoot ? Number(number) : process.getgid!()]);
      service.close();
    }
    await expect(serveUnix(path, 'no-such-group')).rejects.toThrow(
      'admin.group: /etc/group has no group no-such-group; create it (groupadd no-such-group), or give its number',
    );
    expect(existsSync(path), 'nothing is left').toBe(false);
  });

  test('takes the place of one that nobody answers on', async () => {
    const path = join(folder, 'admin.sock');
    await abandonedSocket(path);
    expect(lstatSync(path).isSocket()).toBe(true);
    await serveUnix(path);
    expect((await ask(path, 'GET', '/page')).status).toBe(200);
  });

  test("never takes the place of one that is answered on, nor removes a successor's", async () => {
    const path = join(folder, 'admin.sock');
    const first = await serveUnix(path);
    await expect(serveUnix(path)).rejects.toThrow(
      'another process (a second pinion?) listens there; stop it, or give this one another path',
    );
    expect((await ask(path, 'GET', '/page')).status).toBe(200);
    rmSync(path);
    await serveUnix(path);
    first.close();
    expect((await ask(path, 'GET', '/page')).status).toBe(200);
  });

  test('a file is left alone', async () => {
    const path = join(folder, 'file.txt');
    writeFileSync(path, 'dear');
    await expect(serveUnix(path)).rejects.toThrow(
      'a file that is not a socket is there; remove it, or choose another path',
    );
    expect(readFileSync(path, 'utf8')).toBe('dear');
  });

  test('says what is wrong with the folder', async () => {
    await expect(serveUnix(join(folder, 'none', 'admin.sock'))).rejects.toThrow(
      `there is no folder ${folder}/none; create it or choose another path`,
    );
    await expect(serveUnix('/run/pinion-of-no-one/admin.sock')).rejects.toThrow(
      'there is no folder /run/pinion-of-no-one; create it (systemd: RuntimeDirectory=pinion-of-no-one) or choose another path',
    );
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await expect(serveUnix(join(file, 'admin.sock'))).rejects.toThrow(`${file} is not a folder`);
    await expect(serveUnix(join(file, 'deeper', 'admin.sock'))).rejects.toThrow(
      /a part of .* is not a folder/,
    );
    mkdirSync(join(folder, 'taken'));
    await expect(serveUnix(join(folder, 'taken'))).rejects.toThrow('a folder is there; choose another path');
  });
});

/** What a process that is killed leaves: a socket nobody listens on. Renamed, it is not found when Node would remove it. */
async function abandonedSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.new`, resolve));
  renameSync(`${path}.new`, path);
  await new Promise((resolve) => server.close(resolve));
}

test('an address that is taken is refused with what to do', async () => {
  const port = await serveTcp();
  await expect(serveHttp({ kind: 'inet', ip: '127.0.0.1', port }, routes)).rejects.toThrow(
    'EADDRINUSE; another process has this address; stop it, or choose another port',
  );
});

test('of two who want one path at the same moment, one has it', async () => {
  const path = join(folder, 'admin.sock');
  const both = await Promise.allSettled([serveUnix(path), serveUnix(path), serveUnix(path)]);
  const refused = both.filter((one) => one.status === 'rejected');
  expect(refused.map(({ reason }) => String(reason))).toEqual([
    expect.stringContaining('(a second pinion?) listens there'),
    expect.stringContaining('(a second pinion?) listens there'),
  ]);
  expect((await ask(path, 'GET', '/page')).status).toBe(200);
  expect(readdirSync(folder)).toEqual(['admin.sock']);
});

test('a path may be as long as the kernel allows', async () => {
  const path = join(folder, 'x'.repeat(107 - Buffer.byteLength(join(folder, '/'))));
  expect(Buffer.byteLength(path)).toBe(107);
  const service = await serveUnix(path);
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  expect((await ask(path, 'GET', '/page')).status).toBe(200);
  service.close();
  expect(readdirSync(folder)).toEqual([]);
});

describe('requests', () => {
  test('need neither Request nor Response, with which Node loads an HTTP client into the thread', async () => {
    vi.stubGlobal('Request', undefined);
    vi.stubGlobal('Response', undefined);
    try {
      const port = await serveTcp();
      for (const [method, path, status] of [
        ['GET', '/page', 200],
        ['HEAD', '/page', 200],
        ['GET', '/pools/a%2Fb', 200],
        ['POST', '/change', 200],
        ['GET', '/nothing', 404],
        ['HEAD', '/nothing', 404],
        ['DELETE', '/page', 405],
        ['TRACE', '/page', 405],
      ] as const)
        expect((await ask(port, method, path)).status, `${method} ${path}`).toBe(status);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test('HEAD is GET without the body; another method is told which ones there are', async () => {
    const port = await serveTcp();
    expect(await ask(port, 'HEAD', '/page')).toEqual({ status: 200, allow: undefined, text: '' });
    expect(await ask(port, 'PUT', '/page')).toMatchObject({ status: 405, allow: 'GET, HEAD' });
    expect(await ask(port, 'GET', '/change')).toMatchObject({ status: 405, allow: 'POST' });
    expect(await ask(port, 'HEAD', '/nothing')).toMatchObject({ status: 404, text: '' });
  });

  test('HEAD of a stream is answered, and takes no place of those who follow', async () => {
    const port = await serveTcp();
    for (let i = 0; i <= streamsPerPeerMax; i++)
      expect(await ask(port, 'HEAD', '/stream')).toMatchObject({ status: 200, text: '' });
    const said = await exchange(port, 'GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n', 'begun');
    expect(said).toMatch(/^HTTP\/1\.1 200 .*begun/s);
  });

  test.each([
    '/%',
    '//',
    '/pools/%ff',
    'http://[',
    'http://user:word@localhost/page',
    'ftp://localhost/page',
  ])('GET %s is a bad request', async (path) => {
    expect((await ask(await serveTcp(), 'GET', path)).status).toBe(400);
  });

  test.each([
    ['localhost', 200],
    ['LocalHost:9465', 200],
    ['127.0.0.1', 200],
    ['[::1]:9465', 200],
    ['[FE80::1]', 200],
    ['localhost.evil.example', 421],
    ['EVIL.EXAMPLE', 421],
  ])('as %s we answer %d', async (host, status) => {
    expect((await ask(await serveTcp(), 'GET', '/page', { host })).status).toBe(status);
  });

  test('behind a proxy that ends TLS its page is ours, by the name it is called or by ours', async () => {
    const port = await serveTcp(['https://lb.example.com', 'https://lb.example.org:8443']);
    changes.length = 0;
    const post = async (host: string, origin?: string, site = 'same-origin') =>
      (
        await ask(port, 'POST', '/change', {
          host,
          'sec-fetch-site': site,
          ...(origin === undefined ? {} : { origin }),
        })
      ).status;
    for (const host of ['lb.example.com', 'LB.example.com:443', '127.0.0.1:9465', 'localhost'])
      expect([host, await post(host, 'https://lb.example.com')]).toEqual([host, 200]);
    for (const host of ['lb.example.org', 'lb.example.org:8443'])
      expect([host, await post(host, 'https://lb.example.org:8443')]).toEqual([host, 200]);
    expect((await ask(port, 'GET', '/page', { host: 'lb.example.com' })).status).toBe(200);
    expect(changes).toHaveLength(6);
    // By its name, but not of its page: another scheme or port, a name that only looks like it, another site.
    for (const origin of [
      'http://lb.example.com',
      'https://lb.example.com:8443',
      'https://lb.example.org',
      'https://evil.example',
      'https://lb.example.com.evil.example',
      'null',
    ])
      expect([origin, await post('lb.example.com', origin)]).toEqual([origin, 403]);
    expect(await post('lb.example.com', 'https://lb.example.com', 'cross-site')).toBe(403);
    for (const host of ['evil.example', 'lb.example.com.evil.example', 'x.lb.example.com', 'example.com'])
      expect([host, await post(host, 'https://lb.example.com')]).toEqual([host, 421]);
    // Our own page as before, asked by address.
    expect(await post('localhost:9465', 'http://localhost:9465')).toBe(200);
    expect(changes).toHaveLength(7);
  });

  test("a web page changes nothing through somebody's browser", async () => {
    const port = await serveTcp();
    changes.length = 0;
    for (const headers of [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ] as Record<string, string>[]) {
      const { status, text } = await ask(port, 'POST', '/change', headers);
      expect({ status, headers }).toEqual({ status: 403, headers });
      expect(text).toMatch('a web page of another origin may not change anything here');
    }
    expect(changes).toEqual([]);
    // It may not read an answer either; that is the browser's business, which sees no permission in it.
    expect((await ask(port, 'GET', '/page', { origin: 'http://evil.example' })).status).toBe(200);
    // But it may hold no stream, and have no long list made, where the browser says who asks. To lead here it may.
    const foreign = { 'sec-fetch-site': 'cross-site' };
    for (const mode of ['no-cors', 'cors'])
      expect((await ask(port, 'GET', '/page', { ...foreign, 'sec-fetch-mode': mode })).status).toBe(403);
    expect((await ask(port, 'GET', '/page', { ...foreign, 'sec-fetch-mode': 'navigate' })).status).toBe(200);
    expect((await ask(port, 'GET', '/page', { 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    expect((await ask(port, 'POST', '/change', { 'sec-fetch-site': 'none' })).status).toBe(200);
    expect((await ask(port, 'POST', '/change')).status).toBe(200);
    // Our own page.
    expect((await ask(port, 'POST', '/change', { origin: 'http://localhost' })).status).toBe(200);
    expect((await ask(port, 'POST', '/change', { origin: 'http://localhost:81' })).status).toBe(403);
    // A browser reaches a unix socket that is forwarded: ssh -L 9465:/run/pinion/admin.sock.
    const path = join(folder, 'admin.sock');
    await serveUnix(path);
    expect((await ask(path, 'POST', '/change', { origin: 'http://evil.example' })).status).toBe(403);
    expect((await ask(path, 'GET', '/page', { host: 'evil.example' })).status).toBe(421);
    expect((await ask(path, 'POST', '/change', { host: 'pinion' })).status).toBe(200);
    expect(changes).toEqual(Array(4).fill('change'));
  });
});

/** All that the server says to `bytes` until it closes, or until `enough` is among it. */
async function exchange(port: number, bytes: string, enough?: string): Promise<string> {
  const client = connect(port, '127.0.0.1');
  let said = '';
  await new Promise<void>((resolve) => {
    client.setEncoding('latin1').on('data', (piece) => {
      said += piece;
      if (enough !== undefined && said.includes(enough)) resolve();
    });
    client.on('error', () => {}).once('close', () => resolve());
    client.write(bytes, 'latin1');
  });
  client.destroy();
  return said;
}

const statusesOf = (said: string): number[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

describe('one connection', () => {
  let answering = 0;
  let most = 0;
  let asked: string[];
  let service: HttpService;

  beforeEach(async () => {
    answering = 0;
    most = 0;
    asked = [];
    const take = async (name: string, ms: number): Promise<Answer> => {
      asked.push(name);
      answering += 1;
      most = Math.max(most, answering);
      await new Promise((resolve) => setTimeout(resolve, ms));
      answering -= 1;
      return { status: 200, body: `${name};` };
    };
    service = await serveHttp(
      { kind: 'inet', ip: '127.0.0.1', port: 0 },
      {
        'GET /slow/:name': ({ params }) => take(params.name!, 20),
        'GET /longer-than-any-time-out': () => take('long', httpTakenMs + 1_000),
        'GET /large': () => ({ status: 200, body: Buffer.alloc(20 * 1024 * 1024) }),
        'GET /last': () => ({ status: 200, body: 'the last;' }),
      },
    );
    open.push(service);
  });

  const get = (path: string, headers = ''): string =>
    `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`;

  test('has one request answered at a time, in order', async () => {
    const names = Array.from({ length: 1 + httpPipelinedMax }, (_, i) => `n${i}`);
    const said = await exchange(service.port, names.map((name) => get(`/slow/${name}`)).join(''), 'n8;');
    expect([...said.matchAll(/n\d;/g)].join('')).toBe(names.map((name) => `${name};`).join(''));
    expect({ asked, most }).toEqual({ asked: names, most: 1 });
  });

  test('is cut when it asks for more than a few at once, and nothing was begun for it', async () => {
    expect(await exchange(service.port, get('/slow/n').repeat(2_000))).toBe('');
    expect(asked).toEqual([]);
    expect(service.counts().pipelined).toBe(1);
  });

  test('keeps its requests in order while it takes a large answer', async () => {
    const long = `x: ${'y'.repeat(3_000)}\r\n`;
    const client = connect(service.port, '127.0.0.1').pause();
    client.write(get('/large') + get('/slow/a', long) + get('/slow/b', long));
    await new Promise((resolve) => setTimeout(resolve, 100));
    client.write(get('/slow/c', long) + get('/last', long));
    await new Promise((resolve) => setTimeout(resolve, 100));
    let said = '';
    await new Promise<void>((resolve) => {
      client
        .resume()
        .setEncoding('latin1')
        .on('data', (piece) => {
          said = (said + piece).slice(-10_000);
          if (said.includes('the last;')) resolve();
        });
    });
    client.destroy();
    expect([...said.matchAll(/[abc];|the last;/g)].join('')).toBe('a;b;c;the last;');
  });

  test('may wait for an answer longer than any time-out, while the slow and silent are cut off', async () => {
    const long = exchange(service.port, get('/longer-than-any-time-out'), 'long;');
    for (let i = 0; i < 5; i++) expect((await ask(service.port, 'GET', '/last')).text).toBe('the last;');
    const { port } = service;
    const request = 'GET /last HTTP/1.1\r\nhost: localhost\r\n';
    await Promise.all([
      cutOff(port, '', ''),
      cutOff(port, 'GET /la', ''),
      cutOff(port, request, 'x: y\r\n'),
      cutOff(port, 'POST /last HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999\r\n\r\n', 'x'),
      cutOff(port, `${request}\r\n`, ''),
      neverReads(port),
    ]);
    expect(statusesOf(await long)).toEqual([200]);
  });
});

/** All that the server says to a client that says `bytes`, and that it will say nothing more. */
async function saidAfterEnd(where: number | string, bytes: string): Promise<string> {
  const place = typeof where === 'string' ? { path: where } : { port: where, host: '127.0.0.1' };
  const client = connect({ ...place, allowHalfOpen: true });
  let said = '';
  client.setEncoding('latin1').on('data', (piece) => {
    said += piece;
  });
  client.on('error', () => {}).end(bytes, 'latin1');
  await once(client, 'end');
  client.destroy();
  return said;
}

describe('who has asked all and says so is answered', () => {
  // The end is read long before the answer is made.
  const unhurried: AllRoutes = Object.fromEntries(
    Object.entries(routes).map(([pattern, handle]): [string, AllRoutes[string]] => [
      pattern,
      async (request) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return handle(request);
      },
    ]),
  );
  const host = 'host: localhost\r\n';
  const post = `POST /change HTTP/1.1\r\n${host}`;
  test.each<[string, string, number[], number]>([
    ['GET over HTTP/1.1', `GET /page HTTP/1.1\r\n${host}\r\n`, [200], 0],
    ['GET over HTTP/1.0', 'GET /page HTTP/1.0\r\n\r\n', [200], 0],
    ['GET over HTTP/1.0 that would stay', 'GET /page HTTP/1.0\r\nconnection: keep-alive\r\n\r\n', [200], 0],
    ['POST over HTTP/1.1', `${post}\r\n`, [200], 1],
    ['POST with a body', `${post}content-length: 3\r\n\r\nabc`, [200], 1],
    ['POST over HTTP/1.0', 'POST /change HTTP/1.0\r\n\r\n', [200], 1],
    ['a large page', `GET /large HTTP/1.1\r\n${host}\r\n`, [200], 0],
    ['three at once', `${`${post}\r\n`.repeat(2)}GET /page HTTP/1.1\r\n${host}\r\n`, [200, 200, 200], 2],
    ['half a request', `GET /page HTTP/1.1\r\nhost: lo`, [400], 0],
    ['half a body', `${post}content-length: 9\r\n\r\nabc`, [400], 0],
    ['nothing', '', [], 0],
  ])('%s', async (_, bytes, statuses, changed) => {
    const path = join(folder, 'admin.sock');
    const services = [
      await serveHttp({ kind: 'unix', path }, unhurried),
      await serveHttp({ kind: 'inet', ip: '127.0.0.1', port: 0 }, unhurried),
    ];
    open.push(...services);
    for (const where of [services[1]!.port, path]) {
      changes.length = 0;
      const said = await saidAfterEnd(where, bytes);
      expect(statusesOf(said)).toEqual(statuses);
      if (bytes.includes('/large')) expect(said.length).toBeGreaterThan(64 * 1024 * 1024);
      expect(changes.length).toBe(changed);
    }
  });
});

test.each([
  ['garbage', 'garbage\r\n\r\n'],
  ['CONNECT', 'CONNECT localhost:1 HTTP/1.1\r\nhost: localhost\r\n\r\n'],
])('an order with %s behind it is refused, and not carried out', async (_, behind) => {
  const port = await serveTcp();
  changes.length = 0;
  const said = await exchange(port, `POST /change HTTP/1.1\r\nhost: localhost\r\n\r\n${behind}`);
  expect(statusesOf(said)).toEqual([400]);
  expect((await ask(port, 'GET', '/page')).status).toBe(200);
  expect(changes).toEqual([]);
});

describe('what is no proper request', () => {
  const host = 'host: localhost\r\n';
  const post = `POST /change HTTP/1.1\r\n${host}`;
  test.each<[string, string, number[]]>([
    ['no Host', 'GET /page HTTP/1.1\r\n\r\n', [400]],
    ['two Hosts', `GET /page HTTP/1.1\r\n${host}${host}\r\n`, [400]],
    ['many headers', `GET /page HTTP/1.1\r\n${host}${'a: b\r\n'.repeat(500)}\r\n`, [431]],
    ['a long line', `GET /${'p'.repeat(20_000)} HTTP/1.1\r\n${host}\r\n`, [431]],
    ['a long header', `GET /page HTTP/1.1\r\n${host}a: ${'b'.repeat(20_000)}\r\n\r\n`, [431]],
    ['two lengths', `${post}content-length: 1\r\ncontent-length: 2\r\n\r\nab`, [400]],
    ['length and chunks', `${post}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
    ['chunks in another coding', `${post}transfer-encoding: chunked, x\r\n\r\n0\r\n\r\n`, [400]],
    ['a chunk of no length', `${post}transfer-encoding: chunked\r\n\r\nxyz\r\n`, [400]],
    ['a long chunk extension', `${post}transfer-encoding: chunked\r\n\r\n1;${'e'.repeat(20_000)}`, [413]],
    ['a long body', `${post}content-length: 70000\r\n\r\n`, [413]],
    [
      'many chunks',
      `${post}transfer-encoding: chunked\r\n\r\n${`400\r\n${'x'.repeat(1024)}\r\n`.repeat(70)}`,
      [413],
    ],
    ['a folded header', `GET /page HTTP/1.1\r\n${host}a: b\r\n c\r\n\r\n`, [400]],
    ['a NUL', `GET /page HTTP/1.1\r\n${host}a: \0\r\n\r\n`, [400]],
    ['a bare LF', `GET /page HTTP/1.1\n${host}\n`, [400]],
    ['another protocol', '\x16\x03\x01\x02\x00\x01\x00\x01', [400]],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['CONNECT', `CONNECT localhost:1 HTTP/1.1\r\n${host}\r\n`, [400]],
    ['another expectation', `${post}expect: wonders\r\ncontent-length: 1\r\n\r\nx`, [417]],
  ])('%s is refused, and the connection closed', async (_, bytes, statuses) => {
    const service = await serveHttp({ kind: 'inet', ip: '127.0.0.1', port: 0 }, routes);
    open.push(service);
    changes.length = 0;
    expect(statusesOf(await exchange(service.port, bytes))).toEqual(statuses);
    expect(changes).toEqual([]);
    const { malformed, 'too-large': large } = service.counts();
    expect(malformed + large).toBe(1);
    expect((await ask(service.port, 'GET', '/page')).status).toBe(200);
  });

  test.each<[string, string, number[]]>([
    ['an upgrade', `GET /page HTTP/1.1\r\n${host}connection: upgrade\r\nupgrade: h2c\r\n\r\n`, [200]],
    ['an absolute path', `GET http://localhost/page HTTP/1.1\r\n${host}\r\n`, [200]],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${host}\r\n`, [404]],
    ['HTTP/1.0', 'GET /page HTTP/1.0\r\n\r\n', [200]],
    ['HTTP/1.0 that stays', 'GET /page HTTP/1.0\r\nconnection: keep-alive\r\n\r\n', [200]],
    ['100-continue', `${post}expect: 100-continue\r\ncontent-length: 1\r\n\r\nx`, [100, 200]],
    ['a chunked body', `${post}transfer-encoding: chunked\r\n\r\n1;x=y\r\nz\r\n0\r\na: b\r\n\r\n`, [200]],
  ])('%s is none of it', async (_, bytes, statuses) => {
    const port = await serveTcp();
    const enough = bytes.startsWith('OPTIONS')
      ? 'no such page'
      : bytes.startsWith('POST')
        ? 'true'
        : 'a page';
    expect(statusesOf(await exchange(port, bytes, enough))).toEqual(statuses);
  });
});

/** Resolves when the server closes a client that sends `first`, and then `drip` again and again. */
async function cutOff(port: number, first: string, drip: string): Promise<void> {
  const client = connect(port, '127.0.0.1');
  const dripping = setInterval(() => client.write(drip), 500);
  client.on('error', () => {}).resume();
  client.write(first);
  await once(client, 'close');
  clearInterval(dripping);
}

/** Resolves when the server closes a client that asks for much and reads nothing. */
async function neverReads(port: number): Promise<void> {
  const client = connect(port, '127.0.0.1');
  client.on('error', () => {}).pause();
  // More than the buffers of both ends hold.
  client.write('GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n');
  // A socket that reads nothing hears of a reset when it writes.
  const dripping = setInterval(() => client.write('\r\n'), 500);
  await new Promise((resolve) => client.once('close', resolve));
  clearInterval(dripping);
}

test('a page whose folder has gone can be closed all the same', async () => {
  const gone = join(folder, 'gone');
  mkdirSync(gone);
  const service = await serveUnix(join(gone, 'admin.sock'));
  rmSync(gone, { recursive: true });
  writeFileSync(gone, '');
  service.close();
});
