/**
 * Socket addresses as the kernel has them: `struct sockaddr_in`, `sockaddr_in6` and `sockaddr_un` of Linux
 * (ip(7), ipv6(7), unix(7)) to and from Address. The family is in host order, which is little-endian on every
 * machine this runs on; port and address are in network order. Flow label and scope are not kept.
 */
import { Address } from '../core/address.ts';
import { unixPathBytesMax } from '../core/limits.ts';

const familyUnix = 1;
const familyInet = 2;
const familyInet6 = 10;

export const inetBytes = 16;
export const inet6Bytes = 28;
/** Two bytes of family and a path of up to 108. */
export const unixBytesMax = 110;

/**
 * Writes `address` at `offset`: as sockaddr_in if it is IPv4 and `family` is not 6, else as sockaddr_in6 (IPv4 then in its
 * mapped form, for dual-stack sockets).
 * @returns the bytes written
 */
export function encodeAddress(address: Address, into: DataView, offset: number, family?: 4 | 6): number {
  if ((family ?? address.family) === 4) {
    into.setUint16(offset, familyInet, true);
    into.setUint16(offset + 2, address.port);
    into.setUint32(offset + 4, address.w3);
    into.setUint32(offset + 8, 0);
    into.setUint32(offset + 12, 0);
    return inetBytes;
  }
  into.setUint16(offset, familyInet6, true);
  into.setUint16(offset + 2, address.port);
  into.setUint32(offset + 4, 0);
  into.setUint32(offset + 8, address.w0);
  into.setUint32(offset + 12, address.w1);
  into.setUint32(offset + 16, address.w2);
  into.setUint32(offset + 20, address.w3);
  into.setUint32(offset + 24, 0);
  return inet6Bytes;
}

/** Reads the address at `offset`; undefined if it is neither IPv4 nor IPv6 (a unix socket). */
export function decodeAddress(from: DataView, offset: number): Address | undefined {
  const family = from.getUint16(offset, true);
  if (family === familyInet) return Address.v4(from.getUint32(offset + 4), from.getUint16(offset + 2));
  if (family !== familyInet6) return undefined;
  return new Address(
    from.getUint32(offset + 8),
    from.getUint32(offset + 12),
    from.getUint32(offset + 16),
    from.getUint32(offset + 20),
    from.getUint16(offset + 2),
  );
}

/** The port of the IPv4 or IPv6 address at `offset`. */
export function decodePort(from: DataView, offset: number): number {
  return from.getUint16(offset + 2);
}

const encoder = new TextEncoder();

/**
 * Writes a unix socket's path. A leading `@` names the abstract namespace (unix(7)).
 * @returns the bytes written, or undefined if the path is empty, too long or holds a zero
 */
export function encodeUnixPath(path: string, into: DataView, offset: number): number | undefined {
  const text = encoder.encode(path);
  if (text.length === 0 || text.length > unixPathBytesMax || text.includes(0)) return undefined;
  const abstract = path.startsWith('@');
  into.setUint16(offset, familyUnix, true);
  for (const [i, byte] of text.entries()) into.setUint8(offset + 2 + i, i === 0 && abstract ? 0 : byte);
  if (abstract) return 2 + text.length;
  into.setUint8(offset + 2 + text.length, 0);
  return 2 + text.length + 1;
}
