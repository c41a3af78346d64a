/**
 * A backend of the kernel's relay on a host of its own: `node kernel-backend.js NAME`. Over IPv4 and IPv6 it answers every line (TCP
 * 7000) and datagram (UDP 7001) with its name, and sends bytes whose values follow from their place (TCP 7002: `<count>\n`).
 */
import { fill } from './kernel-bytes.ts';
import { serveName } from './name-servers.ts';
import { tcpServer } from './servers.ts';

const name = process.argv[2] ?? 'nameless';
const pieceBytes = 65_536;

await serveName(name, { tcpIp: '::', udpIps: ['0.0.0.0', process.argv[3] ?? '::1'] });
await tcpServer(
  (socket) => {
    socket.once('data', (bytes) => {
      const total = Number(bytes.toString('latin1'));
      let sent = 0;
      const send = (): void => {
        while (sent < total) {
          const piece = Buffer.alloc(Math.min(pieceBytes, total - sent));
          fill(piece, sent);
          sent += piece.length;
          if (!socket.write(piece)) return void socket.once('drain', send);
        }
        socket.end();
      };
      send();
    });
  },
  { ip: '::', port: 7002 },
);
process.stdout.write('serving\n');
