/** What an error on the way to a backend says: of the backend, or of this machine. */
import type { DownReason } from '../core/down-reason.ts';
import { type CheckResult, failed } from './dialect.ts';

/** errno names that speak of us, not of the backend. */
const ownFaults = new Set([
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOBUFS',
  'EADDRNOTAVAIL',
  'EAGAIN',
  // A source without a free port: Node binds before it knows the destination, so flows to anybody count.
  'EADDRINUSE',
]);

/** Whether an errno name speaks of this machine. */
export function isOwnFault(code: string): boolean {
  return ownFaults.has(code);
}

const reasons: Readonly<Record<string, DownReason>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'refused',
  EPIPE: 'refused',
  ENOENT: 'refused',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  EACCES: 'unreachable',
  EPERM: 'unreachable',
};

/** What an error that a socket, or a library above it, has thrown makes of a check. */
export function resultOf(error: unknown): CheckResult {
  const { code, message } = (
    error instanceof Error ? error : new Error(String(error))
  ) as NodeJS.ErrnoException;
  if (code !== undefined && ownFaults.has(code)) return { verdict: 'unknown', why: code };
  const reason = code === undefined ? undefined : reasons[code];
  // An errno says more than the sentence around it, which repeats the address.
  return failed(reason ?? 'check-failed', reason === undefined ? firstLine(message) : code!);
}

const charactersMax = 200;

/** A stranger's text for a log line: one line, bounded, without what moves a terminal's cursor. */
export function firstLine(text: string): string {
  const line = text.split(/[\r\n]/, 1)[0]!;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const plain = line.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
  return plain.length > charactersMax ? `${plain.slice(0, charactersMax - 3)}...` : plain;
}
