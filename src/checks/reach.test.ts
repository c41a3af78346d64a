import { expect, test } from 'vitest';
import type { FaultCause } from '../core/ejection.ts';
import type { HealthPlan, Protocol } from '../core/plan.ts';
import { poolPlan } from '../engine/conformance/listener.ts';
import { seesFault } from './reach.ts';

const target = { kind: 'inet', ip: '10.0.0.1', port: 5432 } as const;

test.each<[Partial<HealthPlan>, Protocol, FaultCause, boolean]>([
  [{ type: 'none' }, 'tcp', 'dial', false],
  [{ type: 'tcp' }, 'tcp', 'dial', true],
  [{ type: 'tcp' }, 'tcp', 'broke', false],
  [{ type: 'tcp' }, 'udp', 'unreachable', false],
  [{ type: 'postgres' }, 'tcp', 'broke', true],
  [{ type: 'postgres', port: 5432 }, 'tcp', 'broke', true],
  [{ type: 'http', port: 8008 }, 'tcp', 'dial', false],
  [{ type: 'tcp', address: '10.0.0.9' }, 'tcp', 'dial', false],
  [{ type: 'agent' }, 'tcp', 'dial', false],
  [{ type: 'exec' }, 'tcp', 'broke', false],
  [{ type: 'a2s' }, 'udp', 'silent', true],
  [{ type: 'a2s' }, 'tcp', 'dial', false],
  [{ type: 'send-expect', options: { over: 'udp' } }, 'udp', 'silent', true],
  [{ type: 'send-expect', options: { over: 'tcp' } }, 'udp', 'silent', false],
  [{ type: 'send-expect', options: { over: 'tcp' } }, 'tcp', 'broke', true],
])('%j sees %s %s: %s', (health, protocol, cause, sees) => {
  expect(seesFault({ ...poolPlan({}).health, ...health }, target, { protocol, cause })).toBe(sees);
});
