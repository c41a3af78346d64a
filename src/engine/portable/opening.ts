/**
 * What a backend hears before the client's bytes, and what it has to answer (`flow.opening`), for one dial.
 */
import type { Socket } from 'node:net';
import type { Opening } from '../../core/opening.ts';

/**
 * Says it, and reads the answer and nothing behind it. An error of the socket is its owner's.
 * @param done called once: whether all that was expected has come; `backend` is paused then, and what came behind is still in it
 */
export function sayOpening(
  backend: Socket,
  { send, expect }: Opening,
  done: (isExpected: boolean) => void,
): void {
  backend.write(send);
  if (expect === undefined) return done(true);
  let heardBytes = 0;
  const finish = (isExpected: boolean): void => {
    backend.pause().off('data', onData).off('end', onEnd);
    done(isExpected);
  };
  const onData = (bytes: Buffer): void => {
    const answer = bytes.subarray(0, expect.length - heardBytes);
    if (!answer.equals(expect.subarray(heardBytes, heardBytes + answer.length))) return finish(false);
    heardBytes += answer.length;
    if (heardBytes < expect.length) return;
    backend.pause();
    if (answer.length < bytes.length) backend.unshift(bytes.subarray(answer.length));
    finish(true);
  };
  const onEnd = (): void => finish(false);
  backend.on('data', onData).on('end', onEnd);
}
