import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Plan } from '../core/plan.ts';
import { formatProblem, loadPlan, parsePlan } from './load.ts';

const base = {
  listeners: [
    { name: 'db', bind: 'tcp://0.0.0.0:5432', pool: 'pg' },
    { name: 'game', bind: 'udp://0.0.0.0:7777', pool: 'arena' },
  ],
  pools: {
    pg: {
      backends: [
        { name: 'pg1', address: '10.0.0.1:5432' },
        { name: 'pg2', address: '10.0.0.2:5432' },
      ],
    },
    arena: { backends: [{ name: 'a1', address: '10.0.1.1:7777' }] },
  },
};

function planOf(file: unknown, source = 'f'): Plan {
  const result = parsePlan(stringify(file), source);
  if ('problems' in result) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.plan;
}

function mergeInto(extra: object): object {
  return { ...base, ...extra };
}

describe('the plan', () => {
  it('is frozen to the leaves and can be posted to a thread', () => {
    const plan = planOf(base);
    const open: unknown[] = [plan];
    let seen = 0;
    for (let part = open.pop(); part !== undefined; part = open.pop()) {
      expect(Object.isFrozen(part)).toBe(true);
      seen++;
      open.push(
        ...Object.values(part as object).filter((inner) => typeof inner === 'object' && inner !== null),
      );
    }
    expect(seen).toBeGreaterThan(20);
    expect(structuredClone(plan)).toEqual(plan);
  });

  it.each(['demo.yaml', 'pinion.yaml'])('of config/%s has neither problems nor warnings', (name) => {
    const result = loadPlan(fileURLToPath(new URL(`../../config/${name}`, import.meta.url)));
    expect(result.warnings).toEqual([]);
    expect('problems' in result ? result.problems.map(formatProblem) : []).toEqual([]);
  });

  it('of a thousand backends and a hundred listeners', () => {
    const backends = Array.from({ length: 1_000 }, (_, i) => ({
      name: `b${i}`,
      address: `10.1.${i >> 8}.${i & 255}:80`,
    }));
    const listeners = Array.from({ length: 100 }, (_, i) => ({
      name: `l${i}`,
      bind: `tcp://0.0.0.0:${2_000 + i}`,
      pool: 'p',
    }));
    const file = { listeners, pools: { p: { table_size: 100_003, backends } } };
    expect(planOf(file).pools[0]!.backends).toHaveLength(1_000);
    backends[999]!.name = 'b0';
    const result = parsePlan(stringify(file), 'f');
    expect('problems' in result && result.problems.map((problem) => problem.path)).toEqual([
      'pools.p.backends[999].name',
    ]);
  });

  it('has a table and a ring that a worker builds in a moment', () => {
    const of = (settings: object, weight: number) => {
      const backends = Array.from({ length: 50 }, (_, i) => ({
        name: `b${i}`,
        address: '10.0.0.1:80',
        weight,
      }));
      const result = parsePlan(
        stringify({ ...base, pools: { ...base.pools, pg: { ...settings, backends } } }),
        'f',
      );
      return 'problems' in result ? result.problems.map(({ path, message }) => `${path}: ${message}`) : [];
    };
    expect(of({ policy: 'ring' }, 250)).toEqual([]);
    expect(of({ policy: 'ring' }, 251)).toEqual([
      'pools.pg.backends: make a ring of 2008000 points (160 for each unit of weight); at most 2000000 are possible: use smaller weights',
    ]);
    expect(of({ table_size: 1_000_003 }, 256)).toEqual([]);
    expect(of({ table_size: 5_000_011 }, 1)).toEqual([
      'pools.pg.table_size: must be a whole number from 2 to 1000003, not 5000011',
    ]);
  });

  it('does not judge the default in place of a table_size that is wrong', () => {
    const backends = Array.from({ length: 1_000 }, (_, i) => ({ name: `b${i}`, address: '10.1.0.1:80' }));
    const pg = { table_size: '100003', backends };
    const result = parsePlan(stringify({ ...base, pools: { ...base.pools, pg } }), 'f');
    expect(result.warnings).toEqual([]);
    expect('problems' in result && result.problems).toHaveLength(1);
  });

  it('refuses a pool of more backends than a table has rows', () => {
    const backends = Array.from({ length: 4_097 }, (_, i) => ({
      name: `b${i}`,
      address: `10.1.${i >> 8}.${i & 255}:80`,
    }));
    const result = parsePlan(
      stringify({ ...base, pools: { ...base.pools, pg: { policy: 'ring', backends } } }),
      'f',
    );
    expect('problems' in result && result.problems.map(formatProblem)).toEqual([
      expect.stringContaining('pools.pg.backends: has more than 4096 backends'),
    ]);
  });
});

describe('the digest', () => {
  const digest = planOf(base).digest;

  it('is a SHA-256 in hex', () => expect(digest).toMatch(/^[0-9a-f]{64}$/));

  it.each([
    ['the source', planOf(base, 'other')],
    [
      'defaults that are written out',
      planOf(mergeInto({ shutdown: { drain: '30000ms' }, limits: { flows: 'auto' } })),
    ],
    [
      'log, metrics, admin, engine and workers',
      planOf(
        mergeInto({
          log: { level: 'debug' },
          metrics: { listen: '127.0.0.1:1' },
          admin: { listen: 'unix:/a' },
          engine: 'portable',
          workers: 2,
        }),
      ),
    ],
    [
      'the order of listeners and pools',
      planOf({
        pools: { arena: base.pools.arena, pg: base.pools.pg },
        listeners: base.listeners.toReversed(),
      }),
    ],
    [
      'the address a listener is bound to',
      planOf(
        mergeInto({ listeners: [{ ...base.listeners[0], bind: 'tcp://10.0.0.9:6432' }, base.listeners[1]] }),
      ),
    ],
  ])('does not depend on %s', (_, plan) => expect(plan.digest).toBe(digest));

  it.each([
    ['a policy', { pools: { ...base.pools, pg: { ...base.pools.pg, policy: 'ring' } } }],
    [
      'a weight',
      {
        pools: { ...base.pools, arena: { backends: [{ name: 'a1', address: '10.0.1.1:7777', weight: 2 }] } },
      },
    ],
    [
      'a backend address',
      { pools: { ...base.pools, arena: { backends: [{ name: 'a1', address: '10.0.1.2:7777' }] } } },
    ],
    [
      'the order of backends',
      { pools: { ...base.pools, pg: { backends: base.pools.pg.backends.toReversed() } } },
    ],
    ['an affinity', { listeners: [base.listeners[0], { ...base.listeners[1], affinity: 'none' }] }],
    ['a protocol', { listeners: [{ ...base.listeners[0], bind: 'udp://0.0.0.0:5432' }, base.listeners[1]] }],
    ['a limit', { limits: { flows: 5 } }],
  ])('depends on %s', (_, extra) => expect(planOf(mergeInto(extra)).digest).not.toBe(digest));
});

describe('admin.origins', () => {
  const read = (origins: unknown) =>
    parsePlan(JSON.stringify(mergeInto({ admin: { listen: '127.0.0.1:9465', origins } })), 'f.yaml');

  it.each([
    ['https://lb.example.com', 'https://lb.example.com'],
    ['HTTPS://LB.Example.com:443', 'https://lb.example.com'],
    ['https://lb.example.com:8443', 'https://lb.example.com:8443'],
    ['http://[2001:DB8::1]:80', 'http://[2001:db8::1]'],
  ])('%s is kept as a browser says it', (written, kept) => {
    expect(read([written])).toMatchObject({ plan: { admin: { origins: [kept] } } });
  });

  it.each([
    ['lb.example.com', /must be an origin: https:/],
    ['*', /must be an origin/],
    ['null', /must be an origin/],
    ['ftp://lb.example.com', /must be an origin/],
    ['https://', /must be an origin/],
    ['https://lb.example.com/', /write https:\/\/lb\.example\.com$/],
    ['https://lb.example.com/page', /write https:\/\/lb\.example\.com$/],
    ['https://me@lb.example.com', /write https:\/\/lb\.example\.com$/],
    [7, /must be an origin/],
  ])('%s is refused', (written, why) => {
    expect(read([written])).toMatchObject({
      problems: [{ path: 'admin.origins[0]', message: expect.stringMatching(why) }],
    });
  });

  it('is a list', () => {
    for (const wrong of [[], 'https://lb.example.com', Array(17).fill('https://a.example')])
      expect(read(wrong)).toMatchObject({ problems: [{ path: 'admin.origins' }] });
  });
});
