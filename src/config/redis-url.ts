/**
 * Where Redis is, as one line of text:
 *
 *   redis://[user[:password]@]host[:port][/database]      rediss:// the same through TLS
 *   unix:/run/redis/redis.sock[?db=1]
 *   redis+sentinel://host[:port],host[:port]/master-name[/database]      rediss+sentinel://
 *   redis+cluster://host[:port],host[:port]      rediss+cluster://
 *
 * A password in a URL ends up in files and process lists: `passwordFile` is the better place.
 */
import { type HostPort, type RedisForm, type RedisPlan, redisDefaults } from '../core/cluster-plan.ts';
import { mayBeAddress } from './secret.ts';

const defaultPort = 6379;
const sentinelPort = 26_379;
const shape = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^/]*)@)?([^@/?]+)(?:\/([^?]*))?$/;

/**
 * Reads one of the forms above into a plan with default timeouts.
 * @throws RangeError that says what is wrong, without repeating any of it: it may be the password
 */
export function parseRedisUrl(text: string): RedisPlan {
  const unix = /^unix:(\/[^?]+)(?:\?db=(\d{1,5}))?$/.exec(text);
  if (unix !== null) {
    // Another scheme was meant: a path is printed, and told when nothing is there.
    if (mayBeAddress(unix[1]!)) throw new RangeError('unix: is followed by the path of a socket');
    return { ...redisDefaults, form: { kind: 'unix', path: unix[1]! }, database: Number(unix[2] ?? 0) };
  }
  const match = shape.exec(text);
  if (match === null) {
    // A bare host and port, the usual slip. It has no user, so no password either.
    if (/^(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-f:.]+\]):\d{1,5}$/.test(text))
      throw new RangeError(`write redis://${text}`);
    throw new RangeError('not one of redis://, rediss://, unix:/path, redis+sentinel://, redis+cluster://');
  }
  const [, scheme, form, user, hosts, path] = match;
  const [username, password] = credentials(user);
  const segments = (path ?? '').split('/').filter((segment) => segment !== '');
  const tls =
    scheme === 'rediss'
      ? { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined }
      : undefined;
  const common = { ...redisDefaults, username, password, tls };
  const nodes = hosts!
    .split(',')
    .map((host) => hostPort(host, form === '+sentinel' ? sentinelPort : defaultPort, text));
  return { ...common, ...place(form, nodes, segments) };
}

function place(
  form: string | undefined,
  nodes: readonly HostPort[],
  segments: readonly string[],
): { form: RedisForm; database: number } {
  if (form === '+sentinel') {
    const master = segments[0];
    if (master === undefined) throw new RangeError('redis+sentinel:// ends with the name of the master');
    // As sentinel.conf has it. A password with a slash would end up here.
    if (!/^[A-Za-z0-9._-]+$/.test(master))
      throw new RangeError('the name of a master is letters, digits, ".", "-" and "_"');
    return {
      form: { kind: 'sentinel', nodes, master },
      database: databaseOf(segments[1], segments.length, 2),
    };
  }
  if (form === '+cluster') {
    if (segments.length > 0)
      throw new RangeError('a Redis Cluster has one database: nothing follows the hosts');
    return { form: { kind: 'cluster', nodes }, database: 0 };
  }
  if (nodes.length > 1) throw new RangeError('several hosts need redis+sentinel:// or redis+cluster://');
  return { form: { kind: 'single', node: nodes[0]! }, database: databaseOf(segments[0], segments.length, 1) };
}

function databaseOf(text: string | undefined, segments: number, segmentsMax: number): number {
  if (segments > segmentsMax || (text !== undefined && !/^\d{1,5}$/.test(text))) {
    throw new RangeError('the database is a number');
  }
  return Number(text ?? 0);
}

function credentials(user: string | undefined): [string | undefined, string | undefined] {
  if (user === undefined) return [undefined, undefined];
  const colon = user.indexOf(':');
  const name = colon < 0 ? user : user.slice(0, colon);
  const password = colon < 0 ? undefined : user.slice(colon + 1);
  try {
    return [name === '' ? undefined : decodeURIComponent(name), password && decodeURIComponent(password)];
  } catch {
    throw new RangeError('user and password are percent-encoded');
  }
}

function hostPort(text: string, portByDefault: number, url: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? portByDefault);
  if (match === null || port < 1 || port > 65_535) {
    // A slash in a password ends the hosts: what looks like one is a part of the password.
    if (url.includes('@'))
      throw new RangeError(
        'what is taken for a host is not host:port (user and password are percent-encoded)',
      );
    throw new RangeError('what follows // is not host:port');
  }
  return { host: (match[1] ?? match[2])!, port };
}
