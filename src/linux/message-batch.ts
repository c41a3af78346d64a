/**
 * A row of `struct mmsghdr` with everything they point to: names, control messages and payloads, for recvmmsg(2)
 * and sendmmsg(2). The pointers are written once, here; outside, a datagram is its place in the row.
 *
 * Payloads lie 64 KiB and one cache line apart: exact powers of two would map every datagram's first bytes to
 * the same cache set.
 */
import { Arena, type Region } from './arena.ts';
import { IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, MSG_TRUNC } from './constants.ts';
import { type Descriptor, messageHeaderBytes, receiveMany, sendMany } from './libc.ts';

export const payloadBytes = 65_536;
const payloadStride = payloadBytes + 64 * 3;
/** Room for sockaddr_in6 (28 bytes). */
const nameBytes = 32;
/** Room for in6_pktinfo (20 bytes) and in_pktinfo (12 bytes), each behind a cmsghdr (16 bytes) and padded to 8 bytes. */
const controlBytes = 96;
/** Where the second control message begins, when the first is an in6_pktinfo. Words. */
const secondControlWord = 10;

// Words of a header (layout: libc.ts). msg_len follows the msghdr.
const headerWords = messageHeaderBytes / 4;
const nameLengthWord = 2;
const controlLengthWord = 10;
const flagsWord = 12;
const lengthWord = 14;

export class MessageBatch {
  readonly count: number;
  /** Names, one every {@link nameWords} words. */
  readonly names: Region;
  readonly payloads: Region;
  readonly #headers: Region;
  readonly #vectors: Region;
  readonly #controls: Region;
  #withControl = false;

  constructor(count: number) {
    const arena = new Arena(
      count * (messageHeaderBytes + 16 + nameBytes + controlBytes + payloadStride) + 512,
    );
    this.count = count;
    this.#headers = arena.cut(count * messageHeaderBytes);
    this.#vectors = arena.cut(count * 16);
    this.names = arena.cut(count * nameBytes);
    this.#controls = arena.cut(count * controlBytes);
    this.payloads = arena.cut(count * payloadStride);
    for (let i = 0; i < count; i++) {
      this.#pointer(this.#headers, i * messageHeaderBytes, this.names.address + i * nameBytes);
      this.#headers.words[i * headerWords + nameLengthWord] = nameBytes;
      this.#pointer(this.#headers, i * messageHeaderBytes + 16, this.#vectors.address + i * 16);
      this.#headers.words[i * headerWords + 6] = 1;
      this.#pointer(this.#vectors, i * 16, this.payloads.address + i * payloadStride);
      this.#vectors.words[i * 4 + 2] = payloadBytes;
    }
  }

  /** Whether control messages (the local address) go with each datagram, from now on. */
  useControl(withControl: boolean): void {
    if (withControl === this.#withControl) return;
    this.#withControl = withControl;
    for (let i = 0; i < this.count; i++) {
      const address = withControl ? this.#controls.address + i * controlBytes : 0;
      this.#pointer(this.#headers, i * messageHeaderBytes + 32, address);
      this.#headers.words[i * headerWords + controlLengthWord] = 0;
    }
  }

  /**
   * Receives up to `most` datagrams from the row's start. The count or a negative errno. Lengths are set each time: the kernel
   * leaves what it wrote, and takes it for the room there is at the next call. After an IPv4 socket an IPv6 address would
   * be cut off behind its first half, and another client's half stay in its place.
   */
  receive(fd: Descriptor, most: number): number {
    const { words } = this.#headers;
    const controlRoom = this.#withControl ? controlBytes : 0;
    for (let i = 0; i < most; i++) {
      words[i * headerWords + nameLengthWord] = nameBytes;
      words[i * headerWords + controlLengthWord] = controlRoom;
    }
    return receiveMany(fd, this.#headers, 0, most);
  }

  /** Sends the datagrams `first` to `end - 1`. The count of those sent or a negative errno about the first. */
  send(fd: Descriptor, first: number, end: number): number {
    return sendMany(fd, this.#headers, first, end - first);
  }

  /** Bytes received in datagram `i`. */
  length(i: number): number {
    return this.#headers.words[i * headerWords + lengthWord]!;
  }

  /** True if datagram `i` was longer than there was room for. */
  truncated(i: number): boolean {
    return (this.#headers.words[i * headerWords + flagsWord]! & MSG_TRUNC) !== 0;
  }

  /** Where the payload of datagram `i` begins in {@link payloads}. */
  offset(i: number): number {
    return i * payloadStride;
  }

  /** Where the name of datagram `i` begins in the words of {@link names}. */
  nameWord(i: number): number {
    return i * (nameBytes / 4);
  }

  /** Says what to send as datagram `i`. The caller has written the name's words and the payload. */
  prepare(i: number, nameLength: number, length: number): void {
    this.#headers.words[i * headerWords + nameLengthWord] = nameLength;
    this.#vectors.words[i * 4 + 2] = Math.min(length, payloadBytes);
  }

  /** Bytes {@link prepare} was given for datagram `i`. */
  prepared(i: number): number {
    return this.#vectors.words[i * 4 + 2]!;
  }

  /**
   * Where in the words of {@link controls} the local address datagram `i` came to begins; 0 if it is not known. For IPv4
   * that is ipi_spec_dst, the address to answer from also when the datagram was sent to a group.
   */
  localWord(i: number): number {
    const at = (i * controlBytes) / 4;
    const { words } = this.#controls;
    if (this.#headers.words[i * headerWords + controlLengthWord]! < 28) return 0;
    if (words[at + 2] === IPPROTO_IP && words[at + 3] === IP_PKTINFO) return at + 5;
    if (words[at + 2] === IPPROTO_IPV6 && words[at + 3] === IPV6_PKTINFO) return at + 4;
    return 0;
  }

  /**
   * The same for an IPv4 datagram on an IPv6 socket, which tells both forms: where its ipi_spec_dst is; 0 if there is none. The
   * mapped address before it is what the datagram was sent to, which may be a group that nothing can be sent from.
   */
  mappedLocalWord(i: number): number {
    const at = (i * controlBytes) / 4 + secondControlWord;
    const { words } = this.#controls;
    if (this.#headers.words[i * headerWords + controlLengthWord]! < 40 + 28) return 0;
    return words[at + 2] === IPPROTO_IP && words[at + 3] === IP_PKTINFO ? at + 5 : 0;
  }

  get controls(): Region {
    return this.#controls;
  }

  /** Makes datagram `i` leave from an IPv4 address, given as its word in network order. */
  leaveFromV4(i: number, address: number): void {
    const at = this.#controlHeader(i, 28, 32, IPPROTO_IP, IP_PKTINFO);
    const { words } = this.#controls;
    words[at] = 0;
    words[at + 1] = address;
    words[at + 2] = 0;
  }

  /** The same for IPv6 (or a v4-mapped address), from words in network order. `interfaceIndex` 0 leaves it to routing. */
  leaveFromV6(i: number, from: Int32Array, fromWord: number, interfaceIndex: number): void {
    const at = this.#controlHeader(i, 36, 40, IPPROTO_IPV6, IPV6_PKTINFO);
    const { words } = this.#controls;
    for (let word = 0; word < 4; word++) words[at + word] = from[fromWord + word]!;
    words[at + 4] = interfaceIndex;
  }

  /** @returns the word where the control message's data begins */
  #controlHeader(i: number, length: number, space: number, level: number, type: number): number {
    const at = (i * controlBytes) / 4;
    const { words } = this.#controls;
    this.#headers.words[i * headerWords + controlLengthWord] = space;
    words[at] = length;
    words[at + 1] = 0;
    words[at + 2] = level;
    words[at + 3] = type;
    return at + 4;
  }

  #pointer(region: Region, offset: number, address: number): void {
    region.view.setUint32(offset, address % 0x1_0000_0000, true);
    region.view.setUint32(offset + 4, Math.floor(address / 0x1_0000_0000), true);
  }
}
