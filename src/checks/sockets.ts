/** Connections of checks: from the source the pool has, and gone when the check is over. */
import { connect, type Socket } from 'node:net';
import type { CheckWay } from './dialect.ts';

/**
 * Begins to connect. When `signal` aborts the socket is destroyed. Errors are the caller's to hear; those after the check do nothing.
 */
export function connectTo({ target, source, signal }: CheckWay): Socket {
  const socket =
    target.kind === 'unix'
      ? connect(target.path)
      : connect({
          host: target.ip,
          port: target.port,
          ...(source === undefined ? {} : { localAddress: source }),
        });
  const destroy = (): void => void socket.destroy();
  if (signal.aborted) destroy();
  else signal.addEventListener('abort', destroy);
  socket.on('error', () => {});
  socket.once('close', () => signal.removeEventListener('abort', destroy));
  return socket;
}
