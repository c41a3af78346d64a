/**
 * Lines on their way to a descriptor (standard output, a file), without ever waiting for it: they are kept, up to a bound, while it
 * takes nothing; what does not fit, and what it refuses (EPIPE: the reader is gone, ENOSPC: the disk is full), is lost and counted.
 *
 * One write is under way at a time, in a thread of Node's, so a pipe that nobody reads holds that thread and nothing else. A line that
 * was cut by an error is counted as lost, and the next one begins in a line of its own.
 */
import { close, write } from 'node:fs';

/** Bytes of log held while the output does not take any. */
const heldBytesMax = 4 * 1024 * 1024;
/**
 * How long a non-blocking output that takes nothing (EAGAIN) is left alone: two times as long each time. A pipe whose reader keeps up is
 * full for a moment, and holds 64 KiB: always the longest would be 640 KiB a second at most.
 */
const retryMsMin = 1;
const retryMsMax = 100;
const newline = 10;

interface Chunk {
  readonly bytes: Buffer;
  /** Where its first line begins: behind the end of one that was cut. */
  readonly start: number;
  readonly descriptor: number;
  written: number;
}

export class LineOutput {
  /** Lines lost so far. */
  dropped = 0;
  private descriptor: number;
  private readonly bytesMax: number;
  private waiting: string[] = [];
  private waitingBytes = 0;
  private current: Chunk | undefined;
  private retryMs = retryMsMin;
  /** The last line of the output has no end. */
  private isCut = false;
  private isOver = false;
  private onEmpty: (() => void) | undefined;

  constructor(descriptor: number, bytesMax = heldBytesMax) {
    this.descriptor = descriptor;
    this.bytesMax = bytesMax;
  }

  /** @param line with its end */
  write(line: string): void {
    if (this.isOver) return;
    const bytes = Buffer.byteLength(line);
    const held = this.waitingBytes + (this.current?.bytes.length ?? 0);
    if (held + bytes > this.bytesMax) {
      this.dropped += linesIn(line);
      return;
    }
    this.waiting.push(line);
    this.waitingBytes += bytes;
    this.next();
  }

  /** Later lines go there. The one before is closed when it has taken what is under way. */
  use(descriptor: number): void {
    const former = this.descriptor;
    this.descriptor = descriptor;
    this.isCut = false;
    // What is under way may be on its way to one of before that, which has been closed by nobody yet.
    if (this.current?.descriptor !== former) close(former, () => {});
  }

  /** Takes no more lines, and resolves when all are written, or after `withinMs`. */
  end(withinMs: number): Promise<void> {
    this.isOver = true;
    if (this.current === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private next(): void {
    if (this.current !== undefined) return;
    if (this.waiting.length === 0) {
      this.onEmpty?.();
      return;
    }
    const bytes = Buffer.from((this.isCut ? '\n' : '') + this.waiting.join(''));
    this.waiting = [];
    this.waitingBytes = 0;
    this.current = { bytes, start: Number(this.isCut), descriptor: this.descriptor, written: 0 };
    this.push(this.current);
  }

  private push(chunk: Chunk): void {
    const { descriptor, bytes, written } = chunk;
    write(descriptor, bytes, written, bytes.length - written, null, (error, count) => {
      if (error === null) {
        chunk.written += count;
        this.retryMs = retryMsMin;
        if (chunk.written < bytes.length) this.push(chunk);
        else this.done(chunk);
        return;
      }
      if (error.code === 'EINTR') this.push(chunk);
      else if (error.code === 'EAGAIN') this.pushLater(chunk);
      else this.done(chunk);
    });
  }

  private pushLater(chunk: Chunk): void {
    setTimeout(() => this.push(chunk), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, retryMsMax);
  }

  /** It is written, or what is left of it is lost. */
  private done({ bytes, start, written, descriptor }: Chunk): void {
    for (
      let at = bytes.indexOf(newline, Math.max(written, start));
      at >= 0;
      at = bytes.indexOf(newline, at + 1)
    )
      this.dropped++;
    if (written > 0) this.isCut = bytes[written - 1] !== newline;
    if (descriptor !== this.descriptor) {
      this.isCut = false;
      close(descriptor, () => {});
    }
    this.current = undefined;
    this.next();
  }
}

function linesIn(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}
