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

function client(routing: Routing, i: number, nowMs: number): Flow | undefined {
  const address = Address.v4(i, 1);
  const { speech } = routing.lead(plan, address, undefined, first);
  if (speech === undefined) return undefined;
  const flow = new Flow(i, { ...view, plan }, address, address, keyOf(address, plan.affinity), nowMs);
  routing.wait(flow, speech, nowMs);
  return flow;
}

test('a hello that has come whole decides, a second half or not', () => {
  const routing = new Routing();
  const whole = routing.lead(plan, Address.v4(1, 1), undefined, seal({ payload: exampleFrame }));
  expect(whole).toMatchObject({ route: { number: 1, pool: 'named' }, spoken: { name: 'example.com' } });
  const flow = client(routing, 1, 0)!;
  expect(routing.hearings.hear(flow, first), 'said again').toBeUndefined();
  expect(flow.isHeard).toBe(true);
  expect(routing.hearings.hear(flow, second)).toEqual({ number: 1, pool: 'named' });
  expect([flow.isHeard, flow.spoken?.name]).toEqual([false, 'example.com']);
  expect(routing.hearings.hear(flow, second), 'nobody asks any more').toBeUndefined();
});

test('nobody waits for longer than `identify`, nor for more than a bounded number', () => {
  const routing = new Routing();
  const flows = Array.from({ length: heardFlowsMax }, (_, i) => client(routing, i, i < 10 ? 0 : 100)!);
  expect(flows.every((flow) => flow.isHeard)).toBe(true);
  expect(client(routing, heardFlowsMax, 100)).toBeUndefined();
  const beyond = routing.lead(plan, Address.v4(9, 9), undefined, first);
  expect(beyond).toMatchObject({ route: { number: 0, pool: 'other' }, speech: undefined });
  expect(routing.hearings.due(499)).toEqual([]);
  const due = routing.hearings.due(500);
  expect(due.map(([flow, route]) => [flow.id, route])).toEqual(
    flows.slice(0, 10).map(({ id }) => [id, { number: 0, pool: 'other' }]),
  );
  expect(client(routing, 1, 500), 'there is room again').toBeDefined();
  for (const flow of flows) routing.hearings.forget(flow);
  expect(routing.hearings.due(10_000)).toHaveLength(1);
});
