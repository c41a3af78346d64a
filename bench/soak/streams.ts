/** Sends and checks patterned streams over a socket. A stream that breaks rejects with how it broke. */
import type { Socket } from 'node:net';
import { isPattern, pattern } from './pattern.ts';

/** What must never happen, whatever breaks: bytes that were not sent, or an orderly end that comes too early. */
export class WrongPayload extends Error {}

const writeBytes = 64 * 1024;

/** Writes the first `totalBytes` of the stream `seed`, as fast as the socket takes them. */
export function sendPattern(socket: Socket, seed: number, totalBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentBytes = 0;
    const onClose = (): void => reject(new Error(`closed after sending ${sentBytes} of ${totalBytes} bytes`));
    const pump = (): void => {
      while (sentBytes < totalBytes) {
        const part = pattern(seed, sentBytes, Math.min(writeBytes, totalBytes - sentBytes));
        sentBytes += part.length;
        if (!socket.write(part)) {
          socket.once('drain', pump);
          return;
        }
      }
      socket.off('close', onClose);
      resolve();
    };
    socket.once('close', onClose);
    pump();
  });
}

export interface Reading {
  receivedBytes: number;
  /** Resolves at the orderly end with the number of bytes, all of them right. */
  readonly ended: Promise<number>;
}

/** Compares what comes with the stream `seed` until the sender's end. `ahead` is what was read already. */
export function readPattern(socket: Socket, seed: number, ahead: Buffer = Buffer.alloc(0)): Reading {
  const reading = { receivedBytes: 0, ended: Promise.resolve(0) };
  reading.ended = new Promise((resolve, reject) => {
    const take = (bytes: Buffer): void => {
      if (!isPattern(seed, reading.receivedBytes, bytes))
        reject(new WrongPayload(`wrong bytes in ${bytes.length} after ${reading.receivedBytes}`));
      reading.receivedBytes += bytes.length;
    };
    take(ahead);
    socket.on('data', take);
    socket.once('error', reject);
    socket.once('end', () => resolve(reading.receivedBytes));
    socket.once('close', () => reject(new Error(`closed after ${reading.receivedBytes} bytes`)));
  });
  reading.ended.catch(() => {}); // whoever awaits it hears of it
  return reading;
}

/** Rejects unless the stream ended after exactly `totalBytes`. */
export async function expectWhole(reading: Reading, totalBytes: number): Promise<void> {
  const bytes = await reading.ended;
  if (bytes !== totalBytes) throw new WrongPayload(`an orderly end after ${bytes} of ${totalBytes} bytes`);
}

/** The first line that comes, and what came behind it. */
export function readLine(socket: Socket): Promise<{ readonly line: string; readonly rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let read: Buffer = Buffer.alloc(0);
    const onEnd = (): void => reject(new Error('ended before a line'));
    const take = (bytes: Buffer): void => {
      read = Buffer.concat([read, bytes]);
      const at = read.indexOf(10);
      if (at < 0) return;
      socket.off('data', take).off('error', reject).off('end', onEnd).off('close', onEnd).pause();
      resolve({ line: read.toString('latin1', 0, at), rest: read.subarray(at + 1) });
    };
    socket.on('data', take).once('error', reject).once('end', onEnd).once('close', onEnd);
  });
}
