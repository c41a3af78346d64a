/**
 * The terminal this process was started on, if any. SIGHUP has two meanings (termios(3), and what daemons made of it): the terminal
 * is gone, or read the configuration again. It is told by looking: a terminal that was there and is gone meant the first.
 */
import { isatty } from 'node:tty';

export class Terminal {
  private readonly descriptors: readonly number[];

  constructor() {
    this.descriptors = [0, 1, 2].filter((fd) => isatty(fd));
  }

  /** It was closed; false if there never was one. */
  get isGone(): boolean {
    return this.descriptors.some((fd) => !isatty(fd));
  }
}
