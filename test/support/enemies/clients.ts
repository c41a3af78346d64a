/** Hostile clients of listeners: floods of sources over UDP, connections that are opened to no purpose over TCP. */
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { again, type Enemy } from './enemy.ts';

/** Its own thread: a thousand and more sockets a second, each of another address and port, each with one datagram. */
const flooder = `
const { createSocket } = require('node:dgram');
const { workerData: { port, perSecond } } = require('node:worker_threads');
let n = 0;
setInterval(() => {
  for (let i = 0; i < perSecond / 50; i++) {
    const socket = createSocket('udp4');
    socket.on('error', () => {});
    n++;
    socket.bind(0, '127.' + (64 + (n >> 16) % 32) + '.' + (n >> 8 & 255) + '.' + (1 + n % 250), () => {
      socket.send('flood', port, '127.0.0.1', () => setTimeout(() => socket.close(), 40));
    });
  }
}, 20);
`;

export function udpFlood(port: () => number, perSecond = 1_500): Enemy {
  return {
    name: 'UDP: new sources without end',
    async begin() {
      const worker = new Worker(flooder, { eval: true, workerData: { port: port(), perSecond } });
      return async () => {
        await worker.terminate();
      };
    },
  };
}

/** Connections from one address that are opened, and then `act` as they please. */
function tcpCrowd(name: string, port: () => number, act: (socket: Socket) => void): Enemy {
  return {
    name,
    async begin() {
      const open = new Set<Socket>();
      const end = again(5, () => {
        if (open.size >= 200) [...open][0]!.destroy();
        const socket = connect({ port: port(), host: '127.0.0.1', localAddress: '127.0.0.66' });
        open.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => open.delete(socket));
        socket.once('connect', () => act(socket));
      });
      return async () => {
        await end();
        for (const socket of open) socket.destroy();
      };
    },
  };
}

export function tcpEnemies(port: () => number): Enemy[] {
  return [
    tcpCrowd('TCP: opened and reset', port, (socket) => socket.resetAndDestroy()),
    tcpCrowd('TCP: opened and silent', port, (socket) => socket.pause()),
    tcpCrowd('TCP: much sent, nothing read', port, (socket) => {
      socket.pause();
      socket.write(Buffer.alloc(1024 * 1024, 'x'));
    }),
  ];
}
