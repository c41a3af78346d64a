/**
 * A few clients whose answers are timed for as long as they are let: each asks at fixed times, whether it has had the last answer or
 * not, so that a relay that is busy for a while delays each of the questions that fall into it. Written as lines, four a second:
 * `{"samples":[[askedAt, took], ...]}`, the first in milliseconds since 1970, the second in milliseconds.
 */
import { writeSync } from 'node:fs';
import {
  connectTcp,
  EPOLLIN,
  Memory,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  Poller,
  receive,
  send,
  socketAddress,
} from './libc.ts';
import { type LoadSettings, readSettings } from './phases.ts';

const { host, port, clients, intervalMs } = readSettings<
  LoadSettings & { readonly clients: number; readonly intervalMs: number }
>();
/** The moment it was asked, as a float64. */
const questionBytes = 8;
const connectMs = 500;
const toldEveryMs = 250;

const target = socketAddress(host, port);
const poller = new Poller(256);
const descriptors = Array.from({ length: clients }, () => connectTcp(target));
/** Of an answer that has come in part. */
const rests = Array.from({ length: clients }, () => Buffer.alloc(0));
const outgoing = new Memory(questionBytes);
const incoming = new Memory(65_536);
const clock = (): number => performance.timeOrigin + performance.now();

function ask(index: number): void {
  outgoing.bytes.writeDoubleLE(clock());
  const sent = send(descriptors[index]!, outgoing.address, questionBytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent !== questionBytes) throw new Error(`client ${index}: send gave ${sent}`);
}

let samples: [number, number][] = [];
function take(index: number): void {
  const size = receive(descriptors[index]!, incoming.address, 65_536, MSG_DONTWAIT);
  if (size <= 0) throw new Error(`client ${index} was ended (${size})`);
  const nowMs = clock();
  const bytes = Buffer.concat([rests[index]!, incoming.bytes.subarray(0, size)]);
  let at = 0;
  for (; at + questionBytes <= bytes.length; at += questionBytes) {
    const askedMs = bytes.readDoubleLE(at);
    samples.push([askedMs, nowMs - askedMs]);
  }
  rests[index] = bytes.subarray(at);
}

await new Promise((resolve) => setTimeout(resolve, connectMs));
for (const [index, descriptor] of descriptors.entries()) poller.add(descriptor, EPOLLIN, index);
writeSync(1, '{"phase":"begin"}\n');
const startMs = clock();
let toldMs = startMs;
for (let turn = 0; ; ) {
  const nowMs = clock();
  for (const due = ((nowMs - startMs) * clients) / intervalMs; turn < due; turn++) ask(turn % clients);
  for (let event = poller.wait(1) - 1; event >= 0; event--) take(poller.tag(event));
  if (nowMs - toldMs < toldEveryMs) continue;
  toldMs = nowMs;
  writeSync(1, `${JSON.stringify({ samples })}\n`);
  samples = [];
}
