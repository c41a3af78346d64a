import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Address } from '../address.ts';
import { Key } from '../key.ts';
import type { PolicyBackend } from './policy.ts';
import { backendsOf, clientKeys, idleLoads, policyOf, positionsFor } from './pool.fixture.ts';

const keys = clientKeys(200);
const orders = (backends: readonly PolicyBackend[]): number[][] => {
  const policy = policyOf('ring', backends, { identity: 'address' });
  return keys.map((key) => positionsFor(policy, key, idleLoads(backends)));
};

describe('Ring', () => {
  it('only takes the leaving backend out of each order', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.nat(), (all, pick) => {
        const leaving = pick % all.length;
        const before = orders(backendsOf(all));
        const after = orders(backendsOf(all.with(leaving, 0)));
        expect(after).toEqual(before.map((order) => order.filter((position) => position !== leaving)));
      }),
      { numRuns: 20 },
    );
  });

  it('gives more points to more weight', () => {
    const counts = [0, 0];
    for (const order of orders(backendsOf([1, 9]))) counts[order[0]!]!++;
    // 160 points against 1440: about a tenth. The ring is coarse, hence the wide bound.
    expect(counts[0]! / keys.length).toBeGreaterThan(0.05);
    expect(counts[0]! / keys.length).toBeLessThan(0.2);
  });

  it('chooses as nginx 1.22.1 was seen to', () => {
    // Logged from `hash $remote_addr consistent` over 127.0.1.1:15432 to 127.0.1.5:15432 with these weights.
    const backends = backendsOf([1, 2, 3, 1, 5]).map((backend, i) => ({
      ...backend,
      addressText: `127.0.1.${i + 1}:15432`,
    }));
    const policy = policyOf('ring', backends, { identity: 'address' });
    const firstOf = (address: Address): number | undefined =>
      positionsFor(policy, new Key('client-ip', address), idleLoads(backends))[0];
    const v4 = Array.from({ length: 60 }, (_, i) => Address.v4(0x0a000000 + i, 0));
    const v6 = Array.from({ length: 20 }, (_, i) => new Address(0x20010db8, 0, 0, i + 1, 0));
    expect(v4.map(firstOf).join('')).toBe('440444132433141114422213444224211144243104421414004411212004');
    expect(v6.map(firstOf).join('')).toBe('24201444442210044120');
  });

  it('reads the port as nginx does', () => {
    const order = (texts: string[]): number[] => {
      const backends = texts.map((addressText, i) => ({ id: i + 1, name: `b${i}`, addressText, weight: 1 }));
      return orders(backends).map((positions) => positions[0]!);
    };
    // A unix path is hashed without its prefix, and a text without digits at its end is all host.
    expect(order(['unix:/run/a', 'unix:/run/b'])).toEqual(order(['/run/a', '/run/b']));
    expect(order(['a:', 'b:'])).toEqual(order(['a', 'b']));
    expect(order(['a:1', 'b:1'])).not.toEqual(order(['a', 'b']));
    expect(order(['[::1]', '[::2]'])).not.toEqual(order(['[::1]:1', '[::2]:1']));
  });

  it('hashes the port of a flow key', () => {
    const backends = backendsOf([1, 1, 1, 1]);
    const policy = policyOf('ring', backends);
    const firsts = Array.from({ length: 50 }, (_, port) => {
      const key = new Key('flow', Address.v4(0x0a000001, port + 1));
      return positionsFor(policy, key, idleLoads(backends))[0];
    });
    expect(new Set(firsts).size).toBe(4);
  });
});
