/**
 * A connection of a socket with itself. Where nobody listens on a port that the kernel also gives to dials
 * (`net.ipv4.ip_local_port_range`), a dial to it from the same address may draw that very port, and TCP's simultaneous open
 * (RFC 9293 section 3.5) then connects it. UDP needs no such accident: connect(2) only names the peer. Whatever is
 * sent comes back, and the port is taken from the backend that wants to come up.
 */

export interface Ends {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** As node:net names the ends of a connection. False for unix sockets, which have none. */
export function isSelfConnection({ localAddress, localPort, remoteAddress, remotePort }: Ends): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
}
