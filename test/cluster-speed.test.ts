/**
 * The measurement of shared pins (bench/cluster.ts) in its short form, run as the built command because its instances are
 * processes of their own. How fast it is belongs to the bench; here: it ends, so every pin was followed, seen and
 * joined, and what Redis holds stays within what docs/CLUSTER.md says.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { runToEnd, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(stopEverything);

const pins = 50_000;
const redisBytesPerPinMax = 250;
const streamBytesMax = 20_000_000;

requirePackage('redis')('the speed of shared pins', () => {
  test('all are followed by a second instance and read by one that joins', async () => {
    const command = fileURLToPath(new URL('../dist/bench/cluster.js', import.meta.url));
    const args = [command, '--pins', String(pins), '--json'];
    const bench = { command: process.execPath, args, name: 'bench/cluster', timeoutMs: 110_000 };
    const figures = JSON.parse(await runToEnd(bench));
    const times = ['pinsPerSecond', 'propagationP50Ms', 'propagationP99Ms', 'propagationMaxMs', 'joinMs'];
    for (const name of times) expect(figures[name], name).toBeGreaterThan(0);
    expect(figures.pins).toBe(pins);
    expect(figures.redisBytesPerPin).toBeGreaterThan(0);
    expect(figures.redisBytesPerPin).toBeLessThan(redisBytesPerPinMax);
    expect(figures.redisStreamBytes).toBeLessThan(streamBytesMax);
  });
});
