/**
 * The digest of a plan: equal on two instances when a client is served alike by both.
 *
 * In it: listeners (sorted by name), pools (sorted by name), limits and shutdown, all defaults filled in. Not in it,
 * because it belongs to one machine and may differ inside a pair: the file's path, log, metrics, admin, engine,
 * workers, and the address a listener is bound to (its name and protocol are in). So an equal digest does not mean an
 * equal file: what a reload has to do is diff.ts's answer.
 */
import { createHash } from 'node:crypto';
import type { Plan } from '../core/plan.ts';

/** Raise when the canonical form changes: digests of different versions are then never equal by accident. */
const formVersion = 'pinion-plan-1';

/** SHA-256 in hex over the version, a newline, and the meaning as JSON with sorted keys. */
export function digestOf(plan: Omit<Plan, 'digest'>): string {
  const meaning = {
    limits: plan.limits,
    shutdown: plan.shutdown,
    listeners: [...plan.listeners].sort(byName).map(({ bind: _, binds: __, ...listener }) => listener),
    // The order of backends stays: round-robin follows it.
    pools: [...plan.pools].sort(byName),
  };
  return createHash('sha256')
    .update(`${formVersion}\n${canonical(meaning)}`)
    .digest('hex');
}

/** JSON without spaces, keys in code-unit order, undefined left out: equal for equal meanings, as in RFC 8785. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
