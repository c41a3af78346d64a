/** Hostile HTTP clients: pipelines, half requests, garbage, and pages asked for and never taken. */
import { connect, type Socket } from 'node:net';
import { again, type Enemy } from './enemy.ts';

const connectionsMax = 60;

/** Keeps a number of connections to a port, each of which sends `bytes` and reads nothing. */
function crowd(name: string, port: () => number, bytes: () => Buffer): Enemy {
  return {
    name,
    async begin() {
      const open = new Set<Socket>();
      const end = again(20, () => {
        if (open.size >= connectionsMax) [...open][0]!.destroy();
        const socket = connect({ port: port(), host: '127.0.0.1' });
        open.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => open.delete(socket));
        socket.pause();
        socket.write(bytes());
      });
      return async () => {
        await end();
        for (const socket of open) socket.destroy();
      };
    },
  };
}

const request = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n';

export function httpEnemies(port: () => number): Enemy[] {
  let seed = 1;
  const noise = (): Buffer => {
    const bytes = Buffer.alloc(4_096);
    for (let i = 0; i < bytes.length; i++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      bytes[i] = seed >>> 16;
    }
    return bytes;
  };
  return [
    crowd('HTTP: pipelined requests', port, () => Buffer.from(request.repeat(1_500))),
    crowd('HTTP: half requests', port, () => Buffer.from(request.slice(0, 20))),
    crowd('HTTP: noise', port, noise),
    crowd('HTTP: headers without end', port, () =>
      Buffer.from(`GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}`),
    ),
  ];
}
