/**
 * Small requests on keep-alive connections, as fast as answers come (no `perSecond`) or at an offered rate.
 *
 * At a rate the time of a request runs from when it was due, not from when a free connection was found for
 * it, so a stalled relay is charged for everything that had to wait (no coordinated omission). autocannon
 * records whole milliseconds, which hides the differences between relays; this records microseconds.
 */

import { answerBytes, httpRequest } from './http.ts';
import {
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

interface KeepAliveSettings extends LoadSettings {
  readonly connections: number;
  readonly perSecond?: number;
}

const settings = readSettings<KeepAliveSettings>();
const { connections } = settings;
const intervalMs = settings.perSecond === undefined ? 0 : 1000 / settings.perSecond;
const target = socketAddress(settings.host, settings.port);
const request = httpRequest('keep-alive');
const expected = await answerBytes(settings.host, settings.port, request);
const incoming = new Memory(65_536);
const poller = new Poller(256);
const descriptors = Int32Array.from({ length: connections }, () => connectTcp(target));
const received = new Uint32Array(connections);
const dueAt = new Float64Array(connections);
const free: number[] = [];
let nextDueAt = 0;
const phases = new Phases(settings);

function ask(slot: number, due: number): void {
  dueAt[slot] = due;
  received[slot] = 0;
  if (
    send(descriptors[slot]!, request.address, request.bytes.length, MSG_NOSIGNAL) !== request.bytes.length
  ) {
    throw new Error(`a connection was lost while asking: errno ${errno()}`);
  }
}

/** Sends everything that is due and has a free connection; what has none stays due. */
function askDue(now: number): void {
  while (nextDueAt <= now && free.length > 0) {
    ask(free.pop()!, nextDueAt);
    nextDueAt += intervalMs;
  }
}

function read(slot: number): void {
  const size = receive(descriptors[slot]!, incoming.address, 65_536, 0);
  if (size < 0 && errno() === EAGAIN) return;
  if (size <= 0) throw new Error(`a connection was lost while reading: ${size}, errno ${errno()}`);
  received[slot] = received[slot]! + size;
  if (received[slot]! < expected) return;
  const now = performance.now();
  if (received[slot] === expected) phases.done(now - dueAt[slot]!);
  else phases.failed();
  if (intervalMs === 0) ask(slot, now);
  else free.push(slot);
}

for (const [slot, descriptor] of descriptors.entries()) poller.add(descriptor, EPOLLOUT, slot);
for (let up = 0; up < connections; ) {
  const count = poller.wait(1000);
  if (count === 0) throw new Error('not every connection came up');
  for (let event = 0; event < count; event++) {
    const slot = poller.tag(event);
    poller.change(descriptors[slot]!, EPOLLIN, slot);
    free.push(slot);
    up++;
  }
}
nextDueAt = performance.now();
if (intervalMs === 0) for (const slot of free.splice(0)) ask(slot, performance.now());
for (;;) {
  const waitMs = intervalMs === 0 || free.length === 0 ? 20 : Math.max(0, nextDueAt - performance.now());
  const count = poller.wait(Math.min(waitMs, 20));
  const now = performance.now();
  if (phases.isOver(now)) break;
  for (let event = 0; event < count; event++) read(poller.tag(event));
  if (intervalMs !== 0) askDue(performance.now());
}
process.exit(0);
