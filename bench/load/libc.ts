/**
 * System calls for the load generators, through koffi.
 *
 * A generator in node:net or node:dgram costs several times what the relay under test costs, so it would be
 * the thing measured. These few calls make one that is light beside any relay. It is separate from the
 * product's own libc on purpose: a fault there must not show on both sides of a measurement. Linux only, IPv4
 * only, errors of the arguments are bugs and throw.
 */
import koffi from 'koffi';

const library = koffi.load(null);
const fd = 'int';
const calls = {
  socket: library.func('socket', fd, ['int', 'int', 'int']),
  bind: library.func('bind', 'int', [fd, 'uintptr_t', 'uint32_t']),
  connect: library.func('connect', 'int', [fd, 'uintptr_t', 'uint32_t']),
  close: library.func('close', 'int', [fd]),
  setsockopt: library.func('setsockopt', 'int', [fd, 'int', 'int', 'uintptr_t', 'uint32_t']),
  epollCreate: library.func('epoll_create1', fd, ['int']),
  epollControl: library.func('epoll_ctl', 'int', [fd, 'int', fd, 'uintptr_t']),
  epollWait: library.func('epoll_pwait2', 'int', [fd, 'uintptr_t', 'int', 'uintptr_t', 'uintptr_t']),
  prctl: library.func('prctl', 'int', ['int', 'uint64_t', 'uint64_t', 'uint64_t', 'uint64_t']),
};

/** Fixed memory with a known address. A Buffer's memory does not move while the Buffer is referenced. */
export class Memory {
  readonly bytes: Buffer;
  readonly address: number;

  constructor(size: number) {
    this.bytes = Buffer.alloc(size);
    this.address = Number(koffi.address(this.bytes));
  }
}

export const errno = (): number => koffi.errno();
export const EAGAIN = 11;
export const EINPROGRESS = 115;
const EADDRINUSE = 98;
export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;

/** recv(2), send(2): (fd, address, size, flags) to bytes or -1. */
export const receive: (fd: number, address: number, size: number, flags: number) => number = library.func(
  'recv',
  'int64_t',
  [fd, 'uintptr_t', 'size_t', 'int'],
);
export const send: typeof receive = library.func('send', 'int64_t', [fd, 'uintptr_t', 'size_t', 'int']);
/** recvmmsg(2), sendmmsg(2) over an array of struct mmsghdr. */
export const receiveMany: (
  fd: number,
  vector: number,
  count: number,
  flags: number,
  timeout: number,
) => number = library.func('recvmmsg', 'int', [fd, 'uintptr_t', 'uint', 'int', 'uintptr_t']);
export const sendMany: (fd: number, vector: number, count: number, flags: number) => number = library.func(
  'sendmmsg',
  'int',
  [fd, 'uintptr_t', 'uint', 'int'],
);
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITFORONE = 0x10000;
export const MSG_NOSIGNAL = 0x4000;

export const closeDescriptor = (descriptor: number): number => calls.close(descriptor);

function check(result: number, what: string): number {
  if (result < 0) throw new Error(`${what} failed: errno ${errno()}`);
  return result;
}

/** A struct sockaddr_in (ip(7)) in memory of its own. */
export function socketAddress(host: string, port: number): Memory {
  const memory = new Memory(16);
  memory.bytes.writeUInt16LE(2, 0); // AF_INET, in host order; every machine Node runs on here is little-endian
  memory.bytes.writeUInt16BE(port, 2);
  for (const [index, byte] of host.split('.').entries()) memory.bytes[4 + index] = Number(byte);
  return memory;
}

/** The IPv4 address so many after another. */
export function addressAfter(host: string, steps: number): string {
  const number = host.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) + steps;
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;

/** A non-blocking TCP socket on its way to the target: connected, or EINPROGRESS. From `source` if there is one. */
export function connectTcp(target: Memory, source?: Memory): number {
  const descriptor = check(calls.socket(2, 1 | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
  if (source !== undefined) check(calls.bind(descriptor, source.address, 16), 'bind');
  if (calls.connect(descriptor, target.address, 16) < 0 && errno() !== EINPROGRESS) check(-1, 'connect');
  return descriptor;
}

/** A non-blocking UDP socket with that source and the target as its peer; undefined when the source is taken. */
export function connectUdp(source: Memory, target: Memory): number | undefined {
  const descriptor = check(calls.socket(2, 2 | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
  if (calls.bind(descriptor, source.address, 16) < 0) {
    if (errno() !== EADDRINUSE) check(-1, 'bind');
    calls.close(descriptor);
    return undefined;
  }
  check(calls.connect(descriptor, target.address, 16), 'connect');
  return descriptor;
}

/** A blocking UDP socket bound to the address, with a large receive buffer. */
export function bindUdp(address: Memory): number {
  const descriptor = check(calls.socket(2, 2 | SOCK_CLOEXEC, 0), 'socket');
  const size = new Memory(4);
  size.bytes.writeUInt32LE(4 * 1024 * 1024);
  check(calls.setsockopt(descriptor, 1, 8, size.address, 4), 'setsockopt SO_RCVBUF');
  check(calls.bind(descriptor, address.address, 16), 'bind');
  return descriptor;
}

/** Level-triggered epoll; each descriptor carries a number of the caller's. */
export class Poller {
  // struct epoll_event is packed on x86-64 only: 12 bytes there, 16 with the data at 8 elsewhere.
  readonly #size = process.arch === 'x64' ? 12 : 16;
  readonly #dataAt = process.arch === 'x64' ? 4 : 8;
  readonly #descriptor = check(calls.epollCreate(SOCK_CLOEXEC), 'epoll_create1');
  readonly #max: number;
  readonly #events: Memory;
  readonly #one = new Memory(16);
  readonly #timeout = new Memory(16);

  constructor(eventsMax: number) {
    this.#max = eventsMax;
    this.#events = new Memory(eventsMax * this.#size);
    // Timers of this thread fire on time, not up to 50 us late: prctl(PR_SET_TIMERSLACK).
    calls.prctl(29, 1, 0, 0, 0);
  }

  #control(operation: number, descriptor: number, events: number, tag: number): void {
    this.#one.bytes.writeUInt32LE(events, 0);
    this.#one.bytes.writeUInt32LE(tag, this.#dataAt);
    check(calls.epollControl(this.#descriptor, operation, descriptor, this.#one.address), 'epoll_ctl');
  }

  add(descriptor: number, events: number, tag: number): void {
    this.#control(1, descriptor, events, tag);
  }

  change(descriptor: number, events: number, tag: number): void {
    this.#control(3, descriptor, events, tag);
  }

  /** Waits at most `timeoutMs` (fractions count) and returns how many events there are. */
  wait(timeoutMs: number): number {
    this.#timeout.bytes.writeUInt32LE(Math.floor(timeoutMs / 1000), 0);
    this.#timeout.bytes.writeUInt32LE(Math.floor((timeoutMs % 1000) * 1e6), 8);
    const { address } = this.#events;
    const count = calls.epollWait(this.#descriptor, address, this.#max, this.#timeout.address, 0);
    return Math.max(count, 0); // EINTR
  }

  flags(index: number): number {
    return this.#events.bytes.readUInt32LE(index * this.#size);
  }

  tag(index: number): number {
    return this.#events.bytes.readUInt32LE(index * this.#size + this.#dataAt);
  }
}
