/**
 * SCRAM-SHA-256 without channel binding, the client's side: a password is proved without being told, and the server proves that it
 * knows it too. RFC 5802, RFC 7677, and as PostgreSQL has it: https://www.postgresql.org/docs/current/sasl-authentication.html
 *
 * A server chooses how much its client computes. That is bounded, happens outside of the event loop, one at a time for all
 * checks, and once for each password and salt.
 */

import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { saltedPasswordsMax, scramIterationsMax } from '../core/limits.ts';
import type { Cancel } from './cancel.ts';

export const mechanism = 'SCRAM-SHA-256';

/** GS2: no channel binding, no other identity. */
const header = 'n,,';
const saltBytesMax = 1_024;

/** @param name PostgreSQL takes the one of the start-up, and has this empty */
export function clientFirst(nonce: string, name = ''): string {
  return `${header}${bare(nonce, name)}`;
}

function bare(nonce: string, name: string): string {
  return `n=${name.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
}

interface ServerFirst {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

/** @param ours the nonce that was sent. @throws RangeError: it is no such message, or asks for more than a check computes */
export function decodeServerFirst(text: string, ours: string): ServerFirst {
  const match =
    /^r=([\x21-\x2b\x2d-\x7e]{1,1024}),s=([A-Za-z0-9+/]{1,2048}={0,2}),i=([1-9]\d{0,9})(?:,|$)/.exec(text);
  if (match === null) throw new RangeError('it does not speak SCRAM as RFC 5802 has it');
  const [, nonce, salt, count] = match as unknown as [string, string, string, string];
  if (!nonce.startsWith(ours) || nonce.length === ours.length)
    throw new RangeError('its SCRAM answers another client');
  const bytes = Buffer.from(salt, 'base64');
  if (bytes.length === 0 || bytes.length > saltBytesMax || bytes.toString('base64') !== salt)
    throw new RangeError('it does not speak SCRAM as RFC 5802 has it');
  const iterations = Number(count);
  if (iterations > scramIterationsMax)
    throw new RangeError(
      `it asks for ${iterations} iterations of SCRAM, and a check computes ${scramIterationsMax} at most`,
    );
  return { nonce, salt: bytes, iterations };
}

export interface Proof {
  /** What the client says last. */
  readonly message: string;
  /** What the server has to say then. */
  readonly serverSignature: Buffer;
}

/**
 * The answer to the server's first message.
 * @param signal aborted: nothing is computed any more, if it has not begun
 * @throws RangeError as decodeServerFirst does
 */
export async function clientFinal(
  {
    nonce,
    name = '',
    password,
  }: { readonly nonce: string; readonly name?: string; readonly password: string },
  serverFirst: string,
  signal: Cancel,
): Promise<Proof> {
  const server = decodeServerFirst(serverFirst, nonce);
  const salted = await saltedPassword(prepare(password), server.salt, server.iterations, signal);
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=${Buffer.from(header).toString('base64')},r=${server.nonce}`;
  const told = `${bare(nonce, name)},${serverFirst},${withoutProof}`;
  const clientSignature = hmac(sha256(clientKey), told);
  const proof = clientKey.map((byte, i) => byte ^ clientSignature[i]!);
  return {
    message: `${withoutProof},p=${Buffer.from(proof).toString('base64')}`,
    serverSignature: hmac(hmac(salted, 'Server Key'), told),
  };
}

/** Whether the server's last message proves that it knows the password. */
export function isSignedBy(serverFinal: string, { serverSignature }: Proof): boolean {
  const signature = Buffer.from(
    /^v=([A-Za-z0-9+/]{1,64}={0,2})(?:,|$)/.exec(serverFinal)?.[1] ?? '',
    'base64',
  );
  return signature.length === serverSignature.length && timingSafeEqual(signature, serverSignature);
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** By password, salt and count; the one used longest ago goes first. */
const known = new Map<string, Buffer>();
let turn: Promise<unknown> = Promise.resolve();

async function saltedPassword(
  password: string,
  salt: Buffer,
  iterations: number,
  signal: Cancel,
): Promise<Buffer> {
  const key = sha256(Buffer.from(JSON.stringify([password, salt.toString('hex'), iterations]))).toString(
    'hex',
  );
  const compute = async (): Promise<Buffer> => {
    signal.throwIfAborted();
    return known.get(key) ?? (await derive(password, salt, iterations));
  };
  let found = known.get(key);
  if (found === undefined) {
    const mine = turn.then(compute);
    turn = mine.catch(() => {});
    found = await mine;
  }
  known.delete(key);
  known.set(key, found);
  if (known.size > saltedPasswordsMax) known.delete(known.keys().next().value!);
  return found;
}

function derive(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, 32, 'sha256', (error, bytes) =>
      error === null ? resolve(bytes) : reject(error),
    );
  });
}

const nothing = /[\u00ad\u1806\u200b-\u200d\u2060\ufeff]|\u034f|[\u180b-\u180d]|[\ufe00-\ufe0f]/gu;
const spaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
const prohibited =
  /\u0340|\u0341|[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u06dd\u070f\u180e\u200c-\u200f\u2028-\u202e\u2060-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufff9-\ufffd\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/u;
const rightToLeft = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;

/**
 * SASLprep (RFC 4013); a password that is none by it counts as it is, as PostgreSQL and its clients have it. Who may stand beside
 * letters that are written from right to left is judged by their scripts here.
 */
export function prepare(password: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is always left as it is
  if (/^[\x00-\x7f]*$/.test(password)) return password;
  const prepared = password.replace(spaces, ' ').replace(nothing, '').normalize('NFKC');
  if (prepared === '' || prohibited.test(prepared)) return password;
  const letters = [...prepared];
  const isMixed =
    letters.some((letter) => rightToLeft.test(letter)) &&
    (letters.some((letter) => /\p{L}/u.test(letter) && !rightToLeft.test(letter)) ||
      !rightToLeft.test(letters[0]!) ||
      !rightToLeft.test(letters.at(-1)!));
  return isMixed ? password : prepared;
}
