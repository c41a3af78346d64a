/**
 * Opens many connections, sends one byte through each and waits for it to come back, so that every one is
 * established as far as the backend; then they rest. Writes `end` when all rest and stays until it is killed.
 */

import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type LoadResult, type LoadSettings, readSettings } from './phases.ts';

const settings = readSettings<LoadSettings & { readonly connections: number }>();
const atOnce = 100;
const open: Socket[] = [];

async function openOne(): Promise<void> {
  const socket = connect(settings.port, settings.host);
  open.push(socket);
  await once(socket, 'connect');
  socket.write('x');
  await once(socket, 'data');
  socket.on('error', (error) => fail(error)).on('end', () => fail(new Error('an idle connection was ended')));
}

function fail(error: Error): never {
  console.error(error.message);
  process.exit(1);
}

const startedAt = performance.now();
writeSync(1, '{"phase":"begin"}\n');
while (open.length < settings.connections) {
  const count = Math.min(atOnce, settings.connections - open.length);
  await Promise.all(Array.from({ length: count }, openOne)).catch(fail);
}
const elapsedMs = performance.now() - startedAt;
const result: LoadResult = { units: open.length, failures: 0, elapsedMs, p50Us: 0, p99Us: 0 };
writeSync(1, `${JSON.stringify({ phase: 'end', result })}\n`);
