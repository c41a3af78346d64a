/** UDP clients that are waited for: only so many, each only so long. */
import { expect, test } from 'vitest';
import { cryptoFrame, exampleFrame, seal } from '../../../test/support/quic.ts';
import { Address } from '../../core/address.ts';
import { Flow } from '../../core/flow.ts';
import { keyOf } from '../../core/key.ts';
import { heardFlowsMax } from '../../core/limits.ts';
import { listenerView } from '../../engine/conformance/listener.ts';
import { Routing } from './routing.ts';

const view = listenerView(0, 'udp', { timeouts: { identifyMs: 500 } });
const routes = [{ protocol: 'quic', names: ['example.com'], pool: 'named' }] as const;
const plan = { ...view.plan, routes, pool: 'other' };
const handshake = exampleFrame.subarray(4);
const [first, second] = [
  [0, 100],
  [100, undefined],
].map(([from, to]) => seal({ payload: cryptoFrame(from!, handshake.subarray(from, to)) })) as [
  Buffer,
  Buffer,
];

function flowOf(i: number, nowMs: number): Flow {
  const address = Address.v4(i, 1);
  return new Flow(i, { ...view, plan }, address, address, keyOf(address, plan.affinity), nowMs);
}

function client(routing: Routing, i: number, nowMs: number): Flow {
  const flow = flowOf(i, nowMs);
  const { speech } = routing.lead(plan, flow.client, undefined, first);
  expect(routing.wait(flow, speech!, nowMs)).toBeUndefined();
  return flow;
}

test('a hello that has come whole decides, a second half or not', () => {
  const routing = new Routing();
  const whole = routing.lead(plan, Address.v4(1, 1), undefined, seal({ payload: exampleFrame }));
  expect(whole).toMatchObject({ route: { number: 1, pool: 'named' }, spoken: { name: 'example.com' } });
  const flow = client(routing, 1, 0);
  expect(routing.hearings.hear(flow, first), 'said again').toBeUndefined();
  expect(flow.isHeard).toBe(true);
  expect(routing.hearings.hear(flow, second)).toEqual({ number: 1, pool: 'named' });
  expect([flow.isHeard, flow.spoken?.name]).toEqual([false, 'example.com']);
  expect(routing.hearings.hear(flow, second), 'nobody asks any more').toBeUndefined();
});

test('nobody waits for longer than `identify`, nor for more than a bounded number', () => {
  const routing = new Routing();
  const flows = Array.from({ length: heardFlowsMax }, (_, i) => client(routing, i, i < 10 ? 0 : 100));
  expect(flows.every((flow) => flow.isHeard)).toBe(true);
  const other = { number: 0, pool: 'other' };
  // A flood does not take the second datagram away from who comes with it: the oldest is given up, and routed as it is.
  const { speech } = routing.lead(plan, Address.v4(heardFlowsMax, 1), undefined, first);
  const late = flowOf(heardFlowsMax, 100);
  expect(routing.wait(late, speech!, 100)).toEqual([flows[0], other]);
  expect([flows[0]!.isHeard, late.isHeard]).toEqual([false, true]);
  expect(routing.hearings.hear(late, second)).toEqual({ number: 1, pool: 'named' });
  expect(routing.hearings.due(499)).toEqual([]);
  const due = routing.hearings.due(500);
  expect(due.map(([flow, route]) => [flow.id, route])).toEqual(
    flows.slice(1, 10).map(({ id }) => [id, other]),
  );
  client(routing, 1, 500);
  for (const flow of flows) routing.hearings.forget(flow);
  expect(routing.hearings.due(10_000)).toHaveLength(1);
});
