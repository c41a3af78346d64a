/** A server to try the balancer with: it says its name and gives back what it is sent. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Protocol } from '../core/plan.ts';
import { exitStatus } from './exit.ts';

/** Serves until the process is stopped or its standard input ends. Prints one line when it listens. */
export function serveSample(protocol: Protocol, ip: string, port: number, name: string): void {
  leaveWithDemo();
  const listening = (): void => {
    process.stdout.write('listening\n');
  };
  const failed = (error: NodeJS.ErrnoException): void => {
    process.stderr.write(
      `sample backend ${name}: cannot bind ${ip}:${port}: ${error.code ?? error.message}\n`,
    );
    process.exit(exitStatus.refused);
  };
  if (protocol === 'udp') {
    const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
    socket.on('error', failed);
    socket.on('message', (message, from) => {
      socket.send(`${name}: ${message.toString('latin1')}`, from.port, from.address);
    });
    socket.bind(port, ip, listening);
    return;
  }
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(`hello, this is ${name}\n`);
    socket.on('data', (chunk) => socket.write(`${name}: ${chunk.toString('latin1')}`));
  });
  server.on('error', failed);
  server.listen(port, ip, listening);
}

/** A demo that is killed tells nobody, and its samples would keep the ports: the end of the pipes it holds does. */
function leaveWithDemo(): void {
  const leave = (): void => process.exit(exitStatus.good);
  process.stdin.on('end', leave).on('error', leave).resume();
  process.stdout.on('error', leave);
  process.stderr.on('error', leave);
}
