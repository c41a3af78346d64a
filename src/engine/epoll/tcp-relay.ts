/**
 * The relay: moves bytes from one side of a flow to the other until one of them would block.
 *
 *    few bytes:   recv(source) -> shared buffer -> send(sink); only an unsent remainder is kept, in a chunk
 *    a stream:    splice(source -> pipe), splice(pipe -> sink); an unsent remainder stays in the pipe
 *
 * While anything is held the source is not read: its sender is slowed by TCP, and a flow holds at most one read. A flow
 * starts by copying, goes over to splice after `fullReadsToSplice` reads in a row that filled the buffer, and back
 * when a splice brings little. One call moves a bounded amount and then asks for another turn.
 *
 * When the sink takes nothing more, what comes is read and dropped: its own last words may still be on their way (tcp-ending.ts).
 *
 * No call here waits, so none is interrupted (EINTR).
 *
 * TCP_NODELAY of the backend's side is set before its second send: the first finds nothing in flight, so Nagle's
 * rule does not hold it back (Linux holds a small segment only behind another small one, tcp_nagle_check), and a connection
 * with one request saves the call.
 *
 * Bytes that came together with the end of their side leave together with it: the kernel is told that more follows, and shutdown(2)
 * or close(2) follows in the same turn. One segment and one wake-up of the receiver instead of two. (When its buffer is full the kernel
 * sends all the same, tcp_sendmsg_locked.)
 */
import { EPOLLOUT, IPPROTO_TCP, TCP_NODELAY } from '../../linux/constants.ts';
import { EAGAIN, EINVAL } from '../../linux/errno.ts';
import { receive, send, setOption, splice } from '../../linux/libc.ts';
import { pipeBytes } from '../../linux/pipe-pool.ts';
import { type Context, readBytes } from './context.ts';
import { keepChunk, keepShared } from './tcp-said.ts';
import { interestToWrite, type TcpSide } from './tcp-side.ts';

/** Reads per call: the share of a busy flow before others have their turn. */
const readsMax = 8;
const fullReadsToSplice = 4;
/** Splices in a row that bring less than the bytes return the flow to copying: one alone is a stream drawing breath. */
const smallSplicesMax = 16;
const spliceBytesWorthwhile = 16 * 1024;
/** `fullReads` of a side whose kind of socket cannot be spliced. */
const spliceNever = -(2 ** 30);
/** `sends` of a side whose options are set. */
export const optionsSet = 2;

/** Moves what can be moved from `source` to its peer. The flow may be over afterwards. */
export function relay(context: Context, source: TcpSide): void {
  const flow = source.owner;
  for (let reads = 0; flow.open; reads++) {
    if (holds(source) && (source.peer.blocked || !deliver(context, source))) return;
    if (source.ended) return flow.onDelivered(source);
    if (!source.readable) return;
    if (reads === readsMax) return context.reactor.again(source);
    if (source.pacer !== undefined && !source.pacer.mayRead()) return;
    if (source.splicing && !source.exact) spliceOnce(context, source);
    else copyOnce(context, source);
  }
}

export function holds(source: TcpSide): boolean {
  return source.heldEnd > source.heldStart || source.pipeBytes > 0;
}

/** Reads once into the shared buffer and sends it on. */
function copyOnce(context: Context, source: TcpSide): void {
  const { shared } = context;
  const most = mostOf(source, readBytes);
  const length = receive(source.fd, shared, 0, most);
  if (length <= 0) return onNothingRead(source, length);
  source.pacer?.charge(length);
  if (length === most) {
    if (++source.fullReads >= fullReadsToSplice) source.splicing = true;
  } else {
    source.fullReads = 0;
    noteShortRead(source);
  }
  sendShared(context, source, length);
  // The host comes last: what it does in return (`proceed` of another flow) may read into the shared buffer.
  if (source.owner.open) source.owner.onReceived(source);
}

/** What is read at once, of a side that may be bounded. */
function mostOf({ pacer }: TcpSide, bytes: number): number {
  return pacer === undefined ? bytes : Math.min(bytes, pacer.room);
}

/** After a read that did not fill its buffer: see tcp-side.ts. */
export function noteShortRead(source: TcpSide): void {
  if (source.exact) return;
  source.readable = false;
  if (source.hungUp) source.ended = true;
}

/** After a read that brought no bytes: 0, nothing there, or an error. */
function onNothingRead(source: TcpSide, result: number): void {
  if (result === 0) source.ended = true;
  else if (result === -EAGAIN) source.readable = false;
  else onReset(source);
}

/** The socket's error, which comes after all bytes: there is nothing more to read. */
function onReset(source: TcpSide): void {
  source.ended = true;
  source.owner.onBroken(source, true);
}

/** Sends the first `length` bytes of the shared buffer to the peer of `source` and keeps what was not taken. */
function sendShared(context: Context, source: TcpSide, length: number): void {
  const sink = source.peer;
  if (sink.sends < optionsSet) prepareSend(sink);
  const sent = send(sink.fd, context.shared, 0, length, source.ended);
  if (source.keeps) keepShared(context, source, length);
  if (sent > 0) source.owner.onMoved(source, sent);
  if (sent === length) return;
  if (sent < 0 && sent !== -EAGAIN) return source.owner.onRefused(source, sent, length);
  hold(context, source, Math.max(sent, 0), length);
  awaitWritable(context, sink);
}

/** Keeps bytes `start` to `end` of the shared buffer for `source`. */
function hold(context: Context, source: TcpSide, start: number, end: number): void {
  const chunk = context.chunks.take(end - start);
  if (chunk === undefined) return source.owner.reset('limit-memory');
  chunk.bytes.set(context.shared.bytes.subarray(start, end));
  source.chunk = chunk;
  source.heldStart = 0;
  source.heldEnd = end - start;
}

/** Sends what is held. True if nothing is any more; otherwise the sink is full, or takes nothing more. */
export function deliver(context: Context, source: TcpSide): boolean {
  const sink = source.peer;
  if (sink.sends < optionsSet) prepareSend(sink);
  const { chunk, pipe } = source;
  let moved: number;
  if (chunk !== undefined) {
    moved = send(sink.fd, chunk, source.heldStart, source.heldEnd - source.heldStart);
    if (moved > 0) source.heldStart += moved;
  } else {
    moved = pipe === undefined ? 0 : splice(pipe.read, sink.fd, source.pipeBytes);
    if (moved > 0) source.pipeBytes -= moved;
  }
  if (moved > 0) source.owner.onMoved(source, moved);
  else if (moved !== -EAGAIN) {
    source.owner.onRefused(source, moved, source.heldEnd - source.heldStart + source.pipeBytes);
    return false;
  }
  if (holds(source)) {
    awaitWritable(context, sink);
    return false;
  }
  if (!keepChunk(context, source)) letGo(context, source);
  return true;
}

/**
 * Moves once from the socket to a pipe; the caller delivers. The pipe is borrowed for as long as bytes are in it,
 * so an idle flow has none.
 */
function spliceOnce(context: Context, source: TcpSide): void {
  const pipe = context.pipes.take(context.reactor.nowMs);
  if (pipe === undefined) return copyFromNowOn(source, 0);
  const length = splice(source.fd, pipe.write, mostOf(source, pipeBytes));
  if (length > 0) {
    source.pacer?.charge(length);
    source.pipe = pipe;
    source.pipeBytes = length;
    if (length >= spliceBytesWorthwhile) source.smallSplices = 0;
    else if (++source.smallSplices >= smallSplicesMax) copyFromNowOn(source, 0);
    return source.owner.onReceived(source);
  }
  context.pipes.release(pipe, true, context.reactor.nowMs);
  if (length === -EAGAIN) source.readable = false;
  else if (length === -EINVAL) copyFromNowOn(source, spliceNever);
  // 0 is the end, or urgent data that splice does not pass: a read tells which.
  else if (length === 0) copyFromNowOn(source, 0);
  // The socket's error is taken by being told: a read after it would look like an orderly end.
  else onReset(source);
}

function copyFromNowOn(source: TcpSide, fullReads: number): void {
  source.splicing = false;
  source.smallSplices = 0;
  source.fullReads = fullReads;
}

/** Gives back what held bytes; a pipe that is not empty is closed. */
export function letGo(context: Context, source: TcpSide): void {
  if (source.chunk !== undefined) context.chunks.release(source.chunk);
  if (source.pipe !== undefined) {
    context.pipes.release(source.pipe, source.pipeBytes === 0, context.reactor.nowMs);
  }
  source.chunk = undefined;
  source.pipe = undefined;
  source.heldStart = 0;
  source.heldEnd = 0;
  source.pipeBytes = 0;
}

function prepareSend(sink: TcpSide): void {
  if (sink.sends++ === 0) return;
  sink.sends = optionsSet;
  setOption(sink.fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** From now on the sink's readiness to write is an event. */
function awaitWritable(context: Context, sink: TcpSide): void {
  sink.blocked = true;
  if ((sink.interest & EPOLLOUT) !== 0 || sink.slot < 0) return;
  sink.interest = interestToWrite;
  context.reactor.modify(sink.fd, sink, interestToWrite);
}
