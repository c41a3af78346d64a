/**
 * A socket to Redis behind a guard: what the socket reads goes to the Redis client only after the {@link ReplyGuard} has
 * seen it, and what the client writes is counted. A server that sends what it may not, or owes an answer for too
 * long though bytes keep coming, is left: the socket ends with an Error that says why.
 *
 * It wraps two methods of the socket, `push` (node:stream: how every socket hands on what it read) and `write`, so
 * nothing is copied and the client has a real socket in its hands. The client writes each command by itself; what
 * it calls a pipeline would be one write of many commands, and is not to be used.
 */
import type { Socket } from 'node:net';
import { FaultError } from '../errors.ts';
import type { ReplyGuard } from './reply-guard.ts';

export interface GuardOptions {
  readonly guard: ReplyGuard;
  /** Whom it leads to, for people. */
  readonly where: string;
  /** An answer that has not come after this, and at the latest after twice this, ends the connection. */
  readonly answerMsMax: number;
  /** Why the connection is about to end. */
  readonly failed: (error: FaultError) => void;
}

export function guardStream(socket: Socket, options: GuardOptions): void {
  const { guard, where, answerMsMax } = options;
  const push = socket.push.bind(socket);
  const write = socket.write.bind(socket) as (...args: readonly unknown[]) => boolean;
  let timer: NodeJS.Timeout | undefined;
  const fail = (error: FaultError): void => {
    options.failed(error);
    socket.destroy(error);
  };
  /** Looks, when the time is over, whether all was answered that had been asked when it began. */
  const expectAnswers = (): void => {
    const due = guard.asked;
    timer = setTimeout(() => {
      timer = undefined;
      if (guard.answered < due)
        fail(new FaultError('timeout', `${where} is connected, and did not answer within ${answerMsMax} ms`));
      else if (guard.answered < guard.asked) expectAnswers();
    }, answerMsMax);
  };
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (!Buffer.isBuffer(chunk)) return push(chunk, encoding);
    const wrong = socket.destroyed ? undefined : guard.read(chunk);
    if (wrong === undefined) return push(chunk, encoding);
    fail(new FaultError(wrong.fault, `${where} ${wrong.what}`));
    return false;
  };
  socket.write = (...args: readonly unknown[]): boolean => {
    guard.asked++;
    if (timer === undefined) expectAnswers();
    return write(...args);
  };
  socket.once('close', () => {
    clearTimeout(timer);
    guard.end();
  });
}
