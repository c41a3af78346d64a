/** A backend on a host of its own: `node pair-backend.js NAME`. Answers every line (TCP 7000) and datagram (UDP 7001) with its name. */
import { tcpServer, udpServer } from './servers.ts';

const name = process.argv[2] ?? 'nameless';

await tcpServer(
  (socket) => {
    socket.on('data', (bytes) => {
      const lines = bytes.filter((byte) => byte === 10).length;
      socket.write(`${name}\n`.repeat(lines));
    });
    socket.on('end', () => socket.end());
  },
  { ip: '0.0.0.0', port: 7000 },
);
await udpServer((message, _from, reply) => reply(`${name}:${message.toString('latin1')}`), {
  ip: '0.0.0.0',
  port: 7001,
  checkable: true,
});
process.stdout.write('serving\n');
