/** HTTP and HTTPS: a status, and a text in the body if one is asked for. */
import { request } from 'node:http';
import { isIP } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { checkReplyBytesMax } from '../../core/limits.ts';
import { choice, own, type Reading, text } from '../../core/options.ts';
import { type Asked, type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine } from '../faults.ts';
import { connectTo, reset } from '../sockets.ts';
import { tlsConnection, tlsOptions } from '../tls-options.ts';

const statusRule = 'must be a status such as 200, a range such as 200-399, or a list of them';

/** From and to, both included. */
type Range = readonly [number, number];

function readStatus(value: unknown): Reading<readonly Range[]> {
  const ranges: Range[] = [];
  for (const item of Array.isArray(value) ? value : [value]) {
    const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(String(item));
    if (match === null) return { refused: statusRule };
    ranges.push([Number(match[1]), Number(match[2] ?? match[1])]);
  }
  return ranges.length === 0 ? { refused: statusRule } : { value: ranges };
}

const { tls: _, ...secureOptions } = tlsOptions;
const options = {
  method: choice('The method.', ['GET', 'HEAD', 'OPTIONS'], 'GET'),
  path: own(
    'The path, with its query. Patroni: /primary, /replica or /replica?lag=10MB on port 8008.',
    (value) =>
      typeof value === 'string' && /^\/[\x21-\x7e]{0,2000}$/.test(value)
        ? { value }
        : { refused: 'must be a path that begins with / and has no blanks' },
    { type: 'string' },
    '/',
  ),
  host: own<string | undefined>(
    "The Host header. Default: the backend's address.",
    (value) =>
      typeof value === 'string' && /^[\x21-\x7e]{1,255}$/.test(value)
        ? { value }
        : { refused: 'must be a host name, with its port if need be' },
    { type: 'string' },
    undefined,
  ),
  status: own<readonly Range[]>(
    'What passes: a status, a range such as 200-399, or a list of them.',
    readStatus,
    { anyOf: [{ type: 'integer', minimum: 100, maximum: 599 }, { type: 'string' }, { type: 'array' }] },
    [[200, 399]],
  ),
  body: text(
    'A text that must be in the first 64 KiB of the body. Default: the body is not looked at.',
    undefined,
  ),
} as const;

type Options = typeof options;

function problem({ method, body }: Asked<Options>['options']): { key: string; message: string } | undefined {
  if (body === undefined || method === 'GET') return undefined;
  return { key: 'body', message: `needs method GET: an answer to ${method} has none to look at` };
}

export const http = dialect({
  meaning: 'a server answers a request over HTTP with the status that is expected',
  options,
  problem: (options) => problem(options),
  ask: (asked) => ask(asked, undefined),
});

export const https = dialect({
  meaning: 'the same over TLS',
  options: { ...options, ...secureOptions },
  problem: (options) => problem(options),
  ask: (asked) => ask(asked as unknown as Asked<Options>, tlsConnection(asked.options)),
});

function ask(
  { options: wanted, ...way }: Asked<Options>,
  secure: ConnectionOptions | undefined,
): Promise<CheckResult> {
  const { method, path, host, status, body } = wanted;
  const { target } = way;
  const place =
    target.kind === 'unix'
      ? { socketPath: target.path, headers: { host: host ?? 'localhost' } }
      : { host: target.ip, port: target.port, ...(host === undefined ? {} : { headers: { host } }) };
  return new Promise((resolve, reject) => {
    const plain = connectTo(way);
    const socket =
      secure === undefined ? plain : connectTls({ socket: plain, servername: nameIn(host), ...secure });
    const call = request({
      ...place,
      defaultPort: secure === undefined ? 80 : 443,
      createConnection: () => socket,
      method,
      path,
      maxHeaderSize: 16 * 1024,
    });
    call.on('error', reject);
    call.on('response', (response) => {
      const { statusCode = 0, statusMessage = '' } = response;
      const finish = (result: CheckResult): void => {
        reset(plain);
        call.destroy();
        resolve(result);
      };
      if (!status.some(([from, to]) => statusCode >= from && statusCode <= to))
        return finish(failed('check-failed', firstLine(`it answers ${statusCode} ${statusMessage}`.trim())));
      if (body === undefined) return finish(passed);
      let read = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        read += piece;
        if (read.includes(body)) finish(passed);
        else if (read.length > checkReplyBytesMax) finish(missing(body));
      });
      response.on('end', () => finish(missing(body)));
      response.on('error', reject);
    });
    call.end();
  });
}

/** The name in a Host header; empty: it has none. */
function nameIn(host = ''): string {
  const name = host.replace(/:\d+$/, '');
  return isIP(name) !== 0 || name.startsWith('[') ? '' : name;
}

function missing(body: string): CheckResult {
  return failed('check-failed', firstLine(`its answer does not have ${JSON.stringify(body)}`));
}
