/** What the epoll engine's sockets may do on this machine: see engine/machine-means.ts. */
import type { Bind, Protocol } from '../../core/plan.ts';
import { Arena } from '../../linux/arena.ts';
import {
  AF_INET,
  AF_INET6,
  IP_TRANSPARENT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TRANSPARENT,
  IPV6_V6ONLY,
  SO_MARK,
  SOL_SOCKET,
} from '../../linux/constants.ts';
import { encodeEndpoint } from '../../linux/endpoint.ts';
import { EACCES, EADDRINUSE, EINVAL, errnoName } from '../../linux/errno.ts';
import { bind, close, type Descriptor, setOption } from '../../linux/libc.ts';
import { inet6Bytes } from '../../wire/sockaddr.ts';
import type { MachineMeans } from '../machine-means.ts';
import { bindToDevice } from './socket-options.ts';
import { newSocket } from './sockets.ts';

export const epollMeans: MachineMeans = {
  triesAllSources: true,
  transparent: () =>
    onSocket('stream', (fd, family) =>
      family === AF_INET
        ? setOption(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
        : setOption(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1),
    ),
  mark: (mark) => onSocket('stream', (fd) => setOption(fd, SOL_SOCKET, SO_MARK, mark)),
  device: (name) => onSocket('stream', (fd) => bindToDevice(fd, name)),
  source: (ip, device) =>
    bindOnce('tcp', { kind: 'inet', ip, port: 0, ...(device === undefined ? {} : { device }) }),
  bind: bindOnce,
};

/** Binds, never listens, closes. */
function bindOnce(protocol: Protocol, at: Extract<Bind, { kind: 'inet' }>): string | undefined {
  const endpoint = encodeEndpoint(at);
  if (endpoint === undefined) return errnoName(EINVAL);
  const name = new Arena(inet6Bytes).cut(inet6Bytes);
  name.bytes.set(endpoint.bytes);
  const kind = protocol === 'tcp' ? 'stream' : 'datagram';
  return onSocket(
    kind,
    (fd) => {
      if (endpoint.family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
      // First, as it decides which addresses there are: link-local ones, and those of its VRF.
      const hasDevice = bindToDevice(fd, at.device) >= 0;
      const result = bind(fd, name, endpoint.length);
      // Whoever may not bind it hears that first. Without its device, whether the address is there cannot be told; the right to the port can.
      if (!hasDevice) return result === -EACCES ? result : 0;
      return result === -EADDRINUSE ? 0 : result;
    },
    [endpoint.family],
  );
}

/** @param families the first that this machine has is used */
function onSocket(
  kind: 'stream' | 'datagram',
  ask: (fd: Descriptor, family: number) => number,
  families: readonly number[] = [AF_INET, AF_INET6],
): string | undefined {
  let result = 0;
  for (const family of families) {
    const fd = newSocket(family, kind);
    result = fd;
    if (fd < 0) continue;
    result = ask(fd, family);
    close(fd);
    break;
  }
  return result < 0 ? errnoName(result) : undefined;
}
