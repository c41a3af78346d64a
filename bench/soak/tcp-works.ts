/**
 * What the soak's TCP clients do, one connection a call. Each resolves when everything was as it must be and
 * rejects otherwise: a WrongPayload is a defect whatever the circumstances, another error only where nothing was broken
 * on purpose.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { confirmEnd } from '../../src/engine/portable/confirm-end.ts';
import type { Fates } from './backends.ts';
import { isPattern, pattern } from './pattern.ts';
import { expectWhole, readLine, readPattern, sendPattern, WrongPayload } from './streams.ts';

export interface Connecting {
  readonly port: number;
  readonly from: string;
  /** Different for each connection. */
  readonly seed: number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly fates: Fates;
  /** Called with the socket, so that it can be destroyed when it takes too long. */
  readonly opened: (socket: Socket) => void;
}

async function open(to: Connecting, act: string, bytes: number): Promise<Socket> {
  const socket = connect({
    port: to.port,
    host: '127.0.0.1',
    localAddress: to.from,
    allowHalfOpen: true,
    noDelay: true,
  });
  confirmEnd(socket);
  to.opened(socket);
  socket.on('error', () => {}); // the readers below hear of it themselves
  await once(socket, 'connect');
  socket.write(`${act} ${to.seed} ${bytes}\n`);
  return socket;
}

async function bye(socket: Socket): Promise<void> {
  if (!socket.writableEnded) socket.end();
  socket.resume();
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

/** Between 1 and `most`, small ones as likely as large ones. */
function someBytes({ random }: Connecting, most: number): number {
  return Math.max(1, Math.floor(most ** random()));
}

/** Connects, sends a little and its end, reads the verdict: also a half-close by the client. */
export async function shortConnection(to: Connecting): Promise<void> {
  await uploadOf(to, someBytes(to, 8_192));
}

async function uploadOf(to: Connecting, bytes: number): Promise<void> {
  const socket = await open(to, 'upload', bytes);
  const verdict = readLine(socket);
  verdict.catch(() => {});
  await sendPattern(socket, to.seed, bytes);
  socket.end();
  const { line } = await verdict;
  if (line !== 'whole') throw new WrongPayload(`the backend says: ${line}`);
  await bye(socket);
}

/** Asks, waits for the answer, asks again. */
export async function keepAlive(to: Connecting): Promise<void> {
  const socket = await open(to, 'echo', 0);
  let [at, came, awaited] = [0, 0, 0];
  await new Promise<void>((resolve, reject) => {
    const ask = (): void => {
      if (at > 40_000) return resolve();
      awaited = someBytes(to, 4_096);
      socket.write(pattern(to.seed, at, awaited));
    };
    socket.on('data', (bytes) => {
      if (!isPattern(to.seed, at + came, bytes)) reject(new WrongPayload('a wrong answer'));
      came += bytes.length;
      if (came < awaited) return;
      at += came;
      came = 0;
      ask();
    });
    socket.once('end', () => reject(new WrongPayload('an orderly end in between')));
    socket.once('close', () => reject(new Error('closed in between')));
    ask();
  });
  await bye(socket);
}

/** Much in both directions at once. */
export async function echo(to: Connecting): Promise<void> {
  const bytes = someBytes(to, 8_000_000);
  const socket = await open(to, 'echo', bytes);
  const reading = readPattern(socket, to.seed);
  await sendPattern(socket, to.seed, bytes);
  socket.end();
  await expectWhole(reading, bytes);
  await bye(socket);
}

export async function upload(to: Connecting): Promise<void> {
  await uploadOf(to, someBytes(to, 16_000_000));
}

export async function download(to: Connecting): Promise<void> {
  const bytes = someBytes(to, 16_000_000);
  const socket = await open(to, 'download', bytes);
  await expectWhole(readPattern(socket, to.seed), bytes);
  await bye(socket);
}

/** Reads a little, rests, reads on: more than the kernel's buffers hold waits at the backend. */
export async function slowReader(to: Connecting): Promise<void> {
  const bytes = 4_000_000 + someBytes(to, 12_000_000);
  const socket = await open(to, 'download', bytes);
  const reading = readPattern(socket, to.seed);
  for (let pause = 0; pause < 6; pause++) {
    socket.pause();
    await sleep(100 + 200 * to.random());
    socket.resume();
    await sleep(1);
  }
  await expectWhole(reading, bytes);
  await bye(socket);
}

/** The backend ends at once; the client goes on sending. */
export async function backendEndsFirst(to: Connecting): Promise<void> {
  const bytes = someBytes(to, 500_000);
  const fate = to.fates.of(to.seed);
  const socket = await open(to, 'end-first', bytes);
  await expectWhole(readPattern(socket, to.seed), 0);
  await sendPattern(socket, to.seed, bytes);
  await bye(socket);
  const seen = await fate;
  if (seen !== 'whole') throw new WrongPayload(`after its end the backend saw: ${seen}`);
}

/** A backend's reset reaches the client as one, never as an orderly end. */
export async function backendResets(to: Connecting): Promise<void> {
  const bytes = someBytes(to, 2_000_000);
  const socket = await open(to, 'reset', bytes);
  const outcome = await readPattern(socket, to.seed).ended.then(
    (came) => new WrongPayload(`an orderly end after ${came} of ${bytes} bytes and a reset`),
    (error: NodeJS.ErrnoException) => error,
  );
  if (outcome instanceof WrongPayload) throw outcome;
  if ((outcome as NodeJS.ErrnoException).code !== 'ECONNRESET') throw outcome;
}

/** A client's reset reaches the backend as one. */
export async function clientResets(to: Connecting): Promise<void> {
  const fate = to.fates.of(to.seed);
  const socket = await open(to, 'await-reset', 0);
  await readLine(socket);
  socket.write(pattern(to.seed, 0, someBytes(to, 100_000)));
  if (to.random() < 0.5) await sleep(1);
  socket.resetAndDestroy();
  const seen = await fate;
  if (seen !== 'ECONNRESET') throw new WrongPayload(`the client reset, but the backend saw: ${seen}`);
}

/** A crowd connects and resets at once, before or after it was accepted. */
export async function resetStorm(to: Connecting): Promise<void> {
  const crowd = Array.from({ length: 200 }, () => {
    const socket = connect({ port: to.port, host: '127.0.0.1', localAddress: to.from });
    socket.once('connect', () => socket.resetAndDestroy());
    socket.on('error', () => {});
    return new Promise<void>((resolve) => socket.once('close', () => resolve()));
  });
  await Promise.all(crowd);
}

/** Its backend answers no SYN. The client leaves, or waits until it is turned away. */
export async function neverConnected(to: Connecting): Promise<void> {
  const socket = await open(to, 'upload', 0).catch((error: NodeJS.ErrnoException) => {
    // Turned away before Node told that the handshake was done.
    if (error.code === 'ECONNRESET') return undefined;
    throw error;
  });
  if (socket === undefined) return;
  const isOver = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.once('data', (bytes) => socket.destroy(new WrongPayload(`${bytes.length} bytes from nobody`)));
  if (to.random() < 0.5) {
    await sleep(50);
    socket.resetAndDestroy();
  }
  await isOver;
  if (socket.errored instanceof WrongPayload) throw socket.errored;
}
