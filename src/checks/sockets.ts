/** Connections of checks: from the source the pool has, and gone when the check is over. */
import { connect, type Socket } from 'node:net';
import type { Bind } from '../core/plan.ts';
import { isSelfConnection } from '../core/self-connection.ts';
import type { CheckWay } from './dialect.ts';

/**
 * Ends a connection at once and for good. An end that is said leaves a socket of ours in TIME-WAIT for a minute (RFC 9293, 3.6.1):
 * sixty for each backend that is asked each second, with their ports. HAProxy and keepalived end their checks like that as well.
 */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  // A unix socket has no such state; and one that has said its end, after the other side or before, cannot be reset any more.
  if (socket.localAddress === undefined || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Whether a connection that has been made is one with itself. */
export function leadsToItself(socket: Socket, target: Bind): boolean {
  // The address of the other end is one system call more.
  return target.kind === 'inet' && socket.localPort === target.port && isSelfConnection(socket);
}

/**
 * Begins to connect, and says the greeting, if there is one. When `signal` aborts the socket is destroyed. Errors are the caller's to hear; those after the check do nothing.
 */
export function connectTo({ target, source, signal, greeting }: CheckWay): Socket {
  const socket =
    target.kind === 'unix'
      ? connect(target.path)
      : connect({
          host: target.ip,
          port: target.port,
          ...(source === undefined ? {} : { localAddress: source }),
        });
  // Goes out as soon as the connection is made, before anybody hears of it.
  if (greeting !== undefined) socket.write(greeting);
  const destroy = (): void => void socket.destroy();
  if (signal.aborted) destroy();
  else signal.addEventListener('abort', destroy);
  socket.on('error', () => {});
  socket.once('close', () => signal.removeEventListener('abort', destroy));
  return socket;
}
