import { expect, test } from 'vitest';
import { flowLogOf, isFailed } from './flow-log.ts';
import type { Plan } from './plan.ts';

const logOf = (more: Partial<Plan['log']>, admin?: Plan['admin']) =>
  flowLogOf({ log: { level: 'info', format: 'auto', flows: { level: 'info', sample: 0.5 }, ...more }, admin })
    .which;

test('nobody makes a record of a flow that no line will be written for', () => {
  expect(logOf({})).toBe('all');
  expect(logOf({ level: 'warn' })).toBe('failed');
  expect(logOf({ level: 'error' })).toBe('none');
  expect(logOf({ level: 'silent' })).toBe('none');
  expect(logOf({ flows: { level: 'debug', sample: 1 } })).toBe('failed');
  expect(logOf({ level: 'debug', flows: { level: 'debug', sample: 1 } })).toBe('all');
  expect(logOf({ flows: { level: 'off', sample: 1 } })).toBe('none');
  expect(logOf({ level: 'silent', flows: { level: 'off', sample: 1 }, access: { file: '/a' } })).toBe('all');
  const admin = { listen: { kind: 'unix', path: '/a' } } as const;
  expect(logOf({ flows: { level: 'off', sample: 1 } }, admin), 'a page shows those that fail').toBe('failed');
  expect(logOf({ level: 'silent' }, admin)).toBe('failed');
});

test('failed is a client that did not get what it came for, and not one that left or that a person ended', () => {
  const of = (code: Parameters<typeof isFailed>[0]['code'], bytesOut = 0): boolean =>
    isFailed({ code, bytesOut, datagramsOut: 0 });
  expect(of('no-backend')).toBe(true);
  expect(of('backend-refused')).toBe(true);
  expect(of('worker-error', 5)).toBe(true);
  expect(of('backend-reset')).toBe(true);
  expect(of('backend-reset', 1)).toBe(false);
  expect(of('client-closed')).toBe(false);
  expect(of('backend-down', 5)).toBe(true);
  expect(of('operator')).toBe(false);
  expect(of(undefined)).toBe(false);
});
