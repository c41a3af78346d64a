/**
 * The status question of Minecraft, Java edition: a handshake and a status request, answered by JSON.
 * https://minecraft.wiki/w/Java_Edition_protocol/Server_List_Ping
 */
import type { ServerInfo } from './server-info.ts';

/** A VarInt has at most five bytes. */
const varIntBytesMax = 5;

export function encodeVarInt(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value >>> 0;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** @returns the value and its length; undefined: more bytes are needed. @throws RangeError: it is none */
function decodeVarInt(bytes: Uint8Array, at = 0): { value: number; length: number } | undefined {
  let value = 0;
  for (let i = 0; i < varIntBytesMax; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value |= (byte & 127) << (7 * i);
    if ((byte & 128) === 0) return { value, length: i + 1 };
  }
  throw new RangeError('a number of more than five bytes');
}

function packet(...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([encodeVarInt(body.length), body]);
}

/** Handshake (next state: status) and status request in one. @param host what the client calls the server */
export function encodeStatusQuestion(host: string, port: number): Buffer {
  const name = Buffer.from(host, 'utf8');
  const portBytes = Buffer.alloc(2);
  portBytes.writeUInt16BE(port);
  // Protocol -1: a client that only asks.
  const handshake = packet(
    encodeVarInt(0),
    encodeVarInt(-1),
    encodeVarInt(name.length),
    name,
    portBytes,
    encodeVarInt(1),
  );
  return Buffer.concat([handshake, packet(encodeVarInt(0))]);
}

/** How many bytes the first packet has; undefined: not all of it is here. @throws RangeError: it is no packet */
export function statusLength(bytes: Uint8Array): number | undefined {
  const size = decodeVarInt(bytes);
  if (size === undefined) return undefined;
  if (size.value <= 0) throw new RangeError('a packet of no length');
  return bytes.length >= size.length + size.value ? size.length + size.value : undefined;
}

/** @param bytes one whole packet. @returns undefined: it is no status */
export function decodeStatus(bytes: Buffer): ServerInfo | undefined {
  const size = decodeVarInt(bytes);
  const id = size && decodeVarInt(bytes, size.length);
  const text = id && decodeVarInt(bytes, size.length + id.length);
  if (size === undefined || id === undefined || text === undefined || id.value !== 0) return undefined;
  const at = size.length + id.length + text.length;
  if (bytes.length < at + text.value) return undefined;
  return infoOf(bytes.toString('utf8', at, at + text.value));
}

function infoOf(json: string): ServerInfo | undefined {
  let status: unknown;
  try {
    status = JSON.parse(json);
  } catch {
    return undefined;
  }
  const players = (status as { players?: { online?: unknown; max?: unknown } } | null)?.players;
  const { online, max } = players ?? {};
  // A server may keep its numbers to itself (hide-online-players).
  return { players: typeof online === 'number' ? online : 0, slots: typeof max === 'number' ? max : 0 };
}
