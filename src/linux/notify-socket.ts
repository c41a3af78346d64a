/**
 * One datagram to a service manager, as sd_notify(3) sends it: to the unix socket that `NOTIFY_SOCKET` names, a path or, with a
 * leading `@`, a name of the abstract namespace. Node has no unix datagram sockets.
 *
 * A socket for each datagram: they are few, and the manager may make its end anew (systemctl daemon-reexec).
 */
import { Arena } from './arena.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from './constants.ts';
import { encodeEndpoint } from './endpoint.ts';
import { EINVAL } from './errno.ts';
import { close, connect, send, socket } from './libc.ts';

/** systemd reads no more of one (NOTIFY_BUFFER_MAX is PIPE_BUF). */
const textBytesMax = 4_096;
const nameBytesMax = 112;

const arena = new Arena(textBytesMax + 2 * nameBytesMax);
const textMemory = arena.cut(textBytesMax);
const nameMemory = arena.cut(nameBytesMax);
const encoder = new TextEncoder();

/**
 * Never waits.
 * @param path as `NOTIFY_SOCKET` has it
 * @param text what does not fit into 4096 bytes is left out
 * @returns bytes sent, or a negative errno: EAGAIN where the manager has not read what was sent before
 */
export function sendToManager(path: string, text: string): number {
  const endpoint = encodeEndpoint({ kind: 'unix', path });
  if (endpoint === undefined) return -EINVAL;
  const { written } = encoder.encodeInto(text, textMemory.bytes);
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return fd;
  nameMemory.bytes.set(endpoint.bytes);
  const connected = connect(fd, nameMemory, endpoint.length);
  const result = connected < 0 ? connected : send(fd, textMemory, 0, written);
  close(fd);
  return result;
}
