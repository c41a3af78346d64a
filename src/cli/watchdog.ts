/**
 * Whether this process makes progress, for a service manager's watchdog (systemd.service(5), WatchdogSec=): it is fed by control's own
 * loop, and only while every worker turns its loop too. A worker that is gone is no reason to starve it: control starts it again, or
 * gives up by itself.
 */
import type { Beat } from '../worker/client.ts';

export interface WatchdogOptions {
  /** The manager ends this process when it was not fed for so long. */
  readonly timeoutMs: number;
  /** Of each worker; undefined: no thread of it runs now. */
  readonly beats: () => readonly (Beat | undefined)[];
  readonly feed: () => void;
  /** Once for each time: from now on it is not fed. */
  readonly stuck: (worker: number, silentMs: number) => void;
  readonly nowMs: () => number;
}

interface Seen extends Beat {
  readonly atMs: number;
  isTold: boolean;
}

/** A thread that has just been started loads its modules, on a machine that may be busy. */
const firstBeatWithinMs = 30_000;

export class Watchdog {
  /** How often {@link look} is to be called. */
  readonly everyMs: number;
  private readonly options: WatchdogOptions;
  private readonly silentMsMax: number;
  private readonly seen: (Seen | undefined)[] = [];

  constructor(options: WatchdogOptions) {
    this.options = options;
    this.everyMs = options.timeoutMs / 4;
    this.silentMsMax = options.timeoutMs / 2;
  }

  /** Feeds, unless a worker is stuck. */
  look(): void {
    const stuck = this.options.beats().filter((beat, worker) => this.isStuck(worker, beat));
    if (stuck.length === 0) this.options.feed();
  }

  private isStuck(worker: number, beat: Beat | undefined): boolean {
    const atMs = this.options.nowMs();
    const seen = this.seen[worker];
    if (beat === undefined || seen?.thread !== beat.thread || seen.beats !== beat.beats) {
      this.seen[worker] = beat && { ...beat, atMs, isTold: false };
      return false;
    }
    const silentMs = atMs - seen.atMs;
    const most = seen.beats === 0 ? Math.max(this.silentMsMax, firstBeatWithinMs) : this.silentMsMax;
    if (silentMs < most) return false;
    if (!seen.isTold) this.options.stuck(worker, silentMs);
    seen.isTold = true;
    return true;
  }
}
