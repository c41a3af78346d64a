/**
 * Who may do what at an address.
 *
 * | who asks | may |
 * |---|---|
 * | on the unix socket, which only its owner (or group) can open | everything |
 * | on TCP, with the token for writing | everything |
 * | on TCP, with the token for reading | look |
 * | on TCP from this machine, without a token, if there is none for reading | look |
 * | on TCP from elsewhere, without a token | ask whether the instance lives |
 * | with a wrong token | nothing |
 *
 * A proxy on this machine (nginx, a sidecar) makes everybody behind it somebody of this machine. One that says so is believed; of one that
 * does not nobody can tell, so that whoever has a file of the token for reading shuts this machine out, too.
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

/** What proxies add to the requests that they pass on. */
const passedOn = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const;

/**
 * @param tokens as they are now
 * @param isReadKept looking needs a token from this machine, too
 */
export function tokenGate(tokens: () => Tokens, isReadKept = false): Gate {
  // Compared with where there is no token: nobody has it.
  const nobodys = randomBytes(32);
  const known = (token: string | undefined): Buffer => (token === undefined ? nobodys : digestOf(token));
  return ({ headers, socket }) => {
    const { authorization } = headers;
    if (authorization === undefined) {
      const isHere =
        isLoopback(socket.remoteAddress) && passedOn.every((name) => headers[name] === undefined);
      return isHere && !isReadKept ? 'read' : 'none';
    }
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
