/**
 * libuv before 1.52 reports an end of stream, without asking the kernel, when a hang-up comes together with the
 * last bytes; a reset behind unread data then looks like an orderly end (libuv pull request 4997). A relay that
 * believes it passes a stream that was cut short as a complete one. So an end is believed when it was read twice:
 * the second read finds 0 bytes, or ECONNRESET.
 */
import type { Socket } from 'node:net';
import type { EndsInTurn } from './ends-in-turn.ts';

interface Inner {
  /** Node's handle. No public call starts reading again after an end; without the handle the end is believed. */
  readonly _handle: { readStart?(): number } | null | undefined;
}

/**
 * Makes `socket` emit 'error' instead of 'end' where the kernel holds a reset. Call it before the first read.
 * @param ends when the second read begins; undefined: at once
 */
export function confirmEnd(socket: Socket, ends?: EndsInTurn): void {
  const push = socket.push.bind(socket);
  let isDoubted = false;
  let isTold = false;
  const readAgain = (): void => {
    // Whoever went on reading meanwhile has read twice.
    if (isTold || socket.destroyed) return;
    const failed = (socket as unknown as Inner)._handle?.readStart?.() ?? -1;
    if (failed !== 0) push(null);
  };
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk !== null) return push(chunk, encoding);
    if (isDoubted) {
      isTold = true;
      return push(null);
    }
    isDoubted = true;
    if (ends === undefined) readAgain();
    else ends.add(readAgain);
    return true;
  };
}
