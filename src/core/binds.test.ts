import { expect, test } from 'vitest';
import { Address, noAddress } from './address.ts';
import { bindKey, bindsText, coverage, doorsAmong } from './binds.ts';
import { targetAt, targetsAt } from './dial-target.ts';
import type { Bind } from './plan.ts';

const at = (ip: string, port: number): Bind => ({ kind: 'inet', ip, port });
const unix: Bind = { kind: 'unix', path: '/run/x.sock' };

test('ports that follow each other are told as a range', () => {
  const binds = [at('0.0.0.0', 7000), at('0.0.0.0', 7001), at('0.0.0.0', 7002), at('::', 7003), unix];
  expect(bindsText('udp', binds)).toBe('udp://0.0.0.0:7000-7002, udp://[::]:7003, unix:/run/x.sock');
  expect(bindsText('tcp', [at('10.0.0.1', 80), at('10.0.0.1', 82)])).toBe(
    'tcp://10.0.0.1:80, tcp://10.0.0.1:82',
  );
  // Ports that are not drawn yet.
  expect(bindsText('tcp', [at('10.0.0.1', 0), at('10.0.0.1', 1)])).toBe('tcp://10.0.0.1:0, tcp://10.0.0.1:1');
});

test('of ten thousand addresses the first are told, and how many more there are', () => {
  const odd = Array.from({ length: 10_000 }, (_, i) => at('10.0.0.1', 1_001 + 2 * i));
  expect(bindsText('udp', odd)).toMatch(
    /^udp:\/\/10\.0\.0\.1:1001, .*, udp:\/\/10\.0\.0\.1:1063, and 9968 more$/,
  );
});

test('where a flow came in is held against the addresses there are', () => {
  const local = Address.parse('10.0.0.1', 80)!;
  const local6 = Address.parse('2001:db8::1', 80)!;
  const isAt = (binds: readonly Bind[], where: Address): boolean => coverage(binds)(where);
  expect(isAt([at('10.0.0.2', 80), at('10.0.0.1', 80)], local)).toBe(true);
  expect(isAt([at('10.0.0.1', 81), at('10.0.0.2', 80), unix], local)).toBe(false);
  expect(isAt([at('0.0.0.0', 80)], local)).toBe(true);
  expect(isAt([at('0.0.0.0', 80)], local6)).toBe(false);
  expect(isAt([at('::', 80)], local)).toBe(true);
  expect(isAt([at('::', 80)], local6)).toBe(true);
  expect(isAt([at('::', 80)], noAddress)).toBe(false);
  expect(isAt([at('::', 80), unix], noAddress)).toBe(true);
});

test('two devices of one address are two', () => {
  expect(bindKey({ kind: 'inet', ip: '10.0.0.1', port: 80, device: 'eth0' })).not.toBe(
    bindKey(at('10.0.0.1', 80)),
  );
});

test('a backend on the port that the client came to', () => {
  const own = at('10.0.1.1', 5432);
  expect(targetAt(own, 7000)).toBe(own);
  expect(targetAt(unix, 7000)).toBe(unix);
  const same: Bind = { kind: 'inet', ip: '10.0.1.1', port: 0, portShift: 0 };
  expect(targetAt(same, 7000)).toEqual(at('10.0.1.1', 7000));
  expect(targetAt({ ...same, portShift: -1000 }, 7000)).toEqual(at('10.0.1.1', 6000));
  expect(targetAt({ ...same, portShift: 1 }, 65_535)).toBeUndefined();
  expect(targetAt({ ...same, portShift: -80 }, 80)).toBeUndefined();
  expect(targetsAt({ ...same, portShift: 1 }, [1, 65_535])).toEqual([at('10.0.1.1', 2)]);
});

test('some doors of a listener, or all', () => {
  const doors = new Map([
    ['a', 1],
    ['b', 2],
  ]);
  expect(doorsAmong(doors, undefined)).toEqual([...doors]);
  expect(doorsAmong(doors, ['b', 'c'])).toEqual([['b', 2]]);
  expect(doorsAmong(undefined, ['b'])).toEqual([]);
});
