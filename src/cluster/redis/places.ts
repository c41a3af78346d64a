/** Addresses as Redis writes them into its answers, checked: what is not one leads nowhere. */
import type { HostPort } from '../../core/cluster-plan.ts';

/** A name or an address. What else could be there (a path, a NUL) must not reach a socket. */
const hostPattern = /^[A-Za-z0-9_.:%-]{1,253}$/;

/** @returns undefined if it is not an address */
export function hostPortOf(host: unknown, port: unknown): HostPort | undefined {
  const number = typeof port === 'string' && /^\d{1,5}$/.test(port) ? Number(port) : port;
  if (typeof host !== 'string' || !hostPattern.test(host)) return undefined;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > 65_535)
    return undefined;
  return { host, port: number };
}

export interface Redirect {
  readonly kind: 'moved' | 'ask';
  readonly place: HostPort;
}

/**
 * `MOVED <slot> <host>:<port>`, or ASK (redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec, "Redirection
 * and resharding"). Without a host it is the one that says so. @returns undefined if it is neither
 */
export function parseRedirect(message: string, from: HostPort): Redirect | undefined {
  const match = /^(MOVED|ASK) \d{1,5} (\S*):(\d{1,5})$/.exec(message);
  if (match === null) return undefined;
  const place = hostPortOf(match[2] === '' ? from.host : match[2], match[3]);
  return place === undefined ? undefined : { kind: match[1] === 'MOVED' ? 'moved' : 'ask', place };
}
