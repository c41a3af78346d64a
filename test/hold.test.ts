/**
 * Many connections and conversations held at once, with traffic on all: the short form of bench/hold.ts, run as the
 * built command because its load generators are processes of their own.
 */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runToEnd } from './support/processes.ts';

test('a thousand connections and a thousand conversations are held with traffic on all', async () => {
  const command = fileURLToPath(new URL('../dist/bench/hold.js', import.meta.url));
  const counts = ['--connections', '1000', '--conversations', '1000', '--instances', '1'];
  const times = ['--seconds', '5', '--interval', '500'];
  // It ends with another status than 0 when a client is not served, or fewer are held.
  const output = await runToEnd({ command: process.execPath, args: [command, ...counts, ...times] });
  expect(output).toContain('held: 1000 TCP connections and 1000 UDP conversations');
  expect(output).not.toContain('MISS');
});
