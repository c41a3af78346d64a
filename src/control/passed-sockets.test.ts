import { expect, test } from 'vitest';
import { parsePlan } from '../config/load.ts';
import type { PassedSocket } from '../core/passed-socket.ts';
import type { Bind, Plan } from '../core/plan.ts';
import { PassedSockets } from './passed-sockets.ts';

const inet = (port: number, ip = '0.0.0.0'): Bind => ({ kind: 'inet', ip, port });

function passed(protocol: 'tcp' | 'udp', bind: Bind, more: Partial<PassedSocket> = {}): PassedSocket {
  return { descriptor: 3, name: 'pinion.socket', protocol, bind, onlyV6: false, ...more };
}

/** With one listener for each bind, called l0, l1 and so on. */
function planOf(...binds: string[]): Plan {
  const listeners = binds.map((bind, i) => `  - { name: l${i}, bind: "${bind}", pool: p }`).join('\n');
  const text = `listeners:\n${listeners}\npools: { p: { backends: [ { name: a, address: 192.0.2.1:1 } ] } }\n`;
  const loaded = parsePlan(text, 'test.yaml');
  if ('problems' in loaded) throw new Error(loaded.problems.map(({ message }) => message).join('; '));
  return loaded.plan;
}

const messagesOf = (sockets: readonly PassedSocket[], plan: Plan, workers: number): string[] =>
  new PassedSockets(sockets, (fd) => fd)
    .problems(plan, workers)
    .map((one) => `${one.listener}: ${one.message}`);

test('several of one address are shared out; one over TCP is for all workers, over UDP for one', () => {
  const made: number[] = [];
  const sockets = new PassedSockets(
    [
      passed('tcp', inet(1), { descriptor: 3 }),
      passed('udp', inet(1), { descriptor: 4 }),
      passed('udp', inet(2), { descriptor: 5 }),
      passed('udp', inet(2), { descriptor: 6 }),
      passed('tcp', { kind: 'unix', path: '/run/a' }, { descriptor: 7 }),
    ],
    (fd) => {
      made.push(fd);
      return fd + 100;
    },
  );
  expect(sockets.workersOf('tcp', inet(1), 4)).toBe(4);
  expect(sockets.workersOf('udp', inet(1), 4)).toBe(1);
  expect(sockets.workersOf('udp', inet(2), 4)).toBe(2);
  expect(sockets.workersOf('tcp', { kind: 'unix', path: '/run/a' }, 4)).toBe(1);
  expect(sockets.workersOf('tcp', inet(2), 4), 'nobody passes it').toBeUndefined();
  expect([0, 1].map((worker) => sockets.descriptorFor(worker, 'udp', inet(2)))).toEqual([105, 106]);
  expect(sockets.descriptorFor(3, 'tcp', inet(1))).toBe(103);
  expect(sockets.descriptorFor(0, 'tcp', inet(9))).toBeUndefined();
  expect(made).toEqual([5, 6, 3]);
});

test('what cannot be served is said by listener, and what nobody has is named', () => {
  const plan = planOf('tcp://0.0.0.0:1', 'tcp://[::]:2', 'udp://0.0.0.0:3');
  const sockets = [
    passed('tcp', inet(1)),
    passed('tcp', inet(2, '::'), { onlyV6: true }),
    passed('udp', inet(3)),
    passed('udp', inet(3)),
    passed('udp', inet(3)),
    passed('tcp', inet(4), { name: 'other' }),
  ];
  expect(messagesOf(sockets, plan, 2)).toEqual([
    '1: tcp://[::]:2 (pinion.socket) is passed and takes clients over IPv6 only; write BindIPv6Only=both in the socket unit',
    '2: udp://0.0.0.0:3 (pinion.socket) is passed 3 times, and 2 workers serve it: clients of the others would wait for ever; pass it at most 2 times',
  ]);
  expect(new PassedSockets(sockets, (fd) => fd).unused(plan)).toEqual(['tcp://0.0.0.0:4 (other)']);
  expect(messagesOf(sockets, plan, 4).length, 'a worker for each').toBe(1);
});

test('a socket that is called like a listener is of its address', () => {
  const plan = planOf('tcp://0.0.0.0:1', 'tcp://0.0.0.0:2');
  expect(messagesOf([passed('tcp', inet(1), { name: 'l0' })], plan, 1)).toEqual([]);
  expect(messagesOf([passed('tcp', inet(2), { name: 'l0' })], plan, 1)).toEqual([
    "0: the socket that is passed under this listener's name is tcp://0.0.0.0:2 (l0); write that address here, or another one in the socket unit",
  ]);
  // The same address over the other protocol is another one.
  expect(messagesOf([passed('udp', inet(1), { name: 'l0' })], plan, 1).length).toBe(1);
});
