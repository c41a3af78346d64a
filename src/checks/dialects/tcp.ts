/** Can a connection be opened within the time? It is reset at once and sends nothing. */
import { type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { resultOf } from '../faults.ts';
import { connectTo, leadsToItself, reset } from '../sockets.ts';

export const tcp = dialect({
  meaning: 'a connection can be made',
  silence: 'no connection',
  reach: () => 'connect',
  options: {},
  ask: (asked) =>
    new Promise<CheckResult>((resolve) => {
      const socket = connectTo(asked);
      const finish = (result: CheckResult): void => {
        reset(socket);
        resolve(result);
      };
      socket.on('connect', () => {
        finish(leadsToItself(socket, asked.target) ? failed('refused', 'ECONNREFUSED') : passed);
      });
      socket.on('error', (error) => finish(resultOf(error)));
    }),
});
