import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Plan } from '../core/plan.ts';
import { diffPlans } from './diff.ts';
import { parsePlan } from './load.ts';

const db = { name: 'db', bind: 'tcp://0.0.0.0:5432', pool: 'pg' };
const web = { name: 'web', bind: 'tcp://0.0.0.0:80', pool: 'www' };
const pg1 = { name: 'pg1', address: '10.0.0.1:5432' };
const pg2 = { name: 'pg2', address: '10.0.0.2:5432' };
const www = { backends: [{ name: 'w1', address: '10.0.1.1:80' }] };
const before = { listeners: [db, web], pools: { pg: { backends: [pg1, pg2] }, www } };

function planOf(file: object): Plan {
  const result = parsePlan(stringify(file, { aliasDuplicateObjects: false }), 'f');
  if (!('plan' in result)) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

const names = (items: readonly { readonly name: string }[]): string[] => items.map((item) => item.name);
const diffTo = (file: object) => diffPlans(planOf(before), planOf({ ...before, ...file }));

describe('diffPlans', () => {
  it('from nothing is everything', () => {
    const diff = diffPlans(undefined, planOf(before));
    expect(names(diff.listeners.added)).toEqual(['db', 'web']);
    expect(names(diff.pools.added)).toEqual(['pg', 'www']);
    expect(diff.instance).toEqual([
      'engine',
      'workers',
      'log.level',
      'log.format',
      'log.flows',
      'log.access',
      'metrics',
      'admin',
      'cluster',
      'shutdown',
      'limits.flows',
      'limits.udp_share',
      'limits.pins',
    ]);
    expect(diff.needRestart).toEqual([
      'engine',
      'workers',
      'log.format',
      'log.access',
      'metrics',
      'admin',
      'cluster',
      'limits.pins',
    ]);
    expect(diff.empty).toBe(false);
  });

  it('of equal plans is empty, wherever they came from', () => {
    const moved = parsePlan(stringify(before), 'elsewhere');
    expect(diffPlans(planOf(before), 'plan' in moved ? moved.plan : planOf({}))).toEqual({
      listeners: { added: [], removed: [], changed: [] },
      pools: { added: [], removed: [], changed: [] },
      instance: [],
      needRestart: [],
      empty: true,
    });
  });

  it('tells added from removed listeners and pools; a new name is a new thing', () => {
    const diff = diffTo({
      listeners: [db, { ...web, name: 'site', pool: 'site' }],
      pools: { pg: before.pools.pg, site: www },
    });
    expect([names(diff.listeners.added), names(diff.listeners.removed)]).toEqual([['site'], ['web']]);
    expect([names(diff.pools.added), names(diff.pools.removed)]).toEqual([['site'], ['www']]);
    expect(diff.listeners.changed).toEqual([]);
  });

  it.each([
    ['another port', { ...db, bind: 'tcp://0.0.0.0:5433' }, true],
    ['another address', { ...db, bind: 'tcp://127.0.0.1:5432' }, true],
    ['another protocol', { ...db, bind: 'udp://0.0.0.0:5432' }, true],
    ['a unix socket', { ...db, bind: 'unix:/run/x.sock', affinity: { key: 'client-ip' } }, true],
    ['another pool', { ...db, pool: 'www' }, false],
    ['another timeout', { ...db, timeouts: { idle: '5s' } }, false],
    ['another limit', { ...db, limits: { flows: 5 } }, false],
    ['another backlog', { ...db, tcp: { backlog: 5 } }, false],
  ])('a listener with %s', (_, changed, rebind) => {
    const diff = diffTo({ listeners: [changed, web] });
    expect(diff.listeners.changed.map((change) => [change.old.name, change.rebind])).toEqual([
      ['db', rebind],
    ]);
    expect(diff.listeners.added.length + diff.listeners.removed.length).toBe(0);
  });

  it('tells what happened to the backends of a pool', () => {
    const diff = diffTo({
      pools: {
        pg: {
          backends: [
            { ...pg2, weight: 5 },
            { ...pg1, name: 'pg3' },
          ],
        },
        www,
      },
    });
    expect(diff.pools.changed).toHaveLength(1);
    const { settings, backends } = diff.pools.changed[0]!;
    expect(settings).toBe(false);
    expect([names(backends.added), names(backends.removed)]).toEqual([['pg3'], ['pg1']]);
    expect(backends.changed.map((change) => [change.old.weight, change.next.weight])).toEqual([[1, 5]]);
  });

  it('tells a pool with other settings from one with other backends', () => {
    const change = diffTo({ pools: { pg: { ...before.pools.pg, policy: 'ring' }, www } }).pools.changed[0]!;
    expect(change.settings).toBe(true);
    expect(change.backends).toEqual({ added: [], removed: [], changed: [] });
  });

  it('a pool whose backends change places has changed, its backends have not', () => {
    const change = diffTo({ pools: { pg: { backends: [pg2, pg1] }, www } }).pools.changed[0]!;
    expect(change.settings).toBe(false);
    expect(change.backends).toEqual({ added: [], removed: [], changed: [] });
  });

  it.each([
    ['engine', { engine: 'portable' }],
    ['workers', { workers: 2 }],
    ['limits.pins', { limits: { pins: 1024 } }],
    ['limits.udp_share', { limits: { udp_share: 0.5 } }],
    ['log.level', { log: { level: 'warn' } }],
    ['log.format', { log: { format: 'text' } }],
    ['log.flows', { log: { flows: { sample: 0.5 } } }],
    ['log.access', { log: { access: { file: '/a' } } }],
    ['metrics', { metrics: { listen: '127.0.0.1:9464' } }],
    ['admin', { admin: { listen: 'unix:/run/a.sock' } }],
    ['shutdown', { shutdown: { drain: '1s' } }],
  ])('sees %s alone', (key, extra) => {
    const diff = diffTo(extra);
    expect(diff.instance).toEqual([key]);
    expect(diff.empty).toBe(false);
    expect(diff.listeners.changed).toEqual([]);
  });
});
