/** Connections of checks: from the source the pool has, and gone when the check is over. */
import { connect, type Socket } from 'node:net';
import type { Bind } from '../core/plan.ts';

/**
 * Begins to connect. When `signal` aborts the socket is destroyed. Errors are the caller's to hear; those after the check do nothing.
 * @param source the address of this machine to connect from; undefined: the kernel chooses
 */
export function connectTo(target: Bind, source: string | undefined, signal: AbortSignal): Socket {
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
