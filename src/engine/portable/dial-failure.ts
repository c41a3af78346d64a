/**
 * What an error of connect(2) says about the backend. The rule behind it: an error this machine made by itself
 * must not count against a backend (`local-fault`).
 */
import type { DialFailure } from '../engine.ts';
import { speaksOfPeer } from '../peer-errors.ts';

/** @param code the errno name; @param isUnix whether the backend is a unix socket, where some codes mean otherwise */
export function dialFailureOf(code: string | undefined, isUnix: boolean): DialFailure {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT': // unix: no socket file
    case 'ENOTSOCK': // unix: another kind of file
      return 'backend-refused';
    case 'ECONNRESET': // accepted, and broken off before we looked
    case 'EPIPE':
      return 'backend-reset';
    case 'ETIMEDOUT':
      return 'backend-timeout';
    case 'EAGAIN':
      // unix(7): the accept queue of the backend is full. inet: no ephemeral port (connect(2)).
      return isUnix ? 'backend-unreachable' : 'local-fault';
    default:
      return speaksOfPeer(code) ? 'backend-unreachable' : 'local-fault';
  }
}
