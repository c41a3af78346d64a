/**
 * What the kernel holds for a TCP socket and its peer has not acknowledged. node:net cannot tell, Linux's /proc/net/tcp can: one
 * line for each socket of the network namespace, so it is for rare questions, and one reading answers all that were asked
 * before it began. Where there is no such file, and for unix sockets, the answer is 0.
 */
import { readFile } from 'node:fs';
import type { Socket } from 'node:net';
import type { Address } from '../../core/address.ts';
import { socketAddress } from './socket-address.ts';

interface Question {
  readonly keys: readonly string[];
  readonly answer: (queuedBytes: number) => void;
}

const files = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** As IPv6 writes an IPv4 address. */
const mappedPrefix = '0000000000000000FFFF0000';

export class KernelQueues {
  #questions: Question[] = [];
  #isReading = false;

  /** `answer` is called once, later: how much the kernel holds for these sockets together. */
  ask(sockets: readonly Socket[], answer: (queuedBytes: number) => void): void {
    this.#questions.push({ keys: sockets.flatMap(keyOf), answer });
    if (!this.#isReading) this.#read();
  }

  #read(): void {
    const questions = this.#questions;
    this.#questions = [];
    this.#isReading = true;
    const queued = new Map<string, number>();
    for (const { keys } of questions) for (const key of keys) queued.set(key, 0);
    let left = files.length;
    for (const file of files) {
      readFile(file, 'latin1', (error, text) => {
        if (error === null) readQueues(text, queued);
        if (--left > 0) return;
        this.#isReading = false;
        if (this.#questions.length > 0) this.#read();
        for (const { keys, answer } of questions) {
          answer(keys.reduce((sum, key) => sum + queued.get(key)!, 0));
        }
      });
    }
  }
}

/** Fills in the queues of those sockets of /proc/net/tcp's `text` that are keys of `queued`. */
export function readQueues(text: string, queued: Map<string, number>): void {
  // "  0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 ...": own end, peer, state, bytes to send : bytes to read.
  for (const line of text.split('\n')) {
    const [, own, peer, , queues] = line.trim().split(/\s+/, 5);
    if (own === undefined || peer === undefined || queues === undefined) continue;
    const key = `${unmapped(own)} ${unmapped(peer)}`;
    if (queued.has(key)) queued.set(key, Number.parseInt(queues, 16));
  }
}

function unmapped(end: string): string {
  return end.startsWith(mappedPrefix) ? end.slice(mappedPrefix.length) : end;
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
