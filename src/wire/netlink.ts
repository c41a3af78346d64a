/**
 * Messages of netlink (netlink(7), RFC 3549; include/uapi/linux/netlink.h and nfnetlink.h): a row of messages, each a header and
 * a payload, which is a row of attributes that may hold attributes themselves. All are padded to 4 bytes. Lengths and kinds are in
 * the machine's order, which is little-endian wherever this runs; what netfilter puts into attributes is in network order.
 *
 * Reading is total: whatever the bytes are, a reader stops at the first message or attribute that does not fit, and nothing is read
 * outside of the bounds it was given. Readers are made once and used again, because a kernel tells of 20,000 connections a second.
 */

const messageHeaderBytes = 16;
const attributeHeaderBytes = 4;
/** `struct nfgenmsg`, which begins the payload of netfilter's messages: family, version, resource. */
export const netfilterHeaderBytes = 4;

/** Kinds below this are netlink's own. */
export const messageType = { nothing: 1, error: 2, done: 3, overrun: 4 } as const;

/** NLM_F_*. */
export const messageFlag = {
  request: 0x1,
  multi: 0x2,
  acknowledge: 0x4,
  /** A dump that was changed under the kernel's hands: it may lack entries, or have some twice. */
  interrupted: 0x10,
  dump: 0x300,
  exclusive: 0x200,
  create: 0x400,
  acknowledgeAttributes: 0x200,
  capped: 0x100,
} as const;

/** NLMSGERR_ATTR_MSG: the kernel's words about a refusal. */
const errorTextAttribute = 1;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of a kind. */
const attributeTypeMask = 0x3fff;
const nestedFlag = 0x8000;

const align = (length: number): number => (length + 3) & ~3;

/** Walks a row of messages. `next` first, then the fields are those of one message until the next `next`. */
export class MessageReader {
  view: DataView = new DataView(new ArrayBuffer(0));
  type = 0;
  flags = 0;
  sequence = 0;
  /** The port the message is addressed to: 0 for events told to a group. */
  port = 0;
  /** Where the payload begins and ends in `view`. */
  start = 0;
  end = 0;
  #at = 0;
  #limit = 0;

  /** Begins at the start of `view`, with as many bytes of it as were received. */
  reset(view: DataView, length: number): void {
    this.view = view;
    this.#at = 0;
    this.#limit = Math.min(Math.max(length, 0), view.byteLength);
  }

  /** False: there is no further whole message. */
  next(): boolean {
    const at = this.#at;
    if (at + messageHeaderBytes > this.#limit) return false;
    const length = this.view.getUint32(at, true);
    if (length < messageHeaderBytes || length > this.#limit - at) {
      this.#at = this.#limit;
      return false;
    }
    this.type = this.view.getUint16(at + 4, true);
    this.flags = this.view.getUint16(at + 6, true);
    this.sequence = this.view.getUint32(at + 8, true);
    this.port = this.view.getUint32(at + 12, true);
    this.start = at + messageHeaderBytes;
    this.end = at + length;
    this.#at = at + align(length);
    return true;
  }
}

/** Walks a row of attributes. `next` first, then the fields are those of one attribute. */
export class AttributeReader {
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Without the flags. */
  type = 0;
  /** Where its value begins and ends in `view`. */
  start = 0;
  end = 0;
  #at = 0;
  #limit = 0;

  /** The attributes between `start` and `end`: of a message, or of an attribute that holds some. */
  reset(view: DataView, start: number, end: number): void {
    this.view = view;
    this.#at = start;
    this.#limit = Math.min(end, view.byteLength);
  }

  /** False: there is no further whole attribute. */
  next(): boolean {
    const at = this.#at;
    if (at + attributeHeaderBytes > this.#limit) return false;
    const length = this.view.getUint16(at, true);
    if (length < attributeHeaderBytes || length > this.#limit - at) {
      this.#at = this.#limit;
      return false;
    }
    this.type = this.view.getUint16(at + 2, true) & attributeTypeMask;
    this.start = at + attributeHeaderBytes;
    this.end = at + length;
    this.#at = at + align(length);
    return true;
  }

  /** The value as a number in network order, 0 if it is shorter. 64 bits are exact up to 2^53. */
  u8(): number {
    return this.end - this.start >= 1 ? this.view.getUint8(this.start) : 0;
  }
  u16(): number {
    return this.end - this.start >= 2 ? this.view.getUint16(this.start) : 0;
  }
  u32(): number {
    return this.end - this.start >= 4 ? this.view.getUint32(this.start) : 0;
  }
  u64(): number {
    if (this.end - this.start < 8) return 0;
    return this.view.getUint32(this.start) * 0x1_0000_0000 + this.view.getUint32(this.start + 4);
  }
}

/** What NLMSG_ERROR and NLMSG_DONE say about a request: 0 is success. */
export interface Answer {
  /** Of the request. */
  readonly sequence: number;
  /** 0 or a positive error number. */
  readonly errno: number;
  /** The kernel's words, if it had any (NETLINK_EXT_ACK). */
  readonly text: string;
}

/** The answer in the message that `reader` is at; undefined if it is none. */
export function decodeAnswer(reader: MessageReader): Answer | undefined {
  const { type, view, start, end, sequence, flags } = reader;
  if (type !== messageType.error && type !== messageType.done) return undefined;
  const result = end - start >= 4 ? view.getInt32(start, true) : 0;
  let text = '';
  if (type === messageType.error && (flags & messageFlag.acknowledgeAttributes) !== 0) {
    const request = start + 4;
    // The request's header comes back, and all of the request if it was refused and the answer is not capped.
    const isWhole = result !== 0 && (flags & messageFlag.capped) === 0 && request + 4 <= end;
    const requestBytes = isWhole ? align(Math.min(view.getUint32(request, true), end)) : messageHeaderBytes;
    text = errorText(view, request + requestBytes, end);
  }
  return { sequence, errno: result < 0 ? -result : 0, text };
}

const decoder = new TextDecoder();

function errorText(view: DataView, start: number, end: number): string {
  const attributes = new AttributeReader();
  attributes.reset(view, start, end);
  while (attributes.next()) {
    if (attributes.type !== errorTextAttribute) continue;
    const bytes = new Uint8Array(
      view.buffer,
      view.byteOffset + attributes.start,
      attributes.end - attributes.start,
    );
    return decoder.decode(bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes);
  }
  return '';
}

/** Bytes a writer begins with. */
const roomBytes = 256;
/** An attribute's length has 16 bits. */
const attributeBytesMax = 0xffff;

/**
 * Writes messages one behind the other. Values are given in order; `begin` and `end` enclose a message, `open` and `close` an attribute
 * that holds others. To nest wrongly, or an attribute of more than 64 KiB, is a defect of the caller and throws.
 */
export class MessageWriter {
  #bytes = new Uint8Array(roomBytes);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #message = -1;
  readonly #open: number[] = [];

  /** Begins a message of netfilter: `type` is the subsystem's number times 256 and the message's. */
  begin(type: number, flags: number, sequence: number, family: number): this {
    if (this.#message >= 0) throw new RangeError('a message begins inside another');
    this.#message = this.#length;
    const at = this.#take(messageHeaderBytes + netfilterHeaderBytes);
    this.#view.setUint16(at + 4, type, true);
    this.#view.setUint16(at + 6, flags, true);
    this.#view.setUint32(at + 8, sequence, true);
    this.#view.setUint8(at + messageHeaderBytes, family);
    return this;
  }

  end(): this {
    if (this.#message < 0 || this.#open.length > 0) throw new RangeError('a message ends that is not whole');
    this.#view.setUint32(this.#message, this.#length - this.#message, true);
    this.#message = -1;
    return this;
  }

  /** Begins an attribute that holds others. */
  open(type: number): this {
    this.#open.push(this.#take(attributeHeaderBytes));
    this.#view.setUint16(this.#open.at(-1)! + 2, type | nestedFlag, true);
    return this;
  }

  close(): this {
    const at = this.#open.pop();
    const length = at === undefined ? Number.POSITIVE_INFINITY : this.#length - at;
    if (length > attributeBytesMax) throw new RangeError('an attribute ends that is none, or is too long');
    this.#view.setUint16(at!, length, true);
    return this;
  }

  /** Attributes with a number in network order. Room is made first: making it may give another view. */
  u8(type: number, value: number): this {
    const at = this.#attribute(type, 1);
    this.#view.setUint8(at, value);
    return this;
  }
  u16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value);
    return this;
  }
  u32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value);
    return this;
  }

  /** An attribute with several words in network order: an address of IPv6. */
  words(type: number, ...values: readonly number[]): this {
    const at = this.#attribute(type, values.length * 4);
    for (const [i, value] of values.entries()) this.#view.setUint32(at + i * 4, value);
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** Forgets what was written, and keeps the room for it. */
  clear(): void {
    this.#bytes.fill(0, 0, this.#length);
    this.#length = 0;
  }

  /** All that was written; valid until more is. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #attribute(type: number, valueBytes: number): number {
    const length = attributeHeaderBytes + valueBytes;
    if (length > attributeBytesMax) throw new RangeError('an attribute is too long');
    const at = this.#take(length);
    this.#view.setUint16(at, length, true);
    this.#view.setUint16(at + 2, type, true);
    return at + attributeHeaderBytes;
  }

  /** Zeroed room, padded. @returns where it begins */
  #take(length: number): number {
    const at = this.#length;
    this.#length = at + align(length);
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
