/**
 * When two addresses are, or may be, the same place. Judged from the text of the file alone: which addresses this
 * machine has is not known here.
 */
import { Address } from '../core/address.ts';
import type { BackendAddress, Bind } from '../core/plan.ts';

/**
 * True if both cannot be bound at one port. 0.0.0.0 covers every IPv4 address, and [::] covers IPv4 as well: its
 * socket is dual-stack unless IPV6_V6ONLY is set (RFC 3493 section 5.3). Also for UDP, where options could allow it:
 * which of the two a client reaches would be up to the kernel.
 */
export function overlaps(a: Bind, b: Bind): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return true;
  const [first, second] = [Address.parse(a.ip, 0)!, Address.parse(b.ip, 0)!];
  return first.equals(second) || covers(first, second) || covers(second, first);
}

/** True if a socket bound to `wildcard` receives what is sent to `address`. */
function covers(wildcard: Address, address: Address): boolean {
  return wildcard.isWildcard && (wildcard.family === 6 || address.family === 4);
}

/**
 * True if a flow to `address` would surely come back to `bind`. A wildcard also stands for this machine's outer
 * addresses, which are not known here: only its loopback addresses are judged.
 */
export function reachesItself(bind: Bind, address: BackendAddress): boolean {
  if (bind.kind === 'unix') return address.kind === 'unix' && address.path === bind.path;
  if (address.kind !== 'inet' || address.port !== bind.port) return false;
  const [bound, target] = [Address.parse(bind.ip, 0)!, Address.parse(address.ip, 0)!];
  return bound.equals(target) || (covers(bound, target) && target.isLoopback);
}
