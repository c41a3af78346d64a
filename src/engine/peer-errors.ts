/**
 * What a socket's error speaks of. The rule of both engines: what this machine says by itself (no memory, no port, a firewall
 * rule of its own, a path that takes no datagram of this size) must not count against a backend.
 *
 * Source: icmp_err_convert in Linux's net/ipv4/icmp.c and tab_unreach in net/ipv6/icmp.c, which name the errors that ICMP
 * messages of others become. EACCES (IPv6: prohibited by policy) is left out: it is also what a local rule says. So is
 * EMSGSIZE (a router's smaller MTU): the kernel has learned from it and the next datagram goes.
 */
const peerErrors: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENONET',
  'ENOPROTOOPT',
  'EPROTO',
]);

/** @param code the errno name of an error on a socket connected, or connecting, to a peer */
export function speaksOfPeer(code: string | undefined): boolean {
  return code !== undefined && peerErrors.has(code);
}
