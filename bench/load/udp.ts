/**
 * UDP load: round trips in a closed loop from many client sockets.
 *
 * `inFlight` datagrams are under way at any time, taking turns over `sockets` sockets, so 5,000 clients do
 * not overflow the relay's receive buffer by all speaking at once. A datagram carries a sequence number; an
 * answer with another one is late and ignored, a missing one is a failure after half a second.
 *
 * The clients have the same addresses in every run. Fresh ones would leave the relay with the flows of all
 * runs before, up to whatever it holds at most.
 */
import {
  addressAfter,
  connectUdp,
  EPOLLIN,
  Memory,
  MSG_DONTWAIT,
  Poller,
  receive,
  send,
  socketAddress,
} from './libc.ts';
import { type LoadSettings, Phases, readSettings } from './phases.ts';

interface UdpSettings extends LoadSettings {
  readonly sockets: number;
  readonly inFlight: number;
  readonly datagramBytes: number;
}

const lostAfterMs = 500;
const firstClientPort = 10_240;
const settings = readSettings<UdpSettings>();
const { sockets, datagramBytes, clientHost, clientAddresses } = settings;
const target = socketAddress(settings.host, settings.port);
const descriptors = new Int32Array(sockets);
for (let opened = 0, tried = 0; opened < sockets; tried++) {
  const port = firstClientPort + Math.floor(tried / clientAddresses);
  if (port > 65_535) throw new Error(`not enough free ports on ${clientHost}`);
  const client = addressAfter(clientHost, tried % clientAddresses);
  const descriptor = connectUdp(socketAddress(client, port), target);
  if (descriptor !== undefined) descriptors[opened++] = descriptor;
}
const poller = new Poller(256);
for (const [index, descriptor] of descriptors.entries()) poller.add(descriptor, EPOLLIN, index);

const outgoing = new Memory(datagramBytes);
const incoming = new Memory(65_536);
/** The sequence number each socket waits for, 0 when it rests, and when it was sent. */
const awaited = new Uint32Array(sockets);
const sentAt = new Float64Array(sockets);
/** Resting sockets, a ring: the one that has rested longest speaks next. */
const resting = Uint32Array.from({ length: sockets }, (_, index) => index);
let oldest = 0;
let restingCount = sockets;
/** Begins anywhere: an answer to a run before must not pass for one of this run. */
let sequence = Math.floor(Math.random() * 0xffff_fffe);
const phases = new Phases(settings);

function speakNext(now: number): void {
  const index = resting[oldest]!;
  oldest = (oldest + 1) % sockets;
  restingCount--;
  sequence = (sequence % 0xffff_fffe) + 1;
  awaited[index] = sequence;
  sentAt[index] = now;
  outgoing.bytes.writeUInt32LE(sequence, 0);
  send(descriptors[index]!, outgoing.address, datagramBytes, MSG_DONTWAIT);
}

function rest(index: number): void {
  awaited[index] = 0;
  resting[(oldest + restingCount) % sockets] = index;
  restingCount++;
}

function giveUpLost(now: number): void {
  for (let index = 0; index < sockets; index++) {
    if (awaited[index] === 0 || now - sentAt[index]! < lostAfterMs) continue;
    phases.failed();
    rest(index);
    speakNext(now);
  }
}

let nextScanAt = performance.now() + lostAfterMs;
for (let count = 0; count < Math.min(settings.inFlight, sockets); count++) speakNext(performance.now());
for (;;) {
  const count = poller.wait(20);
  const now = performance.now();
  if (phases.isOver(now)) break;
  for (let event = 0; event < count; event++) {
    const index = poller.tag(event);
    const size = receive(descriptors[index]!, incoming.address, 65_536, MSG_DONTWAIT);
    if (size !== datagramBytes || incoming.bytes.readUInt32LE(0) !== awaited[index] || awaited[index] === 0)
      continue;
    const at = performance.now();
    phases.done(at - sentAt[index]!);
    rest(index);
    speakNext(at);
  }
  if (now >= nextScanAt) {
    giveUpLost(now);
    nextScanAt = now + 100;
  }
}
process.exit(0);
