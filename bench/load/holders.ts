/**
 * Many clients that open a connection each, ask once, and then only wait to be told that it has ended: they note when. Written as
 * lines: `{"phase":"opened"}` when all have had their answer, `{"told":[...]}` for those that ended, in milliseconds since 1970,
 * and `{"phase":"end"}` when all have. A batch of ends costs some microseconds for each, so that the clients are not what is measured.
 */
import { writeSync } from 'node:fs';
import { clientAddresses } from '../../test/support/clients.ts';
import {
  closeDescriptor,
  connectTcp,
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
import { type LoadSettings, readSettings } from './phases.ts';

const { host, port, clients } = readSettings<LoadSettings & { readonly clients: number }>();
const openingMost = 128;
const openWithinMs = 60_000;

const target = socketAddress(host, port);
const sources = clientAddresses(clients);
const poller = new Poller(1_024);
const descriptors = new Int32Array(clients).fill(-1);
const hasAsked = new Uint8Array(clients);
const memory = new Memory(64);
let opened = 0;
let answered = 0;
let told = 0;

function open(index: number): void {
  const descriptor = connectTcp(target, socketAddress(sources[index]!, 0));
  descriptors[index] = descriptor;
  poller.add(descriptor, EPOLLOUT, index);
}

/** @returns whether it has ended */
function serve(index: number): boolean {
  const descriptor = descriptors[index]!;
  if (hasAsked[index] === 0) {
    hasAsked[index] = 1;
    send(descriptor, memory.address, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    poller.change(descriptor, EPOLLIN, index);
    return false;
  }
  const size = receive(descriptor, memory.address, 64, MSG_DONTWAIT);
  if (size > 0) {
    answered++;
    return false;
  }
  closeDescriptor(descriptor);
  return true;
}

const openBy = performance.now() + openWithinMs;
while (answered < clients) {
  while (opened < clients && opened - answered < openingMost) open(opened++);
  for (let event = poller.wait(10) - 1; event >= 0; event--) {
    const index = poller.tag(event);
    if (serve(index)) throw new Error(`the connection of ${sources[index]} ended before all were open`);
  }
  if (performance.now() > openBy) throw new Error(`${answered} of ${clients} clients were answered`);
}
writeSync(1, '{"phase":"opened"}\n');
while (told < clients) {
  const count = poller.wait(1_000);
  const atMs = performance.timeOrigin + performance.now();
  const times: number[] = [];
  for (let event = 0; event < count; event++) if (serve(poller.tag(event))) times.push(atMs);
  told += times.length;
  if (times.length > 0) writeSync(1, `${JSON.stringify({ told: times })}\n`);
}
writeSync(1, '{"phase":"end"}\n');
process.exit(0);
