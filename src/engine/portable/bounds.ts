/**
 * Numbers only this engine has, with their unit and origin.
 */
import { pendingBytesMax } from '../../core/limits.ts';

/** What libuv reads from a TCP socket at once. Bytes. */
const readBytesMax = 64 * 1024;

/**
 * highWaterMark of every TCP socket. A direction holds at most what its writable side takes before it says no
 * (mark + one read) and what its readable side takes before libuv stops (again mark + one read). Bytes.
 */
export const highWaterMark = pendingBytesMax / 2 - readBytesMax;

/** UDP conversations of one engine unless its options say otherwise: each is a descriptor and about 3 KiB. */
export const conversationsMaxDefault = 16_384;

/** Receive buffer asked for on listening UDP sockets; the kernel gives at most net.core.rmem_max. Bytes. */
export const receiveBufferBytes = 4 * 1024 * 1024;

/** Bytes that may wait in the socket of one UDP conversation for the kernel to take them; what comes on top is dropped. */
export const sendQueueBytesMax = 1024 * 1024;

/** How often a wildcard bind looks for new and vanished addresses of this machine. */
export const rescanMs = 5_000;

/** Grain of all deadlines. */
export const tickMs = 100;
