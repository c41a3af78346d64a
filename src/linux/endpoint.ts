/** A socket address in the kernel's form, made from what the plan says. */
import { Address } from '../core/address.ts';
import type { Bind } from '../core/plan.ts';
import { encodeAddress, encodeUnixPath } from '../wire/sockaddr.ts';
import { AF_INET, AF_INET6, AF_UNIX } from './constants.ts';

export interface Endpoint {
  readonly family: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** The socket address of `bind`; undefined if its ip is no literal or its path too long. */
export function encodeEndpoint(bind: Bind | undefined): Endpoint | undefined {
  const view = new DataView(new ArrayBuffer(112));
  if (bind === undefined) return undefined;
  let family = AF_UNIX;
  let length: number | undefined;
  if (bind.kind === 'unix') {
    length = encodeUnixPath(bind.path, view, 0);
  } else {
    const address = Address.parse(bind.ip, bind.port);
    if (address === undefined) return undefined;
    // "::ffff:192.0.2.1" parses to the same value as "192.0.2.1" and means the same host.
    family = address.family === 4 ? AF_INET : AF_INET6;
    length = encodeAddress(address, view, 0);
  }
  if (length === undefined) return undefined;
  return { family, length, bytes: new Uint8Array(view.buffer, 0, length) };
}
