/**
 * The boundary to libc: the only file that imports koffi.
 *
 * Conventions
 *  - Errors are values. Every operation returns what the call returned, or the negative errno. Nothing throws
 *    but loading itself (no koffi binary, no such symbol). errno is per thread; koffi keeps the one of the last
 *    call, so it is read directly after it.
 *  - Memory is the caller's: a `Region` of an arena (arena.ts). Operations take a Region with an offset and a
 *    length, never an address, and clamp both to it, so a wrong address or length cannot be expressed outside
 *    src/linux/. The kernel keeps no pointer after a call has returned. `Descriptor` is branded: it comes
 *    from an operation here and is used until `close`.
 *  - Addresses cross as `uintptr_t` made from a JS number (40 ns a call; a Buffer argument takes 75): user addresses
 *    are below 2^48 on x86-64 and 2^52 on arm64, so a double holds them exactly.
 *  - Layouts are those of 64-bit little-endian Linux. `struct epoll_event` is packed (12 bytes) on x86-64 and 16
 *    bytes elsewhere: `epollEventWords`. `struct msghdr` is laid out as the kernel has it; musl declares
 *    two of its fields as int plus padding, which is the same bytes as long as the padding is zero, and it is.
 *  - Symbols are looked up in the process itself, which has its libc loaded already: glibc or musl alike.
 *    fcntl and ioctl are variadic in C; for an integer argument both ABIs pass it as a fixed one.
 */
import koffi from 'koffi';
import type { Region } from './arena.ts';
import {
  IPPROTO_TCP,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_PEEK,
  SIOCOUTQ,
  SO_ATTACH_FILTER,
  SO_MEMINFO,
  SOL_SOCKET,
  SPLICE_F_MOVE,
  SPLICE_F_NONBLOCK,
  TCP_INFO,
} from './constants.ts';
import { EIO } from './errno.ts';

declare const descriptorBrand: unique symbol;
/** An open file descriptor, or {@link noDescriptor}. */
export type Descriptor = number & { readonly [descriptorBrand]: true };
export const noDescriptor = -1 as Descriptor;

/** 32-bit words of one `struct epoll_event`, and the word its data starts at. */
export const epollEventWords = process.arch === 'x64' ? 3 : 4;
export const epollDataWord = epollEventWords - 2;

type Call = (...numbers: number[]) => number;
const library = koffi.load(null);
const call = (definition: string): Call => library.func(definition) as unknown as Call;

const cEpollCreate = call('int epoll_create1(int)');
const cEpollControl = call('int epoll_ctl(int, int, int, uintptr_t)');
const cEpollWait = call('int epoll_wait(int, uintptr_t, int, int)');
const cEventfd = call('int eventfd(uint32_t, int)');
const cRead = call('int read(int, uintptr_t, size_t)');
const cExit = library.func('void _exit(int)') as unknown as (status: number) => never;
const cSocket = call('int socket(int, int, int)');
const cBind = call('int bind(int, uintptr_t, uint32_t)');
const cListen = call('int listen(int, int)');
const cAccept = call('int accept4(int, uintptr_t, uintptr_t, int)');
const cConnect = call('int connect(int, uintptr_t, uint32_t)');
const cGetsockname = call('int getsockname(int, uintptr_t, uintptr_t)');
const cSetsockopt = call('int setsockopt(int, int, int, uintptr_t, uint32_t)');
const cGetsockopt = call('int getsockopt(int, int, int, uintptr_t, uintptr_t)');
const cReceive = call('int recv(int, uintptr_t, size_t, int)');
const cSend = call('int send(int, uintptr_t, size_t, int)');
const cShutdown = call('int shutdown(int, int)');
const cClose = call('int close(int)');
const cPipe = call('int pipe2(uintptr_t, int)');
const cFcntl = call('int fcntl(int, int, int)');
const cIoctl = call('int ioctl(int, ulong, uintptr_t)');
const cSplice = call('int splice(int, uintptr_t, int, uintptr_t, size_t, uint32_t)');
const cReceiveMany = call('int recvmmsg(int, uintptr_t, uint32_t, int, uintptr_t)');
const cSendMany = call('int sendmmsg(int, uintptr_t, uint32_t, int)');

/** Where a buffer's memory begins. For arena.ts. */
export function addressOf(buffer: ArrayBuffer): number {
  return Number(koffi.address(buffer));
}

// Small values the kernel reads or writes by pointer. Calls are synchronous and a thread has its own copy of
// this module, so one place for each is enough.
const scratchBuffer = new ArrayBuffer(128);
const scratch = new Int32Array(scratchBuffer);
const scratchBytes = new Uint8Array(scratchBuffer);
const scratchAddress = addressOf(scratchBuffer);

/** A result of at least 0 as it is, otherwise the negative errno. */
function checked(result: number): number {
  return result >= 0 ? result : -(koffi.errno() || EIO);
}

function clampOffset(region: Region, offset: number): number {
  return offset >= 0 && offset <= region.length ? offset : region.length;
}

function clampLength(region: Region, start: number, length: number): number {
  const most = region.length - start;
  return length >= 0 && length <= most ? length : most;
}

export function epollCreate(flags: number): Descriptor {
  return checked(cEpollCreate(flags)) as Descriptor;
}

/** epoll_ctl(2); the event's data is the pair `dataLow`, `dataHigh`. 0 or a negative errno. */
export function epollControl(
  epoll: Descriptor,
  operation: number,
  fd: Descriptor,
  events: number,
  dataLow: number,
  dataHigh: number,
): number {
  scratch[0] = events;
  scratch[epollDataWord] = dataLow;
  scratch[epollDataWord + 1] = dataHigh;
  return checked(cEpollControl(epoll, operation, fd, scratchAddress));
}

/** Fills `events` with at most what fits. `timeoutMs` -1 waits for ever. The count or a negative errno. */
export function epollWait(epoll: Descriptor, events: Region, timeoutMs: number): number {
  const most = Math.floor(events.length / (epollEventWords * 4));
  return checked(cEpollWait(epoll, events.address, most, timeoutMs));
}

export function eventfd(flags: number): Descriptor {
  return checked(cEventfd(0, flags)) as Descriptor;
}

/** Takes an eventfd's count. 8 or a negative errno. */
export function drainEventfd(fd: Descriptor): number {
  return checked(cRead(fd, scratchAddress, 8));
}

/** Ends the process without waiting for any of its threads: _exit(2). Whatever is still to be written is lost. */
export function exitAtOnce(status: number): never {
  return cExit(status);
}

/** `protocol` 0 is the usual one of the family and type. */
export function socket(family: number, type: number, protocol = 0): Descriptor {
  return checked(cSocket(family, type, protocol)) as Descriptor;
}

/** bind(2) to the socket address in the first `length` bytes of `name`. */
export function bind(fd: Descriptor, name: Region, length: number): number {
  return checked(cBind(fd, name.address, clampLength(name, 0, length)));
}

export function listen(fd: Descriptor, backlog: number): number {
  return checked(cListen(fd, backlog));
}

/** accept4(2); the peer's socket address goes to `name`. A descriptor or a negative errno. */
export function accept(fd: Descriptor, name: Region, flags: number): Descriptor {
  scratch[0] = name.length;
  return checked(cAccept(fd, name.address, scratchAddress, flags)) as Descriptor;
}

/** connect(2) to the socket address in the first `length` bytes of `name`. 0 or a negative errno (EINPROGRESS). */
export function connect(fd: Descriptor, name: Region, length: number): number {
  return checked(cConnect(fd, name.address, clampLength(name, 0, length)));
}

/** Writes the socket's own address to `name`. 0 or a negative errno. */
export function socketName(fd: Descriptor, name: Region): number {
  scratch[0] = name.length;
  return checked(cGetsockname(fd, name.address, scratchAddress));
}

export function setOption(fd: Descriptor, level: number, option: number, value: number): number {
  scratch[0] = value;
  return checked(cSetsockopt(fd, level, option, scratchAddress, 4));
}

/** An option that is `struct linger` or another pair of ints. */
export function setOptionPair(
  fd: Descriptor,
  level: number,
  option: number,
  first: number,
  second: number,
): number {
  scratch[0] = first;
  scratch[1] = second;
  return checked(cSetsockopt(fd, level, option, scratchAddress, 8));
}

const encoder = new TextEncoder();

/** An option that is a short text: a device's name. Up to 128 bytes of it are used. */
export function setOptionText(fd: Descriptor, level: number, option: number, text: string): number {
  const length = encoder.encodeInto(text, scratchBytes).written;
  return checked(cSetsockopt(fd, level, option, scratchAddress, length));
}

/** An int option's value, or a negative errno. */
export function option(fd: Descriptor, level: number, name: number): number {
  const result = optionWords(fd, level, name, 1);
  return result < 0 ? result : scratch[0]!;
}

/** Makes the kernel drop what a program of classic BPF (instructions of 8 bytes) says is not for this socket. 0 or a negative errno. */
export function attachFilter(fd: Descriptor, program: Region): number {
  // struct sock_fprog: the count, and behind padding where the instructions are.
  scratch[0] = program.length / 8;
  scratch[1] = 0;
  scratch[2] = program.address % 0x1_0000_0000;
  scratch[3] = Math.floor(program.address / 0x1_0000_0000);
  return checked(cSetsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, scratchAddress, 16));
}

/** Words of SO_MEMINFO, and the one that counts drops: SK_MEMINFO_VARS and SK_MEMINFO_DROPS of linux/sock_diag.h. */
const memoryWords = 9;
const memoryDropsWord = 8;

/** An option of so many words, into the scratch memory. 0 or a negative errno. */
function optionWords(fd: Descriptor, level: number, name: number, words: number): number {
  scratch[words] = words * 4;
  return checked(cGetsockopt(fd, level, name, scratchAddress, scratchAddress + words * 4));
}

/** Datagrams the kernel dropped at this socket since it was made, in 32 bits, or a negative errno. */
export function dropsOf(fd: Descriptor): number {
  const result = optionWords(fd, SOL_SOCKET, SO_MEMINFO, memoryWords);
  return result < 0 ? result : scratch[memoryDropsWord]! >>> 0;
}

/** Words of TCP_INFO that are asked for, and two of them: tcpi_rtt and tcpi_total_retrans of linux/tcp.h. */
const infoWords = 26;
const infoRttWord = 17;
const infoRetransmittedWord = 25;

/**
 * How long the handshake of a connection that was made here took, before anything else has been said on it. Microseconds; 0 where
 * the kernel cannot tell, as after a SYN that was sent again: its time then counts from the last one.
 */
export function handshakeMicroseconds(fd: Descriptor): number {
  const result = optionWords(fd, IPPROTO_TCP, TCP_INFO, infoWords);
  return result < 0 || scratch[infoRetransmittedWord] !== 0 ? 0 : scratch[infoRttWord]!;
}

/** recv(2) without waiting. Bytes (0: the stream has ended, or an empty datagram) or a negative errno. */
export function receive(fd: Descriptor, into: Region, offset: number, length: number): number {
  const start = clampOffset(into, offset);
  return checked(cReceive(fd, into.address + start, clampLength(into, start, length), MSG_DONTWAIT));
}

/** As `receive` of one byte, which stays where it is. 1, 0 (the stream has ended) or a negative errno. */
export function peek(fd: Descriptor): number {
  return checked(cReceive(fd, scratchAddress, 1, MSG_DONTWAIT | MSG_PEEK));
}

/** Bytes a stream socket has taken and its peer has not: not acknowledged (TCP), not read (unix). 0 if it cannot be told. */
export function queuedBytes(fd: Descriptor): number {
  return checked(cIoctl(fd, SIOCOUTQ, scratchAddress)) < 0 ? 0 : scratch[0]!;
}

/**
 * send(2) without waiting and without SIGPIPE.
 * @param hasMore the kernel may wait with it for what follows at once: more bytes, or the end
 * @returns bytes taken or a negative errno
 */
export function send(fd: Descriptor, from: Region, offset: number, length: number, hasMore = false): number {
  const start = clampOffset(from, offset);
  const flags = hasMore ? MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE : MSG_DONTWAIT | MSG_NOSIGNAL;
  return checked(cSend(fd, from.address + start, clampLength(from, start, length), flags));
}

export function shutdown(fd: Descriptor, how: number): number {
  return checked(cShutdown(fd, how));
}

/** Never repeated after EINTR: on Linux the descriptor is gone all the same (close(2)). */
export function close(fd: Descriptor): number {
  return checked(cClose(fd));
}

/** The two ends of a new pipe, or a negative errno. */
export function pipe(flags: number): { readonly read: Descriptor; readonly write: Descriptor } | number {
  const result = checked(cPipe(scratchAddress, flags));
  if (result < 0) return result;
  return { read: scratch[0] as Descriptor, write: scratch[1] as Descriptor };
}

/** fcntl(2) with an int argument. */
export function control(fd: Descriptor, command: number, argument: number): number {
  return checked(cFcntl(fd, command, argument));
}

/** Moves up to `length` bytes between a pipe and a socket inside the kernel. Bytes (0: ended) or a negative errno. */
export function splice(from: Descriptor, to: Descriptor, length: number): number {
  return checked(cSplice(from, 0, to, 0, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

/** Bytes of one `struct mmsghdr`. */
export const messageHeaderBytes = 64;

/**
 * recvmmsg(2) and sendmmsg(2) over headers `first` to `first + count`. For message-batch.ts alone: the headers
 * hold addresses, which only src/linux/ can write. Messages done or a negative errno.
 */
export function receiveMany(fd: Descriptor, headers: Region, first: number, count: number): number {
  const start = clampOffset(headers, first * messageHeaderBytes);
  const most = Math.min(count, Math.floor((headers.length - start) / messageHeaderBytes));
  return checked(cReceiveMany(fd, headers.address + start, most, MSG_DONTWAIT, 0));
}

export function sendMany(fd: Descriptor, headers: Region, first: number, count: number): number {
  const start = clampOffset(headers, first * messageHeaderBytes);
  const most = Math.min(count, Math.floor((headers.length - start) / messageHeaderBytes));
  return checked(cSendMany(fd, headers.address + start, most, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/** A context of libnftables(3): one thing after the other, each in a thread of libuv's pool. */
export interface NftablesLibrary {
  /**
   * Runs commands, as one transaction.
   * @param text as nft(8) takes it with -f, in UTF-8
   * @param isJson whether what is listed comes as JSON
   * @returns the status (0 is success), what was listed, and what was wrong
   */
  run(text: Uint8Array, isJson: boolean): Promise<{ status: number; output: string; error: string }>;
  /** `run` rejects from then on. */
  free(): void;
}

/** NFT_CTX_OUTPUT_JSON of nftables/libnftables.h. */
const nftablesJson = 1 << 4;

/**
 * libnftables; undefined where it is not installed, or makes no context. The pointer to its context never leaves here, and is used by one
 * call at a time.
 */
export function openNftables(): NftablesLibrary | undefined {
  const nftables = loadNftables();
  if (nftables === undefined) return undefined;
  const define = (definition: string) => nftables.func(definition);
  const runBuffer = define('int nft_run_cmd_from_buffer(uintptr_t, uintptr_t)');
  const setFlags = define('void nft_ctx_output_set_flags(uintptr_t, uint)');
  const outputOf = define('const char *nft_ctx_get_output_buffer(uintptr_t)');
  const errorOf = define('const char *nft_ctx_get_error_buffer(uintptr_t)');
  const free = define('void nft_ctx_free(uintptr_t)');
  const context: number = define('uintptr_t nft_ctx_new(uint32_t)')(0);
  if (context === 0) return undefined;
  define('int nft_ctx_buffer_output(uintptr_t)')(context);
  define('int nft_ctx_buffer_error(uintptr_t)')(context);
  let last: Promise<unknown> = Promise.resolve();
  let isFreed = false;
  const runOnce = (text: Uint8Array, isJson: boolean) =>
    new Promise<{ status: number; output: string; error: string }>((resolve, reject) => {
      const buffer = new ArrayBuffer(text.length + 1);
      new Uint8Array(buffer).set(text);
      setFlags(context, isJson ? nftablesJson : 0);
      runBuffer.async(context, addressOf(buffer), (fault: unknown, status: number) => {
        // It also keeps the buffer alive until here.
        if (fault !== null && fault !== undefined) reject(fault);
        else if (buffer.byteLength > 0)
          resolve({ status, output: outputOf(context), error: errorOf(context) });
      });
    });
  return {
    run(text, isJson) {
      if (isFreed) return Promise.reject(new Error('nftables is closed'));
      const result = last.then(() => runOnce(text, isJson));
      last = result.catch(() => undefined);
      return result;
    },
    free() {
      if (isFreed) return;
      isFreed = true;
      // What was asked for before is done before.
      last = last.then(() => free(context));
    },
  };
}

function loadNftables(): ReturnType<typeof koffi.load> | undefined {
  try {
    return koffi.load('libnftables.so.1');
  } catch {
    return undefined;
  }
}
