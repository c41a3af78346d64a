/**
 * How long new connections take, one after the other from 250 addresses: `node kernel-latency.js IP PORT`. Says on SIGUSR2 how it was since the
 * last time, as a line of JSON in microseconds, and goes on until it is killed.
 */
import { connect } from 'node:net';

const [ip = '', port = '0'] = process.argv.slice(2);
const addresses = 250;
let took: number[] = [];
let failed = 0;

process.on('SIGUSR2', () => {
  const sorted = [...took].sort((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  const figures = { count: sorted.length, failed, median: at(0.5), p99: at(0.99), max: at(1) };
  took = [];
  failed = 0;
  process.stdout.write(`${JSON.stringify(figures)}\n`);
});

function ask(from: string): Promise<void> {
  return new Promise((resolve) => {
    const startedMs = performance.now();
    const socket = connect({ host: ip, port: Number(port), localAddress: from }, () => socket.write('who\n'));
    socket.once('data', () => {
      took.push((performance.now() - startedMs) * 1_000);
      // No TIME-WAIT is left behind.
      socket.resetAndDestroy();
    });
    socket.once('error', () => {
      failed++;
    });
    socket.once('close', () => resolve());
  });
}

process.stdout.write('asking\n');
for (let i = 0; ; i++) await ask(`10.77.17.${1 + (i % addresses)}`);
