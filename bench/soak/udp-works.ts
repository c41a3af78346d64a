/**
 * What the soak's UDP clients do. One datagram of a socket is under way at a time, so an answer can belong to no other;
 * an answer that never comes is a loss, a different one a defect.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { datagramBytesMax } from '../../src/core/limits.ts';
import { pattern } from './pattern.ts';
import { WrongPayload } from './streams.ts';

export class Lost extends Error {}

const lostAfterMs = 2_000;

export class DatagramClient {
  readonly #socket: Socket;
  readonly #port: number;
  #onAnswer: ((answer: Buffer) => void) | undefined;

  private constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
    socket.on('message', (answer) => this.#onAnswer?.(answer));
    socket.on('error', () => {});
  }

  static async open(port: number, from: string): Promise<DatagramClient> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024, sendBufferSize: 1024 * 1024 });
    socket.bind(0, from);
    await once(socket, 'listening');
    return new DatagramClient(socket, port);
  }

  /** One round trip of `bytes` bytes of the stream `seed`. After a loss the client is not to be used again. */
  ask(seed: number, bytes: number): Promise<void> {
    const message = pattern(seed, 0, bytes);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Lost(`no answer to ${bytes} bytes`)), lostAfterMs);
      this.#onAnswer = (answer) => {
        clearTimeout(timer);
        this.#onAnswer = undefined;
        if (answer.equals(message)) resolve();
        else reject(new WrongPayload(`sent ${bytes} bytes, got ${answer.length} others`));
      };
      this.#socket.send(message, this.#port, '127.0.0.1');
    });
  }

  /** Sends and does not wait. */
  tell(seed: number, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.send(pattern(seed, 0, bytes), this.#port, '127.0.0.1', () => resolve());
    });
  }

  close(): void {
    this.#socket.close();
  }
}

/** The sizes where something changes: none, one, an Ethernet frame's payload, a GSO segment's, the largest. */
const edges = [0, 1, 1_472, 1_473, 2_048, 8_972, 16_384, 65_506, datagramBytesMax];

export function someSize(random: () => number): number {
  const kind = random();
  if (kind < 0.3) return edges[Math.floor(random() * edges.length)]!;
  return Math.floor(random() * (kind < 0.9 ? 1_473 : datagramBytesMax + 1));
}

export interface Talking {
  readonly port: number;
  readonly from: string;
  readonly seed: number;
  readonly random: () => number;
  /** Called for each round trip. */
  readonly answered: () => void;
}

/** A few round trips of any size, then the client is gone. */
export async function conversation(to: Talking): Promise<void> {
  const client = await DatagramClient.open(to.port, to.from);
  try {
    for (let count = Math.ceil(to.random() * 8); count > 0; count--) {
      await client.ask(to.seed + count, someSize(to.random));
      to.answered();
    }
  } finally {
    client.close();
  }
}

/** Asks and vanishes: the answers find nobody (ICMP port unreachable). */
export async function vanishing(to: Talking): Promise<void> {
  const client = await DatagramClient.open(to.port, to.from);
  for (let count = 0; count < 3; count++) await client.tell(to.seed + count, someSize(to.random));
  client.close();
}

/**
 * Every size from 0 to the largest once, over and over, a round trip each, until `isOver`. `next` numbers the trips
 * of all lanes together; beyond the first 65,508 sizes are drawn instead.
 */
export async function sweep(to: Talking, next: () => number, isOver: () => boolean): Promise<void> {
  const client = await DatagramClient.open(to.port, to.from);
  try {
    while (!isOver()) {
      const trip = next();
      await client.ask(trip, trip <= datagramBytesMax ? trip : someSize(to.random));
      to.answered();
    }
  } finally {
    client.close();
  }
}
