/**
 * How the engine's sockets are made: the options each kind gets, and what the kernel's refusals mean for a dial.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import type { Bind, ListenerPlan } from '../../core/plan.ts';
import type { Region } from '../../linux/arena.ts';
import {
  AF_INET6,
  AF_UNIX,
  F_GETFL,
  F_SETFL,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  O_NONBLOCK,
  SO_LINGER,
  SO_OOBINLINE,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../linux/constants.ts';
import { type Endpoint, encodeEndpoint } from '../../linux/endpoint.ts';
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  ENOTSOCK,
  EPIPE,
  ETIMEDOUT,
  errnoName,
} from '../../linux/errno.ts';
import {
  bind,
  close,
  connect,
  control,
  type Descriptor,
  listen,
  setOption,
  setOptionPair,
  socket,
  socketName,
} from '../../linux/libc.ts';
import { decodeAddress } from '../../wire/sockaddr.ts';
import type { BindFailure, DialFailure } from '../engine.ts';
import { speaksOfPeer } from '../peer-errors.ts';
import { bindToDevice, setBeforeHandshake, setBuffers, setOnListening } from './socket-options.ts';

/** Socket buffers of a UDP listener, which all its clients share. Bytes; the kernel may give less. */
export const datagramBufferBytes = 4 * 1024 * 1024;

export function newSocket(family: number, kind: 'stream' | 'datagram'): Descriptor {
  const type = kind === 'stream' ? SOCK_STREAM : SOCK_DGRAM;
  const fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (kind === 'stream' && fd >= 0) keepUrgentInline(fd);
  return fd;
}

/**
 * An urgent byte (MSG_OOB) is a byte of the stream to its sender; by default reads leave it out, and what we pass on
 * would lack it. TCP connections inherit this from their listening socket, unix ones do not.
 */
export function keepUrgentInline(fd: Descriptor): void {
  setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

/** Closes so that the peer sees a reset: with linger on and 0 seconds, close(2) sends RST and drops what is queued. */
export function closeWithReset(fd: Descriptor): void {
  setOptionPair(fd, SOL_SOCKET, SO_LINGER, 1, 0);
  close(fd);
}

/**
 * A socket bound as `plan` says: listening if it is TCP or unix. `name` is scratch. With `reusePort` other sockets of
 * the same user that say so too may share the port (several workers); without it a port in use is a failure.
 */
export function bindListener(plan: ListenerPlan, name: Region, reusePort: boolean): Descriptor | BindFailure {
  const endpoint = encodeEndpoint(plan.bind);
  if (endpoint === undefined) return failure(-EINVAL, 'address', plan.bind);
  const fd = newSocket(endpoint.family, plan.protocol === 'tcp' ? 'stream' : 'datagram');
  if (fd < 0) return failure(fd, 'socket', plan.bind);
  // For UDP, SO_REUSEADDR alone would let a second socket take the port and its traffic (socket(7)); for TCP it
  // only lets a port be bound again while old connections linger.
  if (plan.protocol === 'tcp') setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (reusePort && endpoint.family !== AF_UNIX) setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (endpoint.family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  const { device } = plan.bind.kind === 'inet' ? plan.bind : { device: undefined };
  let result = bindToDevice(fd, device);
  if (result < 0) {
    close(fd);
    return failure(result, `use device ${device} for`, plan.bind);
  }
  name.bytes.set(endpoint.bytes);
  result = bind(fd, name, endpoint.length);
  if (result === -EADDRINUSE && plan.bind.kind === 'unix' && removeStale(plan.bind.path, endpoint, name)) {
    result = bind(fd, name, endpoint.length);
  }
  if (result === 0) result = prepare(plan, fd, name, endpoint.family);
  if (result === 0) return fd;
  close(fd);
  return failure(result, 'bind', plan.bind);
}

/** A socket that is bound to the address in `name`: 0, and it has its options and listens, or a negative errno. */
function prepare(plan: ListenerPlan, fd: Descriptor, name: Region, family: number): number {
  if (plan.protocol === 'udp') {
    setDatagramOptions(fd, plan.udp);
    // Which of our addresses a datagram came to: the reply must leave from it. A socket with one address knows.
    if (decodeAddress(name.view, 0)?.isWildcard === true) setReportsLocal(fd, family);
    return 0;
  }
  if (family !== AF_UNIX) setBeforeHandshake(fd, plan.tcp);
  const result = listen(fd, plan.tcp.backlog);
  if (result === 0 && family !== AF_UNIX) setOnListening(fd, plan.tcp);
  return result;
}

/** As {@link bindListener}, with a socket that somebody else has bound for us. Its options are for all who have it. */
export function useListener(plan: ListenerPlan, fd: Descriptor, name: Region): Descriptor | BindFailure {
  const flags = control(fd, F_GETFL, 0);
  let result = flags < 0 ? flags : control(fd, F_SETFL, flags | O_NONBLOCK);
  if (result >= 0) result = socketName(fd, name);
  if (result === 0) {
    if (plan.protocol === 'tcp') keepUrgentInline(fd);
    result = prepare(plan, fd, name, name.view.getUint16(0, true));
  }
  if (result === 0) return fd;
  close(fd);
  return failure(result, 'use the socket that is passed for', plan.bind);
}

/**
 * Whether somebody has the address of `plan`, asked without SO_REUSEPORT. The socket that asks never listens, so no
 * client can meet it. Undefined: it is free, or the bind itself will say what is wrong.
 */
export function addressInUse(plan: ListenerPlan, name: Region): BindFailure | undefined {
  const endpoint = encodeEndpoint(plan.bind);
  if (endpoint === undefined || endpoint.family === AF_UNIX) return undefined;
  const fd = newSocket(endpoint.family, plan.protocol === 'tcp' ? 'stream' : 'datagram');
  if (fd < 0) return undefined;
  if (plan.protocol === 'tcp') setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (endpoint.family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (plan.bind.kind === 'inet') bindToDevice(fd, plan.bind.device);
  name.bytes.set(endpoint.bytes);
  const result = bind(fd, name, endpoint.length);
  close(fd);
  return result === -EADDRINUSE ? failure(result, 'bind', plan.bind) : undefined;
}

function setDatagramOptions(fd: Descriptor, udp: ListenerPlan['udp']): void {
  setBuffers(fd, udp?.receiveBufferBytes ?? datagramBufferBytes, udp?.sendBufferBytes ?? datagramBufferBytes);
}

/** An IPv6 socket tells of IPv4 datagrams both ways: only the IPv4 form has the address to answer from (ip(7)). */
function setReportsLocal(fd: Descriptor, family: number): void {
  if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  setOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

/** Unlinks a socket file nobody listens on any more (left by a crash). True if it did. */
function removeStale(path: string, endpoint: Endpoint, name: Region): boolean {
  // connect(2) refuses an ordinary file just as a socket nobody serves.
  if (path.startsWith('@') || lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  const probe = newSocket(AF_UNIX, 'stream');
  if (probe < 0) return false;
  const result = connect(probe, name, endpoint.length);
  close(probe);
  return result === -ECONNREFUSED && removeSocketFile(path);
}

/** True if `path` is gone now. */
export function removeSocketFile(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

function failure(result: number, step: string, at: Bind): BindFailure {
  const where = at.kind === 'unix' ? at.path : `${at.ip} port ${at.port}`;
  return { code: errnoName(result), message: `${step} ${where}: ${errnoName(result)}` };
}

/** True if `result` says that this process or machine is out of descriptors or socket memory. */
export function isExhausted(result: number): boolean {
  return result === -EMFILE || result === -ENFILE || result === -ENOBUFS || result === -ENOMEM;
}

/** Likewise, or that there is no port left to leave from: a socket that is closed helps. */
export function lacksSocket(result: number): boolean {
  return isExhausted(result) || result === -EAGAIN || result === -EADDRNOTAVAIL || result === -EADDRINUSE;
}

/** What a negative errno of socket(2), connect(2) or SO_ERROR says about a dial. */
export function dialFailure(result: number, family: number): DialFailure {
  if (result === -ECONNREFUSED) return 'backend-refused';
  // Accepted, and reset before we looked; EPIPE: with an end before it.
  if (result === -ECONNRESET || result === -EPIPE) return 'backend-reset';
  // A unix socket nobody has made, or another kind of file: nobody serves there.
  if ((result === -ENOENT || result === -ENOTSOCK) && family === AF_UNIX) return 'backend-refused';
  if (result === -ETIMEDOUT) return 'backend-timeout';
  // A unix socket whose backlog is full; for TCP, connect(2) means our own routing cache or ports.
  if (result === -EAGAIN) return family === AF_UNIX ? 'backend-refused' : 'local-fault';
  return speaksOfPeer(errnoName(result)) ? 'backend-unreachable' : 'local-fault';
}
