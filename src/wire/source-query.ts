/**
 * The A2S_INFO question of Source servers and its answer, with challenge.
 * https://developer.valvesoftware.com/wiki/Server_queries
 */
import type { ServerInfo } from './server-info.ts';

const single = 0xffffffff;
const infoQuestion = 0x54;
const infoAnswer = 0x49;
const challengeAnswer = 0x41;
const payload = Buffer.from('Source Engine Query\0', 'latin1');

/** @param challenge what the server asked for; undefined: the first question */
export function encodeInfoQuestion(challenge?: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(single, 0);
  head[4] = infoQuestion;
  return Buffer.concat([head, payload, ...(challenge === undefined ? [] : [challenge])]);
}

/** @returns the challenge to ask again with, or what the server says of itself; undefined: it is neither */
export function decodeInfoAnswer(bytes: Buffer): { readonly challenge: Buffer } | ServerInfo | undefined {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== single) return undefined;
  if (bytes[4] === challengeAnswer)
    return bytes.length >= 9 ? { challenge: bytes.subarray(5, 9) } : undefined;
  if (bytes[4] !== infoAnswer) return undefined;
  // Protocol, then four texts (name, map, folder, game), then the app's id.
  let at = 6;
  for (let texts = 0; texts < 4; texts++) {
    const end = bytes.indexOf(0, at);
    if (end < 0) return undefined;
    at = end + 1;
  }
  at += 2;
  const [players, slots] = [bytes[at], bytes[at + 1]];
  return players === undefined || slots === undefined ? undefined : { players, slots };
}
