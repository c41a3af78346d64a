import { describe, expect, it } from 'vitest';
import type { Plan } from '../core/plan.ts';
import { diffPlans } from './diff.ts';
import { parsePlan } from './load.ts';

function planOf(listener: string, pool: string): Plan {
  const text = `
listeners:
  - { name: front, bind: "tcp://10.0.0.1:80", pool: p${listener} }
pools:
  p: { backends: [{ name: a, address: "10.0.1.1:80" }]${pool} }
`;
  const result = parsePlan(text, 'test.yaml');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

describe('socket options', () => {
  const plain = planOf('', '');

  it('are not in the plan when they are not in the file, or 0', () => {
    const [listener] = plain.listeners;
    expect(Object.keys(listener!.tcp)).toEqual(['backlog', 'noDelay', 'keepAliveMs']);
    expect([listener!.udp, listener!.upstream]).toEqual([undefined, undefined]);
    const zero = planOf(', tcp: { user_timeout: 0, fast_open: 0 }', ', transparent: false');
    expect(zero).toEqual(plain);
  });

  it('that belong to one machine are not in the digest, others are', () => {
    const here = planOf(', bind_device: eth0', ', source: 10.0.0.1, mark: 1, device: eth1');
    expect(here.digest).toBe(plain.digest);
    expect(planOf(', tcp: { user_timeout: 5s }', '').digest).not.toBe(plain.digest);
  });

  it('of the pool reach its listener by a reload; another device is another socket', () => {
    const source = diffPlans(plain, planOf('', ', source: [10.0.0.1, "2001:db8::1"]')).listeners.changed;
    expect(source.map(({ rebind, next }) => [rebind, next.upstream?.sources])).toEqual([
      [false, ['10.0.0.1', '2001:db8::1']],
    ]);
    expect(planOf('', ', source: 10.0.0.1').pools[0]!.health.sources).toEqual(['10.0.0.1']);
    const device = diffPlans(plain, planOf(', bind_device: eth0', '')).listeners.changed;
    expect(device.map(({ rebind }) => rebind)).toEqual([true]);
  });
});
