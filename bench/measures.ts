/** The measures several works share, and how they come out of one measured run. */
import type { Measured } from './load.ts';
import type { Measure, Sample } from './work.ts';

/** Throughput and CPU per unit of work, for works that count units. */
export function unitMeasures(unit: string): readonly Measure[] {
  return [
    { key: 'perSecond', title: `${unit}s/s`, better: 'higher', decimals: 0 },
    { key: 'relayUs', title: `relay µs/${unit}`, better: 'lower', decimals: 1 },
    { key: 'machineUs', title: `machine µs/${unit}`, better: 'lower', decimals: 1 },
  ];
}

export const latencyMeasures: readonly Measure[] = [
  { key: 'p50Us', title: 'p50 µs', better: 'lower', decimals: 0 },
  { key: 'p99Us', title: 'p99 µs', better: 'lower', decimals: 0 },
];

/**
 * The values of `unitMeasures` and `latencyMeasures`. Throws when more than one unit in a thousand failed: a
 * relay that loses work must not look fast.
 */
export function unitSample({ result, cost }: Measured): Sample {
  if (result.failures > result.units / 1000) {
    throw new Error(`${result.failures} failures beside ${result.units} that went well`);
  }
  return {
    perSecond: (result.units * 1000) / result.elapsedMs,
    relayUs: cost.relayUs === undefined ? undefined : cost.relayUs / result.units,
    machineUs: cost.machineUs / result.units,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
  };
}
