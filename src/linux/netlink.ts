/**
 * A socket to the kernel's netfilter (netlink(7)): the events of groups it has joined, requests with an answer, and dumps. What is said
 * on it is wire/netlink.ts and wire/conntrack.ts.
 *
 * Nothing here waits. The kernel answers a request before `send` returns, and makes each next piece of a dump when the one before is
 * read. Events come when they come: watch `descriptor` for EPOLLIN.
 *
 * The kernel drops events that do not fit into the socket's receive buffer, and says so once (`overrun`): from the first that was dropped
 * until the buffer has been read empty nothing more gets in. So who is told of an overrun reads until `empty`, and then dumps.
 * Use one socket for events and another for requests, so that answers do not wait behind events and a dump takes no room from them.
 *
 * Needs CAP_NET_ADMIN for everything but looking.
 */
import { type Answer, decodeAnswer, MessageReader, messageFlag, messageType } from '../wire/netlink.ts';
import { Arena, type Region } from './arena.ts';
import {
  AF_NETLINK,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_NETFILTER,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from './constants.ts';
import { EAGAIN, EIO, EMSGSIZE, ENOBUFS } from './errno.ts';
import { attachFilter, bind, close, type Descriptor, option, send, setOption, socket } from './libc.ts';
import { MessageBatch, payloadBytes } from './message-batch.ts';

/** What the kernel says in one go is at most 32 KiB (NLMSG_GOODSIZE, and as much as a reader has room for in a dump). */
const dumpBatch = 16;
/** An event is small, and they come in thousands. */
const eventBatch = 64;
/** A request of many messages. Bytes. */
export const requestBytesMax = 65_536;
/** `struct sockaddr_nl`: the family, and the port 0, which makes the kernel give one. */
const nameBytes = 12;

export interface NetlinkOptions {
  /** Multicast groups whose events it is told. */
  readonly groups?: readonly number[];
  /** Which events are for it, as a program of wire/conntrack-filter.ts; absent: all of its groups. */
  readonly filter?: Uint8Array;
  /** Room for events that are not read yet, beyond net.core.rmem_max where the rights are there. Bytes. */
  readonly receiveBufferBytes?: number;
}

/** What a call of `receive` found: there may be `more`, it was read `empty`, or events were lost; a negative errno otherwise. */
export type Received = 'more' | 'empty' | 'overrun' | number;
/** `interrupted`: the kernel's table changed its size meanwhile, so entries may be missing: dump again. */
export type Dumped = 'more' | 'done' | 'interrupted' | number;

export class NetlinkSocket {
  /** To be watched for EPOLLIN. */
  readonly descriptor: Descriptor;
  readonly #batch: MessageBatch;
  readonly #request: Region;
  readonly #reader = new MessageReader();
  readonly #views: readonly DataView[];
  #sequence = 0;
  #dumpSequence = 0;
  #isInterrupted = false;

  private constructor(descriptor: Descriptor, batchCount: number) {
    this.descriptor = descriptor;
    this.#batch = new MessageBatch(batchCount);
    this.#request = new Arena(requestBytesMax).cut(requestBytesMax);
    const { payloads } = this.#batch;
    this.#views = Array.from({ length: batchCount }, (_, i) => {
      const start = this.#batch.offset(i);
      return new DataView(payloads.bytes.buffer, payloads.bytes.byteOffset + start, payloadBytes);
    });
  }

  /** A socket to netfilter in the network namespace of this thread; a negative errno if there is none, or no right to it. */
  static open(options: NetlinkOptions = {}): NetlinkSocket | number {
    const descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    if (descriptor < 0) return descriptor;
    const result = prepare(descriptor, options);
    if (result >= 0) {
      const isToldEvents = options.groups !== undefined && options.groups.length > 0;
      return new NetlinkSocket(descriptor, isToldEvents ? eventBatch : dumpBatch);
    }
    close(descriptor);
    return result;
  }

  /** Room for events that the socket really has, as the kernel counts it (twice what was asked for, for its overhead). Bytes. */
  get receiveBufferBytes(): number {
    return option(this.descriptor, SOL_SOCKET, SO_RCVBUF);
  }

  /**
   * Reads what is there, as much as one call takes, and shows each message. The reader is valid until `visit` returns.
   * Messages that another process sent are passed over.
   */
  receive(visit: (message: MessageReader) => void): Received {
    const count = this.#batch.receive(this.descriptor, this.#batch.count);
    if (count < 0) return count === -EAGAIN ? 'empty' : count === -ENOBUFS ? 'overrun' : count;
    const { words } = this.#batch.names;
    for (let i = 0; i < count; i++) {
      // The port of who sent it: the kernel's is 0.
      if (words[this.#batch.nameWord(i) + 1] !== 0) continue;
      this.#reader.reset(this.#views[i]!, this.#batch.length(i));
      while (this.#reader.next()) visit(this.#reader);
    }
    return count === this.#batch.count ? 'more' : 'empty';
  }

  /**
   * Asks for something and takes the answer. For a socket without groups.
   * @param encode makes the request, which asks for an acknowledgement, with this sequence
   * @param visit is shown what is told before the answer. The reader is valid until it returns
   */
  request(
    encode: (sequence: number) => Uint8Array,
    visit: (message: MessageReader) => void = () => undefined,
  ): Answer {
    const sequence = ++this.#sequence;
    const sent = this.#send(encode(sequence));
    let answer: Answer | undefined;
    let received: Received = sent < 0 ? sent : 'more';
    while (answer === undefined && received === 'more') {
      received = this.receive((message) => {
        if (message.sequence !== sequence) return;
        if (message.type > messageType.overrun) visit(message);
        else answer ??= decodeAnswer(message);
      });
    }
    return answer ?? { sequence, errno: typeof received === 'number' ? -received : EIO, text: '' };
  }

  /**
   * Asks for many things that are not answered unless they are refused, and passes over what was refused. For a socket without groups.
   * @param bytes requests, of up to 64 KiB together
   * @returns 0, or a negative errno
   */
  post(bytes: Uint8Array): number {
    const sent = this.#send(bytes);
    for (let received: Received = 'more'; received === 'more' || received === 'overrun'; )
      received = this.receive(() => undefined);
    return sent < 0 ? sent : 0;
  }

  /** Asks for a dump, which `continueDump` reads. 0 or a negative errno. For a socket without groups. */
  startDump(encode: (sequence: number) => Uint8Array): number {
    this.#dumpSequence = ++this.#sequence;
    this.#isInterrupted = false;
    const sent = this.#send(encode(this.#dumpSequence));
    return sent < 0 ? sent : 0;
  }

  /** Shows the next piece of the dump, some hundred entries. Called again for as long as there is `more`. */
  continueDump(visit: (message: MessageReader) => void): Dumped {
    let answer: Answer | undefined;
    let isSilent = true;
    const received = this.receive((message) => {
      isSilent = false;
      if (message.sequence !== this.#dumpSequence) return;
      if ((message.flags & messageFlag.interrupted) !== 0) this.#isInterrupted = true;
      if (message.type >= messageType.overrun + 1) visit(message);
      else answer ??= decodeAnswer(message);
    });
    if (typeof received === 'number') return received;
    if (received === 'overrun') return -ENOBUFS;
    if (answer === undefined) return isSilent ? -EIO : 'more';
    if (answer.errno !== 0) return -answer.errno;
    return this.#isInterrupted ? 'interrupted' : 'done';
  }

  close(): void {
    close(this.descriptor);
  }

  #send(bytes: Uint8Array): number {
    if (bytes.length > this.#request.length) return -EMSGSIZE;
    this.#request.bytes.set(bytes);
    return send(this.descriptor, this.#request, 0, bytes.length);
  }
}

/** Binds it, and joins the groups last: nothing comes before the filter is there. 0 or a negative errno. */
function prepare(
  descriptor: Descriptor,
  { groups = [], filter, receiveBufferBytes }: NetlinkOptions,
): number {
  const name = new Arena(nameBytes).cut(nameBytes);
  name.view.setUint16(0, AF_NETLINK, true);
  const bound = bind(descriptor, name, nameBytes);
  if (bound < 0) return bound;
  // Both only add to answers: an old kernel that refuses them answers in fewer words.
  setOption(descriptor, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  setOption(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  if (receiveBufferBytes !== undefined) {
    const forced = setOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferBytes);
    if (forced < 0) setOption(descriptor, SOL_SOCKET, SO_RCVBUF, receiveBufferBytes);
  }
  if (filter !== undefined) {
    const program = new Arena(filter.length).cut(filter.length);
    program.bytes.set(filter);
    const attached = attachFilter(descriptor, program);
    if (attached < 0) return attached;
  }
  for (const group of groups) {
    const joined = setOption(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    if (joined < 0) return joined;
  }
  return 0;
}
