/**
 * Who may do what at an address.
 *
 * | who asks | may |
 * |---|---|
 * | on the unix socket, which only its owner (or group) can open | everything |
 * | on TCP, with the token for writing | everything |
 * | on TCP, with the token for reading | look |
 * | on TCP from this machine, without a token | look |
 * | on TCP from elsewhere, without a token | ask whether the instance lives |
 * | with a wrong token | nothing |
 *
 * Tokens are compared by their digests in constant time, each with both, so that how long it takes says nothing about them.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Access } from './answer.ts';

/** What stands in the files; undefined: there is none of this kind. */
export interface Tokens {
  readonly read: string | undefined;
  readonly write: string | undefined;
}

export type Gate = (request: Pick<IncomingMessage, 'headers' | 'socket'>) => Access | 'wrong-token';

/** For addresses whose pages everybody may see (metrics), and unix sockets. */
export const openGate: Gate = () => 'write';

/** @param tokens as they are now */
export function tokenGate(tokens: () => Tokens): Gate {
  // Compared with where there is no token: nobody has it.
  const nobodys = randomBytes(32);
  const known = (token: string | undefined): Buffer => (token === undefined ? nobodys : digestOf(token));
  return ({ headers, socket }) => {
    const { authorization } = headers;
    if (authorization === undefined) return isLoopback(socket.remoteAddress) ? 'read' : 'none';
    const [, token = ''] = /^bearer ([\x21-\x7e]{1,512})$/i.exec(authorization) ?? [];
    const given = digestOf(token);
    const { read, write } = tokens();
    const mayWrite = timingSafeEqual(given, known(write));
    const mayRead = timingSafeEqual(given, known(read));
    return mayWrite ? 'write' : mayRead ? 'read' : 'wrong-token';
  };
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const v4 = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return v4.startsWith('127.') || v4 === '::1';
}
