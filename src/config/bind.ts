/**
 * Addresses as the file writes them: where a listener is bound (`tcp://0.0.0.0:5432`, `unix:/run/x.sock`), where
 * metrics and admin listen (no protocol in front), and where a backend is (may be a host name). Each refusal says
 * what to write instead. Nothing is resolved and nothing is bound here.
 */
import { Address } from '../core/address.ts';
import { bindKey } from '../core/binds.ts';
import { bindsPerListenerMax, unixPathBytesMax } from '../core/limits.ts';
import type { Reading } from '../core/options.ts';
import type { BackendAddress, Bind, Protocol } from '../core/plan.ts';
import { showValue } from './problem.ts';
import { mayHoldSecret } from './secret.ts';

/** A host name of 253, or a path of 107, with what stands around it. Characters. */
const addressCharactersMax = 300;

/** A listener's addresses. A unix socket carries a byte stream and counts as `tcp`. Port 0 means any free port. */
export interface ListenerBind {
  readonly protocol: Protocol;
  /** The first. */
  readonly bind: Bind;
  readonly all: readonly PlacedBind[];
}

export interface PlacedBind {
  readonly bind: Bind;
  /** Where it stands below the key: its number in the list, or nowhere. */
  readonly steps: readonly number[];
}

/** No client of such a listener has an address. */
export function isUnixOnly({ all }: ListenerBind): boolean {
  return all.every(({ bind }) => bind.kind === 'unix');
}

/** What one text says: one address, or one for each port of a range. */
interface Place {
  readonly protocol: Protocol;
  readonly binds: readonly Bind[];
}

/** Something that is wrong with one address of several. */
interface Wrong {
  readonly steps: readonly number[];
  readonly refused: string;
}

/** Reads one address, or a list of them. @returns all that is wrong */
export function readListenerBinds(value: unknown): { readonly value: ListenerBind } | readonly Wrong[] {
  if (!Array.isArray(value)) {
    const reading = readPlace(value);
    return 'refused' in reading
      ? [{ steps: [], refused: reading.refused }]
      : listenerBind([[[], reading.value]]);
  }
  if (value.length === 0) return [{ steps: [], refused: 'needs at least one address' }];
  if (value.length > bindsPerListenerMax) return [tooMany([])];
  const wrong: Wrong[] = [];
  const places: (readonly [readonly number[], Place])[] = [];
  for (const [i, item] of value.entries()) {
    const reading = readPlace(item);
    if ('refused' in reading) wrong.push({ steps: [i], refused: reading.refused });
    else if (places[0] !== undefined && reading.value.protocol !== places[0][1].protocol)
      wrong.push({ steps: [i], refused: otherProtocol });
    else places.push([[i], reading.value]);
  }
  return wrong.length > 0 ? wrong : listenerBind(places);
}

const otherProtocol =
  'is of another protocol than the addresses before it: one listener is TCP or UDP; write two';

function tooMany(steps: readonly number[]): Wrong {
  return { steps, refused: `has more than ${bindsPerListenerMax} addresses` };
}

function listenerBind(
  places: readonly (readonly [readonly number[], Place])[],
): { readonly value: ListenerBind } | readonly Wrong[] {
  const all = withoutCovered(places.flatMap(([steps, { binds }]) => binds.map((bind) => ({ bind, steps }))));
  if (all.length > bindsPerListenerMax) return [tooMany([])];
  // What is there twice with a port of its own is found with those of the other listeners.
  const drawn = all.filter(({ bind }) => bind.kind === 'inet' && bind.port === 0);
  const twice = drawn.find(
    ({ bind }, i) => drawn.findIndex((one) => bindKey(one.bind) === bindKey(bind)) < i,
  );
  if (twice !== undefined)
    return [{ steps: twice.steps, refused: 'is there twice: one free port of an address is enough' }];
  return { value: { protocol: places[0]![1].protocol, bind: all[0]!.bind, all } };
}

/**
 * `0.0.0.0` beside `[::]` at one port is how "both families" is often written. The socket of `[::]` takes clients of IPv4 as well
 * (RFC 3493 section 5.3), so that one serves both; of two listeners it would be unclear whose they are (claims.ts).
 */
function withoutCovered(all: readonly PlacedBind[]): readonly PlacedBind[] {
  const dual = new Set(all.map(({ bind }) => (bind.kind === 'inet' && bind.ip === '::' ? bind.port : -1)));
  return all.filter(({ bind }) => !(bind.kind === 'inet' && bind.ip === '0.0.0.0' && dual.has(bind.port)));
}

/** Reads `tcp://0.0.0.0:5432`, `udp://[::]:7000-7099` or `unix:/run/x.sock`. */
function readPlace(value: unknown): Reading<Place> {
  if (typeof value !== 'string' || isOther(value)) {
    return { refused: `must be an address like tcp://0.0.0.0:5432, not ${showValue(value)}` };
  }
  if (value.startsWith('unix:')) return withProtocol('tcp', readUnix(value));
  if (value.startsWith('/')) return { refused: withoutUnix(value) };
  if (value.includes(',')) return { refused: severalAddresses(value, 'listener') };
  const match = /^([A-Za-z0-9+.-]+):\/\/(.*)$/.exec(value);
  if (match === null) {
    const valid = 'value' in readInet(value);
    const hint = valid ? `write tcp://${value} or udp://${value}` : 'write tcp://, udp:// or unix: in front';
    return { refused: `has no protocol: ${showValue(value)}; ${hint}` };
  }
  const [, scheme, rest] = match as unknown as [string, string, string];
  if (scheme !== 'tcp' && scheme !== 'udp') {
    return { refused: `has an unknown protocol ${showValue(scheme)}; use tcp://, udp:// or unix:` };
  }
  if (rest.startsWith('unix:') || rest.startsWith('/')) {
    return scheme === 'udp'
      ? { refused: 'a UDP listener cannot be on a unix socket; write udp://0.0.0.0:7777 or the like' }
      : { refused: 'write a unix socket as unix:/run/x.sock, without tcp://' };
  }
  return readRange(scheme, rest) ?? withProtocol(scheme, readInet(rest));
}

/** Reads where metrics or admin listen: `127.0.0.1:9464`, `[::1]:9464` or `unix:/path`. */
export function readListen(value: unknown): Reading<Bind> {
  if (typeof value !== 'string' || isOther(value)) {
    return { refused: `must be an address like 127.0.0.1:9464 or unix:/path, not ${showValue(value)}` };
  }
  if (value.startsWith('unix:')) return readUnix(value);
  if (value.startsWith('/')) return { refused: withoutUnix(value) };
  const scheme = /^[A-Za-z0-9+.-]+:\/\//.exec(value)?.[0];
  if (scheme !== undefined) {
    return { refused: `takes no protocol: write ${showValue(value.slice(scheme.length))}` };
  }
  return readInet(value);
}

/** Reads a backend's address: `10.0.0.1:5432`, `[::1]:5432`, `db1.example.org:5432` or `unix:/path`. */
export function readBackendAddress(value: unknown): Reading<BackendAddress> {
  if (typeof value !== 'string' || isOther(value)) {
    return { refused: `must be an address like 10.0.0.1:5432, not ${showValue(value)}` };
  }
  if (value.startsWith('unix:')) return readUnix(value);
  if (value.startsWith('/')) return { refused: withoutUnix(value) };
  if (value.includes(',')) return { refused: severalAddresses(value, 'backend') };
  const scheme = /^[A-Za-z0-9+.-]+:\/\//.exec(value)?.[0];
  if (scheme !== undefined) {
    return {
      refused: `takes no protocol (the listener has it): write ${showValue(value.slice(scheme.length))}`,
    };
  }
  const shifted = readShifted(value);
  if (shifted !== undefined) return shifted;
  const named = readName(value);
  if (named !== undefined) return named;
  const inet = readInet(value);
  if ('refused' in inet || inet.value.kind !== 'inet') return inet;
  if (inet.value.port === 0) return { refused: 'needs a port from 1 to 65535, not 0' };
  const address = Address.parse(inet.value.ip, 0)!;
  const group = groupOf(address);
  if (group !== undefined) return { refused: `${address.ip} is a ${group} address: no server has it` };
  if (address.isWildcard) {
    return { refused: `${inet.value.ip} is no server's address; write 127.0.0.1 or [::1] for this machine` };
  }
  return inet;
}

/** `10.0.1.1:same`, `10.0.1.1:+1000`, `arena.example.org:-1000`: the client's port, or so much beside it. Undefined: none of these. */
function readShifted(text: string): Reading<BackendAddress> | undefined {
  const match = /^(.*):(same|[+-]\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, host, by] = match as unknown as [string, string, string];
  // With a port in its place it is an address like any other.
  const reading = readBackendAddress(`${host}:1`);
  if ('refused' in reading || reading.value.kind === 'unix') return reading;
  return { value: { ...reading.value, port: 0, portShift: by === 'same' ? 0 : Number(by) } };
}

/**
 * No address of ours at all: one with a user, or longer than any can be. The explanations below take a text apart, and
 * no part of those is for a message.
 */
function isOther(text: string): boolean {
  return text.length > addressCharactersMax || mayHoldSecret(text);
}

function withProtocol(protocol: Protocol, reading: Reading<Bind>): Reading<Place> {
  return 'value' in reading ? { value: { protocol, binds: [reading.value] } } : reading;
}

/** Undefined: it has no range of ports, but may be an address. */
function readRange(protocol: Protocol, text: string): Reading<Place> | undefined {
  const match = /^(.*):(\d+)-(\d+)$/.exec(text);
  if (match === null) return undefined;
  const [, host, first, last] = match as unknown as [string, string, string, string];
  const low = readInet(`${host}:${first}`);
  if ('refused' in low) return low;
  const high = readInet(`${host}:${last}`);
  if ('refused' in high) return high;
  const [from, to] = [Number(first), Number(last)];
  if (from === 0) return { refused: 'a range of ports begins at 1 or above' };
  if (from > to) return { refused: `the ports ${first}-${last} go backwards; write ${last}-${first}` };
  const { ip } = low.value as Bind & { kind: 'inet' };
  const ports = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return { value: { protocol, binds: ports.map((port) => ({ kind: 'inet', ip, port })) } };
}

function readUnix(text: string): Reading<Bind> {
  const path = text.slice('unix:'.length);
  if (path.startsWith('//')) return { refused: `write a unix socket as unix:/${path.replace(/^\/+/, '')}` };
  if (!path.startsWith('/'))
    return { refused: `needs an absolute path: unix:/run/x.sock, not ${showValue(text)}` };
  if (path.endsWith('/'))
    return { refused: `needs the path of a socket, not of a directory: ${showValue(text)}` };
  if (path.includes('\0')) return { refused: 'a path cannot hold a NUL byte' };
  const bytes = Buffer.byteLength(path);
  if (bytes > unixPathBytesMax) {
    return { refused: `the path is ${bytes} bytes long; a unix socket's has at most ${unixPathBytesMax}` };
  }
  return { value: { kind: 'unix', path } };
}

function readInet(text: string): Reading<Bind> {
  const address = Address.parseWithPort(text);
  const refused = withLeadingZeros(text);
  if (refused !== undefined) return { refused };
  if (address !== undefined) return { value: { kind: 'inet', ip: address.ip, port: address.port } };
  return { refused: explainInet(text) };
}

/** RFC 5771 and RFC 919 section 7 for IPv4, RFC 4291 section 2.7 for IPv6. Undefined: one host's address. */
function groupOf(address: Address): 'multicast' | 'broadcast' | undefined {
  if (address.family === 6) return address.w0 >>> 24 === 0xff ? 'multicast' : undefined;
  if (address.w3 === 0xffff_ffff) return 'broadcast';
  return address.w3 >>> 28 === 0xe ? 'multicast' : undefined;
}

function withoutUnix(path: string): string {
  return `write a unix socket as unix:${path}`;
}

function severalAddresses(text: string, noun: string): string {
  const count = text.split(',').length;
  return `one address each: write ${count === 2 ? 'two' : count} ${noun}s`;
}

/** Some read such a number as octal. Undefined: it has none. */
function withLeadingZeros(text: string): string | undefined {
  const port = /:(0\d+)$/.exec(text)?.[1];
  return port && `port ${port} has leading zeros; write ${Number(port)}`;
}

/** Why `text` is not `ip:port`: the most likely slip first. */
function explainInet(text: string): string {
  const shown = showValue(text);
  if (text === '') return 'is empty; write an address and a port';
  if (text.includes('%'))
    return `IPv6 zones (the part after %) are not supported: ${shown}; use an address without one`;
  const strange = /^(?:[^:[\]]+|\[.*\]):([^:\]]*[^:\]\d][^:\]]*)$/.exec(text)?.[1];
  if (strange !== undefined) return `${showValue(strange)} is not a port (1 to 65535)`;
  const port = /:(\d+)$/.exec(text)?.[1];
  const host = port === undefined ? text.replace(/:$/, '') : text.slice(0, -port.length - 1);
  if (host === '*' || host === '') {
    return `write 0.0.0.0:${port ?? 'port'} for every IPv4 address or [::]:${port ?? 'port'} for every address, not ${shown}`;
  }
  // ::1:80 is an address by itself as well; a forgotten pair of brackets is likelier than a forgotten port.
  if (
    port !== undefined &&
    host.includes(':') &&
    !host.startsWith('[') &&
    Address.parse(host, 0) !== undefined
  ) {
    return `write an IPv6 address in brackets: [${host}]:${port}`;
  }
  const bare = Address.parse(text, 0);
  if (bare?.family === 6 && !text.startsWith('[')) return `write an IPv6 address in brackets: [${text}]:port`;
  if (port === undefined) return `needs a port: ${shown} has none; write ${host}:port`;
  if (Number(port) > 65535) return `port ${port} is not from 0 to 65535`;
  if (/^[\d.]+$/.test(host))
    return `${showValue(host)} is not an IPv4 address (four numbers from 0 to 255, no leading zeros)`;
  if (/[:[\]]/.test(host)) return `${showValue(host)} is not an IPv6 address in brackets`;
  if (host === 'localhost') return `takes an IP address, not a host name; write 127.0.0.1:${port}`;
  return `takes an IP address, not a host name (${showValue(host)}); write 0.0.0.0:${port} or [::]:${port} for every address`;
}

/** Undefined if the text does not look like a host name: then it is judged as an IP address. RFC 1123 section 2.1. */
function readName(text: string): Reading<BackendAddress> | undefined {
  const match = /^([^:[\]%*/\s]+)(?::(\d+))?$/.exec(text);
  const host = match?.[1];
  if (match === null || host === undefined || /^[\d.]+$/.test(host)) return undefined;
  if (match[2] === undefined) return { refused: `needs a port: write ${host}:port` };
  const refused = withLeadingZeros(text);
  if (refused !== undefined) return { refused };
  const port = Number(match[2]);
  if (port < 1 || port > 65535) return { refused: `port ${match[2]} is not from 1 to 65535` };
  const labels = host.replace(/\.$/, '').split('.');
  const valid = host.length <= 253 && labels.every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label));
  // A name that ends in a number is read as an IPv4 address by many resolvers.
  if (!valid || /^(\d+|0x[0-9a-f]*)$/i.test(labels.at(-1)!)) {
    return { refused: `${showValue(host)} is neither an IP address nor a host name` };
  }
  return { value: { kind: 'name', host: host.toLowerCase(), port } };
}

/** Reads a literal IP, v4 or v6, without brackets. */
export function readIp(value: unknown): Reading<string> {
  const address = typeof value === 'string' ? Address.parse(value, 0) : undefined;
  if (address === undefined)
    return { refused: `must be an IP address such as 10.0.0.1 or fd00::1, not ${showValue(value)}` };
  return { value: address.ip };
}
