/**
 * What the kernel holds for a TCP socket and its peer has not acknowledged. node:net cannot tell, Linux's /proc/net/tcp can
 * (proc-net-tcp.ts), so it is for rare questions, and one reading answers all that were asked before it began. Where there is no such
 * file, and for unix sockets, the answer is 0.
 *
 * A thread of its own reads it: with ten thousand connections that takes some tens of milliseconds, and read piece by piece in the
 * turns of a busy loop it took seconds, in which connections that had ended kept their places. The thread begins with the first
 * question, and ends when there was none for a while.
 */
import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Address } from '../../core/address.ts';
import { readQueuedBytes } from './proc-net-tcp.ts';
import { socketAddress } from './socket-address.ts';

interface Question {
  readonly keys: readonly string[];
  readonly answer: (queuedBytes: number) => void;
}

/** Tests run the sources, and a thread what was built of them. */
const reader = import.meta.url.endsWith('.ts')
  ? new URL('../../../dist/src/engine/portable/queue-reader.js', import.meta.url)
  : new URL('./queue-reader.js', import.meta.url);
const idleMsDefault = 10_000;

export class KernelQueues {
  readonly #entry: URL;
  readonly #idleMs: number;
  /** Not sent yet. */
  #questions: Question[] = [];
  /** Sent, and not answered yet. */
  #asked: readonly Question[] = [];
  #thread: Worker | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  /**
   * @param entry of the thread
   * @param idleMs so long it stays when nobody asks; nothing waits for it
   */
  constructor(entry = reader, idleMs = idleMsDefault) {
    this.#entry = entry;
    this.#idleMs = idleMs;
  }

  /** `answer` is called once, later: how much the kernel holds for these sockets together. */
  ask(sockets: readonly Socket[], answer: (queuedBytes: number) => void): void {
    this.#questions.push({ keys: sockets.flatMap(keyOf), answer });
    if (this.#asked.length === 0) this.#send();
  }

  #send(): void {
    this.#asked = this.#questions;
    this.#questions = [];
    clearTimeout(this.#idleTimer);
    try {
      this.#thread ??= this.#begin();
      this.#thread.postMessage(this.#askedKeys);
    } catch {
      this.#answerHere();
    }
  }

  get #askedKeys(): string[] {
    return this.#asked.flatMap(({ keys }) => keys);
  }

  #begin(): Worker {
    const thread = new Worker(this.#entry, { name: 'pinion-queues' });
    thread.on('message', (bytes: readonly number[]) => {
      // One that was given up may still answer.
      if (this.#thread === thread) this.#answered(bytes);
    });
    // A thread that cannot be had tells of an error, and ends.
    thread.on('error', () => {});
    thread.on('exit', () => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      if (this.#asked.length > 0) this.#answerHere();
    });
    // Behind the listeners: one that is added takes it back.
    thread.unref();
    return thread;
  }

  /** Everybody waits for it, but nothing is taken for delivered that is not. */
  #answerHere(): void {
    setImmediate(() => this.#answered(readQueuedBytes(this.#askedKeys)));
  }

  #answered(bytes: readonly number[]): void {
    const asked = this.#asked;
    this.#asked = [];
    if (this.#questions.length > 0) this.#send();
    else this.#rest();
    let next = 0;
    for (const { keys, answer } of asked) {
      let sum = 0;
      for (const end = next + keys.length; next < end; next++) sum += bytes[next]!;
      try {
        answer(sum);
      } catch (error) {
        // The others have their answers all the same.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Nobody asks any more. */
  close(): void {
    clearTimeout(this.#idleTimer);
    const thread = this.#thread;
    this.#thread = undefined;
    this.#asked = [];
    this.#questions = [];
    void thread?.terminate();
  }

  #rest(): void {
    this.#idleTimer = setTimeout(() => this.close(), this.#idleMs);
    this.#idleTimer.unref();
  }
}

function keyOf(socket: Socket): string[] {
  const own = socketAddress(socket.localAddress, socket.localPort);
  const peer = socketAddress(socket.remoteAddress, socket.remotePort);
  return own === undefined || peer === undefined ? [] : [`${endText(own)} ${endText(peer)}`];
}

/** Each word is written as a number of this machine, which is little-endian; the port is not. */
function endText({ family, w0, w1, w2, w3, port }: Address): string {
  const words = family === 4 ? [w3] : [w0, w1, w2, w3];
  return `${words.map(swappedHex).join('')}:${hex(port, 4)}`;
}

function swappedHex(word: number): string {
  return hex(((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24), 8);
}

function hex(value: number, digits: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(digits, '0');
}
