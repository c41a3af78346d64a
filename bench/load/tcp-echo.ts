/** The TCP backend of the idle and checksum works: sends everything back, holds at most what its pipe holds. */
import { createServer } from 'node:net';
import { readSettings } from './phases.ts';

const settings = readSettings();
const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});
server.listen({ host: settings.host, port: settings.port, backlog: 4096 });
