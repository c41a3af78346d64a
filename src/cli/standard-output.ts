/**
 * What commands write for people and scripts. A write to standard output may fail long after the call, as an event
 * that would end the process with a stack trace if nobody listened.
 *
 * `pinion run` does not come here: its log writes by itself, and to open the stream would make its pipe non-blocking.
 */
import { exitStatus } from './exit.ts';

let isWatched = false;

/** Writes text to standard output. The process ends with status 1 when it takes none. */
export function print(text: string): void {
  if (!isWatched) {
    isWatched = true;
    process.stdout.on('error', giveUp);
  }
  process.stdout.write(text);
}

function giveUp({ code, message }: NodeJS.ErrnoException): void {
  // EPIPE: whoever read has seen enough (`| head`), or is gone with the terminal. There is nobody to tell.
  if (code !== 'EPIPE') process.stderr.write(`cannot write to standard output: ${code ?? message}\n`);
  process.exit(exitStatus.refused);
}
