/**
 * A file that is read again when it changes. Its folder is watched, as editors and Kubernetes put another file in its place, and
 * the file is looked at every ten seconds besides, for what the kernel does not tell (NFS, a link that leads elsewhere).
 *
 *    something happens in the folder --a moment later--> looked at --the same for half a second--> read
 *                                                              \--it still changes--> looked at again
 *
 * A file that is being written may end anywhere, also between two of its lines, where it reads like a whole one. So one that has
 * just changed is not read before it has been left alone. Whoever writes it with longer pauses than that has to write it
 * beside its place and rename it. One that cannot be used is looked at a second time, after a second.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Reading } from '../core/options.ts';

/** The folder is looked into so long after something has happened in it, however much happens. */
const gatherMs = 100;
/** So long a file has been left alone when it is read. */
const settledMs = 500;
/** One that was changed longer ago than this, by its own word, is taken to be left alone: clocks of file servers may differ by a little. */
const longSettledMs = 2_000;
/** One that has not been left alone for so long is told. */
const restlessMs = 10_000;
/** Until what cannot be used is looked at again and told. */
const doubtMs = 1_000;
const pollMs = 10_000;
/** The same while nothing is watched. */
const blindPollMs = 1_000;

export interface FileWatch<T> {
  readonly path: string;
  /** Blocks; never throws. */
  readonly read: (path: string) => Reading<T>;
  /** After each look: what the file holds, the same object while the file is the same; or undefined and why it cannot be used. */
  readonly tell: (value: T | undefined, fault?: string) => void;
}

export class WatchedFile<T> {
  private readonly options: FileWatch<T>;
  private watcher: FSWatcher | undefined;
  /** The folder that is watched: another one may have taken its name. */
  private watched: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** When the timer rings (performance.now). */
  private dueMs = Number.POSITIVE_INFINITY;
  private pollTimer: NodeJS.Timeout | undefined;
  /** The file as it was at the last look, and since when. */
  private stamp: string | undefined;
  private sameSinceMs = Number.NEGATIVE_INFINITY;
  /** Since when it has not been left alone; undefined: it has. */
  private restlessSinceMs: number | undefined;
  /** The file that was read last, if it could be used, and what it said. */
  private good: string | undefined;
  private last: T | undefined = undefined;

  constructor(options: FileWatch<T>) {
    this.options = options;
  }

  /** Reads it at once and tells nobody; before {@link start}. Blocks. */
  readNow(): Reading<T> {
    const { path, read } = this.options;
    // Before it is read: what is written meanwhile is another file.
    this.see(performance.now());
    const reading = read(path);
    if ('value' in reading) {
      this.good = this.stamp;
      this.last = reading.value;
    }
    return reading;
  }

  /** Tells from here on, not before whoever starts it has returned. */
  start(): void {
    this.poll();
    this.lookIn(0);
  }

  stop(): void {
    clearTimeout(this.pollTimer);
    clearTimeout(this.timer);
    this.watcher?.close();
  }

  private poll(): void {
    const inMs = this.watcher === undefined ? blindPollMs : pollMs;
    this.pollTimer = setTimeout(() => {
      this.lookIn(0);
      this.poll();
    }, inMs);
  }

  private watch(): void {
    const folder = dirname(this.options.path);
    const identity = stampOf(folder, (stat) => [stat.dev, stat.ino]);
    if (this.watcher !== undefined && identity === this.watched) return;
    this.watcher?.close();
    this.watcher = undefined;
    this.watched = identity;
    if (identity === undefined) return;
    try {
      this.watcher = watch(folder, () => this.lookIn(gatherMs));
      // Whatever it is: the file is looked at all the same.
      this.watcher.on('error', () => {});
    } catch {
      // No inotify instance is left (fs.inotify.max_user_instances), or the folder may not be read.
      this.watched = undefined;
    }
  }

  /** At the latest: a look that is due sooner stays, so that a folder where much happens puts off none. */
  private lookIn(ms: number): void {
    const dueMs = performance.now() + ms;
    if (dueMs >= this.dueMs) return;
    clearTimeout(this.timer);
    this.dueMs = dueMs;
    this.timer = setTimeout(() => {
      this.dueMs = Number.POSITIVE_INFINITY;
      this.watch();
      this.look();
    }, ms);
  }

  private look(): void {
    const { path, read, tell } = this.options;
    const nowMs = performance.now();
    this.see(nowMs);
    const { stamp } = this;
    if (stamp !== undefined && stamp === this.good) {
      this.restlessSinceMs = undefined;
      tell(this.last!);
      return;
    }
    const leftMs = stamp === undefined ? 0 : this.sameSinceMs + settledMs - nowMs;
    if (leftMs > 0) return this.waitForRest(nowMs, leftMs);
    const reading = read(path);
    this.see(performance.now());
    // It was another one by the time it had been read.
    if (this.stamp !== stamp) return this.waitForRest(nowMs, settledMs);
    this.restlessSinceMs = undefined;
    if ('value' in reading) {
      this.good = stamp;
      this.last = reading.value;
      tell(reading.value);
      return;
    }
    this.good = undefined;
    const doubtLeftMs = this.sameSinceMs + doubtMs - nowMs;
    if (doubtLeftMs > 0) this.lookIn(doubtLeftMs);
    else tell(undefined, reading.refused);
  }

  private waitForRest(nowMs: number, leftMs: number): void {
    this.restlessSinceMs ??= nowMs;
    if (nowMs - this.restlessSinceMs >= restlessMs)
      this.options.tell(
        undefined,
        `${this.options.path} is written again and again; write it beside its place and rename it`,
      );
    this.lookIn(leftMs);
  }

  /** Notes whether it is the file of the last look. */
  private see(nowMs: number): void {
    const { path } = this.options;
    const stamp = stampOf(path, ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs]);
    if (stamp === this.stamp && this.sameSinceMs > Number.NEGATIVE_INFINITY) return;
    this.stamp = stamp;
    this.sameSinceMs = nowMs;
    const changedMs = Number(statOf(path)?.mtimeMs ?? 0n);
    if (stamp !== undefined && Date.now() - changedMs > longSettledMs) this.sameSinceMs -= settledMs;
  }
}

type Stat = ReturnType<typeof statOf>;

/** What tells one file at a path from another; undefined: there is none. */
function stampOf(path: string, facts: (stat: NonNullable<Stat>) => readonly bigint[]): string | undefined {
  const stat = statOf(path);
  return stat === undefined ? undefined : facts(stat).join(' ');
}

function statOf(path: string) {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}
