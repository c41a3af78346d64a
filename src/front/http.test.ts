import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HttpService, type Routes, serveHttp } from './http.ts';

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
const routes: Routes = {
  'GET /page': () => ({ status: 200, body: 'a page\n' }),
  'GET /large': () => ({ status: 200, body: 'x'.repeat(64 * 1024 * 1024) }),
  'GET /pools/:pool': ({ params }) => ({ status: 200, body: { pool: params.pool } }),
  'POST /change': () => {
    changes.push('change');
    return { status: 200, body: { changed: true } };
  },
};

async function serveUnix(path: string): Promise<HttpService> {
  const service = await serveHttp({ kind: 'unix', path }, routes);
  open.push(service);
  return service;
}

async function serveTcp(): Promise<number> {
  const service = await serveHttp({ kind: 'inet', ip: '127.0.0.1', port: 0 }, routes);
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

describe('requests', () => {
  test('HEAD is GET without the body; another method is told which ones there are', async () => {
    const port = await serveTcp();
    expect(await ask(port, 'HEAD', '/page')).toEqual({ status: 200, allow: undefined, text: '' });
    expect(await ask(port, 'PUT', '/page')).toMatchObject({ status: 405, allow: 'GET, HEAD' });
    expect(await ask(port, 'GET', '/change')).toMatchObject({ status: 405, allow: 'POST' });
    expect(await ask(port, 'HEAD', '/nothing')).toMatchObject({ status: 404, text: '' });
  });

  test.each(['/%', '//', '/pools/%ff', 'http://['])('GET %s is a bad request', async (path) => {
    expect((await ask(await serveTcp(), 'GET', path)).status).toBe(400);
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
      expect(text).toMatch('a web page may not change anything here');
    }
    expect(changes).toEqual([]);
    // It may not read an answer either; that is the browser's business, which sees no permission in it.
    expect((await ask(port, 'GET', '/page', { origin: 'http://evil.example' })).status).toBe(200);
    expect((await ask(port, 'POST', '/change', { 'sec-fetch-site': 'none' })).status).toBe(200);
    expect((await ask(port, 'POST', '/change')).status).toBe(200);
    const path = join(folder, 'admin.sock');
    await serveUnix(path);
    // No browser reaches a unix socket; a proxy somebody put in front of it is that person's decision.
    expect((await ask(path, 'POST', '/change', { origin: 'http://evil.example' })).status).toBe(200);
    expect(changes).toEqual(['change', 'change', 'change']);
  });
});

test('clients that are slow or silent are cut off long before this test gives up', async () => {
  const port = await serveTcp();
  const request = 'GET /page HTTP/1.1\r\nhost: localhost\r\n';
  await Promise.all([
    cutOff(port, '', ''),
    cutOff(port, 'GET /pa', ''),
    cutOff(port, request, 'x: y\r\n'),
    cutOff(port, 'POST /change HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999\r\n\r\n', 'x'),
    cutOff(port, `${request}\r\n`, ''),
    neverReads(port),
  ]);
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
