/**
 * Quake III's getstatus, which many games of its family answer.
 * https://www.ioquake3.org/extras/network-protocol (connectionless packets); qstat's quake3 rules
 */
import type { ServerInfo } from './server-info.ts';

const head = Buffer.from('\xff\xff\xff\xff', 'latin1');

export function encodeGetStatus(): Buffer {
  return Buffer.concat([head, Buffer.from('getstatus\n', 'latin1')]);
}

/** @returns undefined: it is no answer */
export function decodeStatusResponse(bytes: Buffer): ServerInfo | undefined {
  if (!bytes.subarray(0, 4).equals(head)) return undefined;
  const [word, settings, ...players] = bytes.toString('latin1', 4).split('\n');
  if (word !== 'statusResponse' || settings === undefined) return undefined;
  // \key\value\key\value
  const parts = settings.split('\\').slice(1);
  const slots = parts[parts.findIndex((part, i) => i % 2 === 0 && part === 'sv_maxclients') + 1];
  const count = players.filter((line) => line !== '' && line !== '\0').length;
  return { players: count, slots: /^\d{1,9}$/.test(slots ?? '') ? Number(slots) : 0 };
}
