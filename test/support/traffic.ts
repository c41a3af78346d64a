/**
 * Clients that never rest: TCP streams and UDP conversations that ask, check the answer and ask again, each from an
 * address of its own, so that a fault of the balancer meets traffic and what it cost is known client by client.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { confirmEnd } from '../../src/engine/portable/confirm-end.ts';

export interface TrafficClient {
  /** As pinion names it: address and port. */
  readonly name: string;
  readonly answers: number;
  /** Answers that were not what was asked. */
  readonly wrong: number;
  /** Undefined while it goes on; `end`, or an errno name: ECONNRESET for a reset. */
  readonly outcome: string | undefined;
  /** Ends it in order; resolves when it is gone. */
  leave(): Promise<void>;
}

/** The message number `count` of a client: no two are alike. */
function messageOf(name: string, count: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `${name} ${count};`);
}

/** Sends `bytes` to an echoing backend, waits for all of them to come back, sends the next. */
export async function askOverTcp(port: number, from: string, bytes: number): Promise<TrafficClient> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true, noDelay: true });
  confirmEnd(socket);
  let message: Buffer = Buffer.alloc(0);
  let cameBytes = 0;
  const client = {
    name: '',
    answers: 0,
    wrong: 0,
    outcome: undefined as string | undefined,
    leave: async (): Promise<void> => {
      socket.removeAllListeners('data').resume().end();
      if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    },
  };
  const ask = (): void => {
    message = messageOf(client.name, client.answers, bytes);
    cameBytes = 0;
    socket.write(message);
  };
  socket.on('data', (part) => {
    if (!part.equals(message.subarray(cameBytes, cameBytes + part.length))) client.wrong++;
    cameBytes += part.length;
    if (cameBytes < bytes) return;
    client.answers++;
    ask();
  });
  socket.once('end', () => {
    client.outcome ??= 'end';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    client.outcome ??= error.code ?? error.message;
  });
  await once(socket, 'connect');
  client.name = `${from}:${socket.localPort}`;
  ask();
  return client;
}

/**
 * Sends a datagram to an echoing backend, waits for it to come back, sends the next; after `askAgainMs` of silence it
 * sends the next all the same, as clients over UDP do, and waits twice as long then: a busy machine answers later than that.
 */
export async function askOverUdp(
  port: number,
  from: string,
  bytes: number,
  askAgainMs = 200,
): Promise<TrafficClient> {
  const socket = createSocket('udp4');
  socket.bind(0, from);
  await once(socket, 'listening');
  let asked = 0;
  let patienceMs = askAgainMs;
  let timer: NodeJS.Timeout | undefined;
  const client = {
    name: `${from}:${socket.address().port}`,
    answers: 0,
    wrong: 0,
    outcome: undefined as string | undefined,
    leave: async (): Promise<void> => {
      clearTimeout(timer);
      socket.removeAllListeners('message').close();
      await once(socket, 'close');
    },
  };
  const ask = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      patienceMs = Math.min(2 * patienceMs, 5_000);
      ask();
    }, patienceMs);
    socket.send(messageOf(client.name, ++asked, bytes), port, '127.0.0.1');
  };
  socket.on('message', (answer) => {
    const number = Number(/ (\d+);/.exec(answer.toString('latin1', 0, 64))?.[1]);
    const isOurs = number <= asked && answer.equals(messageOf(client.name, number, bytes));
    // One asked before the silence may still come: it is late, not wrong.
    if (isOurs && number < asked) return;
    patienceMs = askAgainMs;
    if (isOurs) client.answers++;
    else client.wrong++;
    ask();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    client.outcome ??= error.code ?? error.message;
  });
  ask();
  return client;
}
