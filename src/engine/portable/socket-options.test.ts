import { describe, expect, test } from 'vitest';
import type { UpstreamPlan } from '../../core/plan.ts';
import { listenerView } from '../conformance/listener.ts';
import { ignoredOptions, SourceAddresses } from './socket-options.ts';

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

test('what is ignored is named by its key', () => {
  const { plan } = listenerView(0, 'tcp', { bind: { kind: 'inet', ip: '127.0.0.1', port: 1, device: 'lo' } });
  expect(ignoredOptions(plan)).toEqual(['bind_device']);
  const more = { tcp: { ...plan.tcp, userTimeoutMs: 5 }, upstream: { ...upstream(), mark: 1 } };
  expect(ignoredOptions({ ...plan, ...more })).toEqual([
    'bind_device',
    'tcp.user_timeout',
    'mark of its pool',
  ]);
  expect(ignoredOptions(listenerView(0, 'tcp', {}).plan)).toEqual([]);
});
