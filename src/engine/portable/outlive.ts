/**
 * Node destroys a socket when a read or a write of it fails, and what it had received is lost. But a server that
 * answers early and closes makes our write fail while its answer waits to be read, and what was read before a reset is still
 * on its way to the other side. Here the flow is told instead, and destroys the socket when all was passed on.
 */
import type { Socket } from 'node:net';
import type { EndsInTurn } from './ends-in-turn.ts';

interface Inner {
  /** Node marks the readable half as failed too; as long as it is, it tells of no end. No public call takes that back. */
  readonly _readableState?: { errored: Error | null };
}

/**
 * @param broke told of the first and of each further failure. Returns false: destroy it all the same
 * @param ends when it is told of a read that failed, which is the end of what the peer says; undefined: at once
 */
export function outliveFailure(
  socket: Socket,
  broke: (error: NodeJS.ErrnoException) => boolean,
  ends?: EndsInTurn,
): void {
  const destroy = socket.destroy.bind(socket);
  const outlive = (error: NodeJS.ErrnoException): void => {
    if (socket.destroyed || !broke(error)) {
      destroy(error);
      return;
    }
    const { _readableState: readable } = socket as unknown as Inner;
    if (readable !== undefined) readable.errored = null;
  };
  socket.destroy = (error?: Error) => {
    const failure = error as NodeJS.ErrnoException | undefined;
    const isRead = failure?.syscall === 'read';
    if (socket.destroyed || !(isRead || failure?.syscall === 'write')) return destroy(error);
    if (isRead && ends !== undefined) ends.add(() => outlive(failure));
    else outlive(failure);
    return socket;
  };
}
