/** The file of finished flows (`log.access`): lines are added to it, and it is opened anew when somebody has moved it away. */
import { constants, open, openSync } from 'node:fs';
import { LineOutput } from './line-output.ts';

// A fifo that nobody reads is refused (ENXIO), or takes nothing: it holds nobody up. Files do not know the difference.
const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
/** Who talks with whom is not everybody's business. */
const mode = 0o640;

export class AccessFile {
  readonly path: string;
  readonly output: LineOutput;
  readonly descriptor: number;
  private isOpening = false;
  /** Asked for while one was under way. */
  private isWantedAgain = false;

  /** @throws the error of opening it */
  constructor(path: string) {
    this.path = path;
    this.descriptor = openSync(path, flags, mode);
    this.output = new LineOutput(this.descriptor);
  }

  /**
   * Lines go on to the file that is open where it cannot be opened again. One call after the other, so that the file that was opened
   * last is the one in use, and a disk that does not answer holds one thread of Node's however often this is called.
   */
  reopen(done: (error: NodeJS.ErrnoException | undefined) => void): void {
    this.isWantedAgain = this.isOpening;
    if (this.isOpening) return;
    this.isOpening = true;
    open(this.path, flags, mode, (error, descriptor) => {
      this.isOpening = false;
      if (error === null) this.output.use(descriptor);
      done(error ?? undefined);
      if (this.isWantedAgain) this.reopen(done);
    });
  }
}
