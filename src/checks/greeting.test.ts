import { expect, test } from 'vitest';
import { poolPlan } from '../engine/conformance/listener.ts';
import { readProxyHeader } from '../wire/proxy-header.ts';
import { greetingOf } from './greeting.ts';

const target = { kind: 'inet', ip: '10.0.0.1', port: 5432 } as const;
const { health } = poolPlan({});

test.each([1, 2] as const)(
  'a check of a pool with headers of version %i comes for nobody',
  (proxyVersion) => {
    const greeting = greetingOf({ ...health, type: 'tcp', proxyVersion }, target)!;
    expect(readProxyHeader(greeting)).toMatchObject({
      version: proxyVersion,
      isLocal: proxyVersion === 2,
      addresses: undefined,
      length: greeting.length,
    });
  },
);

test('it says so only where clients go, and only if they are told of', () => {
  const plan = { ...health, type: 'tcp', proxyVersion: 2 } as const;
  expect(greetingOf({ ...health, type: 'tcp' }, target)).toBeUndefined();
  expect(greetingOf({ ...plan, port: 8008 }, target)).toBeUndefined();
  expect(greetingOf({ ...plan, address: '10.0.0.9' }, target)).toBeUndefined();
  expect(greetingOf({ ...plan, port: 5432, address: '10.0.0.1' }, target)).toBeDefined();
  expect(greetingOf({ ...plan, type: 'agent' }, target)).toBeUndefined();
});

test('it is said over what clients come by', () => {
  const plan = { ...health, proxyVersion: 2 } as const;
  const says = (type: string, proxyOver: readonly ('tcp' | 'udp')[]): boolean =>
    greetingOf({ ...plan, type, proxyOver }, target) !== undefined;
  expect([says('a2s', ['udp']), says('tcp', ['udp'])]).toEqual([true, false]);
  expect([says('a2s', ['tcp']), says('tcp', ['tcp'])]).toEqual([false, true]);
  expect([says('a2s', ['tcp', 'udp']), says('tcp', ['tcp', 'udp'])]).toEqual([true, true]);
});
