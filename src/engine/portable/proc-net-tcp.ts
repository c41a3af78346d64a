/**
 * Linux's /proc/net/tcp and tcp6: one line for each TCP socket of the network namespace, with what its kernel still holds
 * (proc_pid_net(5)). The kernel gives a page of it at a time, so with tens of thousands of sockets it takes a thousand reads.
 */
import { readFileSync } from 'node:fs';

const files = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** Where a file cannot be read: nothing is taken for delivered. */
const unknownBytes = 1;
/** As IPv6 writes an IPv4 address. */
const mappedPrefix = '0000000000000000FFFF0000';

/**
 * How much the kernel holds for sockets, and their peers have not acknowledged. Takes milliseconds, and keeps the thread that long.
 * @param keys a socket each: its own end and its peer, as the files write them, with a blank between; IPv4 as itself
 * @returns bytes, in the order of the keys; 0 for what has no line, and where there is no such file; 1 where a file cannot be read
 */
export function readQueuedBytes(keys: readonly string[]): number[] {
  const queued = new Map(keys.map((key) => [key, 0]));
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, 'latin1');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      return keys.map(() => unknownBytes);
    }
    readQueues(text, queued);
  }
  return keys.map((key) => queued.get(key)!);
}

/** Fills in the queues of those sockets of a file's `text` that are keys of `queued`. */
export function readQueues(text: string, queued: Map<string, number>): void {
  // "  0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 ...": own end, peer, state, bytes to send : bytes to read.
  for (const line of text.split('\n')) {
    const [, own, peer, , queues] = line.trim().split(/\s+/, 5);
    if (own === undefined || peer === undefined || queues === undefined) continue;
    const key = `${unmapped(own)} ${unmapped(peer)}`;
    if (queued.has(key)) queued.set(key, Number.parseInt(queues, 16));
  }
}

function unmapped(end: string): string {
  return end.startsWith(mappedPrefix) ? end.slice(mappedPrefix.length) : end;
}
