/**
 * Networks in the notation of RFC 4632 (IPv4) and RFC 4291 section 2.3 (IPv6): an address, a slash, and how many of its bits count.
 * An address alone is a network of one. IPv4 written in its v4-mapped form (`::ffff:192.0.2.0/120`) is IPv4.
 */
import { Address } from './address.ts';
import { maskAddress } from './key.ts';

export interface Cidr {
  /** Masked; port 0. */
  readonly address: Address;
  /** Bits that count: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly bits: number;
}

/** Bits of the prefix of v4-mapped addresses. */
const mappedBits = 96;

/** Bits beyond the prefix are ignored: `10.0.0.1/8` is 10.0.0.0/8. @returns undefined: `text` is no network */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const parsed = Address.parse(slash < 0 ? text : text.slice(0, slash), 0);
  if (parsed === undefined) return undefined;
  const most = parsed.family === 4 ? 32 : 128;
  if (slash < 0) return { address: parsed, bits: most };
  const written = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(written) || (written.length > 1 && written.startsWith('0'))) return undefined;
  const isMapped = parsed.family === 4 && text.includes(':');
  const bits = Number(written) - (isMapped ? mappedBits : 0);
  if (bits < 0 || bits > most) return undefined;
  return { address: maskAddress(parsed, bits, bits), bits };
}

/** The form {@link parseCidr} reads; one address stands alone. */
export function formatCidr({ address, bits }: Cidr): string {
  return bits === (address.family === 4 ? 32 : 128) ? address.ip : `${address.ip}/${bits}`;
}
