/**
 * Node destroys a socket when a read or a write of it fails, and what it had received is lost. But a server that
 * answers early and closes makes our write fail while its answer waits to be read, and what was read before a reset is still
 * on its way to the other side. Here the flow is told instead, and destroys the socket when all was passed on.
 */
import type { Socket } from 'node:net';

interface Inner {
  /** Node marks the readable half as failed too; as long as it is, it tells of no end. No public call takes that back. */
  readonly _readableState?: { errored: Error | null };
}

/**
 * @param broke told of the first and of each further failure
 * @returns false: destroy it all the same
 */
export function outliveFailure(socket: Socket, broke: (error: NodeJS.ErrnoException) => boolean): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error?: Error) => {
    const { syscall } = (error ?? {}) as NodeJS.ErrnoException;
    const isFailure = syscall === 'read' || syscall === 'write';
    if (!isFailure || socket.destroyed || !broke(error as NodeJS.ErrnoException)) return destroy(error);
    const { _readableState: readable } = socket as unknown as Inner;
    if (readable !== undefined) readable.errored = null;
    return socket;
  };
}
