/**
 * RakNet's unconnected ping, by which Minecraft's Bedrock edition tells of itself.
 * https://minecraft.wiki/w/RakNet (Unconnected Ping, Unconnected Pong)
 */
import type { ServerInfo } from './server-info.ts';

const ping = 0x01;
const pong = 0x1c;
const magic = Buffer.from('00ffff00fefefefefdfdfdfd12345678', 'hex');

/** @param time comes back in the answer. @param id of the client, 8 bytes */
export function encodePing(time: bigint, id: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head[0] = ping;
  head.writeBigUInt64BE(time, 1);
  return Buffer.concat([head, magic, id]);
}

/** @returns undefined: it is no answer to the ping of that time */
export function decodePong(bytes: Buffer, time: bigint): ServerInfo | undefined {
  if (bytes.length < 35 || bytes[0] !== pong || bytes.readBigUInt64BE(1) !== time) return undefined;
  if (!bytes.subarray(17, 33).equals(magic)) return undefined;
  const length = bytes.readUInt16BE(33);
  if (bytes.length < 35 + length) return undefined;
  // MCPE;name;protocol;version;players;slots;...
  const [, , , , players, slots] = bytes.toString('utf8', 35, 35 + length).split(';');
  return { players: numberOf(players), slots: numberOf(slots) };
}

function numberOf(text: string | undefined): number {
  return /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0;
}
