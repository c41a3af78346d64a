/**
 * A backend of the kernel's relay on a host of its own: `node kernel-backend.js NAME IPV6 [BASE]`. Over IPv4 and IPv6 it answers every
 * line (TCP 7000) and datagram (UDP 7001) with its name, and sends bytes whose values follow from their place (TCP 7002: `<count>\n`).
 * With BASE, 8000 say, at 8000, 8001 and 8002 as well.
 */
import type { Socket } from 'node:net';
import { fill } from './kernel-bytes.ts';
import { serveName } from './name-servers.ts';
import { tcpServer } from './servers.ts';

const name = process.argv[2] ?? 'nameless';
const pieceBytes = 65_536;

function sendBytes(socket: Socket): void {
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
}

for (const base of new Set([7000, Number(process.argv[4] ?? 7000)])) {
  await serveName(name, { tcpIp: '::', udpIps: ['0.0.0.0', process.argv[3] ?? '::1'], base });
  await tcpServer(sendBytes, { ip: '::', port: base + 2 });
}
process.stdout.write('serving\n');
