/**
 * What the kernel says of the connections it tracks: messages of ctnetlink (include/uapi/linux/netfilter/nfnetlink_conntrack.h,
 * net/netfilter/nf_conntrack_netlink.c), and the requests to list and to delete. TCP and UDP only: anything else it tracks is nobody's
 * flow here and reads as nothing. Zones are not kept: this program's connections are in zone 0.
 *
 * An entry has two tuples: `original` as the first packet came (client -> listener) and `reply` as the answer is expected from
 * the other side (backend -> client, or -> the balancer with masquerade). So with NAT the backend is `reply.source`.
 */
import { Address } from '../core/address.ts';
import {
  AttributeReader,
  type MessageReader,
  MessageWriter,
  messageFlag,
  netfilterHeaderBytes,
} from './netlink.ts';

/** The subsystem's number times 256 (NFNL_SUBSYS_CTNETLINK), and its messages. */
const subsystem = 0x100;
const messageNew = subsystem;
const messageGet = subsystem + 1;
const messageDelete = subsystem + 2;

/** Groups to join for events: NFNLGRP_CONNTRACK_*. */
export const conntrackGroup = { new: 1, update: 2, destroy: 3 } as const;

/** IPS_* of nf_conntrack_common.h. */
export const conntrackStatus = {
  seenReply: 1 << 1,
  assured: 1 << 2,
  confirmed: 1 << 3,
  sourceNat: 1 << 4,
  destinationNat: 1 << 5,
  dying: 1 << 9,
} as const;

/** TCP_CONNTRACK_* of nf_conntrack_tcp.h. What a connection's entry is in when it goes is how it ended. */
export const tcpState = {
  none: 0,
  synSent: 1,
  synReceived: 2,
  established: 3,
  finWait: 4,
  closeWait: 5,
  lastAck: 6,
  timeWait: 7,
  /** After a reset. */
  close: 8,
  /** Both sides opened at once. */
  synSentTwice: 9,
} as const;

export interface Tuple {
  readonly source: Address;
  readonly destination: Address;
}

export interface ConntrackCounters {
  readonly packets: number;
  /** With the headers of IP and what is above. */
  readonly bytes: number;
}

export interface ConntrackEntry {
  /** `dump`: it was listed. */
  readonly event: 'new' | 'update' | 'destroy' | 'dump';
  /** As the kernel made it, the same for all that is said of one entry; another one of the same tuple has another. */
  readonly id: number;
  readonly protocol: 'tcp' | 'udp';
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly mark: number;
  /** Bits of {@link conntrackStatus}. */
  readonly status: number;
  /** One of {@link tcpState}; absent for UDP, and where the kernel did not say it. */
  readonly tcpState?: number | undefined;
  /** Until it goes if nothing comes. Seconds; absent on `destroy`. */
  readonly timeoutS?: number | undefined;
  /** With net.netfilter.nf_conntrack_acct, and only on `destroy` and `dump`. */
  readonly originalCounters?: ConntrackCounters | undefined;
  readonly replyCounters?: ConntrackCounters | undefined;
  /** With net.netfilter.nf_conntrack_timestamp: when it began and ended, nanoseconds since 1970, of which a double keeps 256. */
  readonly startedNs?: number | undefined;
  readonly stoppedNs?: number | undefined;
}

// CTA_*, and those inside of them.
const attribute = {
  original: 1,
  reply: 2,
  status: 3,
  protocolInfo: 4,
  timeout: 7,
  mark: 8,
  originalCounters: 9,
  replyCounters: 10,
  id: 12,
  timestamp: 20,
  markMask: 21,
} as const;
const tupleAttribute = { ip: 1, protocol: 2 } as const;
const ipAttribute = { v4Source: 1, v4Destination: 2, v6Source: 3, v6Destination: 4 } as const;
const protocolAttribute = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const infoTcp = 1;
const infoTcpState = 1;
const counterAttribute = { packets: 1, bytes: 2 } as const;
const timestampAttribute = { start: 1, stop: 2 } as const;

const protocolNumbers = { tcp: 6, udp: 17 } as const;
const familyInet = 2;
const familyInet6 = 10;

// One for each depth: an attribute is read to its end before the next one of its depth begins.
const outer = new AttributeReader();
const inner = new AttributeReader();
const innermost = new AttributeReader();

/** Where the parts of a tuple are, in the view that is read: an address is made once, with its port. */
class TupleDraft {
  sourceAt = 0;
  destinationAt = 0;
  isV6 = false;
  sourcePort = 0;
  destinationPort = 0;
  protocol = 0;

  clear(): void {
    this.sourceAt = 0;
    this.destinationAt = 0;
    this.protocol = 0;
  }

  get isWhole(): boolean {
    return this.sourceAt !== 0 && this.destinationAt !== 0;
  }

  /** Nothing is made to compare. */
  isOf({ source, destination }: Tuple, view: DataView): boolean {
    return (
      this.sourcePort === source.port &&
      this.destinationPort === destination.port &&
      this.#hasIpOf(source, view, this.sourceAt) &&
      this.#hasIpOf(destination, view, this.destinationAt)
    );
  }

  #hasIpOf(address: Address, view: DataView, at: number): boolean {
    if (!this.#isRoomForV6(view, at)) return address.family === 4 && address.w3 === view.getUint32(at);
    return (
      address.w3 === view.getUint32(at + 12) &&
      address.w0 === view.getUint32(at) &&
      address.w1 === view.getUint32(at + 4) &&
      address.w2 === view.getUint32(at + 8)
    );
  }

  #isRoomForV6(view: DataView, at: number): boolean {
    return this.isV6 && at + 16 <= view.byteLength;
  }

  read(): void {
    this.clear();
    inner.reset(outer.view, outer.start, outer.end);
    while (inner.next()) {
      innermost.reset(inner.view, inner.start, inner.end);
      while (innermost.next()) {
        if (inner.type === tupleAttribute.ip) this.#readAddress();
        else if (inner.type === tupleAttribute.protocol) this.#readProtocol();
      }
    }
  }

  #readAddress(): void {
    const { type, start, end } = innermost;
    const isV6 = type === ipAttribute.v6Source || type === ipAttribute.v6Destination;
    if (end - start !== (isV6 ? 16 : 4)) return;
    this.isV6 = isV6;
    if (type === ipAttribute.v4Source || type === ipAttribute.v6Source) this.sourceAt = start;
    else this.destinationAt = start;
  }

  #readProtocol(): void {
    const { type } = innermost;
    if (type === protocolAttribute.number) this.protocol = innermost.u8();
    else if (type === protocolAttribute.sourcePort) this.sourcePort = innermost.u16();
    else if (type === protocolAttribute.destinationPort) this.destinationPort = innermost.u16();
  }

  /** Undefined: it is not whole. */
  tuple(view: DataView): Tuple | undefined {
    if (!this.isWhole) return undefined;
    return {
      source: this.#address(view, this.sourceAt, this.sourcePort),
      destination: this.#address(view, this.destinationAt, this.destinationPort),
    };
  }

  #address(view: DataView, at: number, port: number): Address {
    // The last one that was read says which family both are of: of a tuple with one of each nothing is promised but an address.
    if (!this.#isRoomForV6(view, at)) return Address.v4(view.getUint32(at), port);
    return new Address(
      view.getUint32(at),
      view.getUint32(at + 4),
      view.getUint32(at + 8),
      view.getUint32(at + 12),
      port,
    );
  }
}

/**
 * What is said of an entry, without the entry: most of what a kernel tells, of 20,000 connections a second, is about one that is known.
 */
export interface ConntrackGlance
  extends Pick<
    ConntrackEntry,
    'event' | 'id' | 'status' | 'tcpState' | 'originalCounters' | 'replyCounters'
  > {
  readonly sourcePort: number;
  /** Whether it has this protocol and came from and to there. */
  isOf(entry: Pick<ConntrackEntry, 'protocol' | 'original'>): boolean;
}

/** What is read of one message. One for all of them. */
class Draft implements ConntrackGlance {
  event: ConntrackEntry['event'] = 'new';
  protocol: ConntrackEntry['protocol'] = 'tcp';
  view: DataView = new DataView(new ArrayBuffer(0));
  readonly original = new TupleDraft();
  readonly reply = new TupleDraft();
  id = 0;
  mark = 0;
  status = 0;
  tcpState: number | undefined = undefined;
  timeoutS: number | undefined = undefined;
  originalCounters: ConntrackCounters | undefined = undefined;
  replyCounters: ConntrackCounters | undefined = undefined;
  startedNs: number | undefined = undefined;
  stoppedNs: number | undefined = undefined;

  clear(): void {
    this.original.clear();
    this.reply.clear();
    this.id = 0;
    this.mark = 0;
    this.status = 0;
    this.tcpState = undefined;
    this.timeoutS = undefined;
    this.originalCounters = undefined;
    this.replyCounters = undefined;
    this.startedNs = undefined;
    this.stoppedNs = undefined;
  }

  get sourcePort(): number {
    return this.original.sourcePort;
  }

  isOf({ protocol, original }: Pick<ConntrackEntry, 'protocol' | 'original'>): boolean {
    return this.protocol === protocol && this.original.isOf(original, this.view);
  }
}

const draft = new Draft();

/** The entry in the message that `message` is at; undefined if it is about none, or about none of TCP or UDP. */
export function decodeConntrack(message: MessageReader): ConntrackEntry | undefined {
  return glanceAtConntrack(message) === undefined ? undefined : conntrackEntry();
}

/** The same without making the entry. It is valid until the next message is read, and {@link conntrackEntry} makes it until then. */
export function glanceAtConntrack(message: MessageReader): ConntrackGlance | undefined {
  const event = eventOf(message);
  if (event === undefined) return undefined;
  const { view } = message;
  draft.clear();
  outer.reset(view, message.start + netfilterHeaderBytes, message.end);
  while (outer.next()) readAttribute();
  const protocol = protocolOf(draft.original.protocol);
  if (protocol === undefined || !draft.original.isWhole || !draft.reply.isWhole) return undefined;
  draft.event = event;
  draft.protocol = protocol;
  draft.view = view;
  return draft;
}

/** The entry that was glanced at last. */
export function conntrackEntry(): ConntrackEntry {
  const { view } = draft;
  const original = draft.original.tuple(view)!;
  const reply = draft.reply.tuple(view)!;
  return {
    event: draft.event,
    id: draft.id,
    protocol: draft.protocol,
    original,
    reply,
    mark: draft.mark,
    status: draft.status,
    tcpState: draft.tcpState,
    timeoutS: draft.timeoutS,
    originalCounters: draft.originalCounters,
    replyCounters: draft.replyCounters,
    startedNs: draft.startedNs,
    stoppedNs: draft.stoppedNs,
  };
}

/** What is listed comes in several parts; of what is told, the flags say whether it is new. */
function eventOf({ type, flags }: MessageReader): ConntrackEntry['event'] | undefined {
  if (type === messageDelete) return 'destroy';
  if (type !== messageNew) return undefined;
  if ((flags & messageFlag.multi) !== 0) return 'dump';
  return (flags & (messageFlag.create | messageFlag.exclusive)) === 0 ? 'update' : 'new';
}

function protocolOf(number: number): 'tcp' | 'udp' | undefined {
  if (number === protocolNumbers.tcp) return 'tcp';
  return number === protocolNumbers.udp ? 'udp' : undefined;
}

function readAttribute(): void {
  switch (outer.type) {
    case attribute.original:
      return draft.original.read();
    case attribute.reply:
      return draft.reply.read();
    case attribute.status:
      draft.status = outer.u32();
      return;
    case attribute.mark:
      draft.mark = outer.u32();
      return;
    case attribute.id:
      draft.id = outer.u32();
      return;
    case attribute.timeout:
      draft.timeoutS = outer.u32();
      return;
    case attribute.protocolInfo:
      return readProtocolInfo();
    case attribute.originalCounters:
      draft.originalCounters = readCounters();
      return;
    case attribute.replyCounters:
      draft.replyCounters = readCounters();
      return;
    case attribute.timestamp:
      return readTimestamps();
  }
}

function readProtocolInfo(): void {
  inner.reset(outer.view, outer.start, outer.end);
  while (inner.next()) {
    if (inner.type !== infoTcp) continue;
    innermost.reset(inner.view, inner.start, inner.end);
    while (innermost.next()) if (innermost.type === infoTcpState) draft.tcpState = innermost.u8();
  }
}

function readCounters(): ConntrackCounters {
  let packets = 0;
  let bytes = 0;
  inner.reset(outer.view, outer.start, outer.end);
  while (inner.next()) {
    if (inner.type === counterAttribute.packets) packets = inner.u64();
    else if (inner.type === counterAttribute.bytes) bytes = inner.u64();
  }
  return { packets, bytes };
}

function readTimestamps(): void {
  inner.reset(outer.view, outer.start, outer.end);
  while (inner.next()) {
    if (inner.type === timestampAttribute.start) draft.startedNs = inner.u64();
    else if (inner.type === timestampAttribute.stop) draft.stoppedNs = inner.u64();
  }
}

/** Entries whose mark has `mark` in the bits of `mask`, and nothing in the others of it. */
export interface MarkFilter {
  readonly mark: number;
  /** 32 bits, not 0. */
  readonly mask: number;
}

/** Asks for all entries, or those of a mark; what comes is of the event `dump`. Both families. */
export function encodeDump(sequence: number, filter?: MarkFilter): Uint8Array {
  const writer = new MessageWriter();
  writer.begin(messageGet, messageFlag.request | messageFlag.dump, sequence, 0);
  if (filter !== undefined) writeFilter(writer, filter);
  return writer.end().written();
}

/** Asks for one entry by its tuple: what comes is of the event `dump`, then the answer; ENOENT (2) if there is none. */
export function encodeGet(
  sequence: number,
  { protocol, original }: Pick<ConntrackEntry, 'protocol' | 'original'>,
): Uint8Array {
  const writer = new MessageWriter();
  const family = original.source.family === 4 ? familyInet : familyInet6;
  writer.begin(messageGet, messageFlag.request | messageFlag.acknowledge, sequence, family);
  writeTuple(writer, attribute.original, protocol, original);
  return writer.end().written();
}

/** Deletes every entry of a mark, in one call of both families. The answer comes when it is done, also if there was none. */
export function encodeDeleteByMark(sequence: number, filter: MarkFilter): Uint8Array {
  const writer = new MessageWriter();
  writer.begin(messageDelete, messageFlag.request | messageFlag.acknowledge, sequence, 0);
  writeFilter(writer, filter);
  return writer.end().written();
}

/** Deletes one entry, if it is still the one with this id; refused with ENOENT (2) if it has gone. */
export function encodeDelete(
  sequence: number,
  { protocol, original, id }: Pick<ConntrackEntry, 'protocol' | 'original' | 'id'>,
): Uint8Array {
  const writer = new MessageWriter();
  writeDelete(writer, messageFlag.request | messageFlag.acknowledge, sequence, { protocol, original, id });
  return writer.written();
}

/** The same of many, one behind the other: only refusals are answered. */
export function writeDeletes(
  writer: MessageWriter,
  entries: Iterable<Pick<ConntrackEntry, 'protocol' | 'original' | 'id'>>,
): void {
  for (const entry of entries) writeDelete(writer, messageFlag.request, 0, entry);
}

function writeDelete(
  writer: MessageWriter,
  flags: number,
  sequence: number,
  { protocol, original, id }: Pick<ConntrackEntry, 'protocol' | 'original' | 'id'>,
): void {
  const family = original.source.family === 4 ? familyInet : familyInet6;
  writer.begin(messageDelete, flags, sequence, family);
  writeTuple(writer, attribute.original, protocol, original);
  writer.u32(attribute.id, id).end();
}

/** Bytes of one request to delete, at most. */
export const deleteBytesMax = 112;

/** A mask of nothing would mean all that the machine tracks. */
function writeFilter(writer: MessageWriter, { mark, mask }: MarkFilter): void {
  if (mask >>> 0 === 0) throw new RangeError('a mark is looked for in no bits');
  writer.u32(attribute.mark, mark).u32(attribute.markMask, mask);
}

function writeTuple(writer: MessageWriter, type: number, protocol: 'tcp' | 'udp', tuple: Tuple): void {
  const { source, destination } = tuple;
  writer.open(type).open(tupleAttribute.ip);
  if (source.family === 4) {
    writer.u32(ipAttribute.v4Source, source.w3).u32(ipAttribute.v4Destination, destination.w3);
  } else {
    writer.words(ipAttribute.v6Source, source.w0, source.w1, source.w2, source.w3);
    writer.words(ipAttribute.v6Destination, destination.w0, destination.w1, destination.w2, destination.w3);
  }
  writer.close().open(tupleAttribute.protocol);
  writer.u8(protocolAttribute.number, protocolNumbers[protocol]);
  writer.u16(protocolAttribute.sourcePort, source.port);
  writer.u16(protocolAttribute.destinationPort, destination.port);
  writer.close().close();
}
