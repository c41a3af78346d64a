/**
 * What went wrong with Redis, as one short fixed code: the log field, the metric label, the word in the status. The
 * codes of the server are the first word of its error (redis.io/docs/latest/develop/reference/protocol-spec, "Simple
 * errors"); what is not known is `other` and gets the same treatment: say so, try again later.
 */

export const redisFaults = [
  'away', // no connection
  'timeout', // connected, but no answer
  'read-only', // a replica: the primary is elsewhere now
  'no-auth', // user or password refused
  'no-permission', // the user may not do this
  'out-of-memory',
  'cannot-persist', // MISCONF: Redis refuses writes until it can save again
  'loading',
  'busy', // a script of somebody runs for too long
  'cluster-down', // a Redis Cluster without a node for our slots, or moving them
  'tls', // the certificate, or no TLS where it was expected
  'file', // a password or certificate file cannot be read or used
  'protocol', // not Redis, or not what Redis says
  'too-large', // more than an answer may hold
  'other',
] as const;
export type RedisFault = (typeof redisFaults)[number];

/** An error whose fault is known where it is made. */
export class FaultError extends Error {
  readonly fault: RedisFault;

  constructor(fault: RedisFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

const byFirstWord: Readonly<Record<string, RedisFault>> = {
  READONLY: 'read-only',
  NOAUTH: 'no-auth',
  WRONGPASS: 'no-auth',
  NOPERM: 'no-permission',
  OOM: 'out-of-memory',
  MISCONF: 'cannot-persist',
  LOADING: 'loading',
  MASTERDOWN: 'loading',
  BUSY: 'busy',
  CLUSTERDOWN: 'cluster-down',
  TRYAGAIN: 'cluster-down',
  MOVED: 'cluster-down',
  ASK: 'cluster-down',
  CROSSSLOT: 'cluster-down',
};

const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EACCES',
]);

/** The fault an error stands for; `other` if it is not known. */
export function faultOf(error: unknown): RedisFault {
  if (error instanceof FaultError) return error.fault;
  if (!(error instanceof Error)) return 'other';
  const message = error.message;
  const first = /^(?:ReplyError: )?-?([A-Z]+)\b/.exec(message)?.[1];
  const known = first === undefined ? undefined : byFirstWord[first];
  if (known !== undefined) return known;
  // A script's error begins with the one of the command inside in some versions, and quotes it in others.
  const quoted = /\b(READONLY|OOM|MISCONF|NOPERM|LOADING)\b/.exec(message)?.[1];
  if (quoted !== undefined) return byFirstWord[quoted]!;
  // Before it knows who asks, Redis takes only small commands, and ends the connection at others.
  if (/unauthenticated (?:multi)?bulk length/.test(message)) return 'no-auth';
  if (/ACL failure|permissions? to (?:run|access)|user executing the script can't/i.test(message))
    return 'no-permission';
  if (/out of memory|maxmemory/i.test(message)) return 'out-of-memory';
  if (/timed out|ETIMEDOUT|Socket timeout/i.test(message)) return 'timeout';
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (
    code.startsWith('ERR_TLS') ||
    code.startsWith('ERR_SSL') ||
    /certificate|self-signed|CERT_/i.test(`${code} ${message}`)
  )
    return 'tls';
  if (awayCodes.has(code) || awayPattern.test(message)) return 'away';
  return 'other';
}

/** ioredis's own words for "there is no connection". */
const awayPattern =
  /isn't writeable|Connection is closed|max retries per request|None of startup nodes|Failed to refresh slots|aborted due to connection close|Cluster is (?:dis|not)|All sentinels are unreachable|Cluster isn't ready/i;
