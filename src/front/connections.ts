/**
 * Who is connected to an HTTP address, and who has to go when there are too many or one takes too long.
 *
 *                  request complete            answer made               kernel has it
 *       asking ------------------> answering ------------> taking -------------------> idle
 *         ^                                                  | another is queued         |
 *         +--------------------------------------------------+---------------------------+ request begins
 *
 * Connections that owe us a request (asking, idle) and connections we owe an answer (answering, taking) have places of
 * their own: half-open ones, however many and from wherever, never cost an answer, and slow readers never keep a
 * newcomer out. A newcomer is always let in; somebody goes for it once the loop has read everybody, so a request that
 * has arrived is answered first. How long `answering` takes is up to the page: only want of places ends it.
 *
 * Who is told what happens (streaming, from answering on) has places of its own, too: a few, which are never taken away, and who comes
 * when there are none is refused. One that does not take what it is told is cut by its stream.
 *
 * It does not promise a place to somebody who is slower than 128 newcomers from as many addresses.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import * as limits from '../core/limits.ts';
import { Connection, goesBefore, type Phase } from './connection.ts';

/** Why requests are refused and connections cut. */
const httpRefusals = [
  'malformed',
  'too-large',
  'foreign',
  'pipelined',
  'slow-request',
  'slow-reader',
  'untaken',
  'peer',
  'crowded',
  'full',
  'token',
  'streams',
  'failed',
] as const;
export type HttpRefusal = (typeof httpRefusals)[number];
export type HttpRefusalCounts = Readonly<Record<HttpRefusal, number>>;

const limitMs: Readonly<Record<Phase, number>> = {
  asking: limits.httpRequestMs,
  // Node ends these itself, a second after what it tells the client.
  idle: limits.httpIdleMs + 2_000,
  answering: Number.POSITIVE_INFINITY,
  taking: limits.httpTakenMs,
  streaming: Number.POSITIVE_INFINITY,
  leaving: limits.httpLeaveMs,
};

export class Connections {
  readonly #open = new Map<Socket, Connection>();
  readonly #perPeer = new Map<string, number>();
  readonly #counts = Object.fromEntries(httpRefusals.map((reason) => [reason, 0])) as {
    [reason in HttpRefusal]: number;
  };
  /** Each body once, with how many have not taken it yet. */
  readonly #untaken = new Map<Uint8Array, number>();
  #untakenBytes = 0;
  #owed = 0;
  #streams = 0;
  #numbers = 0;
  #isSettling = false;
  readonly #sweeper: NodeJS.Timeout;

  constructor() {
    // After a pause of the process timers come first: whoever's bytes have been waiting is read before it is judged.
    this.#sweeper = setInterval(() => setImmediate(() => this.#sweep()), limits.httpSweepMs).unref();
  }

  add(socket: Socket): void {
    const connection = new Connection(++this.#numbers, socket, performance.now());
    this.#open.set(socket, connection);
    const { peer } = connection;
    if (peer !== undefined) this.#perPeer.set(peer, this.#numberOf(peer) + 1);
    // Node takes its own listener away where a request turns the connection into something else.
    socket.on('error', () => {});
    socket.once('close', () => this.#remove(connection));
    this.#settle();
  }

  /** Undefined once the connection is cut. */
  find(socket: Socket): Connection | undefined {
    return this.#open.get(socket);
  }

  enter(connection: Connection, phase: Phase, body?: Uint8Array): void {
    if (!this.#open.has(connection.socket)) return;
    this.#leavePhase(connection);
    connection.enter(phase, performance.now());
    if (connection.isOwed) this.#owed += 1;
    if (phase === 'streaming') this.#streams += 1;
    if (body !== undefined) this.#hold(connection, body);
    this.#settle();
  }

  /** Whether there is a place for one more of this client's address that is told what happens. */
  mayStream({ peer }: Connection): boolean {
    if (this.#streams >= limits.streamsMax) return false;
    if (peer === undefined) return true;
    let ofPeer = 0;
    for (const one of this.#open.values()) if (one.phase === 'streaming' && one.peer === peer) ofPeer += 1;
    return ofPeer < limits.streamsPerPeerMax;
  }

  count(reason: HttpRefusal): void {
    this.#counts[reason] += 1;
  }

  counts(): HttpRefusalCounts {
    return { ...this.#counts };
  }

  /** At once, and with it what the kernel still holds for a slow reader. */
  cut(connection: Connection, reason: HttpRefusal): void {
    const { peer, socket } = connection;
    if (!this.#open.has(socket)) return;
    this.count(reason);
    this.#remove(connection);
    // libuv cannot reset what is being shut down, and Node would then forget to close it.
    if (peer === undefined || socket.writableEnded) socket.destroy();
    else socket.resetAndDestroy();
  }

  /** Says why where that is still possible: before anything of an answer was sent. */
  refuse(connection: Connection, status: number, reason: HttpRefusal): void {
    const { socket, phase } = connection;
    if (phase === 'leaving') return;
    if (!isWaiting(connection) || !socket.writable) {
      this.cut(connection, reason);
      return;
    }
    this.count(reason);
    this.enter(connection, 'leaving');
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
    socket.destroySoon();
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #remove(connection: Connection): void {
    if (!this.#open.delete(connection.socket)) return;
    this.#leavePhase(connection);
    const { peer } = connection;
    if (peer === undefined) return;
    const left = this.#numberOf(peer) - 1;
    if (left === 0) this.#perPeer.delete(peer);
    else this.#perPeer.set(peer, left);
  }

  #leavePhase(connection: Connection): void {
    if (connection.isOwed) this.#owed -= 1;
    if (connection.phase === 'streaming') this.#streams -= 1;
    const { body } = connection;
    if (body === undefined) return;
    connection.body = undefined;
    const readers = this.#untaken.get(body)! - 1;
    if (readers > 0) {
      this.#untaken.set(body, readers);
    } else {
      this.#untaken.delete(body);
      this.#untakenBytes -= body.byteLength;
    }
  }

  #hold(connection: Connection, body: Uint8Array): void {
    connection.body = body;
    const readers = this.#untaken.get(body) ?? 0;
    this.#untaken.set(body, readers + 1);
    if (readers === 0) this.#untakenBytes += body.byteLength;
    while (this.#untakenBytes > limits.httpUntakenBytesMax) {
      const first = this.#firstToGo((other) => other !== connection && other.body !== undefined);
      if (first === undefined) return;
      this.cut(first, 'untaken');
    }
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const connection of this.#open.values()) {
      if (connection.bytesInPhase > limits.httpRequestBytesMax) this.cut(connection, 'too-large');
      else if (nowMs - connection.sinceMs > limitMs[connection.phase]) this.#endLate(connection);
    }
  }

  #endLate(connection: Connection): void {
    const { phase, socket, bytesInPhase } = connection;
    if (phase === 'taking') this.cut(connection, 'slow-reader');
    else if (phase === 'asking' || (phase === 'idle' && bytesInPhase > 0)) {
      this.refuse(connection, 408, 'slow-request');
    } else socket.destroy();
  }

  /** Makes room where it is needed, once the loop has read every connection that is there now. */
  #settle(): void {
    if (this.#isSettling || !this.#isCrowded()) return;
    this.#isSettling = true;
    const newest = this.#numbers;
    // The second of them comes after a poll phase in any case.
    setImmediate(() => {
      setImmediate(() => {
        this.#isSettling = false;
        this.#makeRoom(newest);
        this.#settle();
      });
    });
  }

  #waiting(): number {
    return this.#open.size - this.#owed - this.#streams;
  }

  #isCrowded(): boolean {
    const waiting = this.#waiting();
    if (waiting > limits.httpWaitingMax || this.#owed > limits.httpAnsweringMax) return true;
    return this.#crowdingPeer() !== undefined;
  }

  #makeRoom(newest: number): void {
    const wasRead = ({ number }: Connection): boolean => number <= newest;
    for (let peer = this.#crowdingPeer(); peer !== undefined; peer = this.#crowdingPeer()) {
      const first = this.#firstToGo((connection) => connection.peer === peer && wasRead(connection));
      if (first === undefined) break;
      this.cut(first, 'peer');
    }
    while (this.#waiting() > limits.httpWaitingMax) {
      const first = this.#firstToGo((one) => isWaiting(one) && wasRead(one));
      if (first === undefined) break;
      this.cut(first, 'crowded');
    }
    while (this.#owed > limits.httpAnsweringMax) {
      const first = this.#firstToGo((connection) => connection.isOwed);
      if (first === undefined) break;
      this.cut(first, 'crowded');
    }
  }

  #firstToGo(isAsked: (connection: Connection) => boolean): Connection | undefined {
    let first: Connection | undefined;
    const nowMs = performance.now();
    const numberOf = (peer: string): number => this.#numberOf(peer);
    for (const connection of this.#open.values()) {
      if (!isAsked(connection)) continue;
      if (first === undefined || goesBefore(connection, first, nowMs, numberOf)) first = connection;
    }
    return first;
  }

  #numberOf(peer: string): number {
    return this.#perPeer.get(peer) ?? 0;
  }

  #crowdingPeer(): string | undefined {
    if (this.#open.size <= limits.httpPerPeerMax) return undefined;
    for (const [peer, number] of this.#perPeer) if (number > limits.httpPerPeerMax) return peer;
    return undefined;
  }
}

/** It owes us a request. */
function isWaiting({ isOwed, phase }: Connection): boolean {
  return !isOwed && phase !== 'streaming';
}
