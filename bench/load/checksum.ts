/**
 * Sends random bytes through the relay to an echoing backend and compares SHA-256 of what went out and what
 * came back: bulk figures only count when the bytes are right. Exit code 0 when they are.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type LoadSettings, readSettings } from './phases.ts';

const settings = readSettings<LoadSettings & { readonly megabytes: number }>();
const total = settings.megabytes * 1024 * 1024;
const socket = connect(settings.port, settings.host);
const sent = createHash('sha256');
const came = createHash('sha256');
let cameBytes = 0;
socket.on('data', (chunk: Buffer) => {
  came.update(chunk);
  cameBytes += chunk.length;
  if (cameBytes >= total) socket.end();
});
await once(socket, 'connect');
for (let left = total; left > 0; left -= 1024 * 1024) {
  const block = randomBytes(1024 * 1024);
  sent.update(block);
  if (!socket.write(block)) await once(socket, 'drain');
}
await once(socket, 'close');
const equal = cameBytes === total && sent.digest('hex') === came.digest('hex');
console.log(equal ? 'intact' : `differs: ${cameBytes} of ${total} bytes came back`);
process.exit(equal ? 0 : 1);
