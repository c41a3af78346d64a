/**
 * What a client may be recognised by, a row for each kind: its number in the pin table and in Redis, and how a key of it is
 * printed and read back. All that is to be done for a new kind is a row here and somebody who finds it out (keyOf in key.ts).
 *
 * A text in Redis may have been written by anybody, and by an instance of another version: `parse` takes only what `print`
 * makes of the same words, so a key has one text. What people write is read by `read`, which also takes other spellings.
 */
import { Address } from './address.ts';
import { type KeyWords, printBytes, printHex, readBytes, readHex } from './key-bytes.ts';

interface KeyKindRow {
  /** 1 to 15. Never renumber: peers of another version read them. */
  readonly number: number;
  readonly print: (words: KeyWords) => string;
  /** Undefined: it is not the text of a key of this kind. */
  readonly parse: (text: string) => KeyWords | undefined;
  readonly read: (text: string) => KeyWords | undefined;
}

const ofAddress = (number: number): KeyKindRow => {
  const parse = (text: string): KeyWords | undefined => Address.parse(text, 0);
  return { number, print: (words) => addressOf(words).ip, parse, read: parse };
};

const ofBytes = (
  number: number,
  print: (words: KeyWords) => string,
  read: (text: string) => KeyWords | undefined,
): KeyKindRow => {
  const parse = (text: string): KeyWords | undefined => {
    const words = read(text);
    return words !== undefined && print(words) === text ? words : undefined;
  };
  return { number, print, parse, read };
};

export const keyKinds = {
  none: { ...ofAddress(0), parse: () => undefined, read: () => undefined },
  /** The client's address. */
  'client-ip': ofAddress(1),
  /** The network it is in. */
  'client-subnet': ofAddress(2),
  /** Its address and port. */
  flow: {
    number: 3,
    print: (words) => addressOf(words).toString(),
    parse: Address.parseWithPort,
    read: Address.parseWithPort,
  },
  /** The host it asks for, in lower case. */
  'server-name': ofBytes(4, printBytes, (text) => readBytes(text.toLowerCase())),
  /** A piece of what it says. */
  payload: ofBytes(5, printBytes, readBytes),
  /** A connection id of QUIC: the one that the client chose for its first datagrams, or that its server chose. */
  'quic-id': ofBytes(6, printHex, readHex),
  /** What the header of a proxy says of it. */
  tlv: ofBytes(7, printBytes, readBytes),
} as const satisfies Record<string, KeyKindRow>;

export type KeyKind = keyof typeof keyKinds;

const kindNames = new Map<number, KeyKind>();
for (const [name, { number }] of Object.entries(keyKinds)) kindNames.set(number, name as KeyKind);

/** The kind of this number; undefined if this version has none. */
export function kindOfNumber(number: number): KeyKind | undefined {
  return kindNames.get(number);
}

/** Whether the words of this kind are an address. */
export function isOfAddress(kind: KeyKind): boolean {
  return keyKinds[kind].number < keyKinds['server-name'].number;
}

/** A key as people write it where its kind is not known otherwise: `server-name=play.example`. */
export interface NamedKey {
  readonly kind: KeyKind;
  readonly words: KeyWords;
}

/**
 * @returns undefined if `text` names no kind
 * @throws RangeError if what it names is no key of that kind
 */
export function readNamedKey(text: string): NamedKey | undefined {
  const equals = text.indexOf('=');
  const kind = text.slice(0, Math.max(0, equals));
  if (!Object.hasOwn(keyKinds, kind) || kind === 'none') return undefined;
  const value = text.slice(equals + 1);
  const words = keyKinds[kind as KeyKind].read(value);
  if (words === undefined) throw new RangeError(`${value.slice(0, 64)} is no key of kind ${kind}`);
  return { kind: kind as KeyKind, words };
}

/** The address that words of a kind with one are. */
export function addressOf({ w0, w1, w2, w3, port }: KeyWords): Address {
  return new Address(w0, w1, w2, w3, port);
}
