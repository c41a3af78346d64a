/** What open conversations have had back, and who sends. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import { FlowRegistry } from './flow-registry.ts';
import { sendersTo } from './senders.ts';
import { UdpReplies } from './udp-replies.ts';

function registryOf(flows: object[]): FlowRegistry {
  const registry = new FlowRegistry();
  for (const flow of flows) registry.add(flow as Flow);
  return registry;
}

test('replies are counted four times a second at most, and none twice once it is accounted for', () => {
  let accounted = 5;
  const flow = { backend: { id: 1 }, datagramsOut: 3, accounted: { datagramsOut: 1 } };
  const flows = [flow, { ...flow, backend: undefined }, { ...flow, backend: { id: 2 }, datagramsOut: 1 }];
  const replies = new UdpReplies(registryOf(flows), (id) => (id === 1 ? accounted : 0));
  expect([replies.of(1, 0), replies.of(2, 0)]).toEqual([7, 0]);
  flow.accounted.datagramsOut = 3;
  accounted = 7;
  expect([replies.of(1, 249), replies.of(1, 250)]).toEqual([7, 7]);
  flow.datagramsOut = 4;
  expect([replies.of(1, 499), replies.of(1, 500)]).toEqual([7, 8]);
});

test('clients count once, however many ports or addresses of their network they have', () => {
  const flowOf = (client: string, more = {}) => ({
    client: Address.parse(client, 9)!,
    backend: { id: 1 },
    listener: { plan: { protocol: 'udp' } },
    sentAtMs: 100,
    ...more,
  });
  const flows = [
    flowOf('10.0.0.1'),
    flowOf('10.0.0.1'),
    flowOf('10.0.0.2', { sentAtMs: 99 }),
    flowOf('10.0.0.3', { backend: { id: 2 } }),
    flowOf('10.0.0.4', { listener: { plan: { protocol: 'tcp' } } }),
    flowOf('2001:db8::1'),
    flowOf('2001:db8::ffff'),
    flowOf('2001:db8:0:1::1'),
  ];
  expect(sendersTo(registryOf(flows), 1, 100, 10)).toHaveLength(3);
  expect(sendersTo(registryOf(flows), 1, 99, 10)).toHaveLength(4);
  expect(sendersTo(registryOf(flows), 1, 99, 2)).toHaveLength(2);
});
