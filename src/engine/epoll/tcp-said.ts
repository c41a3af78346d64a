/**
 * What a client has said until its backend's first byte: kept, so that it can be said again to another backend if this one
 * breaks before that.
 *
 *    read early  --> a chunk, which is sent from and then kept as it is
 *    read later  --> sent from the shared buffer, and copied behind what is kept
 *
 * As long as `keeps` holds, all that was read of the client is in `said`, or in its `chunk` from the start. It ends with the
 * backend's first byte, with more than `saidBytesMax`, and where memory is short: from then on nothing is copied, so a
 * connection pays for its first few bytes only, once.
 */
import { saidBytesMax } from '../../core/limits.ts';
import type { Region } from '../../linux/arena.ts';
import type { Context } from './context.ts';
import type { TcpSide } from './tcp-side.ts';

/** As long as no more than this is lent, a chunk that is too large costs less than the copy into a smaller one. */
const plentyBytes = 16 * 1024 * 1024;

/** Nothing is said again from here on. */
export function forgetSaid(context: Context, client: TcpSide): void {
  client.keeps = false;
  if (client.said !== undefined) context.chunks.release(client.said);
  client.said = undefined;
  client.saidEnd = 0;
}

/** The client has said the first `length` bytes of the shared buffer; whether they were taken does not matter. */
export function keepShared(context: Context, client: TcpSide, length: number): void {
  const { saidEnd } = client;
  const end = saidEnd + length;
  if (!client.owner.flow.keepsSaid || end > saidBytesMax) return forgetSaid(context, client);
  if (client.said === undefined || client.said.length < end) {
    const larger = context.chunks.isScarce ? undefined : context.chunks.take(end);
    if (larger === undefined) return forgetSaid(context, client);
    if (client.said !== undefined) moveSaid(context, client, client.said, larger);
    client.said = larger;
  }
  client.said.bytes.set(context.shared.bytes.subarray(0, length), saidEnd);
  client.saidEnd = end;
}

/**
 * All of the client's chunk was taken.
 * @returns false: the caller gives it back
 */
export function keepChunk(context: Context, client: TcpSide): boolean {
  const { chunk, heldEnd } = client;
  // With `said` it is a remainder of what is kept already.
  if (!client.keeps || chunk === undefined || client.said !== undefined) return false;
  if (!client.owner.flow.keepsSaid) {
    forgetSaid(context, client);
    return false;
  }
  // What is read early has a large chunk whatever came: of many, it is not to lie there for a few bytes.
  const isWasteful = heldEnd <= chunk.length / 4 && context.chunks.usedBytes > plentyBytes;
  const fitting = isWasteful ? context.chunks.take(heldEnd) : undefined;
  client.chunk = undefined;
  client.heldStart = 0;
  client.heldEnd = 0;
  client.said = chunk;
  client.saidEnd = heldEnd;
  if (fitting !== undefined) {
    moveSaid(context, client, chunk, fitting);
    client.said = fitting;
  }
  return true;
}

/** All that the client has said is what it has to say next. Only while it keeps. */
export function sayAgain(context: Context, client: TcpSide): void {
  client.heldStart = 0;
  if (client.said === undefined) return;
  if (client.chunk !== undefined) context.chunks.release(client.chunk);
  client.chunk = client.said;
  client.heldEnd = client.saidEnd;
  client.said = undefined;
  client.saidEnd = 0;
}

/** Gives `from` back. */
function moveSaid(context: Context, client: TcpSide, from: Region, to: Region): void {
  to.bytes.set(from.bytes.subarray(0, client.saidEnd));
  context.chunks.release(from);
}
