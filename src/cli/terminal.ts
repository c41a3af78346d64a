/**
 * The terminal this process was started on, if any. SIGHUP has two meanings (termios(3), and what daemons made of it): the terminal
 * is gone, or read the configuration again. It is told by looking: a terminal that has just gone meant the first. One that went
 * long ago, and left this process running (`disown`, `setsid`), says nothing about a SIGHUP of today.
 */
import { isatty } from 'node:tty';

const lookEveryMs = 1_000;
/** Kernel and shell say it at once. Looks, not time: none counts while this process is stopped, and it is told once it goes on. */
const looksMax = 5;

export class Terminal {
  private readonly isTerminal: (fd: number) => boolean;
  private readonly descriptors: readonly number[];
  /** So often in a row it was not there any more. */
  private goneLooks = 0;

  constructor(isTerminal: (fd: number) => boolean = isatty) {
    this.isTerminal = isTerminal;
    this.descriptors = [0, 1, 2].filter((fd) => isTerminal(fd));
    if (this.descriptors.length > 0) setInterval(() => this.look(), lookEveryMs).unref();
  }

  /** It was closed a moment ago; false if there never was one. */
  get hasJustGone(): boolean {
    return this.isGone() && this.goneLooks < looksMax;
  }

  private look(): void {
    this.goneLooks = this.isGone() ? this.goneLooks + 1 : 0;
  }

  private isGone(): boolean {
    return this.descriptors.some((fd) => !this.isTerminal(fd));
  }
}
