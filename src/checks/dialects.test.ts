/** Each dialect against stand-ins: well, garbage, half an answer, silence, a flood, nobody there. */
import { constants, createHash, generateKeyPairSync, privateDecrypt } from 'node:crypto';
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { a2sAnswer, a2sChallenge, quake3Answer } from '../../test/support/games.ts';
import type { Bind } from '../core/plan.ts';
import { decodeInfoAnswer } from '../wire/source-query.ts';
import type { CheckResult } from './dialect.ts';
import { dialectOf } from './dialects.ts';
import { resultOf } from './faults.ts';

const open: (Server | Datagrams)[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function tcp(
  serve: (socket: Socket, bytes: Buffer) => void,
  greet?: (socket: Socket) => void,
): Promise<Bind> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (bytes) => serve(socket, bytes));
    greet?.(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(server);
  return { kind: 'inet', ip: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** Nobody trusts it, and it is of no use to anybody. Until 2126. */
const certificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8hyqZkopiZtkHbgh
OZrmk0KDUDgYZmbv8AyAmvqixAOhRANCAAQYkMsJFs39CyhVWk0JRMooCfmbaUgA
STrvOIpzUzd0/h6nqXyGe8kDqzeWK56DYGaTZwfo+y85U9gPFFcvD/OJ
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUStz5IUkodLmZ2REOJ2dxNe+kd8QwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjgxNzM4NDdaGA8yMTI2MTEwNDE3Mzg0
N1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBiQ
ywkWzf0LKFVaTQlEyigJ+ZtpSABJOu84inNTN3T+HqepfIZ7yQOrN5YrnoNgZpNn
B+j7LzlT2A8UVy8P84mjUzBRMB0GA1UdDgQWBBRDwJD82Nw/i0YYKQrXgInGaQ0I
cTAfBgNVHSMEGDAWgBRDwJD82Nw/i0YYKQrXgInGaQ0IcTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCICA2+nAPJGQ0L+G1UN6UPPHcZTMi7FSWUVyb
l10B7zF6AiBLW52DBjjS6cwalNA7exbB5f+JoMFf9+dfYxl3cG9RjQ==
-----END CERTIFICATE-----`,
};

async function tls(serve: (socket: Socket, bytes: Buffer) => void): Promise<Bind> {
  const server = createTlsServer(certificate, (socket) => {
    socket.on('error', () => {}).on('data', (bytes) => serve(socket, bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(server);
  return { kind: 'inet', ip: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

async function udp(serve: (bytes: Buffer) => Buffer | string | undefined): Promise<Bind> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const answer = serve(bytes);
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  open.push(socket);
  return { kind: 'inet', ip: '127.0.0.1', port: socket.address().port };
}

/** Undefined: it had nothing to say by then. */
async function ask(
  name: string,
  target: Bind,
  options: object = {},
  timeoutMs = 1_000,
  source?: string,
): Promise<CheckResult | undefined> {
  const dialect = dialectOf(name)!;
  const defaults = Object.fromEntries(
    Object.entries(dialect.options).map(([key, { fallback }]) => [key, fallback]),
  );
  const abort = new AbortController();
  const { signal } = abort;
  const asked = {
    target,
    source,
    timeoutMs,
    signal,
    options: { ...defaults, ...options } as never,
  };
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, timeoutMs, undefined));
  const result = await Promise.race([(async () => dialect.ask(asked))().catch(resultOf), late]);
  abort.abort();
  return result;
}

const reply =
  (text: string | Buffer) =>
  (socket: Socket): void =>
    void socket.write(text);
const varInt = (count: number): number[] => (count < 128 ? [count] : [(count & 127) | 128, count >> 7]);
const minecraftAnswer = (json: string): Buffer => {
  const body = Buffer.concat([Buffer.from([0, ...varInt(json.length)]), Buffer.from(json)]);
  return Buffer.concat([Buffer.from(varInt(body.length)), body]);
};
const pong = (bytes: Buffer, text: string): Buffer => {
  const head = Buffer.from(bytes.subarray(0, 9));
  head[0] = 0x1c;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  const id = Buffer.alloc(8);
  return Buffer.concat([head, id, bytes.subarray(9, 25), length, Buffer.from(text)]);
};
const dnsAnswer = (bytes: Buffer, code: number): Buffer => {
  const answer = Buffer.from(bytes);
  answer[2] = 0x81;
  answer[3] = 0x80 | code;
  return answer;
};
const pgMessage = (type: string, ...parts: readonly (Buffer | string)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
};
const pgError = (code: string, text: string): Buffer =>
  pgMessage('E', `SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
const pgAsks = (code: number, rest = ''): Buffer => pgMessage('R', Buffer.from([0, 0, 0, code]), rest);
const pgReady = pgMessage('Z', 'I');
const pgRow = (...columns: readonly (string | null)[]): Buffer => {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(columns.length);
  const parts = columns.flatMap((column) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(column === null ? -1 : Buffer.byteLength(column));
    return [length, column ?? ''];
  });
  return pgMessage('D', count, ...parts);
};
/** Says the next of these to each message; a goodbye ends it. */
const pgServer = (...answers: readonly Buffer[]): Promise<Bind> => {
  const said = new WeakMap<Socket, number>();
  return tcp((socket, bytes) => {
    if (bytes[0] === 0x58) return void socket.end();
    const count = said.get(socket) ?? 0;
    said.set(socket, count + 1);
    if (answers[count] !== undefined) socket.write(answers[count]);
  });
};
/** Lets in without a password, and gives this row. */
const pgSays =
  (...columns: readonly (string | null)[]) =>
  (): Promise<Bind> =>
    pgServer(
      Buffer.concat([pgAsks(0), pgMessage('S', 'server_version\x0015\0'), pgMessage('N', 'Mhello'), pgReady]),
      Buffer.concat([pgMessage('T', '\0\0'), pgRow(...columns), pgMessage('C', 'SELECT 1\0'), pgReady]),
    );
/** SCRAM as far as the server's first message. */
const pgScram =
  (iterations: string, ...more: readonly Buffer[]) =>
  (): Promise<Bind> => {
    const said = new WeakMap<Socket, number>();
    return tcp((socket, bytes) => {
      const count = said.get(socket) ?? 0;
      said.set(socket, count + 1);
      const nonce = /r=(.*)$/.exec(bytes.toString('latin1'))?.[1];
      if (count === 0) socket.write(pgAsks(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0'));
      else if (count === 1) socket.write(pgAsks(11, `r=${nonce}x,s=AAAA,i=${iterations}`));
      else if (more[count - 2] !== undefined) socket.write(more[count - 2]!);
    });
  };
const myPacket = (sequence: number, ...parts: readonly (Buffer | string)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(4);
  head.writeUIntLE(body.length, 0, 3);
  head[3] = sequence;
  return Buffer.concat([head, body]);
};
const myNonce = Buffer.from('abcdefghijklmnopqrst');
const myGreeting = (
  plugin = 'mysql_native_password',
  version = '8.0.36',
  capabilities = 0xffff_f7ff,
): Buffer => {
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(capabilities);
  return myPacket(
    0,
    `\x0a${version}\0`,
    Buffer.from([7, 0, 0, 0]),
    myNonce.subarray(0, 8),
    Buffer.from([0, flags[0]!, flags[1]!, 45, 2, 0, flags[2]!, flags[3]!, 21]),
    Buffer.alloc(10),
    myNonce.subarray(8),
    `\0${plugin}\0`,
  );
};
const myOk = (sequence: number): Buffer => myPacket(sequence, Buffer.from([0, 0, 0, 2, 0, 0, 0]));
const myError = (sequence: number, code: number, text: string): Buffer => {
  const number = Buffer.alloc(2);
  number.writeUInt16LE(code);
  return myPacket(sequence, Buffer.from([0xff]), number, text);
};
const mySwitch = (plugin: string): Buffer => myPacket(2, Buffer.from([0xfe]), `${plugin}\0`, myNonce, '\0');
const myMore = (sequence: number, ...bytes: readonly number[]): Buffer =>
  myPacket(sequence, Buffer.from([1, ...bytes]));
const myText = (text: string | null): Buffer =>
  text === null ? Buffer.from([0xfb]) : Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
/** Names of columns, and rows. */
const myRows = (names: readonly string[], ...rows: readonly (readonly (string | null)[])[]): Buffer => {
  let sequence = 1;
  const eof = (): Buffer => myPacket(sequence++, Buffer.from([0xfe, 0, 0, 2, 0]));
  const column = (name: string): Buffer =>
    myPacket(sequence++, ...['def', '', '', '', name, name].map(myText), Buffer.alloc(13));
  return Buffer.concat([
    myPacket(sequence++, Buffer.from([names.length])),
    ...names.map(column),
    eof(),
    ...rows.map((row) => myPacket(sequence++, ...row.map(myText))),
    eof(),
  ]);
};
const myTable = (values: Readonly<Record<string, string>>): Buffer =>
  myRows(['Variable_name', 'Value'], ...Object.entries(values));
const isGoodbye = (bytes: Buffer): boolean => bytes.equals(Buffer.from([1, 0, 0, 0, 1]));
/** Greets, and says the next of these to each message; a goodbye ends it. */
const myServer = (greeting: Buffer, ...answers: readonly Buffer[]): Promise<Bind> => {
  const said = new WeakMap<Socket, number>();
  return tcp((socket, bytes) => {
    if (isGoodbye(bytes)) return void socket.end();
    const count = said.get(socket) ?? 0;
    said.set(socket, count + 1);
    if (answers[count] !== undefined) socket.write(answers[count]);
  }, reply(greeting));
};
/** Lets in, and gives these tables, and then these rows. */
const mySays =
  (variables: Readonly<Record<string, string>>, ...more: readonly Buffer[]) =>
  (): Promise<Bind> =>
    myServer(myGreeting(), myOk(2), myTable(variables), ...more);
const myWrites = { read_only: 'OFF', super_read_only: 'OFF' };
const myReads = { read_only: 'ON', super_read_only: 'OFF' };
const myNode = { read_only: 'OFF', wsrep_on: 'ON', wsrep_reject_queries: 'NONE' };
const myNodeIs = (state: string, comment: string, ready = 'ON'): Buffer =>
  myTable({ wsrep_ready: ready, wsrep_local_state: state, wsrep_local_state_comment: comment });
const myReplica = (behind: string | null, error = '', name = 'Seconds_Behind_Source'): Buffer =>
  myRows(['Replica_IO_State', 'Last_SQL_Error', 'Last_IO_Error', name], ['', '', error, behind]);
const mySha = (...parts: readonly Uint8Array[]): Buffer =>
  parts
    .reduce<ReturnType<typeof createHash>>((hash, part) => hash.update(part), createHash('sha256'))
    .digest();
const myKeys = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
/** caching_sha2_password as the server has it: it knows the hash of the hash, or wants the password and sends its key. */
const mySha2 =
  (secret: string, knowsIt: boolean, key = myKeys.publicKey) =>
  (): Promise<Bind> => {
    const stages = new WeakMap<Socket, number>();
    const stored = mySha(mySha(Buffer.from(secret)));
    return tcp(
      (socket, bytes) => {
        const stage = stages.get(socket) ?? 0;
        stages.set(socket, stage + 1);
        if (isGoodbye(bytes)) return void socket.end();
        const denied = (sequence: number): Buffer => myError(sequence, 1045, '#28000Access denied');
        if (stage === 0) {
          const at = 36 + 'monitor\0'.length;
          const proof = bytes.subarray(at + 1, at + 1 + bytes[at]!);
          const mask = mySha(stored, myNonce);
          const isRight = mySha(Buffer.from(proof.map((byte, i) => byte ^ mask[i]!))).equals(stored);
          if (knowsIt) socket.write(isRight ? Buffer.concat([myMore(2, 3), myOk(3)]) : denied(2));
          else socket.write(myMore(2, 4));
        } else if (stage === 1 && !knowsIt) {
          socket.write(
            bytes.equals(Buffer.from([1, 0, 0, 3, 2])) ? myMore(4, ...Buffer.from(key)) : denied(4),
          );
        } else if (stage === 2 && !knowsIt) {
          const padding = constants.RSA_PKCS1_OAEP_PADDING;
          const sent = privateDecrypt({ key: myKeys.privateKey, padding }, bytes.subarray(4));
          const told = sent.map((byte, i) => byte ^ myNonce[i % 20]!);
          socket.write(Buffer.from(told).toString() === `${secret}\0` ? myOk(6) : denied(6));
        } else socket.write(myTable(myWrites));
      },
      reply(myGreeting('caching_sha2_password')),
    );
  };
const folder = mkdtempSync(join(tmpdir(), 'pinion-dialects-'));
const passwordFile = join(folder, 'password');
writeFileSync(passwordFile, 'secret\n');
afterAll(() => rmSync(folder, { recursive: true }));
const user = { user: 'monitor', password_file: passwordFile };
const lagging = { ...user, role: 'replica', max_lag: 5_000 };
const behindBytes = { ...user, role: 'replica', max_lag_bytes: 16 * 1024 ** 2 };
const status = { verdict: 'pass' };
const fails = (reason: string, why: RegExp) => ({ verdict: 'fail', reason, why: expect.stringMatching(why) });

type Case = [string, () => Promise<Bind>, object, unknown];

const steps = (...all: [string, string][]) => ({
  steps: all.map(([kind, text]) => (kind === 'match' ? { kind, pattern: text } : { kind, bytes: text })),
});
const smtp = steps(['expect', '220 '], ['send', 'QUIT\r\n'], ['match', '2\\d\\d bye']);

const overTcp: Record<string, Case[]> = {
  tcp: [['well', () => tcp(() => {}), {}, status]],
  'send-expect': [
    ['well', () => tcp(reply('221 bye\r\n'), reply('220 hello\r\n')), smtp, status],
    [
      'another greeting',
      () =>
        tcp(
          () => {},
          (socket) => socket.end('421 too busy\r\n'),
        ),
      smtp,
      fails('check-failed', /421 too busy/),
    ],
    [
      'half an answer',
      () =>
        tcp(
          () => {},
          (socket) => socket.end('22'),
        ),
      smtp,
      fails('check-failed', /./),
    ],
    [
      'over UDP',
      () => udp((bytes) => `${bytes} pong`),
      { over: 'udp', ...steps(['send', 'ping'], ['expect', 'pong']) },
      status,
    ],
    [
      'garbage over UDP',
      () => udp(() => 'what?'),
      { over: 'udp', ...steps(['send', 'ping'], ['expect', 'pong']) },
      fails('check-failed', /what/),
    ],
  ],
  http: [
    ['well', () => tcp(reply('HTTP/1.1 204 No\r\n\r\n')), {}, status],
    [
      'another status',
      () => tcp(reply('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n')),
      {},
      fails('check-failed', /503 Busy/),
    ],
    ['garbage', () => tcp(reply('what?\r\n\r\n')), {}, fails('check-failed', /Parse Error/)],
    [
      'half an answer',
      () => tcp((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')),
      {},
      fails('refused', /ECONNRESET/),
    ],
    [
      'the text',
      () => tcp(reply('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready')),
      { body: 'ready' },
      status,
    ],
    [
      'another text',
      () => tcp(reply('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope')),
      { body: 'ready' },
      fails('check-failed', /does not have "ready"/),
    ],
    [
      'a flood',
      () => tcp((socket) => socket.end(`HTTP/1.0 200 OK\r\n\r\n${'x'.repeat(300_000)}`)),
      { body: 'ready' },
      fails('check-failed', /does not have/),
    ],
  ],
  https: [
    ['well', () => tls(reply('HTTP/1.1 204 No\r\n\r\n')), {}, status],
    [
      'a certificate nobody trusts',
      () => tls(reply('HTTP/1.1 204 No\r\n\r\n')),
      { verify: true },
      fails('check-failed', /self-signed certificate/),
    ],
    ['no TLS', () => tcp(reply('HTTP/1.1 400 Bad\r\n\r\n')), {}, fails('check-failed', /wrong version/)],
    [
      'half an answer',
      () => tls((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')),
      {},
      fails('refused', /ECONNRESET/),
    ],
  ],
  redis: [
    ['over TLS', () => tls(reply('+PONG\r\n')), { tls: true }, status],
    ['well', () => tcp(reply('+PONG\r\n')), {}, status],
    [
      'a password is wanted',
      () => tcp(reply('-NOAUTH Authentication required.\r\n')),
      {},
      fails('not-authorized', /NOAUTH/),
    ],
    ['it loads', () => tcp(reply('-LOADING Redis is loading\r\n')), {}, fails('check-failed', /LOADING/)],
    ['garbage', () => tcp(reply('what?\r\n')), {}, fails('check-failed', /no reply of Redis/)],
    ['half an answer', () => tcp((socket) => socket.end('+PO')), {}, fails('refused', /ECONNRESET/)],
    ['a flood', () => tcp(reply('+'.repeat(300_000))), {}, fails('check-failed', /more than 65536 bytes/)],
  ],
  postgres: [
    ['asks for a password', () => tcp(reply(Buffer.from('520000000c00000005abcdabcd', 'hex'))), {}, status],
    [
      'knows no such role',
      () => tcp(reply(pgError('28000', 'role "pinion_check" does not exist'))),
      {},
      status,
    ],
    [
      'starts up',
      () => tcp(reply(pgError('57P03', 'the database system is starting up'))),
      {},
      fails('check-failed', /starting up/),
    ],
    [
      'is full',
      () => tcp(reply(pgError('53300', 'sorry, too many clients already'))),
      {},
      fails('full', /too many clients/),
    ],
    ['garbage', () => tcp(reply('220 smtp\r\n')), {}, fails('check-failed', /protocol of PostgreSQL/)],
    ['half an answer', () => tcp((socket) => socket.end('R\0\0')), {}, fails('refused', /ECONNRESET/)],
    ['lets in', pgSays(), {}, status],
    [
      'has no memory',
      () => tcp(reply(pgError('53200', 'out of memory'))),
      {},
      fails('check-failed', /out of/),
    ],
    ['asks for GSSAPI, without a user', () => pgServer(pgAsks(7)), {}, status],
    ['no TLS', () => tcp(reply('N')), { tls: true }, fails('check-failed', /does not speak TLS/)],
    [
      'something said before TLS begins',
      () => tcp(reply('S\x16\x03')),
      { tls: true },
      fails('check-failed', /does not speak TLS/),
    ],
    ['a primary', pgSays('f', null, 'f'), { ...user, role: 'primary' }, status],
    ['a replica', pgSays('t', null, 't'), lagging, status],
    ['a replica at work', pgSays('t', '4000', 'f'), lagging, status],
    ['a replica behind', pgSays('t', '7500', 'f'), lagging, fails('lagging', /^it is 7.5 s behind$/)],
    ['a replica that knows of nothing', pgSays('t', null, 'f'), lagging, fails('lagging', /no transaction/)],
    ['a replica with little to replay', pgSays('t', '7500', 'f', '1048576'), behindBytes, status],
    ['one that has replayed more than it received', pgSays('t', null, 't', '-16'), behindBytes, status],
    [
      'a replica with much to replay',
      pgSays('t', '0', 't', '25270681'),
      behindBytes,
      fails('lagging', /^it is 24.1 MiB behind$/),
    ],
    [
      'one that never received',
      pgSays('t', '0', 'f', null),
      behindBytes,
      fails('lagging', /received nothing/),
    ],
    ['a primary, asked for bytes', pgSays('f', null, 'f', null), { ...user, max_lag_bytes: 1_024 }, status],
    ['bytes of nothing', pgSays('t', '0', 'f', 'many'), behindBytes, fails('check-failed', /protocol/)],
    ['no bytes', pgSays('t', '0', 'f'), behindBytes, fails('check-failed', /protocol/)],
    [
      'both lags',
      pgSays('t', '7500', 'f', '1'),
      { ...behindBytes, max_lag: 5_000 },
      fails('lagging', /^it is 7.5 s behind$/),
    ],
    ['another role', pgSays('f', null, 'f'), lagging, fails('wrong-role', /is a primary, and a replica/)],
    ...[[], ['t'], ['x', null, 't'], ['t', 'NaN', 't'], [null, null, null]].map(
      (row): Case => [
        `no answer to the question: ${JSON.stringify(row)}`,
        pgSays(...row),
        user,
        fails('check-failed', /protocol of PostgreSQL/),
      ],
    ),
    ...Object.entries({ 2: 'Kerberos 5', 7: 'GSSAPI', 9: 'SSPI', 99: 'authentication 99' }).map(
      ([code, name]): Case => [
        `asks for ${name}`,
        () => pgServer(pgAsks(Number(code))),
        user,
        fails('not-authorized', new RegExp(`asks for ${name}, which a check does not speak`)),
      ],
    ),
    [
      'asks for OAuth',
      () => pgServer(pgAsks(10, 'OAUTHBEARER\0\0')),
      user,
      fails('not-authorized', /OAUTHBEARER/),
    ],
    [
      'asks for a password, and there is none',
      () => pgServer(pgAsks(3)),
      { user: 'monitor' },
      fails('not-authorized', /no password_file/),
    ],
    ['goes on with what was not begun', () => pgServer(pgAsks(11)), user, fails('check-failed', /protocol/)],
    [
      'refuses the password',
      () => pgServer(pgAsks(3), pgError('28P01', 'password authentication failed')),
      user,
      fails('not-authorized', /^password authentication failed$/),
    ],
    [
      'does not answer the question',
      () =>
        pgServer(Buffer.concat([pgAsks(0), pgReady]), Buffer.concat([pgError('42883', 'what?'), pgReady])),
      user,
      fails('check-failed', /^what\?$/),
    ],
    [
      'a row of -1 columns',
      () =>
        pgServer(
          Buffer.concat([pgAsks(0), pgReady]),
          Buffer.concat([pgMessage('D', '\xff\xff'), pgMessage('D', Buffer.from([255, 255])), pgReady]),
        ),
      user,
      fails('check-failed', /protocol of PostgreSQL/),
    ],
    [
      'an error without its end',
      () => pgServer(pgMessage('E', 'C28000\0Mno')),
      user,
      fails('not-authorized', /^no$/),
    ],
    [
      'a notice without its end, for ever',
      () =>
        pgServer(
          Buffer.concat([pgAsks(0), ...Array.from({ length: 300 }, () => pgMessage('N', 'Mhello')), pgReady]),
        ),
      user,
      fails('check-failed', /does not stop talking/),
    ],
    [
      'a message of 2 GiB',
      () => pgServer(Buffer.concat([pgAsks(0), Buffer.from('447fffffff', 'hex'), Buffer.alloc(30_000)])),
      user,
      fails('check-failed', /protocol of PostgreSQL/),
    ],
    ['2^31 iterations', pgScram('2147483648'), user, fails('check-failed', /2147483648 iterations of SCRAM/)],
    [
      'lets in who has not asked it for a proof',
      pgScram('4096', pgAsks(0)),
      user,
      fails('check-failed', /does not prove/),
    ],
    [
      'another proof',
      pgScram('4096', Buffer.concat([pgAsks(12, `v=${'A'.repeat(43)}=`), pgAsks(0), pgReady])),
      user,
      fails('check-failed', /does not prove/),
    ],
    [
      'refuses the proof',
      pgScram('4096', pgError('28P01', 'password authentication failed')),
      user,
      fails('not-authorized', /password authentication failed/),
    ],
  ],
  mysql: [
    ['refuses nobody', () => myServer(myGreeting(), myError(2, 1045, '#28000Access denied')), {}, status],
    [
      'asks nobody for another way first',
      () =>
        myServer(
          myGreeting('caching_sha2_password'),
          mySwitch('caching_sha2_password'),
          myError(4, 1045, '#28000Access denied'),
        ),
      {},
      status,
    ],
    ['lets anybody in', () => myServer(myGreeting(), myOk(2)), {}, status],
    [
      'wants TLS of everybody',
      () => myServer(myGreeting(), myError(2, 3159, '#HY000Connections using insecure transport')),
      {},
      status,
    ],
    [
      'is full',
      () => tcp(() => {}, reply(myError(0, 1040, 'Too many connections'))),
      {},
      fails('full', /^Too/),
    ],
    [
      'is full, after the greeting',
      () => myServer(myGreeting(), myError(2, 1040, '#08004Too many connections')),
      {},
      fails('full', /^Too many connections$/),
    ],
    [
      'has banned this host',
      () => tcp(() => {}, reply(myError(0, 1129, "Host '192.0.2.1' is blocked"))),
      {},
      fails('not-authorized', /is blocked/),
    ],
    [
      'does not know this host',
      () => tcp(() => {}, reply(myError(0, 1130, "Host '192.0.2.1' is not allowed"))),
      {},
      fails('not-authorized', /is not allowed/),
    ],
    [
      'stops',
      () => myServer(myGreeting(), myError(2, 1053, '#08S01Server shutdown in progress')),
      {},
      fails('check-failed', /^Server shutdown in progress$/),
    ],
    ['garbage', () => tcp(() => {}, reply('220 smtp\r\n')), {}, fails('check-failed', /protocol of MySQL/)],
    [
      'garbage in a packet',
      () => tcp(() => {}, reply(myPacket(0, 'what?'))),
      {},
      fails('check-failed', /protocol of MySQL/),
    ],
    [
      'half an answer',
      () =>
        tcp(
          () => {},
          (socket) => socket.end(myGreeting().subarray(0, 30)),
        ),
      {},
      fails('refused', /ECONNRESET/),
    ],
    [
      'a server before 4.1',
      () => myServer(myGreeting('', '3.23', 0x2c)),
      {},
      fails('check-failed', /protocol of MySQL/),
    ],
    ['no TLS', () => myServer(myGreeting()), { tls: true }, fails('check-failed', /does not speak TLS/)],
    [
      'something said before TLS begins',
      () => tcp(() => {}, reply(Buffer.concat([myGreeting(), Buffer.from('more')]))),
      { tls: true },
      fails('check-failed', /protocol of MySQL/),
    ],
    [
      'a flood',
      () => tcp(() => {}, reply(Buffer.concat([Buffer.from([0xff, 0x7f, 0, 0]), Buffer.alloc(300_000)]))),
      {},
      fails('check-failed', /protocol of MySQL/),
    ],
    [
      'packets without end',
      () => myServer(myGreeting(), Buffer.concat(Array.from({ length: 600 }, () => myMore(2, 3)))),
      {},
      fails('check-failed', /does not stop talking/),
    ],
    ['a primary', mySays(myWrites), { ...user, role: 'primary' }, status],
    ['a replica', mySays(myReads), { ...user, role: 'replica' }, status],
    [
      'a replica where a primary is wanted',
      mySays(myReads),
      { ...user, role: 'primary' },
      fails('wrong-role', /^read_only is on, and a primary is wanted$/),
    ],
    [
      'a primary where a replica is wanted',
      mySays(myWrites),
      lagging,
      fails('wrong-role', /^it takes writes, and a replica is wanted$/),
    ],
    [
      'super_read_only alone',
      mySays({ read_only: 'OFF', super_read_only: 'ON' }),
      { ...user, role: 'primary' },
      fails('wrong-role', /read_only/),
    ],
    ['no answer to the question', mySays({}), user, fails('check-failed', /protocol of MySQL/)],
    ['a replica near', mySays(myReads, myReplica('4')), lagging, status],
    ['a replica behind', mySays(myReads, myReplica('8')), lagging, fails('lagging', /^it is 8 s behind$/)],
    [
      'a replica that has stopped',
      mySays(myReads, myReplica(null, 'error connecting to master')),
      lagging,
      fails('lagging', /^error connecting to master$/),
    ],
    [
      'a replica of nobody',
      mySays(myReads, myRows(['Seconds_Behind_Source'])),
      lagging,
      fails('lagging', /does not replicate/),
    ],
    ['a primary, asked for its lag', mySays(myWrites, myRows(['a'])), { ...user, max_lag: 5_000 }, status],
    [
      'two sources, one of them far',
      mySays(myReads, myRows(['Seconds_Behind_Source'], ['1'], ['9'])),
      lagging,
      fails('lagging', /^it is 9 s behind$/),
    ],
    [
      'a lag that is none',
      mySays(myReads, myReplica('-1')),
      lagging,
      fails('check-failed', /protocol of MySQL/),
    ],
    [
      'a server that has the older name only',
      mySays(
        myReads,
        myError(1, 1064, '#42000You have an error'),
        myReplica('8', '', 'Seconds_Behind_Master'),
      ),
      lagging,
      fails('lagging', /^it is 8 s behind$/),
    ],
    [
      'the right is missing',
      mySays(myReads, myError(1, 1227, '#42000Access denied; you need the REPLICATION CLIENT')),
      lagging,
      fails('not-authorized', /you need/),
    ],
    ['a node that is synced', mySays(myNode, myNodeIs('4', 'Synced')), user, status],
    ['a donor', mySays(myNode, myNodeIs('2', 'Donor/Desynced')), user, fails('lagging', /Donor\/Desynced$/)],
    ['a donor that may serve', mySays(myNode, myNodeIs('2', 'Donor')), { ...user, donor: 'up' }, status],
    [
      'a node that joins',
      mySays(myNode, myNodeIs('1', 'Joining')),
      { ...user, donor: 'up' },
      fails('lagging', /Joining$/),
    ],
    [
      'a node without its cluster',
      mySays(myNode, myNodeIs('0', 'Initialized', 'OFF')),
      user,
      fails('check-failed', /wsrep_ready is off/),
    ],
    [
      'a node that rejects queries',
      mySays({ ...myNode, wsrep_reject_queries: 'ALL' }, myNodeIs('4', 'Synced')),
      user,
      fails('check-failed', /wsrep_reject_queries is ALL/),
    ],
    [
      'a node in maintenance',
      mySays({ ...myNode, pxc_maint_mode: 'MAINTENANCE' }, myNodeIs('4', 'Synced')),
      user,
      fails('check-failed', /pxc_maint_mode is MAINTENANCE/),
    ],
    [
      'a node that takes no writes',
      mySays({ ...myNode, read_only: 'ON' }, myNodeIs('4', 'Synced')),
      { ...user, role: 'primary' },
      fails('read-only', /^read_only is on$/),
    ],
    [
      'refuses the password',
      () => myServer(myGreeting(), myError(2, 1045, "#28000Access denied for user 'monitor'")),
      user,
      fails('not-authorized', /^Access denied for user 'monitor'$/),
    ],
    [
      'has another way to log in',
      () => myServer(myGreeting(), mySwitch('client_ed25519')),
      user,
      fails('not-authorized', /asks for client_ed25519, which a check does not speak/),
    ],
    [
      'wants the way of long ago',
      () => myServer(myGreeting(), myPacket(2, Buffer.from([0xfe]))),
      user,
      fails('not-authorized', /mysql_old_password/),
    ],
    ['caching_sha2_password, known', mySha2('secret', true), { ...user, role: 'primary' }, status],
    ['caching_sha2_password, another', mySha2('other', true), user, fails('not-authorized', /Access denied/)],
    ['caching_sha2_password, by RSA', mySha2('secret', false), { ...user, role: 'primary' }, status],
    [
      'caching_sha2_password, another by RSA',
      mySha2('other', false),
      user,
      fails('not-authorized', /Access/),
    ],
    [
      'caching_sha2_password, and no key',
      mySha2('secret', false, 'what?'),
      user,
      fails('check-failed', /no RSA key/),
    ],
    [
      'more where nothing is missing',
      () => myServer(myGreeting(), myMore(2, 4)),
      user,
      fails('check-failed', /protocol of MySQL/),
    ],
  ],
  agent: [
    ['well', () => tcp(() => {}, reply('up 75%\n')), {}, { verdict: 'pass', share: 0.75 }],
    ['drains', () => tcp(() => {}, reply('drain\n')), {}, { verdict: 'pass', share: 0 }],
    [
      'down with a reason',
      () => tcp(() => {}, reply('down # disk full\n')),
      {},
      fails('agent', /^disk full$/),
    ],
    [
      'asked first',
      () => tcp((socket, bytes) => void socket.write(`${bytes.length}%\n`)),
      { send: 'hello' },
      { verdict: 'pass', share: 0.05 },
    ],
    ['garbage', () => tcp(() => {}, reply('220 smtp\n')), {}, fails('check-failed', /220 smtp/)],
    ['no line', () => tcp(() => {}, reply('x'.repeat(2_000))), {}, fails('check-failed', /no line/)],
    [
      'half an answer',
      () =>
        tcp(
          () => {},
          (socket) => socket.end('up 7'),
        ),
      {},
      fails('refused', /ECONNRESET/),
    ],
  ],
  minecraft: [
    ['well', () => tcp(reply(minecraftAnswer('{"players":{"online":3,"max":20}}'))), {}, status],
    [
      'full',
      () => tcp(reply(minecraftAnswer('{"players":{"online":20,"max":20}}'))),
      {},
      { verdict: 'pass', share: 0 },
    ],
    [
      'free slots',
      () => tcp(reply(minecraftAnswer('{"players":{"online":5,"max":20}}'))),
      { players: 'weight' },
      { verdict: 'pass', share: 0.75 },
    ],
    [
      'garbage',
      () => tcp(reply('HTTP/1.1 400 Bad Request\r\n'.repeat(9))),
      {},
      fails('check-failed', /no status/),
    ],
    [
      'a number without end',
      () => tcp(reply(Buffer.alloc(100, 0xff))),
      {},
      fails('check-failed', /more than five bytes/),
    ],
    [
      'half an answer',
      () => tcp((socket) => socket.end(minecraftAnswer('{"players":{"online":3,"max":20}}').subarray(0, 20))),
      {},
      fails('refused', /ECONNRESET/),
    ],
  ],
};

const overUdp: Record<string, Case[]> = {
  dns: [
    ['well', () => udp((bytes) => dnsAnswer(bytes, 0)), {}, status],
    [
      'another code',
      () => udp((bytes) => dnsAnswer(bytes, 2)),
      {},
      fails('check-failed', /SERVFAIL, and NOERROR/),
    ],
    ['a code that is expected', () => udp((bytes) => dnsAnswer(bytes, 5)), { expect: 'REFUSED' }, status],
    ['an answer to nothing we asked', () => udp(() => Buffer.alloc(12, 0xff)), {}, undefined],
    ['half an answer', () => udp((bytes) => dnsAnswer(bytes, 0).subarray(0, 10)), {}, undefined],
  ],
  a2s: [
    ['well', () => udp(() => a2sAnswer(3, 16)), {}, status],
    ['full', () => udp(() => a2sAnswer(16, 16)), {}, { verdict: 'pass', share: 0 }],
    [
      'with a challenge',
      () => udp((bytes) => (bytes.length === 25 ? a2sChallenge : a2sAnswer(1, 2))),
      {},
      status,
    ],
    [
      'challenges without end',
      () => udp(() => a2sChallenge),
      {},
      fails('check-failed', /one challenge after the other/),
    ],
    ['garbage', () => udp(() => 'what?'), {}, fails('check-failed', /no A2S_INFO/)],
    [
      'half an answer',
      () => udp(() => a2sAnswer(1, 2).subarray(0, 20)),
      {},
      fails('check-failed', /no A2S_INFO/),
    ],
  ],
  bedrock: [
    ['well', () => udp((bytes) => pong(bytes, 'MCPE;A server;1;1.21;2;10;')), {}, status],
    [
      'full',
      () => udp((bytes) => pong(bytes, 'MCPE;A server;1;1.21;10;10;')),
      {},
      { verdict: 'pass', share: 0 },
    ],
    [
      'an answer to another ping',
      () => udp((bytes) => pong(Buffer.alloc(bytes.length, 1), 'MCPE;;;;2;10;')),
      {},
      fails('check-failed', /no unconnected pong/),
    ],
    [
      'half an answer',
      () => udp((bytes) => pong(bytes, 'MCPE;A server;1;1.21;2;10;').subarray(0, 40)),
      {},
      fails('check-failed', /no unconnected pong/),
    ],
    ['garbage', () => udp(() => 'what?'), {}, fails('check-failed', /no unconnected pong/)],
  ],
  quake3: [
    ['well', () => udp(() => quake3Answer(1)), {}, status],
    ['full', () => udp(() => quake3Answer(2)), {}, { verdict: 'pass', share: 0 }],
    [
      'half an answer',
      () => udp(() => quake3Answer(1).subarray(0, 12)),
      {},
      fails('check-failed', /no statusResponse/),
    ],
    ['garbage', () => udp(() => 'what?'), {}, fails('check-failed', /no statusResponse/)],
  ],
};

const all = Object.entries({ ...overTcp, ...overUdp });

describe.each(all)('%s', (name, cases) => {
  const [, , options] = cases[0]!;

  test.each(cases)('%s', async (_, serve, more, result) => {
    const found = await ask(name, await serve(), more);
    if (result === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject(result as object);
  });

  test('nobody there', async () => {
    const [closed] = [await (name in overUdp ? udp(() => undefined) : tcp(() => {}))];
    const server = open.pop()!;
    await new Promise<void>((resolve) => server.close(() => resolve()));
    expect(await ask(name, closed!, options)).toMatchObject({ verdict: 'fail', reason: 'refused' });
  });

  test.skipIf(name === 'tcp')('silence is no answer', async () => {
    const silent = name in overUdp ? udp(() => undefined) : tcp(() => {});
    expect(await ask(name, await silent, options, 100)).toBeUndefined();
  });
});

/** An address nobody else asks from. */
const ownAddress = '127.77.7.7';

/** Connections from there to a port that are in TIME-WAIT: state 06, proc_net_tcp(5). */
function timeWaits(port: number): number {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, from, to, state]) => from?.startsWith('07074D7F:') && to?.endsWith(remote) && state === '06')
    .length;
}

describe('nothing of a check stays in TIME-WAIT', () => {
  const waiting = pgServer.bind(undefined, pgAsks(3));
  test.each<[string, () => Promise<Bind>, object, number]>([
    ...Object.entries(overTcp)
      .filter(([name]) => name !== 'postgres' && name !== 'send-expect')
      .map(([name, [first]]): [string, () => Promise<Bind>, object, number] => [
        name,
        first![1],
        first![2],
        0,
      ]),
    // A pattern has 250 ms, which a busy machine may not give it.
    ['send-expect', () => tcp(() => {}, reply('220 hello\r\n')), steps(['expect', '220 ']), 0],
    ['postgres', pgSays('f', null, 'f'), user, 0],
    // It would log a reset.
    ['postgres', waiting, {}, 5],
  ])('%s', async (name, serve, options, count) => {
    const target = await serve();
    if (target.kind !== 'inet') throw new Error('it has no port');
    for (let i = 0; i < 5; i++)
      expect(await ask(name, target, options, 5_000, ownAddress)).toMatchObject({ verdict: 'pass' });
    expect(timeWaits(target.port)).toBe(count);
  });

  test('over a unix socket there is nothing to reset', async () => {
    const path = join(folder, 'socket');
    const server = createServer((socket) => {
      socket.on('error', () => {}).on('data', () => socket.write('+PONG\r\n'));
    });
    server.listen(path);
    await once(server, 'listening');
    open.push(server);
    for (const name of ['redis', 'tcp']) expect(await ask(name, { kind: 'unix', path })).toEqual(status);
  });
});

describe('postgres, the end', () => {
  /** It never closes of itself; what it sees of its client. */
  async function endless(answer: Buffer, rest?: Buffer) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      said.push('connected');
      socket.on('error', ({ message }) => said.push(message));
      socket.on('end', () => said.push('end'));
      // Who is written to and is gone answers with a reset.
      const writer = setInterval(() => said.includes('end') && socket.write('N'), 20);
      socket.on('close', () => {
        clearInterval(writer);
        said.push('closed');
      });
      socket.once('data', () => {
        socket.write(answer);
        socket.on('data', (bytes) => {
          if (bytes[0] === 0x58) said.push('goodbye');
          else if (rest !== undefined) socket.write(rest);
        });
      });
    });
    const said: string[] = [];
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push(server);
    const { port } = server.address() as AddressInfo;
    return { target: { kind: 'inet', ip: '127.0.0.1', port } as Bind, said, server };
  }
  const session = Buffer.concat([pgAsks(0), pgReady]);
  const primary = Buffer.concat([pgRow('f', null, 'f'), pgReady]);

  test('a server that does not close loses its connection, and the result stands', async () => {
    const { target, said } = await endless(session, primary);
    const from = performance.now();
    expect(await ask('postgres', target, user, 400)).toEqual(status);
    expect(performance.now() - from).toBeLessThan(390);
    await vi.waitFor(() => expect(said).toEqual(['connected', 'goodbye', 'read ECONNRESET', 'closed']));
  });

  test('a log-in that goes no further ends without a word', async () => {
    const { target, said } = await endless(pgAsks(3));
    expect(await ask('postgres', target)).toEqual(status);
    await vi.waitFor(() => expect(said.slice(0, 2)).toEqual(['connected', 'end']));
    await vi.waitFor(() => expect(said.at(-1)).toBe('closed'));
  });

  test('whichever byte of a session is another, it is judged, or waited for', async () => {
    const greeting = Buffer.concat([pgMessage('S', 'a\0b\0'), session]);
    const count = greeting.length + primary.length;
    const targets = Array.from({ length: count }, (_, i) => {
      const bytes = Buffer.concat([greeting, primary]);
      bytes[i]! ^= 0xff;
      return pgServer(bytes.subarray(0, greeting.length), bytes.subarray(greeting.length));
    });
    const asked = targets.map(async (target) => ask('postgres', await target, user, 1_000));
    const found = (await Promise.all(asked)).map((result) => result?.verdict);
    expect(found.filter((verdict) => verdict === 'unknown')).toEqual([]);
    expect(found.filter((verdict) => verdict === 'fail').length).toBeGreaterThan(count / 2);
  });

  test.each([
    ['before the first answer', undefined],
    ['in the middle of a log-in', pgAsks(10, 'SCRAM-SHA-256\0\0')],
    ['in the middle of a session', session],
  ])('when time is over %s nothing stays open', async (_, answer) => {
    const { target, said } = await endless(answer ?? Buffer.alloc(0));
    expect(await ask('postgres', target, user, 100)).toBeUndefined();
    await vi.waitFor(() => expect(said.at(-1)).toBe('closed'));
  });
});

describe('mysql, the end', () => {
  /** What a server hears after its greeting, one text for each message, and how it ends. */
  async function heard(greeting: Buffer | undefined, ...answers: readonly Buffer[]) {
    const said: string[] = [];
    let count = 0;
    const server = createServer((socket) => {
      if (greeting !== undefined) socket.write(greeting);
      socket.on('error', () => {});
      socket.on('close', () => said.push('closed'));
      socket.on('data', (bytes) => {
        if (isGoodbye(bytes)) said.push('goodbye');
        else said.push(bytes.includes('pinion_check') ? 'nobody' : `${bytes.length} bytes`);
        const answer = answers[count++];
        if (answer !== undefined) socket.write(answer);
        else if (answers.length > 0 || said.at(-1) === 'goodbye') socket.end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push(server);
    const { port } = server.address() as AddressInfo;
    return { target: { kind: 'inet', ip: '127.0.0.1', port } as Bind, said };
  }

  test.each([
    ['before the greeting, nobody', undefined, {}, [], undefined, ['nobody', 'closed']],
    ['before the greeting, over TLS', undefined, { tls: true }, [], undefined, ['nobody', 'closed']],
    ['before the greeting, somebody', undefined, user, [], undefined, ['nobody', 'closed']],
    ['no TLS', myGreeting(), { tls: true }, [], 'check-failed', ['nobody', 'closed']],
    [
      'another way to log in',
      myGreeting(),
      user,
      [mySwitch('dialog')],
      'not-authorized',
      [expect.any(String), '68 bytes', 'closed'],
    ],
    [
      'a session',
      myGreeting(),
      user,
      [myOk(2), myTable(myWrites)],
      undefined,
      [expect.any(String), expect.any(String), 'goodbye', 'closed'],
    ],
  ])('no handshake is left without an answer: %s', async (_, greeting, given, answers, reason, all) => {
    const { target, said } = await heard(greeting, ...answers);
    const result = await ask('mysql', target, given, 300);
    if (reason !== undefined) expect(result).toMatchObject({ verdict: 'fail', reason });
    await vi.waitFor(() => expect(said).toEqual(all));
  });

  test('whichever byte of a session is another, it is judged, or waited for', async () => {
    const session = [myGreeting(), myOk(2), myTable(myNode), myNodeIs('4', 'Synced')];
    const places = session.flatMap((part, which) => Array.from(part, (_, i) => ({ which, i })));
    // Each takes a connection; wire/mysql.test.ts has all of them.
    const asked = places
      .filter((_, i) => i % 7 === 0)
      .map(async ({ which, i }) => {
        const parts = session.map((bytes) => Buffer.from(bytes));
        parts[which]![i]! ^= 0xff;
        return ask('mysql', await myServer(...(parts as [Buffer, ...Buffer[]])), user, 1_000);
      });
    const found = (await Promise.all(asked)).map((result) => result?.verdict);
    expect(found.filter((verdict) => verdict === 'unknown')).toEqual([]);
    expect(found.filter((verdict) => verdict === 'fail').length).toBeGreaterThan(5);
  });
});

/** Over UDP: each whose server would pass, with what it is asked for. */
const askedByUdp = Object.entries({
  ...overUdp,
  'send-expect': overTcp['send-expect']!.filter(([name]) => name === 'over UDP'),
}).map(([name, [well]]) => [name, well!] as const);

test.each(askedByUdp)('%s: an answer from another address is none', async (name, [, serve, options]) => {
  const server = await serve();
  const stranger = createSocket('udp4');
  const socket = createSocket('udp4');
  open.push(stranger, socket);
  // It asks the server as us, and answers with its words from another port.
  let asker: { port: number; address: string } | undefined;
  let answers = 0;
  stranger.on('message', (bytes) => {
    answers++;
    stranger.send(bytes, asker!.port, asker!.address);
  });
  socket.on('message', (bytes, from) => {
    asker = from;
    if (server.kind === 'inet') stranger.send(bytes, server.port, server.ip);
  });
  stranger.bind(0, '127.0.0.1');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const target: Bind = { kind: 'inet', ip: '127.0.0.1', port: socket.address().port };
  expect(await ask(name, target, options, 150)).toBeUndefined();
  expect(answers, 'the server has answered').toBeGreaterThan(0);
});

test.each(askedByUdp)('%s: a flood of datagrams passes no check', async (name, [, , options]) => {
  const server = createSocket('udp4');
  server.on('message', (_, from) => {
    for (let i = 0; i < 1_000; i++) server.send('x'.repeat(1_000), from.port, from.address, () => {});
  });
  server.bind(0, '127.0.0.1');
  open.push(server);
  await once(server, 'listening');
  const target: Bind = { kind: 'inet', ip: '127.0.0.1', port: server.address().port };
  expect((await ask(name, target, options, 300))?.verdict).not.toBe('pass');
});

const askedByTcp = Object.entries(overTcp).filter(([name]) => name !== 'tcp');

test.each(askedByTcp)(
  '%s: who says words without end is cut off, and passes no check',
  async (name, cases) => {
    let said = 0;
    const flood = (socket: Socket): void => {
      const more = (): void => {
        for (; said < 50_000_000 && socket.writable; said += 10_000)
          if (!socket.write('x'.repeat(10_000))) break;
      };
      socket.on('drain', more);
      more();
    };
    const target = await (name === 'https' ? tls(flood) : tcp(() => {}, flood));
    const found = await ask(name, target, cases[0]![2], 5_000);
    expect(found).toMatchObject({ verdict: 'fail' });
    // What a check reads, and what the kernel and Node hold on both sides.
    expect(said).toBeLessThan(20_000_000);
  },
);

test.each(askedByTcp)('%s: an answer that comes byte by byte is one', async (name, [well]) => {
  const [, serve, options, result] = well!;
  const server = await serve();
  const slow = createServer((client) => {
    const behind = connect((server as { port: number }).port, '127.0.0.1');
    client.setNoDelay(true).on('error', () => {});
    behind.on('error', () => {});
    client.on('data', (bytes) => behind.write(bytes)).on('close', () => behind.destroy());
    let rest = Promise.resolve();
    behind.on('data', (bytes) => {
      for (const byte of bytes)
        rest = rest.then(
          () => new Promise((resolve) => setImmediate(() => resolve(void client.write(Buffer.of(byte))))),
        );
    });
    behind.on('end', () => void rest.then(() => client.end()));
  }).listen(0, '127.0.0.1');
  open.push(slow);
  await once(slow, 'listening');
  const target: Bind = { kind: 'inet', ip: '127.0.0.1', port: (slow.address() as AddressInfo).port };
  expect(await ask(name, target, options, 10_000)).toMatchObject(result as object);
});

test('every prefix of an answer, and every byte of it changed, is an answer or none, and never an exception', () => {
  const answer = a2sAnswer(3, 16);
  for (let i = 0; i < answer.length; i++) {
    decodeInfoAnswer(answer.subarray(0, i));
    const other = Buffer.from(answer);
    other[i]! ^= 0xff;
    decodeInfoAnswer(other);
  }
});

test('a pattern that takes for ever on what is said fails the check, and stops nobody', async () => {
  const target = await tcp(() => {}, reply(`${'a'.repeat(40)}\n`));
  const catastrophe = steps(['match', '(\\w+\\s?)*!']);
  expect(await ask('send-expect', target, catastrophe)).toMatchObject(
    fails('check-failed', /longer than 250 ms/),
  );
});

test('a check over UDP from an address that is not here leaves no socket behind', async () => {
  const target: Bind = { kind: 'inet', ip: '127.0.0.1', port: 9 };
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) {
    expect(await ask('quake3', target, {}, 1_000, '192.0.2.77')).toMatchObject({
      verdict: 'unknown',
      why: 'EADDRNOTAVAIL',
    });
  }
  await vi.waitFor(() => expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 1));
});

test('files of ours that cannot be read are named, and are nobody’s refusal', async () => {
  const target = await tcp(reply('+PONG\r\n'));
  const missing = '/nowhere/at-all';
  const [password, ca] = [
    await ask('redis', target, { password_file: missing }),
    await ask('redis', target, { tls: true, ca_file: missing }),
  ];
  expect(password).toMatchObject(
    fails('check-failed', /^password_file \/nowhere\/at-all cannot be read: ENOENT$/),
  );
  expect(ca).toMatchObject(fails('check-failed', /^ca_file \/nowhere\/at-all cannot be read: ENOENT$/));
});

test('files of ours that are spoiled later take no backend down', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-check-'));
  const password_file = join(folder, 'password');
  writeFileSync(password_file, 'secret\n');
  const said: string[] = [];
  const target = await tcp((socket, bytes) => {
    said.push(bytes.toString('latin1'));
    socket.write(bytes.includes('AUTH') ? '+OK\r\n' : '+PONG\r\n');
  });
  try {
    const passed = await ask('redis', target, { password_file });
    expect(passed).toMatchObject({ verdict: 'pass' });
    writeFileSync(password_file, '');
    expect(await ask('redis', target, { password_file })).toEqual(passed);
    rmSync(folder, { recursive: true });
    expect(await ask('redis', target, { password_file })).toEqual(passed);
    expect(said.filter((text) => text.includes('secret'))).toHaveLength(3);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('slots below none are no bound, and players below none give no more than the weight', async () => {
  const answer = (players: number, slots: number) => () =>
    tcp(reply(minecraftAnswer(JSON.stringify({ players: { online: players, max: slots } }))));
  expect(await ask('minecraft', await answer(3, -1)())).toEqual(status);
  expect(await ask('minecraft', await answer(-1_000, 1)(), { players: 'weight' })).toEqual({
    verdict: 'pass',
    share: 1,
  });
});

describe('exec', () => {
  const target: Bind = { kind: 'inet', ip: '127.0.0.1', port: 5432 };
  const run = (script: string, timeoutMs?: number) =>
    ask('exec', target, { command: ['/bin/sh', '-c', script, 'sh', '{ip}', '{port}'] }, timeoutMs);

  test('its exit status counts, and its first line says why', async () => {
    expect(await run('test "$1 $2 $PINION_PORT" = "127.0.0.1 5432 5432"')).toEqual(status);
    expect(await run('exit 1'), 'a warning').toEqual(status);
    expect(await run('echo CRITICAL: disk full; echo more; exit 2')).toMatchObject(
      fails('check-failed', /^CRITICAL: disk full$/),
    );
    expect(await run('exit 3')).toMatchObject(fails('check-failed', /status 3/));
  });

  test('what does not exist, and what prints without end', async () => {
    const nothing = await ask('exec', target, { command: ['/nowhere/at-all'] });
    expect(nothing).toMatchObject({ verdict: 'fail' });
    expect(await run('yes | head -c 3000000; exit 2')).toMatchObject(fails('check-failed', /^y$/));
  });

  test('at the time-out it goes, with its children', async () => {
    expect(await run('sleep 61.5 & sleep 61.5', 200)).toBeUndefined();
    await vi.waitFor(() => expect(processesWith('sleep\x0061.5')).toEqual([]));
  });
});

/** Process ids whose command line has this text. */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(text);
    } catch {
      return false;
    }
  });
}
