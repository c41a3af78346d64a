/**
 * Records of the DNS as backends. Their names depend on the record alone and never on the order of an answer, so that pins
 * survive the next one; pure.
 *
 *    A      10.0.0.1                     -> 10.0.0.1:5432
 *    AAAA   2001:db8::1                  -> ip6:[2001:db8::1]:5432     a name begins with a letter or a digit
 *    SRV    10 5 27015 arena1.example.org -> arena1.example.org:27015  wherever arena1 is now
 */
import type { ServiceRecord } from '../../checks/records.ts';
import { namePattern } from '../../config/fields.ts';
import { formatAddress } from '../../core/address-text.ts';
import { priorityMax, weightMax } from '../../core/limits.ts';
import type { BackendPlan } from '../../core/plan.ts';
import { hashText, textSeeds } from '../../core/policy/hash-text.ts';

/** The largest weight of records that have to be brought into our range. */
const scaledWeightMax = 100;

/** One for each address, each with an even share. In the order of their names. */
export function addressBackends(ips: readonly string[], port: number, maxConnections: number): BackendPlan[] {
  const backends = [...new Set(ips)].map((ip): BackendPlan => {
    const address = { kind: 'inet', ip, port } as const;
    const text = formatAddress(address);
    return { name: ip.includes(':') ? `ip6:${text}` : text, address, weight: 1, maxConnections };
  });
  return backends.sort(byName);
}

/** A record whose target has an address. */
export type PlacedService = ServiceRecord & { readonly ip: string };

/**
 * One for each target and port. Priorities become tiers, the lowest number first as in RFC 2782, numbered without gaps; weights count
 * inside of their priority.
 */
export function serviceBackends(services: readonly PlacedService[], maxConnections: number): BackendPlan[] {
  const priorities = [...new Set(services.map(({ priority }) => priority))].sort((a, b) => a - b);
  const backends = new Map<string, BackendPlan>();
  for (const [rank, priority] of priorities.entries()) {
    const group = services.filter((service) => service.priority === priority);
    const weights = weightsOf(group.map(({ weight }) => weight));
    const tier = Math.min(rank + 1, priorityMax);
    for (const [i, { target, port, ip }] of group.entries()) {
      const name = serviceName(target, port);
      // Twice the same server: its first priority counts.
      if (backends.has(name)) continue;
      backends.set(name, {
        name,
        address: { kind: 'inet', ip, port },
        weight: weights[i]!,
        maxConnections,
        ...(tier === 1 ? {} : { priority: tier }),
      });
    }
  }
  return [...backends.values()].sort(byName);
}

/** As the server is called; what is no name for us, or too long, is cut and has a hash of the whole at its end. */
export function serviceName(target: string, port: number): string {
  const name = `${target}:${port}`;
  if (namePattern.test(name)) return name;
  const hash = hashText(name, textSeeds[0]).toString(16).padStart(8, '0');
  const kept = target.replace(/[^a-z0-9._-]/g, '-').replace(/^[^a-z0-9]+/, '');
  const end = `-${hash}:${port}`;
  return `${kept.slice(0, 64 - end.length) || 'host'}${end}`;
}

/**
 * Weights of one priority, 0 to 65535, in our range, where 0 would be "no new clients". Equal ones are 1 each (0 for all says that
 * there is no choice to be made: RFC 2782), those in our range stay, others are scaled; 0 among others has "a very small chance".
 */
function weightsOf(weights: readonly number[]): number[] {
  const [least, most] = weights.reduce(
    ([low, high], one) => [Math.min(low, one), Math.max(high, one)],
    [65_535, 0],
  );
  if (least === most) return weights.map(() => 1);
  if (least > 0 && most <= weightMax) return [...weights];
  return weights.map((weight) => Math.max(1, Math.round((weight * scaledWeightMax) / most)));
}

function byName(a: BackendPlan, b: BackendPlan): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
