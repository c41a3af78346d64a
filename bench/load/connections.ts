/**
 * One connection per request: connect, ask, read to the end, close; `concurrent` of them at a time.
 *
 * Why not autocannon: its reconnect option closes from the client while the answer may still be under way,
 * and costs more CPU per connection than a relay does. Here the backend closes, as `Connection: close` has
 * it, and an answer that is not complete at the end is a failure. The time runs from connect to end of file.
 */

import { answerBytes, httpRequest } from './http.ts';
import {
  addressAfter,
  closeDescriptor,
  connectTcp,
  EAGAIN,
  EPOLLIN,
  EPOLLOUT,
  errno,
  Memory,
  MSG_NOSIGNAL,
  Poller,
  receive,
  send,
  socketAddress,
} from './libc.ts';
import { type LoadSettings, Phases, readSettings } from './phases.ts';

interface ConnectionsSettings extends LoadSettings {
  readonly concurrent: number;
}

const settings = readSettings<ConnectionsSettings>();
const { concurrent } = settings;
const target = socketAddress(settings.host, settings.port);
const request = httpRequest('close');
const expected = await answerBytes(settings.host, settings.port, request);
const incoming = new Memory(65_536);
const poller = new Poller(256);
const descriptors = new Int32Array(concurrent);
const received = new Uint32Array(concurrent);
const startedAt = new Float64Array(concurrent);
const phases = new Phases(settings);

/** With one address the kernel chooses it. */
const sources =
  settings.clientAddresses === 1
    ? [undefined]
    : Array.from({ length: settings.clientAddresses }, (_, i) =>
        socketAddress(addressAfter(settings.clientHost, i), 0),
      );
let opened = 0;

function open(slot: number): void {
  startedAt[slot] = performance.now();
  received[slot] = 0;
  descriptors[slot] = connectTcp(target, sources[opened++ % sources.length]);
  poller.add(descriptors[slot]!, EPOLLOUT, slot);
}

function finish(slot: number, complete: boolean): void {
  closeDescriptor(descriptors[slot]!);
  if (complete) phases.done(performance.now() - startedAt[slot]!);
  else phases.failed();
  open(slot);
}

/** The connection is up (or has failed: send says so). */
function ask(slot: number): void {
  const descriptor = descriptors[slot]!;
  if (send(descriptor, request.address, request.bytes.length, MSG_NOSIGNAL) !== request.bytes.length) {
    finish(slot, false);
  } else {
    poller.change(descriptor, EPOLLIN, slot);
  }
}

function read(slot: number): void {
  const size = receive(descriptors[slot]!, incoming.address, 65_536, 0);
  if (size > 0) received[slot] = received[slot]! + size;
  else if (size === 0) finish(slot, received[slot] === expected);
  else if (errno() !== EAGAIN) finish(slot, false);
}

for (let slot = 0; slot < concurrent; slot++) open(slot);
for (;;) {
  const count = poller.wait(20);
  if (phases.isOver(performance.now())) break;
  for (let event = 0; event < count; event++) {
    const slot = poller.tag(event);
    if (received[slot] === 0 && (poller.flags(event) & EPOLLOUT) !== 0) ask(slot);
    else read(slot);
  }
}
process.exit(0);
