/**
 * A long stream of bytes that never repeats a block, sent as fast as the other side takes it and checked by its
 * digest: what arrived is what was sent, whole and in order.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';

const blockBytes = 64 * 1024;

export interface Sending {
  /** Bytes given to the socket so far, its own queue included. */
  sentBytes: number;
  /** Resolves with the digest when all is written and the end is sent; rejects when the connection breaks. */
  readonly done: Promise<string>;
}

/** Sends `totalBytes` and then the end. */
export function sendStream(socket: Socket, totalBytes: number): Sending {
  const hash = createHash('sha1');
  let failure: Error | undefined;
  let goOn = (): void => {};
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('close', () => goOn());
  socket.on('drain', () => goOn());
  const sending = { sentBytes: 0, done: Promise.resolve('') };
  const send = async (): Promise<string> => {
    while (sending.sentBytes < totalBytes) {
      if (failure !== undefined) throw failure;
      const block = Buffer.alloc(
        Math.min(blockBytes, totalBytes - sending.sentBytes),
        sending.sentBytes & 0xff,
      );
      block.writeDoubleLE(sending.sentBytes, 0);
      hash.update(block);
      sending.sentBytes += block.length;
      if (!socket.write(block)) {
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
      }
      if (socket.destroyed) throw failure ?? new Error(`closed after ${sending.sentBytes} bytes`);
    }
    socket.end();
    return hash.digest('hex');
  };
  sending.done = send();
  sending.done.catch(() => {}); // whoever awaits it hears of it
  return sending;
}

export interface Receiving {
  receivedBytes: number;
  /** Resolves with the digest at the sender's end; rejects when the connection breaks. */
  readonly done: Promise<string>;
}

/** Takes what comes until the end. The socket is left as it is, paused or flowing. */
export function receiveStream(socket: Socket): Receiving {
  const hash = createHash('sha1');
  const receiving = { receivedBytes: 0, done: Promise.resolve('') };
  const wasPaused = socket.isPaused();
  socket.on('data', (bytes: Buffer) => {
    receiving.receivedBytes += bytes.length;
    hash.update(bytes);
  });
  if (wasPaused) socket.pause();
  receiving.done = new Promise((resolve, reject) => {
    socket.once('end', () => resolve(hash.digest('hex')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`closed after ${receiving.receivedBytes} bytes`)));
  });
  receiving.done.catch(() => {});
  return receiving;
}
