/** Can a connection be opened within the time? It is closed at once and sends nothing. */
import { isSelfConnection } from '../../core/self-connection.ts';
import { type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { resultOf } from '../faults.ts';
import { connectTo } from '../sockets.ts';

export const tcp = dialect({
  meaning: 'a connection can be made',
  silence: 'no connection',
  reach: () => 'connect',
  options: {},
  ask: (asked) =>
    new Promise<CheckResult>((resolve) => {
      const socket = connectTo(asked);
      const finish = (result: CheckResult): void => {
        // With a source Node binds a port for this check alone, which a closed connection would hold for a minute
        // (TIME-WAIT) and flows need: a reset gives it back at once.
        if (asked.source !== undefined && result.verdict === 'pass') socket.resetAndDestroy();
        else socket.destroy();
        resolve(result);
      };
      socket.on('connect', () => {
        if (!isSelfConnection(socket)) return finish(passed);
        socket.resetAndDestroy();
        finish(failed('refused', 'ECONNREFUSED'));
      });
      socket.on('error', (error) => finish(resultOf(error)));
    }),
});
