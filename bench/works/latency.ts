/**
 * Latency at equal offered load: every relay gets 70 % of what the slowest of them carried, so none is
 * compared while saturated and none is favoured by being asked for less. Where requests/s differ in the table
 * the machine was disturbed and a relay did saturate; the latencies of that run do not compare.
 */
import { runLoad } from '../load.ts';
import { latencyMeasures, unitSample } from '../measures.ts';
import type { Work } from '../work.ts';
import { startHttpBackend } from './http-backend.ts';

const connections = 64;
const share = 0.7;
/** The lowest of these counts: a lucky moment must not set a load that saturates at another. */
const capacityRuns = 2;

/** A work remembers the slowest relay of its run, so each run of the benchmark makes its own. */
export function latency(): Work {
  let slowestPerSecond = Number.POSITIVE_INFINITY;
  return {
    name: 'latency',
    title: `${connections} keep-alive connections at ${share * 100} % of the slowest relay's capacity`,
    transport: 'tcp',
    flowsMax: 1024,
    measures: [{ key: 'perSecond', title: 'requests/s', better: 'higher', decimals: 0 }, ...latencyMeasures],
    startBackend: (settings) => startHttpBackend(settings, 3600),
    async prepare(subject, settings) {
      for (let run = 0; run < capacityRuns; run++) {
        const { result } = await runLoad('keepalive', subject, settings, { connections });
        slowestPerSecond = Math.min(slowestPerSecond, (result.units * 1000) / result.elapsedMs);
      }
    },
    async run(subject, settings) {
      const perSecond = slowestPerSecond * share;
      return unitSample(await runLoad('keepalive', subject, settings, { connections, perSecond }));
    },
  };
}
