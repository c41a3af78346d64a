/**
 * Medians over the rounds, and pinion's ratio to the better rival: per round against the better one of that
 * round and measure, then the median of these ratios.
 */
import type { PeerSamples, WorkResult } from './rounds.ts';
import type { Measure } from './work.ts';

export interface Figure {
  readonly median: number;
  /** pinion over the better rival; undefined for anything but pinion, and where no rival was measured. */
  readonly ratio: number | undefined;
}

export function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function sampleValue(one: PeerSamples, round: number, measure: Measure): number | undefined {
  return one.samples[round]?.[measure.key];
}

/** The figure of one peer for one measure, or undefined where it has none. */
export function figure(result: WorkResult, one: PeerSamples, measure: Measure): Figure | undefined {
  const values = one.samples
    .map((_, round) => sampleValue(one, round, measure))
    .filter((value) => value !== undefined);
  const middle = median(values);
  if (middle === undefined) return undefined;
  if (one.peer.role !== 'pinion') return { median: middle, ratio: undefined };
  const rivals = result.peers.filter(({ peer }) => peer.role === 'rival');
  const ratios = one.samples.flatMap((_, round) => {
    const theirs = rivals
      .map((rival) => sampleValue(rival, round, measure))
      .filter((value) => value !== undefined);
    const ours = sampleValue(one, round, measure);
    if (theirs.length === 0 || ours === undefined) return [];
    const best = measure.better === 'lower' ? Math.min(...theirs) : Math.max(...theirs);
    return best > 0 ? [ours / best] : [];
  });
  return { median: middle, ratio: median(ratios) };
}
