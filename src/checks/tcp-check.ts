/**
 * One TCP connect check: can a connection be opened within the time? It is closed at once and sends nothing.
 */
import { connect } from 'node:net';
import type { Bind } from '../core/plan.ts';
import { isSelfConnection } from '../core/self-connection.ts';

/** `unknown`: this machine was too busy to tell (or had no descriptor); it must not count for or against. */
export type CheckResult =
  | { readonly verdict: 'pass' }
  | { readonly verdict: 'fail'; readonly why: string }
  | { readonly verdict: 'unknown'; readonly why: string };

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

/**
 * @param target where to connect
 * @param source the address of this machine to connect from; undefined: the kernel chooses
 * @param timeoutMs a connection that has not come by then is a failure, unless our own event loop was late
 */
export function checkTcp(target: Bind, source: string | undefined, timeoutMs: number): Promise<CheckResult> {
  return new Promise((resolve) => {
    const startedAtMs = performance.now();
    const socket =
      target.kind === 'unix'
        ? connect(target.path)
        : connect({
            host: target.ip,
            port: target.port,
            ...(source === undefined ? {} : { localAddress: source }),
          });
    const finish = (result: CheckResult): void => {
      clearTimeout(timer);
      // With a source Node binds a port for this check alone, which a closed connection would hold for a minute
      // (TIME-WAIT) and flows need: a reset gives it back at once.
      if (source !== undefined && result.verdict === 'pass') socket.resetAndDestroy();
      else socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => {
      const lateMs = performance.now() - startedAtMs - timeoutMs;
      // When this timer is late, the answer may lie unread in the same queue: our stall is not its failure.
      if (lateMs > timeoutMs / 2)
        finish({ verdict: 'unknown', why: `own event loop ${Math.round(lateMs)} ms late` });
      else finish({ verdict: 'fail', why: `no connection within ${timeoutMs} ms` });
    }, timeoutMs);
    socket.on('connect', () => {
      if (!isSelfConnection(socket)) return finish({ verdict: 'pass' });
      socket.resetAndDestroy();
      finish({ verdict: 'fail', why: 'ECONNREFUSED' });
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const why = error.code ?? error.message;
      finish(ownFaults.has(why) ? { verdict: 'unknown', why } : { verdict: 'fail', why });
    });
  });
}
