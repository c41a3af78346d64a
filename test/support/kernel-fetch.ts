/**
 * Downloads from kernel-backend.ts through a balancer: `node kernel-fetch.js IP BYTES COUNT BYTES_PER_SECOND [PORT]`. All at once, each
 * over one connection; ends with 0 when each had every byte in its place, and says otherwise which had not. From SIGUSR2 on: as fast as
 * they come.
 */
import { connect } from 'node:net';
import { fits } from './kernel-bytes.ts';

const [ip = '', bytes = '0', count = '1', rate = '0', port = '7002'] = process.argv.slice(2);
const total = Number(bytes);
let isUrgent = false;
process.once('SIGUSR2', () => {
  isUrgent = true;
});

function fetchOnce(): Promise<string | undefined> {
  return new Promise((resolve) => {
    let got = 0;
    let wrong = 0;
    const startedMs = performance.now();
    const socket = connect(Number(port), ip, () => socket.write(`${total}\n`));
    socket.on('data', (piece) => {
      if (!fits(piece, got)) wrong++;
      got += piece.length;
      const aheadMs = (got / Number(rate)) * 1_000 - (performance.now() - startedMs);
      if (aheadMs <= 5 || isUrgent) return;
      socket.pause();
      setTimeout(() => socket.resume(), aheadMs);
    });
    socket.on('error', (error) => resolve(`${error.message} after ${got} of ${total} bytes`));
    socket.on('end', () =>
      resolve(got === total && wrong === 0 ? undefined : `${got} of ${total} bytes, ${wrong} pieces wrong`),
    );
  });
}

const running = Array.from({ length: Number(count) }, fetchOnce);
process.stdout.write('fetching\n');
const faults = (await Promise.all(running)).filter((fault) => fault !== undefined);
process.stdout.write(faults.length === 0 ? 'whole\n' : `faults: ${faults.join('; ')}\n`);
process.exit(faults.length === 0 ? 0 : 1);
