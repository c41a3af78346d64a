/**
 * One instance for each table: who has an abstract unix socket of the table's name has the table. Such names are of a network namespace, as
 * tables are, and free again the moment their process is gone, however it went.
 */
import { createServer } from 'node:net';

/** @returns false: another process has it */
export function claimTable(table: string): Promise<boolean> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    // The thread goes on without anybody listening here.
    server.unref().listen({ path: `\0pinion-kernel/${table}` }, () => resolve(true));
  });
}
