/**
 * Strangers at the HTTP pages: whatever they send, however many they are and however slowly they read, a monitor has its
 * answer, nothing but 4xx or a cut comes back, and memory stays within 100 MB of what it is at rest.
 */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { httpAnsweringMax, httpWaitingMax } from '../src/core/limits.ts';
import { seededRandom } from '../src/core/seeded-random.fixture.ts';
import type { HttpRefusalCounts } from '../src/front/connections.ts';
import { eventually } from './support/eventually.ts';
import { type RunningProcess, startProcess } from './support/processes.ts';
import { openDescriptors, residentBytes } from './support/procfs.ts';
import { temporaryFolder } from './support/temporary.ts';

const memoryBytesMax = 100 * 1024 * 1024;
const slack = 32;

interface State {
  readonly renders: number;
  readonly counts: HttpRefusalCounts;
}

let pages: RunningProcess;
let port: number;
let path: string;
let restBytes: number;
let restDescriptors: number;
const strangers: Socket[] = [];

beforeEach(async () => {
  path = `${temporaryFolder('http')}/admin.sock`;
  const file = fileURLToPath(new URL('../dist/test/support/http-process.js', import.meta.url));
  pages = startProcess({ command: process.execPath, args: [file, path] });
  port = Number((await pages.waitForOutput(/port (\d+)/))[1]);
  // At rest monitors ask now and then.
  for (let i = 0; i < 3; i++) await ask('/metrics');
  restBytes = residentBytes(pages.pid);
  restDescriptors = openDescriptors(pages.pid);
});

afterEach(async () => {
  for (const stranger of strangers.splice(0)) stranger.destroy();
  expect(pages.output()).not.toMatch(/Error/);
  expect(pages.status).toBeUndefined();
  await pages.stop();
});

/** A stranger's connection, from an address of its own if it has a number. */
function stranger(number: number | undefined, bytes: string | Buffer): Socket {
  const localAddress =
    number === undefined ? '127.0.0.1' : `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {}).pause();
  socket.write(bytes);
  strangers.push(socket);
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function ask(page: string, agent?: Agent): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: page, agent: agent ?? false, timeout: 20_000 };
    const request = get(options, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error(`${page} was not answered`)));
  });
}

async function state(): Promise<State> {
  return JSON.parse((await ask('/state')).text) as State;
}

/** By how much the process has ever been larger than at rest. */
function peakBytes(): number {
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pages.pid}/status`, 'utf8'))?.[1];
  return Number(peak) * 1024 - restBytes;
}

test('64 kB of pipelined requests cost their sender the connection and nobody else anything', async () => {
  const requests = 'GET /metrics HTTP/1.1\r\nHost:::\r\n\r\n'.repeat(1_900);
  const before = (await state()).renders;
  const cut = Array.from({ length: 20 }, () => closed(stranger(undefined, requests).resume()));
  expect((await ask('/readyz')).status).toBe(200);
  await Promise.all(cut);
  const { counts, renders } = await state();
  expect(counts.pipelined).toBe(20);
  expect(renders - before).toBeLessThanOrEqual(3);
  expect(peakBytes()).toBeLessThan(memoryBytesMax);
});

test.each([
  ['ten addresses', (i: number) => i % 10],
  ['as many addresses', (i: number) => i],
])('1,000 half-open connections from %s keep no monitor out', async (_, numberOf) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  expect((await ask('/readyz', agent)).status).toBe(200);
  const [kept] = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
  const beginnings = ['', 'GET /rea', 'GET /readyz HTTP/1.1\r\nhost: localhost\r\n', '\r\n'];
  for (let i = 0; i < 1_000; i++) {
    stranger(numberOf(i), beginnings[i % beginnings.length]!);
    if (i % 50 === 49) expect((await ask('/readyz')).status).toBe(200);
  }
  // A monitor that stays connected is not the one that goes.
  expect((await ask('/readyz', agent)).status).toBe(200);
  expect(Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? [])).toEqual([kept]);
  agent.destroy();
  await eventually(
    'the places to be kept within their bounds',
    () => openDescriptors(pages.pid) - restDescriptors <= httpWaitingMax + slack,
  );
  const { counts } = await state();
  expect(counts.crowded + counts.peer).toBeGreaterThanOrEqual(1_000 - httpWaitingMax - slack);
  expect(peakBytes()).toBeLessThan(memoryBytesMax);
});

test.each([
  ['/metrics', 'one page for all'],
  ['/own', 'a page for each'],
])('400 readers of %s (%s) who take nothing hold neither memory nor places', async (page) => {
  for (let i = 0; i < 400; i++) {
    stranger(i, `GET ${page}?${i} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    if (i % 40 !== 39) continue;
    expect((await ask('/readyz')).status).toBe(200);
    if (page === '/metrics') expect((await ask(page)).text.length).toBeGreaterThan(4_000_000);
  }
  const { counts } = await state();
  const cut = counts.crowded + counts.untaken + counts['slow-reader'];
  expect(cut).toBeGreaterThanOrEqual(400 - httpAnsweringMax - slack);
  expect(openDescriptors(pages.pid) - restDescriptors).toBeLessThanOrEqual(httpAnsweringMax + slack);
  expect(peakBytes()).toBeLessThan(memoryBytesMax);
});

test('readers who drip are cut like those who stand still', async () => {
  const request = 'GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n';
  const dripping = [0, 1, 2, 3].map((number) => {
    const socket = stranger(number, request);
    if (number % 2 === 0) setInterval(() => socket.read(1_000), 100).unref();
    return socket;
  });
  expect(dripping.length).toBe(4);
  await eventually('all of them cut', async () => (await state()).counts['slow-reader'] === 4);
  expect(openDescriptors(pages.pid) - restDescriptors).toBeLessThan(4);
});

test('a page is rendered once for all who ask within a tenth of a second', async () => {
  const before = (await state()).renders;
  const startMs = performance.now();
  await Promise.all(Array.from({ length: 60 }, () => ask('/metrics')));
  const tookMs = performance.now() - startMs;
  expect((await state()).renders - before).toBeLessThanOrEqual(tookMs / 100 + 1);
});

const samples = [
  'GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'GET /state?x=%41 HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive, x\r\nAccept: */*\r\n\r\n',
  'POST /change HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nbodyGET /readyz HTTP/1.1\r\nhost: ::\r\n\r\n',
  'POST /change HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\na: b\r\n\r\n',
  'POST /change HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nxx',
  'GET http://localhost/readyz HTTP/1.1\r\nhost: localhost\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'HEAD /state HTTP/1.0\r\n\r\n',
];

test('2,000 mutilated requests: an answer below 500 or a cut, each time', async () => {
  const random = seededRandom(10);
  const upTo = (number: number): number => Math.floor(random() * number);
  const pieces = [
    '\r\n',
    '\0',
    '\n',
    ' ',
    ':',
    '%',
    '\xff',
    'HTTP/1.1',
    'chunked',
    '0',
    '99999999999999999999',
  ];
  const mutilate = (text: string): string => {
    const at = upTo(text.length);
    const other = samples[upTo(samples.length)]!;
    switch (upTo(6)) {
      case 0:
        return text.slice(0, at) + String.fromCharCode(upTo(256)) + text.slice(at + 1);
      case 1:
        return text.slice(0, at) + pieces[upTo(pieces.length)] + text.slice(at);
      case 2:
        return text.slice(0, at) + text.slice(at + 1 + upTo(20));
      case 3:
        return text.slice(0, at) + text.slice(at, at + 30).repeat(1 + upTo(1_000)) + text.slice(at);
      case 4:
        return text.slice(0, at) + other.slice(upTo(other.length));
      default:
        return text + other;
    }
  };
  for (let i = 0; i < 2_000; ) {
    const round = Array.from({ length: 40 }, async () => {
      let input = samples[i++ % samples.length]!;
      for (let times = 1 + upTo(3); times > 0; times--) input = mutilate(input);
      const socket = stranger(i % 200, Buffer.from(input, 'latin1')).resume();
      let reply = '';
      socket.setEncoding('latin1').on('data', (piece) => {
        reply += piece;
      });
      // Half of what is mutilated is half of a request.
      socket.end();
      await closed(socket);
      for (const [, status] of reply.matchAll(/^HTTP\/1\.1 (\d+)/gm)) {
        expect({ input, isRight: Number(status) < 500 }).toEqual({ input, isRight: true });
      }
    });
    await Promise.all(round);
  }
  const { counts } = await state();
  expect(counts.malformed).toBeGreaterThan(100);
  expect(counts.failed).toBe(0);
  expect(openDescriptors(pages.pid) - restDescriptors).toBeLessThan(slack);
  expect(peakBytes()).toBeLessThan(memoryBytesMax);
});

test('a thread makes a unix socket for its owner alone, whatever the umask, and leaves nothing else', () => {
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(dirname(path))).toEqual([basename(path)]);
});
