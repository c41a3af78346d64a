import { describe, expect, test } from 'vitest';
import type { UpstreamPlan } from '../../core/plan.ts';
import { SourceAddresses } from './socket-options.ts';

function upstream(...sources: string[]): UpstreamPlan {
  return { sources, transparent: false };
}

describe('source addresses', () => {
  test('are used in turn', () => {
    const addresses = new SourceAddresses();
    const plan = upstream('10.0.0.1', '10.0.0.2');
    const used = [1, 2, 3].map(() => addresses.next(plan, '192.0.2.1'));
    expect(used).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.1']);
  });

  test('are of the family of the backend', () => {
    const addresses = new SourceAddresses();
    const plan = upstream('10.0.0.1', '2001:db8::1');
    expect([1, 2].map(() => addresses.next(plan, '2001:db8::9'))).toEqual(['2001:db8::1', '2001:db8::1']);
    expect(addresses.next(upstream('10.0.0.1'), '2001:db8::9')).toBeUndefined();
    expect(addresses.next(undefined, '192.0.2.1')).toBeUndefined();
  });
});
