import { describe, expect, it } from 'vitest';
import { policyNames } from '../plan.ts';
import type { Loads, PolicyBackend } from './policy.ts';
import { backendsOf, chiSquare, clientKeys, policyOf, positionsFor } from './pool.fixture.ts';

const keys = clientKeys(4_000);
const down = new Set<number>();
/** Four of the first tier, four of the second, and a backup. */
const backends = backendsOf([1, 1, 1, 1, 1, 1, 1, 1, 1]).map((backend, i) => ({
  ...backend,
  tier: Math.floor(i / 4),
  ...(i === 8 ? { isBackup: true } : {}),
}));

function loadsOf(all: readonly PolicyBackend[]): Loads {
  return {
    active: () => 0,
    weight: (position) => (down.has(position) ? 0 : all[position]!.weight),
    ready: (position) => (down.has(position) ? 0 : 1),
  };
}

/** Where each client goes who finds a backend that is up. */
function placesWith(lost: readonly number[], policy = policyOf('maglev', backends)): number[] {
  down.clear();
  for (const position of lost) down.add(position);
  const loads = loadsOf(backends);
  return keys.map((key) => {
    policy.start(key, loads);
    for (;;) {
      const position = policy.next();
      if (!down.has(position)) return position;
    }
  });
}

const tiersIn = (places: readonly number[]): number[] => {
  const counts = [0, 0, 0];
  for (const place of places) counts[Math.floor(place / 4)]!++;
  return counts;
};

describe.each(policyNames)('%s', (name) => {
  it('keeps to the first tier while enough of it is up, and names every backend once', () => {
    expect(tiersIn(placesWith([], policyOf(name, backends)))).toEqual([4_000, 0, 0]);
    expect(tiersIn(placesWith([2], policyOf(name, backends)))).toEqual([4_000, 0, 0]);
    const policy = policyOf(name, backends);
    for (const key of keys.slice(0, 50)) {
      const positions = positionsFor(policy, key, loadsOf(backends));
      expect(positions.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
      expect(positions.map((position) => Math.floor(position / 4))).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2]);
    }
  });

  it('spills over by share: of a tier half of which is up five clients in seven stay', () => {
    const [stay, gone, backup] = tiersIn(placesWith([0, 1], policyOf(name, backends)));
    expect(backup).toBe(0);
    // One degree of freedom, p = 0.0001.
    expect(chiSquare([stay!, gone!], [5, 2])).toBeLessThan(15.1);
  });

  it('shares evenly inside the tier that takes what spills', () => {
    const places = placesWith([0, 1], policyOf(name, backends)).filter((place) => place >= 4);
    const counts = [4, 5, 6, 7].map((place) => places.filter((other) => other === place).length);
    // A ring of 160 points each is uneven by itself; a draw that went with the hash inside the tier would leave whole backends out.
    for (const count of counts) expect(count).toBeGreaterThan((0.6 * places.length) / 4);
  });

  it('goes to the backup when nobody else is up, and not before', () => {
    expect(tiersIn(placesWith([0, 1, 2, 3, 4, 5, 6], policyOf(name, backends)))).toEqual([0, 4_000, 0]);
    expect(tiersIn(placesWith([0, 1, 2, 3, 4, 5, 6, 7], policyOf(name, backends)))).toEqual([0, 0, 4_000]);
  });
});

it('moves only the clients at the edge as a tier is lost one by one, and all of them come back to where they were', () => {
  const steps = [[], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]].map((lost) => placesWith(lost));
  for (let step = 1; step < steps.length; step++) {
    for (const [i, place] of steps[step]!.entries()) {
      const before = steps[step - 1]![i]!;
      // Who has gone over stays where he is.
      if (before >= 4) expect(place).toBe(before);
    }
  }
  expect(placesWith([])).toEqual(steps[0]);
});

it('a tier that comes or goes moves nobody inside another', () => {
  const alone = backends.slice(0, 4);
  const policy = policyOf('maglev', alone);
  down.clear();
  const loads = loadsOf(alone);
  const without = keys.map((key) => {
    policy.start(key, loads);
    return policy.next();
  });
  expect(placesWith([])).toEqual(without);
});

it('a tier in which everybody has weight 0 is none', () => {
  const idle = backends.map((backend) => (backend.tier === 1 ? { ...backend, weight: 0 } : backend));
  const policy = policyOf('maglev', idle);
  down.clear();
  const positions = positionsFor(policy, keys[0]!, loadsOf(idle));
  expect(positions.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 8]);
  expect(positions.at(-1)).toBe(8);
});

it('two cursors over pools that list the same backends otherwise agree on every client', () => {
  const turned = backends.toReversed();
  const other = policyOf('maglev', turned);
  const names = placesWith([1, 2, 5]).map((place) => backends[place]!.name);
  const loads: Loads = {
    active: () => 0,
    weight: (position) => (['b1', 'b2', 'b5'].includes(turned[position]!.name) ? 0 : 1),
    ready: (position) => (['b1', 'b2', 'b5'].includes(turned[position]!.name) ? 0 : 1),
  };
  const theirs = keys.map((key) => {
    other.start(key, loads);
    for (;;) {
      const position = other.next();
      if (loads.ready(position) > 0) return turned[position]!.name;
    }
  });
  expect(theirs).toEqual(names);
});
