/**
 * Small requests on keep-alive connections from autocannon, the generator people know. It costs more than the
 * relays do, so throughput here is bounded by it; the CPU per request is what compares.
 */
import { writeSync } from 'node:fs';
import autocannon from 'autocannon';
import { type LoadResult, type LoadSettings, readSettings } from './phases.ts';

const settings = readSettings<LoadSettings & { readonly connections: number }>();
const url = `http://${settings.host}:${settings.port}/`;
const { connections } = settings;
await autocannon({ url, connections, duration: settings.warmMs / 1000 });
writeSync(1, '{"phase":"begin"}\n');
const startedAt = performance.now();
const measured = await autocannon({ url, connections, duration: settings.measureMs / 1000 });
const result: LoadResult = {
  units: measured['2xx'],
  failures: measured.non2xx + measured.errors + measured.timeouts,
  elapsedMs: performance.now() - startedAt,
  p50Us: measured.latency.p50 * 1000,
  p99Us: measured.latency.p99 * 1000,
};
writeSync(1, `${JSON.stringify({ phase: 'end', result })}\n`);
process.exit(0);
