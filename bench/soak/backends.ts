/**
 * The soak's backends: a TCP server that does what the client's first line asks for, and a UDP server that echoes.
 *
 *    echo SEED BYTES       sends back all it gets, ends after the client
 *    upload SEED BYTES     reads to the client's end, then answers `whole` or what was wrong
 *    download SEED BYTES   sends the stream and ends
 *    end-first SEED BYTES  ends at once, then goes on reading to the client's end
 *    reset SEED BYTES      sends the stream and resets
 *    await-reset SEED 0    says `ready`, reads until the connection breaks
 *
 * What it saw of a connection whose client cannot be told is asked from `fates`.
 */
import type { Socket } from 'node:net';
import { confirmEnd } from '../../src/engine/portable/confirm-end.ts';
import { freePort } from '../../test/support/ports.ts';
import { type TestServer, tcpServer, udpServer } from '../../test/support/servers.ts';
import { expectWhole, readLine, readPattern, sendPattern } from './streams.ts';

/** `whole`, or how the connection ended for the backend; by seed, taken once. */
export class Fates {
  readonly #known = new Map<number, (fate: string) => void>();

  /** Asked for before the connection is made. */
  of(seed: number): Promise<string> {
    return new Promise((resolve) => this.#known.set(seed, resolve));
  }

  tell(seed: number, fate: string): void {
    this.#known.get(seed)?.(fate);
    this.#known.delete(seed);
  }

  forget(seed: number): void {
    this.#known.delete(seed);
  }
}

async function serve(socket: Socket, fates: Fates): Promise<void> {
  const { line, rest } = await readLine(socket);
  const [act, seedText, bytesText] = line.split(' ');
  const [seed, bytes] = [Number(seedText), Number(bytesText)];
  switch (act) {
    case 'echo':
      socket.write(rest);
      socket.pipe(socket);
      break;
    case 'download':
      socket.resume();
      await sendPattern(socket, seed, bytes);
      socket.end();
      break;
    case 'upload':
    case 'end-first': {
      if (act === 'end-first') socket.end();
      const reading = readPattern(socket, seed, rest);
      socket.resume();
      const fate = await expectWhole(reading, bytes).then(
        () => 'whole',
        (error: Error) => error.message,
      );
      fates.tell(seed, fate);
      if (act === 'upload') socket.end(`${fate}\n`);
      break;
    }
    case 'reset':
      await sendPattern(socket, seed, bytes);
      // The reset drops what the kernel still holds; that is what a crash does.
      socket.resetAndDestroy();
      break;
    case 'await-reset':
      socket.once('error', (error: NodeJS.ErrnoException) => fates.tell(seed, error.code ?? 'error'));
      socket.once('end', () => {
        fates.tell(seed, 'end');
        socket.end();
      });
      socket.once('close', () => fates.tell(seed, 'close'));
      socket.resume();
      socket.write('ready\n');
      break;
    default:
      socket.resetAndDestroy();
  }
}

/** On a port the kernel gives to no outgoing connection, so that one that died can come back to it. */
export async function streamBackend(name: string, fates: Fates): Promise<TestServer> {
  const begin = (socket: Socket): void => {
    confirmEnd(socket);
    serve(socket, fates).catch(() => socket.destroy());
  };
  return tcpServer(begin, { name, port: await freePort('tcp') });
}

export async function datagramBackend(name: string): Promise<TestServer> {
  return udpServer((message, _from, reply) => reply(message), { name, port: await freePort('udp') });
}
