/**
 * An IP address with a port, as four 32-bit words.
 *
 * Every client becomes one of these, so it is small and its text is made only when somebody reads it.
 * IPv4 is kept in its v4-mapped form (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2): one client has one value
 * whether it came through an IPv4 socket or a dual-stack IPv6 one. Zones (fe80::1%eth0) are not kept.
 */

const mappedPrefix = 0xffff;

/** One IP address and port. Immutable. Words are unsigned, in network order: w0 holds the first four bytes. */
export class Address {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  /** 0 to 65535. */
  readonly port: number;

  constructor(w0: number, w1: number, w2: number, w3: number, port: number) {
    this.w0 = w0 >>> 0;
    this.w1 = w1 >>> 0;
    this.w2 = w2 >>> 0;
    this.w3 = w3 >>> 0;
    this.port = port;
  }

  /** From the 32 bits of an IPv4 address in network order. */
  static v4(bits: number, port: number): Address {
    return new Address(0, 0, mappedPrefix, bits, port);
  }

  get family(): 4 | 6 {
    return this.w0 === 0 && this.w1 === 0 && this.w2 === mappedPrefix ? 4 : 6;
  }

  /** The address alone: `192.0.2.1` or, in the form of RFC 5952, `2001:db8::1`. */
  get ip(): string {
    return this.family === 4 ? formatV4(this.w3) : formatV6(this.w0, this.w1, this.w2, this.w3);
  }

  /** `192.0.2.1:53` or `[2001:db8::1]:53`. */
  toString(): string {
    return this.family === 4 ? `${formatV4(this.w3)}:${this.port}` : `[${this.ip}]:${this.port}`;
  }

  withPort(port: number): Address {
    return new Address(this.w0, this.w1, this.w2, this.w3, port);
  }

  /** True for 0.0.0.0 and ::. */
  get isWildcard(): boolean {
    return this.w0 === 0 && this.w1 === 0 && this.w3 === 0 && (this.w2 === 0 || this.w2 === mappedPrefix);
  }

  /** 127.0.0.0/8 (RFC 1122 section 3.2.1.3) and ::1 (RFC 4291 section 2.5.3). */
  get isLoopback(): boolean {
    if (this.family === 4) return this.w3 >>> 24 === 127;
    return this.w0 === 0 && this.w1 === 0 && this.w2 === 0 && this.w3 === 1;
  }

  equals(other: Address): boolean {
    return this.port === other.port && this.hasIpOf(other);
  }

  /** The same host, whatever the port. */
  hasIpOf(other: Address): boolean {
    return this.w3 === other.w3 && this.w0 === other.w0 && this.w1 === other.w1 && this.w2 === other.w2;
  }

  /**
   * Reads an IP literal without brackets.
   * @returns undefined if `text` is not one (host names, zones and IPv4 in other than four decimal parts are not).
   */
  static parse(text: string, port: number): Address | undefined {
    const v4 = parseV4(text);
    if (v4 !== undefined) return Address.v4(v4, port);
    return parseV6(text, port);
  }

  /** Reads `192.0.2.1:53` or `[2001:db8::1]:53`; undefined if it is neither. */
  static parseWithPort(text: string): Address | undefined {
    const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
    if (match === null) return undefined;
    const port = Number(match[3]);
    const ip = match[1] ?? match[2];
    if (port > 65535 || ip === undefined) return undefined;
    if (match[1] !== undefined && !ip.includes(':')) return undefined;
    return Address.parse(ip, port);
  }
}

/** What a client without an IP address (one on a unix socket) is known by. */
export const noAddress = new Address(0, 0, 0, 0, 0);

function formatV4(bits: number): string {
  return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`;
}

function formatV6(w0: number, w1: number, w2: number, w3: number): string {
  const groups: number[] = [];
  for (const word of [w0, w1, w2, w3]) groups.push(word >>> 16, word & 0xffff);
  // RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals, becomes "::".
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
    if (length > 0) start += length;
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (bestStart < 0) return text(groups);
  return `${text(groups.slice(0, bestStart))}::${text(groups.slice(bestStart + bestLength))}`;
}

function parseV4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let bits = 0;
  for (let i = 1; i <= 4; i++) {
    const part = match[i]!;
    // A leading zero reads as octal elsewhere (inet_aton): refuse it rather than guess.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    bits = bits * 256 + Number(part);
  }
  return bits;
}

function parseV6(text: string, port: number): Address | undefined {
  const halves = text.split('::');
  if (halves.length > 2 || !text.includes(':')) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number): number => groups[i * 2]! * 65536 + groups[i * 2 + 1]!;
  return new Address(word(0), word(1), word(2), word(3), port);
}

function parseGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const v4 = mayEndInV4 && i === parts.length - 1 ? parseV4(part) : undefined;
      if (v4 === undefined) return undefined;
      groups.push(v4 >>> 16, v4 & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}
