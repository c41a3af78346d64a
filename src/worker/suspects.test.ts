import { expect, test } from 'vitest';
import type { MessageFromWorker } from './messages-from-worker.ts';
import { SuspectBackends } from './suspects.ts';

const passive = { failures: 3, ejectMs: 10_000 };

function suspectsOf() {
  const told: MessageFromWorker[] = [];
  /** Of a backend that has answered somebody; 0: it never has. */
  const state = { replies: 0 };
  const suspects = new SuspectBackends((message) => told.push(message), { of: () => state.replies });
  return { suspects, told, state };
}

test('a server that answers others meanwhile is not gone, and one that answers nobody any more is', () => {
  const { suspects, told, state } = suspectsOf();
  const row = (atMs: number): void => {
    for (let i = 0; i < 4; i++) suspects.failed(1, 'udp', 'unreachable', passive, atMs + i);
  };
  state.replies = 7;
  row(1_000);
  suspects.turn(1_499);
  state.replies = 8;
  suspects.turn(1_500);
  row(2_000);
  suspects.turn(2_499);
  expect(told).toEqual([]);
  suspects.turn(2_500);
  expect(told).toMatchObject([{ cause: 'unreachable', failures: 4 }]);
  row(3_000);
  suspects.succeeded(1, 'udp');
  suspects.turn(4_000);
  expect(told).toHaveLength(1);
});

test('failures in a row are told once, and a success begins the row anew', () => {
  const { suspects, told } = suspectsOf();
  for (let i = 0; i < 2; i++) suspects.failed(1, 'udp', 'unreachable', passive, i);
  suspects.succeeded(1, 'udp');
  for (let i = 0; i < 2; i++) suspects.failed(1, 'udp', 'unreachable', passive, i);
  expect(told).toEqual([]);
  suspects.failed(1, 'udp', 'unreachable', passive, 3);
  expect(told).toEqual([
    { type: 'backend-suspect', backendId: 1, protocol: 'udp', cause: 'unreachable', failures: 3 },
  ]);
});

test('a port that is dead for UDP is found although TCP works, and neither counts for the other', () => {
  const { suspects, told } = suspectsOf();
  for (let i = 0; i < 2; i++) suspects.failed(1, 'tcp', 'dial', passive, i);
  suspects.failed(1, 'udp', 'unreachable', passive, 2);
  expect(told).toEqual([]);
  for (let i = 0; i < 2; i++) {
    suspects.succeeded(1, 'tcp');
    suspects.failed(1, 'udp', 'unreachable', passive, 3 + i);
  }
  expect(told).toEqual([
    { type: 'backend-suspect', backendId: 1, protocol: 'udp', cause: 'unreachable', failures: 3 },
  ]);
});

test('what failed at an address does not count at the next one', () => {
  const { suspects, told } = suspectsOf();
  for (let i = 0; i < 2; i++) suspects.failed(1, 'udp', 'unreachable', passive, i);
  suspects.moved(1);
  suspects.failed(1, 'udp', 'unreachable', passive, 2);
  expect(told).toEqual([]);
});

test('a storm of failures is told ten times a second for each cause, all of them counted, the first at once', () => {
  const { suspects, told } = suspectsOf();
  for (let i = 0; i < 10_000; i++) suspects.failed(1, 'tcp', 'dial', passive, i / 10);
  expect(told).toHaveLength(10);
  expect(told[0]).toMatchObject({ failures: 3 });
  expect(told[1]).toMatchObject({ failures: 1_000 });
  for (let i = 0; i < 3; i++) suspects.failed(1, 'tcp', 'broke', passive, 1_000);
  for (let i = 0; i < 3; i++) suspects.failed(2, 'tcp', 'dial', passive, 1_000);
  expect(told.slice(10)).toMatchObject([{ cause: 'broke' }, { backendId: 2 }]);
});
