/**
 * Open descriptors that a service manager passes (sd_listen_fds(3)): which socket each of them is. Asked of the kernel, since the
 * manager tells no more than how many there are and what it calls them.
 */
import type { PassedSocket } from '../core/passed-socket.ts';
import type { Bind } from '../core/plan.ts';
import { decodeAddress } from '../wire/sockaddr.ts';
import { Arena } from './arena.ts';
import {
  AF_INET6,
  AF_UNIX,
  F_DUPFD_CLOEXEC,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from './constants.ts';
import { ENOTSOCK, errnoName } from './errno.ts';
import { control, type Descriptor, option, socketName } from './libc.ts';

/** sockaddr_un and a zero behind it. */
const nameBytesMax = 112;
const name = new Arena(nameBytesMax).cut(nameBytesMax);
const decoder = new TextDecoder();

/** @returns what it is, or why it is of no use */
export function passedSocket(descriptor: number, called: string): PassedSocket | string {
  const fd = descriptor as Descriptor;
  const type = option(fd, SOL_SOCKET, SO_TYPE);
  if (type < 0) return type === -ENOTSOCK ? 'it is not a socket' : errnoName(type);
  const domain = option(fd, SOL_SOCKET, SO_DOMAIN);
  if (type !== SOCK_STREAM && (type !== SOCK_DGRAM || domain === AF_UNIX))
    return 'it is of a kind that pinion does not serve: write ListenStream= (TCP, unix) or ListenDatagram= (UDP)';
  if (type === SOCK_STREAM && option(fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1)
    return 'it is a connection and not a listening socket: write Accept=no';
  const bind = bindOf(fd, domain);
  if (bind === undefined) return 'its address cannot be read';
  const onlyV6 = domain === AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 1;
  return { descriptor, name: called, protocol: type === SOCK_STREAM ? 'tcp' : 'udp', bind, onlyV6 };
}

/** The same socket under another number. A descriptor or a negative errno. */
export function duplicateSocket(descriptor: number): number {
  return control(descriptor as Descriptor, F_DUPFD_CLOEXEC, 3);
}

function bindOf(fd: Descriptor, domain: number): Bind | undefined {
  name.bytes.fill(0);
  if (socketName(fd, name) < 0) return undefined;
  if (domain === AF_UNIX) {
    const isAbstract = name.bytes[2] === 0;
    const path = decoder.decode(name.bytes.subarray(isAbstract ? 3 : 2)).replace(/\0.*$/s, '');
    return path === '' ? undefined : { kind: 'unix', path: isAbstract ? `@${path}` : path };
  }
  const address = decodeAddress(name.view, 0);
  return address && { kind: 'inet', ip: address.ip, port: address.port };
}
