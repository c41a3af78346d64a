/**
 * Bytes as the words of a key, and as text that people and Redis can hold. Up to 16 bytes are the 128 bits themselves, longer
 * ones are known by a hash of them: of those the words and the text tell one from another, and not what it was.
 *
 * Text: printable ASCII that needs no quoting stands for itself, every other byte is `%xx` (as in RFC 3986 section 2.1, in
 * lower case); the hash is `#` and 32 digits. A connection id, which is never text, is all hex digits.
 */
import { finishHash } from './key-hash.ts';

/** 128 bits in network order, and a port word of 16 bits. Of the words only the 32 bits count: they may be signed or not. */
export interface KeyWords {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  readonly port: number;
}

/** What the words hold. */
export const keyBytesMax = 16;
/** The port word of a hash; below it is the number of bytes, so that `ab` and `ab` with a zero after it differ. */
const hashedLength = 17;
const plain = /[A-Za-z0-9._~-]/;
const hashText = /^#[0-9a-f]{32}$/;
/** Longest text a person may write for a key. Characters. */
const keyTextLengthMax = 4_096;

/** The words of 1 or more bytes; undefined of none: nobody is recognised by nothing. */
export function wordsOfBytes(bytes: Uint8Array): KeyWords | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length > keyBytesMax) {
    const [w0, w1, w2, w3] = hash128(bytes);
    return { w0, w1, w2, w3, port: hashedLength };
  }
  return {
    w0: wordAt(bytes, 0),
    w1: wordAt(bytes, 4),
    w2: wordAt(bytes, 8),
    w3: wordAt(bytes, 12),
    port: bytes.length,
  };
}

/** The bytes of words that hold them; undefined if they are a hash. */
function bytesOfWords(words: KeyWords): Uint8Array | undefined {
  return words.port > keyBytesMax ? undefined : wholeOf(words).subarray(0, words.port);
}

/** Bytes as text, `%xx` for what is not plain; of a hash `#` and its digits. */
export function printBytes(words: KeyWords): string {
  const bytes = bytesOfWords(words);
  if (bytes === undefined) return printHash(words);
  let text = '';
  for (const byte of bytes) {
    const letter = String.fromCharCode(byte);
    text += plain.test(letter) ? letter : `%${hexOf(byte)}`;
  }
  return text;
}

/** Bytes as hex digits; of a hash `#` and its digits. */
export function printHex(words: KeyWords): string {
  const bytes = bytesOfWords(words);
  return bytes === undefined ? printHash(words) : hexOfAll(bytes);
}

/** Reads what {@link printBytes} prints, and what a person writes: {@link bytesOfText}. */
export function readBytes(text: string): KeyWords | undefined {
  if (hashText.test(text)) return readHash(text);
  const bytes = bytesOfText(text);
  return bytes && wordsOfBytes(bytes);
}

/** Bytes as a person writes them: `%xx` is a byte, anything else is UTF-8. Undefined: too long, or a `%` without two digits. */
export function bytesOfText(text: string): Uint8Array | undefined {
  if (text.length > keyTextLengthMax) return undefined;
  const written = new TextEncoder().encode(text);
  const bytes = new Uint8Array(written.length);
  let length = 0;
  for (let i = 0; i < written.length; i++) {
    const byte = written[i]!;
    if (byte !== percent) {
      bytes[length++] = byte;
      continue;
    }
    const high = digitOf(written[i + 1]);
    const low = digitOf(written[i + 2]);
    if (high < 0 || low < 0) return undefined;
    bytes[length++] = high * 16 + low;
    i += 2;
  }
  return bytes.subarray(0, length);
}

/** Reads what {@link printHex} prints, in digits of either case. */
export function readHex(text: string): KeyWords | undefined {
  if (hashText.test(text)) return readHash(text);
  if (text.length > keyTextLengthMax || !/^(?:[0-9a-fA-F]{2})+$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(i * 2, i * 2 + 2), 16);
  return wordsOfBytes(bytes);
}

/**
 * MurmurHash3_x86_128 (A. Appleby, public domain), seed 0, its four words in order. Not against those who look for collisions:
 * who finds one comes to the pin of another key, where he may come by naming that key as well.
 */
export function hash128(bytes: Uint8Array): [number, number, number, number] {
  const h: [number, number, number, number] = [0, 0, 0, 0];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const blocksEnd = bytes.length & ~15;
  for (let at = 0; at < blocksEnd; at += 16) {
    for (let lane = 0; lane < 4; lane++) {
      h[lane]! ^= scramble(view.getUint32(at + lane * 4, true), lane);
      const turned = rotate(h[lane]!, laneTurns[lane]!);
      h[lane] = (Math.imul(turned + h[(lane + 1) & 3]!, 5) + laneSums[lane]!) | 0;
    }
  }
  const tail = [0, 0, 0, 0];
  for (let i = bytes.length - 1; i >= blocksEnd; i--) {
    const lane = (i - blocksEnd) >> 2;
    tail[lane] = (tail[lane]! << 8) | bytes[i]!;
  }
  // A lane without bytes adds nothing: 0 scrambles to 0.
  for (let lane = 0; lane < 4; lane++) h[lane]! ^= scramble(tail[lane]!, lane) ^ bytes.length;
  spread(h);
  for (let lane = 0; lane < 4; lane++) h[lane] = finishHash(h[lane]!);
  spread(h);
  return h.map((word) => word >>> 0) as [number, number, number, number];
}

const laneFactors = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
const blockTurns = [15, 16, 17, 18];
const laneTurns = [19, 17, 15, 13];
const laneSums = [0x561ccd1b, 0x0bcaa747, 0x96cd1c35, 0x32ac3b17];

function scramble(block: number, lane: number): number {
  const mixed = rotate(Math.imul(block, laneFactors[lane]!), blockTurns[lane]!);
  return Math.imul(mixed, laneFactors[(lane + 1) & 3]!);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Each lane into all others. */
function spread(h: [number, number, number, number]): void {
  h[0] = (h[0] + h[1] + h[2] + h[3]) | 0;
  for (const lane of [1, 2, 3] as const) h[lane] = (h[lane] + h[0]) | 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}

function wholeOf({ w0, w1, w2, w3 }: KeyWords): Uint8Array {
  const bytes = new Uint8Array(keyBytesMax);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of [w0, w1, w2, w3].entries()) view.setUint32(i * 4, word);
  return bytes;
}

function printHash(words: KeyWords): string {
  return `#${hexOfAll(wholeOf(words))}`;
}

function readHash(text: string): KeyWords {
  const word = (i: number): number => Number.parseInt(text.slice(1 + i * 8, 9 + i * 8), 16);
  return { w0: word(0), w1: word(1), w2: word(2), w3: word(3), port: hashedLength };
}

function hexOf(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function hexOfAll(bytes: Uint8Array): string {
  return [...bytes].map(hexOf).join('');
}

const percent = 0x25;

/** The value of a hex digit in ASCII; -1 if it is none. */
function digitOf(code: number | undefined): number {
  return code === undefined ? -1 : '0123456789abcdef'.indexOf(String.fromCharCode(code).toLowerCase());
}
