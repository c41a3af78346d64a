/**
 * Many clients that stay: each opens one TCP connection, or has one UDP socket, from an address of its own, and asks
 * once in every interval for as long as it is held. Not a closed loop: the times to ask are fixed, evenly spread over
 * the clients, so a slow answer delays nobody else's question.
 *
 * When every client has had its first answer it writes `opened`, and goes on asking. The measured part begins once
 * `goFile` exists, so that several generators begin together; after its end the clients stay, silent, for `stayMs`. An
 * answer that is wrong, late by more than
 * `lostAfterMs`, or an ended connection is a failure.
 */
import { existsSync, writeSync } from 'node:fs';
import { clientAddresses } from '../../test/support/clients.ts';
import {
  connectTcp,
  connectUdp,
  EPOLLIN,
  EPOLLOUT,
  Memory,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  Poller,
  receive,
  send,
  socketAddress,
} from './libc.ts';
import { type LoadSettings, Phases, readSettings } from './phases.ts';

interface HoldSettings extends LoadSettings {
  readonly transport: 'tcp' | 'udp';
  /** Clients take them in turn. */
  readonly ports: readonly number[];
  readonly clients: number;
  readonly intervalMs: number;
  readonly goFile: string;
  readonly stayMs: number;
}

const messageBytes = 64;
const lostAfterMs = 5_000;
/** Clients that wait for their first answer at once. */
const openingMost = 128;
const openWithinMs = 60_000;

const settings = readSettings<HoldSettings>();
const { transport, clients, intervalMs } = settings;
const targets = settings.ports.map((port) => socketAddress(settings.host, port));
const sources = clientAddresses(clients);
const poller = new Poller(512);
const descriptors = new Int32Array(clients).fill(-1);
/** The number of the question it waits for, 0 when it has its answer. */
const awaited = new Uint32Array(clients);
const sentAt = new Float64Array(clients);
const cameBytes = new Uint32Array(clients);
const hasAnswered = new Uint8Array(clients);
const outgoing = new Memory(messageBytes);
const incoming = new Memory(65_536);
const messages = Buffer.alloc(clients * messageBytes);
let sequence = 0;
let opened = 0;
let answeredOnce = 0;
let phases: Phases | undefined;

function fail(index: number, why: string): void {
  // Before all are open there is nothing to measure yet.
  if (phases === undefined) throw new Error(`client ${index} (${sources[index]}) while opening: ${why}`);
  phases.failed();
  process.stderr.write(`client ${index} (${sources[index]}): ${why}\n`);
}

function open(index: number): void {
  const source = socketAddress(sources[index]!, 0);
  const target = targets[index % targets.length]!;
  const descriptor = transport === 'tcp' ? connectTcp(target, source) : connectUdp(source, target)!;
  descriptors[index] = descriptor;
  sentAt[index] = performance.now();
  if (transport === 'tcp') {
    poller.add(descriptor, EPOLLOUT, index);
  } else {
    poller.add(descriptor, EPOLLIN, index);
    ask(index);
  }
}

function ask(index: number): void {
  sequence = (sequence % 0xffff_fffe) + 1;
  awaited[index] = sequence;
  cameBytes[index] = 0;
  sentAt[index] = performance.now();
  outgoing.bytes.fill(sequence & 0xff);
  outgoing.bytes.writeUInt32LE(index, 0);
  outgoing.bytes.writeUInt32LE(sequence, 4);
  outgoing.bytes.copy(messages, index * messageBytes);
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const sent = send(descriptors[index]!, outgoing.address, messageBytes, flags);
  if (sent !== messageBytes) fail(index, `send gave ${sent}`);
}

function take(index: number): void {
  const size = receive(descriptors[index]!, incoming.address, 65_536, MSG_DONTWAIT);
  const now = performance.now();
  const at = index * messageBytes + cameBytes[index]!;
  const room = messageBytes - cameBytes[index]!;
  if (size <= 0 || size > room || messages.compare(incoming.bytes, 0, size, at, at + size) !== 0) {
    fail(index, size <= 0 ? `ended (${size})` : 'a wrong answer');
    if (size <= 0) poller.change(descriptors[index]!, 0, index);
    return;
  }
  cameBytes[index] = cameBytes[index]! + size;
  if (cameBytes[index] !== messageBytes) return;
  awaited[index] = 0;
  if (hasAnswered[index] === 0) {
    hasAnswered[index] = 1;
    answeredOnce++;
  } else phases?.done(now - sentAt[index]!);
}

function serve(timeoutMs: number): void {
  const count = poller.wait(timeoutMs);
  for (let event = 0; event < count; event++) {
    const index = poller.tag(event);
    if (hasAnswered[index] === 0 && awaited[index] === 0) {
      poller.change(descriptors[index]!, EPOLLIN, index);
      ask(index);
    } else take(index);
  }
}

const openBy = performance.now() + openWithinMs;
while (answeredOnce < clients) {
  while (opened < clients && opened - answeredOnce < openingMost) open(opened++);
  serve(10);
  if (performance.now() > openBy) throw new Error(`${answeredOnce} of ${clients} clients were answered`);
}

writeSync(1, '{"phase":"opened"}\n');
const start = performance.now();
let lookAt = start;
for (let turn = 0; ; ) {
  const now = performance.now();
  if (phases === undefined && now >= lookAt) {
    if (existsSync(settings.goFile)) phases = new Phases(settings);
    lookAt = now + 20;
  }
  if (phases?.isOver(now)) break;
  const due = ((now - start) * clients) / intervalMs;
  for (; turn < due; turn++) {
    const index = turn % clients;
    if (awaited[index] !== 0) {
      if (now - sentAt[index]! < lostAfterMs) continue;
      fail(index, `no answer in ${Math.round(now - sentAt[index]!)} ms`);
    }
    ask(index);
  }
  serve(1);
}
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, settings.stayMs);
process.exit(0);
