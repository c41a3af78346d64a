/**
 * The backends a policy may choose from: those with a configured weight above 0, each with its place in the
 * pool and the text by which every instance recognises it. What happens to the others is not a policy's matter.
 */
import type { PolicyBackend } from './policy.ts';

export interface Candidate {
  /** Place in the pool's `backends`; what `Policy.next` returns. */
  readonly position: number;
  readonly name: string;
  /** What hash policies hash. */
  readonly identity: string;
  /** Configured weight, above 0. */
  readonly weight: number;
}

/** The candidates in the order of the file. `identity` says which text becomes theirs. */
export function candidatesOf(
  backends: readonly PolicyBackend[],
  identity: 'name' | 'address',
): readonly Candidate[] {
  const candidates: Candidate[] = [];
  for (const [position, { name, addressText, weight }] of backends.entries()) {
    if (weight > 0) {
      candidates.push({ position, name, identity: identity === 'name' ? name : addressText, weight });
    }
  }
  return candidates;
}

/**
 * The candidates in an order that depends on their texts alone, so that instances whose files list the same
 * backends differently still agree. Two with one identity (an address given twice) are told apart by name.
 */
export function inAgreedOrder(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.toSorted((a, b) => compareText(a.identity, b.identity) || compareText(a.name, b.name));
}

/** The positions of `candidates`, for lookups that must not follow pointers. */
export function positionsOf(candidates: readonly Candidate[]): Uint16Array {
  return Uint16Array.from(candidates, (candidate) => candidate.position);
}

// By UTF-16 code unit: a locale's order would differ between machines.
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
