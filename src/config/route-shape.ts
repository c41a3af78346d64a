/**
 * The routes of a listener: what a user may write there, and what the plan has of it. Names are kept as DNS compares them
 * (core/server-name.ts), first bytes in hexadecimal.
 */
import { formatCidr, parseCidr } from '../core/cidr.ts';
import { namesPerRouteMax, routeBytesMax, routesMax } from '../core/limits.ts';
import type { Reading } from '../core/options.ts';
import { type RoutePlan, type RouteProtocol, routeProtocols } from '../core/plan.ts';
import { readNamePattern } from '../core/server-name.ts';
import { name, readBy, section } from './fields.ts';
import { form } from './form.ts';
import { showValue } from './problem.ts';
import * as z from './zod.ts';

/** Letters of any alphabet as DNS has them; undefined: they make no name. RFC 5891, by way of the URL standard. */
function toAscii(host: string): string | undefined {
  // In an address these end the name, or stand before it.
  if (/[^\p{L}\p{M}\p{N}._-]/u.test(host)) return undefined;
  try {
    return new URL(`http://${host}/`).hostname;
  } catch {
    return undefined;
  }
}

/** One text, or a list of them. */
function readMany<T>(
  value: unknown,
  rule: string,
  read: (text: string) => T | undefined,
): Reading<readonly T[]> {
  const texts = Array.isArray(value) ? value : [value];
  if (texts.length === 0 || texts.length > namesPerRouteMax)
    return { refused: `must have 1 to ${namesPerRouteMax} entries` };
  const values: T[] = [];
  for (const text of texts) {
    const one = typeof text === 'string' ? read(text) : undefined;
    if (one === undefined) return { refused: `${showValue(text)} is not ${rule}` };
    values.push(one);
  }
  return { value: values };
}

const nameRule = 'a name such as a.example, *.a.example (any name under it) or *';

function readNames(value: unknown): Reading<readonly string[] | 'none'> {
  if (value === 'none') return { value: 'none' };
  const texts = Array.isArray(value) ? value : [value];
  if (texts.includes('none'))
    return { refused: 'none stands by itself: no name and some name are two routes' };
  return readMany(value, `${nameRule}; or none: no name is asked for`, (text) =>
    readNamePattern(text, toAscii),
  );
}

function readAlpn(value: unknown): Reading<readonly string[]> {
  const rule = 'the name of a protocol (RFC 7301), such as h2 or postgresql';
  return readMany(value, rule, (text) => (/^[\x21-\x7e]{1,255}$/.test(text) ? text : undefined));
}

function readClients(value: unknown): Reading<readonly string[]> {
  return readMany(value, 'an address or a network such as 192.0.2.0/24', (text) => {
    const cidr = parseCidr(text);
    return cidr === undefined ? undefined : formatCidr(cidr);
  });
}

function readText(text: unknown): Reading<string> {
  const hex = typeof text === 'string' ? Buffer.from(text, 'utf8').toString('hex') : '';
  return withinBytes(
    hex,
    `must be a text of 1 to ${routeBytesMax} bytes, in quotes if it looks like a number`,
  );
}

function readHex(text: unknown): Reading<string> {
  const hex = typeof text === 'string' ? text.replaceAll(/[\s:]/g, '').toLowerCase() : '';
  const rule = `must be 1 to ${routeBytesMax} bytes in hexadecimal, in quotes, such as "16 03"`;
  return withinBytes(/^(?:[0-9a-f]{2})+$/.test(hex) ? hex : '', rule);
}

function withinBytes(hex: string, rule: string): Reading<string> {
  return hex === '' || hex.length > 2 * routeBytesMax ? { refused: rule } : { value: hex };
}

const oneOrMany = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] };
const names = (whose: string) =>
  readBy(
    readNames,
    `${whose}: one or a list of a.example, *.a.example (any name that ends so) and * (any name); none: it asks for no name. Left out: whatever it asks for.`,
    oneOrMany,
  ).optional();
const alpn = readBy(
  readAlpn,
  'One of these is among the protocols that the client offers.',
  oneOrMany,
).optional();

export const routeShape = section('Where clients go of whom all of it holds.', {
  pool: name('The pool that serves them.'),
  tls: section('TCP: clients that begin with TLS. Nothing is decrypted.', {
    server_name: names('The name in their hello (SNI); with an encrypted hello (ECH) the outer one'),
    alpn,
  }).optional(),
  postgres: section(
    'TCP: clients of PostgreSQL, also those that begin with TLS and offer postgresql. One that asks for TLS is told that it may, its name is read, and the backend is asked for TLS then.',
    { server_name: names('The name in their hello (SNI), which libpq sends from version 14 on') },
  ).optional(),
  minecraft: section('TCP: clients of Minecraft, Java edition.', {
    host: names('The host that the player has joined, without what Forge and BungeeCord add to it'),
  }).optional(),
  quic: section('UDP: clients that begin with QUIC, version 1 or 2.', {
    server_name: names('The name in their hello (SNI); with an encrypted hello (ECH) the outer one'),
    alpn,
  }).optional(),
  first_bytes: z
    .union(
      [
        section('What they say first.', {
          prefix: readBy(readText, 'A text.', { type: 'string' }).optional(),
          hex: readBy(readHex, 'Bytes in hexadecimal.', { type: 'string' }).optional(),
        }),
        readBy(readText, 'A text.', { type: 'string' }),
      ],
      { error: 'must be a text, or a map with prefix or hex' },
    )
    .meta({
      description: 'Clients that say this first, whatever it means: a text, prefix: a text, or hex: bytes.',
    })
    .optional(),
  client: readBy(readClients, 'Clients with one of these addresses or networks.', oneOrMany).optional(),
});

export type RouteShape = z.output<typeof routeShape>;

export const routes = form(
  z
    .array(routeShape, { error: 'must be a list of routes (- tls: ... pool: ...)' })
    .min(1, { error: 'needs at least one route' })
    .max(routesMax, { error: `has more than ${routesMax} routes` })
    .meta({
      description:
        'Where clients belong by what they say or where they come from: the first route wins of which all holds. Others go to pool; without one they are refused (no-route).',
    })
    .optional(),
  (written) => written?.map(buildRoute),
);

/** Which protocol a route is about, of those that are written. */
export function protocolsOf(route: Omit<RouteShape, 'pool'>): RouteProtocol[] {
  return routeProtocols.filter((protocol) => route[protocol] !== undefined);
}

export function buildRoute(route: RouteShape): RoutePlan {
  const [protocol] = protocolsOf(route);
  const { server_name: serverName, alpn } = route.tls ?? route.quic ?? {};
  const names = serverName ?? route.postgres?.server_name ?? route.minecraft?.host;
  const first = route.first_bytes;
  const firstBytesHex = typeof first === 'string' ? first : (first?.prefix ?? first?.hex);
  return {
    pool: route.pool,
    ...(protocol === undefined ? {} : { protocol }),
    ...(names === undefined ? {} : { names }),
    ...(alpn === undefined ? {} : { alpn }),
    ...(firstBytesHex === undefined ? {} : { firstBytesHex }),
    ...(route.client === undefined ? {} : { clients: route.client }),
  };
}
