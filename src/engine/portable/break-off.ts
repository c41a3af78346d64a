/**
 * Closing a socket so that its peer cannot take it for an orderly end.
 */
import type { Socket } from 'node:net';

/**
 * Sends a reset and frees the descriptor before it returns. Where no reset is possible it closes: a unix socket
 * has none, and libuv refuses one while its shutdown(2) is under way (uv_tcp_close_reset gives EINVAL and keeps the
 * descriptor). In that moment all bytes and the end are with the kernel already, so nothing is cut short.
 */
export function breakOff(socket: Socket): void {
  if (socket.destroyed) return;
  const isShuttingDown = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isShuttingDown || socket.connecting) {
    socket.destroy();
    return;
  }
  try {
    socket.resetAndDestroy();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_INVALID_HANDLE_TYPE') throw error;
    socket.destroy();
  }
}
