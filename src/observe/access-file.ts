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

  /** @throws the error of opening it */
  constructor(path: string) {
    this.path = path;
    this.descriptor = openSync(path, flags, mode);
    this.output = new LineOutput(this.descriptor);
  }

  /** Lines go on to the file that is open where it cannot be opened again. */
  reopen(done: (error: NodeJS.ErrnoException | undefined) => void): void {
    open(this.path, flags, mode, (error, descriptor) => {
      if (error === null) this.output.use(descriptor);
      done(error ?? undefined);
    });
  }
}
