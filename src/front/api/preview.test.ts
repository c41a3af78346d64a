import { expect, test } from 'vitest';
import type { BackendStatus } from '../../control/backend-status.ts';
import { BackendStates } from '../../core/backend-states.ts';
import type { OperatorOrder } from '../../core/operator-word.ts';
import type { Snapshot } from '../../core/snapshot.ts';
import { preview } from './preview.ts';
import { previewShape } from './shapes.ts';

function ask(order: OperatorOrder, { isForced = false, others = ['b', 'c'], onDown = 'close' } = {}) {
  const names = ['a', ...others];
  const states = new BackendStates();
  const target = { kind: 'inet', ip: '10.0.0.1', port: 1 } as const;
  const backends = names.map((name, i) => ({
    id: i + 1,
    name,
    target,
    addressText: name,
    weight: 1,
    maxConnections: 0,
  }));
  for (const { id } of backends) {
    states.setUp(id, true);
    states.setWeight(id, 1);
  }
  const plan = {
    name: 'p',
    panicBelow: 0,
    spillBelow: 0.7,
    onDown: { action: onDown, graceMs: 0 },
    onDownBecause: {},
    closeOverMs: 5_000,
  };
  const snapshot = { pools: [{ id: 9, plan, backends }] } as unknown as Snapshot;
  const statuses = backends.map(({ id }) => ({ id, configuredWeight: 1, reason: null }) as BackendStatus);
  const counters = { backend: () => 37 } as never;
  const pins = new Map([[9, new Map([[1, 412]])]]);
  const state = { published: { snapshot } as never, backends: statuses };
  const asked = { pool: 'p', backend: 'a', word: 'x', order, isForced };
  return previewShape.parse(preview(state, { states, counters }, pins, asked));
}

test('a drain: who stays, and where new clients go', () => {
  expect(ask({ state: 'drain' })).toMatchObject({
    refused: null,
    pins: 412,
    flows: 37,
    flowsEnd: 0,
    newClients: [
      { backend: 'a', before: 0.333, after: 0 },
      { backend: 'b', before: 0.333, after: 0.5 },
      { backend: 'c', before: 0.333, after: 0.5 },
    ],
    text: '412 pinned clients and 37 flows stay. New clients of pool p go to b 50 %, c 50 %.',
  });
  expect(ask({ state: 'drain', movesPinned: true }).text).toMatch(/412 pinned clients move/);
});

test('maintenance ends flows as on_down says', () => {
  expect(ask({ state: 'maintenance' })).toMatchObject({
    flowsEnd: 37,
    flowsEndOverMs: 5_000,
    text: expect.stringMatching(/^37 flows end within 5s; /),
  });
  expect(ask({ state: 'maintenance' }, { onDown: 'keep' })).toMatchObject({ flowsEnd: 0, flowsEndOverMs: 0 });
});

test('another weight', () => {
  expect(ask({ weight: 2 }).newClients.map(({ after }) => after)).toEqual([0.5, 0.25, 0.25]);
});

test('the last one of a pool', () => {
  expect(ask({ state: 'drain' }, { others: [] })).toMatchObject({
    refused: expect.stringMatching(/last backend/),
  });
  expect(ask({ weight: 0 }, { others: [] }).text).toMatch(/^Refused: /);
  const forced = ask({ state: 'drain' }, { others: [], isForced: true });
  expect(forced).toMatchObject({
    refused: null,
    text: expect.stringMatching(/Nobody of pool p takes new clients/),
  });
});

test('an operator who takes it back', () => {
  expect(ask({ state: 'ready' }).newClients.map(({ after }) => after)).toEqual([0.333, 0.333, 0.333]);
});
