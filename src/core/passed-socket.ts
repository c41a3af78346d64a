/** A socket that a service manager has bound and passes on (socket activation): its address needs no right of ours. */
import type { Bind, Protocol } from './plan.ts';

export interface PassedSocket {
  /** As the manager passed it. It stays open as long as this process runs. */
  readonly descriptor: number;
  /** As the manager calls it: `FileDescriptorName=` of its unit, or the unit's own name. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly bind: Bind;
  /** An IPv6 socket that takes no client over IPv4. */
  readonly onlyV6: boolean;
}

/** Equal for sockets and binds of one address. */
export function passedKey(protocol: Protocol, bind: Bind): string {
  return bind.kind === 'unix' ? bind.path : `${protocol} ${bind.ip} ${bind.port}`;
}
