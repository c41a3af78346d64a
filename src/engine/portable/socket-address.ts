/**
 * Node tells addresses as text; these are the two forms the engine needs them in.
 */
import { Address } from '../../core/address.ts';

const mappedPrefix = '::ffff:';

/** The address of a socket's end; undefined if Node knows none, because the peer is gone already. */
export function socketAddress(ip: string | undefined, port: number | undefined): Address | undefined {
  if (ip === undefined || port === undefined) return undefined;
  const zone = ip.indexOf('%');
  return Address.parse(zone < 0 ? ip : ip.slice(0, zone), port);
}

/**
 * What a UDP client is found by: one number for IPv4 (mapped or not, below 2^48 and so exact), text for IPv6.
 * A Map hashes both without a new string for the usual client.
 */
export function clientKey(ip: string, port: number): number | string {
  const start = ip.startsWith(mappedPrefix) && ip.includes('.') ? mappedPrefix.length : 0;
  let bits = 0;
  let part = 0;
  for (let i = start; i < ip.length; i++) {
    const c = ip.charCodeAt(i);
    if (c === 46) {
      bits = bits * 256 + part;
      part = 0;
    } else if (c >= 48 && c <= 57) part = part * 10 + (c - 48);
    else return `${ip} ${port}`;
  }
  return (bits * 256 + part) * 65_536 + port;
}
