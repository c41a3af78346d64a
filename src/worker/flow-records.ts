/**
 * Records of finished flows as they cross from a worker to control: numbers in one buffer, which is handed over and not cloned.
 * Names stay here as the numbers that control has given them (core/ids), and addresses become text where a line is written.
 *
 *   record, in 64-bit words:
 *   | flow id | bytes in | out | datagrams in | out | duration | connect |           floats; milliseconds, connect -1: none
 *   | words of it, listener | pool, backend | code + reason + flags, tries | route, bytes of the name |    two 32-bit words each
 *   | client: 5 words of 32 bits | proxy | where a UDP client is now | name, UTF-8 |            as the flags say; each padded to 64
 *
 * The order of bytes is the machine's: both ends are on it.
 */
import { Address } from '../core/address.ts';
import type { ChoiceReason } from '../core/flow.ts';
import type { Protocol } from '../core/plan.ts';
import { type TerminationCode, terminationCodes, terminationIndex } from '../core/termination.ts';
import type { FlowRecord } from './messages-from-worker.ts';

/** What a record is made of. A Flow is one. */
export interface EndedFlow {
  readonly id: number;
  readonly listener: {
    readonly id: number;
    readonly plan: { readonly protocol: Protocol; readonly routes?: unknown };
  };
  readonly client: Address;
  readonly peer: Address;
  readonly movedTo: Address | undefined;
  readonly poolId: number;
  readonly backend: { readonly id: number } | undefined;
  readonly reason: ChoiceReason;
  readonly failed: { readonly length: number };
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly datagramsIn: number;
  readonly datagramsOut: number;
  readonly startedAtMs: number;
  readonly connectedAtMs: number;
  readonly routeNumber: number;
  readonly spoken: { readonly name: string | undefined } | undefined;
}

/** Who knows the names of the numbers. */
export interface RecordNames {
  listenerName(id: number): string | undefined;
  poolName(id: number): string | undefined;
  backendName(id: number): { readonly backend: string } | undefined;
}

const reasons = ['pin', 'policy', 'retry', 'fail-open'] as const satisfies readonly ChoiceReason[];
const reasonIndex: ReadonlyMap<ChoiceReason, number> = new Map(
  reasons.map((reason, index) => [reason, index]),
);

const isUdp = 1;
const hasPeer = 2;
const hasMoved = 4;
const hasRoutes = 8;
const hasName = 16;

const fixedWords = 11;
const addressWords = 3;
/** A server's name is at most so long (TLS: 255 characters); more of one is cut. */
const nameBytesMax = 1_024;
const recordWordsMax = fixedWords + 3 * addressWords + nameBytesMax / 8;
const firstWords = 4_096;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Takes records and gives them as one buffer. */
export class FlowRecordWriter {
  /** Records taken since the last {@link take}. */
  count = 0;
  private buffer = new ArrayBuffer(firstWords * 8);
  private floats = new Float64Array(this.buffer);
  private words = new Uint32Array(this.buffer);
  private bytes = new Uint8Array(this.buffer);
  /** The first free word. */
  private end = 0;

  add(flow: EndedFlow, code: TerminationCode, nowMs: number): void {
    if (this.end + recordWordsMax > this.floats.length) this.grow();
    const { floats, words, end } = this;
    const { listener, client, peer, movedTo, spoken } = flow;
    floats[end] = flow.id;
    floats[end + 1] = flow.bytesIn;
    floats[end + 2] = flow.bytesOut;
    floats[end + 3] = flow.datagramsIn;
    floats[end + 4] = flow.datagramsOut;
    floats[end + 5] = nowMs - flow.startedAtMs;
    floats[end + 6] = flow.connectedAtMs === 0 ? -1 : flow.connectedAtMs - flow.startedAtMs;
    let flags = listener.plan.protocol === 'udp' ? isUdp : 0;
    let next = this.putAddress(end + fixedWords, client);
    if (peer !== client) {
      flags |= hasPeer;
      next = this.putAddress(next, peer);
    }
    if (movedTo !== undefined) {
      flags |= hasMoved;
      next = this.putAddress(next, movedTo);
    }
    let nameBytes = 0;
    if (listener.plan.routes !== undefined) {
      flags |= hasRoutes;
      const name = spoken?.name;
      if (name !== undefined) {
        flags |= hasName;
        const at = next * 8;
        nameBytes = encoder.encodeInto(name, this.bytes.subarray(at, at + nameBytesMax)).written;
        next += Math.ceil(nameBytes / 8);
      }
    }
    const at = (end + 7) * 2;
    words[at] = next - end;
    words[at + 1] = listener.id;
    words[at + 2] = flow.poolId;
    words[at + 3] = flow.backend?.id ?? 0;
    words[at + 4] = terminationIndex.get(code)! | (reasonIndex.get(flow.reason)! << 8) | (flags << 16);
    words[at + 5] = flow.failed.length;
    words[at + 6] = flow.routeNumber;
    words[at + 7] = nameBytes;
    this.end = next;
    this.count++;
  }

  /** What was added since the last time; begins anew. */
  take(): ArrayBuffer {
    const taken = this.buffer.slice(0, this.end * 8);
    this.end = 0;
    this.count = 0;
    // What a flood needed is not kept for ever.
    if (this.floats.length > firstWords) this.use(new ArrayBuffer(firstWords * 8));
    return taken;
  }

  private putAddress(at: number, { w0, w1, w2, w3, port }: Address): number {
    const { words } = this;
    const i = at * 2;
    words[i] = w0;
    words[i + 1] = w1;
    words[i + 2] = w2;
    words[i + 3] = w3;
    words[i + 4] = port;
    return at + addressWords;
  }

  private grow(): void {
    const larger = new ArrayBuffer(this.buffer.byteLength * 2);
    new Float64Array(larger).set(this.floats);
    this.use(larger);
  }

  private use(buffer: ArrayBuffer): void {
    this.buffer = buffer;
    this.floats = new Float64Array(buffer);
    this.words = new Uint32Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }
}

/** The records of a buffer, in the order they were added. */
export function* readFlowRecords(
  buffer: ArrayBuffer,
  worker: number,
  names: RecordNames,
): Generator<FlowRecord> {
  const floats = new Float64Array(buffer);
  const words = new Uint32Array(buffer);
  for (let start = 0; start < floats.length; start += words[(start + 7) * 2]!)
    yield readRecord(floats, words, start, worker, names);
}

function readRecord(
  floats: Float64Array,
  words: Uint32Array,
  start: number,
  worker: number,
  names: RecordNames,
): FlowRecord {
  const at = (start + 7) * 2;
  const packed = words[at + 4]!;
  const flags = packed >>> 16;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  let next = start + fixedWords;
  const address = (): string => {
    const i = next * 2;
    next += addressWords;
    return clientText(new Address(words[i]!, words[i + 1]!, words[i + 2]!, words[i + 3]!, words[i + 4]!));
  };
  const client = address();
  const peer = has(hasPeer) ? { peer: address() } : undefined;
  const movedTo = has(hasMoved) ? { movedTo: address() } : undefined;
  const backend = names.backendName(words[at + 3]!)?.backend;
  const connectMs = floats[start + 6]!;
  const record: FlowRecord = {
    worker,
    flowId: floats[start]!,
    listener: names.listenerName(words[at + 1]!) ?? '',
    protocol: has(isUdp) ? 'udp' : 'tcp',
    client,
    ...movedTo,
    ...peer,
    pool: names.poolName(words[at + 2]!) ?? '',
    backend,
    reason: backend === undefined ? undefined : reasons[(packed >>> 8) & 0xff],
    tries: words[at + 5]! + (backend === undefined ? 0 : 1),
    bytesIn: floats[start + 1]!,
    bytesOut: floats[start + 2]!,
    datagramsIn: floats[start + 3]!,
    datagramsOut: floats[start + 4]!,
    durationMs: roundedMs(floats[start + 5]!),
    connectMs: connectMs < 0 ? undefined : roundedMs(connectMs),
    code: terminationCodes[packed & 0xff],
  };
  if (!has(hasRoutes)) return record;
  const name = new Uint8Array(floats.buffer, next * 8, words[at + 7]!);
  return { ...record, route: words[at + 6]!, serverName: has(hasName) ? decoder.decode(name) : undefined };
}

/** As logs and pages show a client. */
export function clientText(client: Address): string {
  return client.port === 0 && client.isWildcard ? 'unix' : client.toString();
}

/** To the microsecond. */
export function roundedMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
