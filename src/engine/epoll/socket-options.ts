/**
 * The options of the engine's sockets that a user may set, and when each has to be set to count. What the plan
 * does not name is left to the kernel and costs no call.
 */
import { upstreamReceiveBufferBytes } from '../../core/limits.ts';
import type { ListenerPlan } from '../../core/plan.ts';
import {
  IPPROTO_TCP,
  SO_BINDTODEVICE,
  SO_KEEPALIVE,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
  TCP_FASTOPEN,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
  TCP_USER_TIMEOUT,
} from '../../linux/constants.ts';
import { EPERM } from '../../linux/errno.ts';
import { type Descriptor, setOption, setOptionText } from '../../linux/libc.ts';

type TcpOptions = ListenerPlan['tcp'];

/** Keepalive on a connection, or on a listening socket, whose connections inherit it. */
export function setKeepAlive(fd: Descriptor, tcp: TcpOptions): void {
  const { keepAliveMs, keepAliveIntervalMs, keepAliveProbes } = tcp;
  if (keepAliveMs <= 0) return;
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, wholeSeconds(keepAliveMs));
  if (keepAliveIntervalMs !== undefined)
    setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, wholeSeconds(keepAliveIntervalMs));
  if (keepAliveProbes !== undefined) setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, keepAliveProbes);
}

function wholeSeconds(durationMs: number): number {
  return Math.max(1, Math.round(durationMs / 1000));
}

/**
 * Before listen(2) or connect(2): the window scale is agreed on in the handshake and follows the receive buffer
 * (tcp(7)). Connections inherit all of it from their listening socket.
 */
export function setBeforeHandshake(fd: Descriptor, tcp: TcpOptions): void {
  setBuffers(fd, tcp.receiveBufferBytes, tcp.sendBufferBytes);
  if (tcp.userTimeoutMs !== undefined) setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, tcp.userTimeoutMs);
}

/** On a TCP socket that listens already; what connections inherit. */
export function setOnListening(fd: Descriptor, tcp: TcpOptions): void {
  if (tcp.noDelay) setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setKeepAlive(fd, tcp);
  // Without bit 2 of net.ipv4.tcp_fastopen the queue stays unused.
  if (tcp.fastOpenQueue !== undefined) setOption(fd, IPPROTO_TCP, TCP_FASTOPEN, tcp.fastOpenQueue);
}

/** Of a UDP socket towards a backend, which one client has. */
export function setUpstreamBuffers(fd: Descriptor, udp: ListenerPlan['udp']): void {
  const receiveBytes = udp?.backendReceiveBufferBytes ?? upstreamReceiveBufferBytes;
  setBuffers(fd, receiveBytes, udp?.backendSendBufferBytes);
}

/** Not one setsockopt in vain for each UDP conversation. A process does not gain the capability later. */
let mayForce = true;

/** Buffers of at least these sizes, or what the kernel allows; undefined leaves one as it is. */
export function setBuffers(
  fd: Descriptor,
  receiveBytes: number | undefined,
  sendBytes: number | undefined,
): void {
  // The forced forms exceed net.core.rmem_max but need CAP_NET_ADMIN; without it, as much as is allowed.
  if (receiveBytes !== undefined) setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receiveBytes);
  if (sendBytes !== undefined) setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, sendBytes);
}

function setBuffer(fd: Descriptor, forced: number, plain: number, bytes: number): void {
  if (mayForce) {
    const result = setOption(fd, SOL_SOCKET, forced, bytes);
    if (result === 0) return;
    mayForce = result !== -EPERM;
  }
  setOption(fd, SOL_SOCKET, plain, bytes);
}

/** Only what comes and goes through `device`; undefined: any. 0 or a negative errno (no such device). */
export function bindToDevice(fd: Descriptor, device: string | undefined): number {
  return device === undefined ? 0 : setOptionText(fd, SOL_SOCKET, SO_BINDTODEVICE, device);
}
