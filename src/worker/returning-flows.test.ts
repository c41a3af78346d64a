import { beforeEach, describe, expect, test } from 'vitest';
import { Address, noAddress } from '../core/address.ts';
import { Flow } from '../core/flow.ts';
import { keyOf } from '../core/key.ts';
import { loopRememberedMs, returningFlowsMax, returningPatienceMs } from '../core/limits.ts';
import type { Protocol } from '../core/plan.ts';
import type { BackendView } from '../core/snapshot.ts';
import { backendView, listenerView } from '../engine/conformance/listener.ts';
import { ReturningFlows } from './returning-flows.ts';

const there = backendView({ kind: 'inet', ip: '10.0.0.2', port: 443 });
let loops: BackendView[];
let returning: ReturningFlows;
let flows = 0;

beforeEach(() => {
  loops = [];
  returning = new ReturningFlows(1, (_flow, backend) => void loops.push(backend));
});

function flowFrom(client: string, protocol: Protocol = 'tcp'): Flow {
  const listener = listenerView(0, protocol, {});
  const address = Address.parse(client, 40_000 + flows)!;
  return new Flow(++flows, listener, address, noAddress, keyOf(address, listener.plan.affinity), 0);
}

/** As many as go at once. */
function fill(client: string, protocol: Protocol = 'tcp', backend = there): Flow[] {
  const open: Flow[] = [];
  for (;;) {
    const flow = flowFrom(client, protocol);
    const verdict = returning.admit(flow, backend, 0);
    if (verdict === 'wait') returning.left(flow, () => 0);
    if (verdict !== 'go' || open.length > 10_000) return open;
    open.push(flow);
  }
}

test('whoever comes from elsewhere is not counted', () => {
  for (let i = 0; i < 5_000; i++) expect(returning.admit(flowFrom('192.0.2.1'), there, 0)).toBe('go');
});

test.each(['tcp', 'udp'] as const)(
  '%s: a chain of mute ones is held up, refused, and known from then on',
  (protocol) => {
    expect(fill('10.0.0.2', protocol)).toHaveLength(returningFlowsMax[protocol]);
    const last = flowFrom('10.0.0.2', protocol);
    expect(returning.admit(last, there, 0)).toBe('wait');
    expect(returning.due(returningPatienceMs - 1)).toEqual([]);
    expect(returning.due(returningPatienceMs)).toEqual([last]);
    expect(returning.admit(last, there, returningPatienceMs)).toBe('loop');
    expect(loops).toEqual([there]);
    // One may try. The next is refused at once, until that is long ago.
    const now = returningPatienceMs + 1;
    expect(returning.admit(flowFrom('10.0.0.2', protocol), there, now)).toBe('go');
    expect(returning.admit(flowFrom('10.0.0.2', protocol), there, now)).toBe('loop');
    expect(returning.admit(flowFrom('10.0.0.2', protocol), there, now + loopRememberedMs)).toBe('go');
    expect(loops).toHaveLength(1);
  },
);

describe('a program beside its server', () => {
  test('as many as it likes, where the server answers', () => {
    const [first] = fill('10.0.0.2');
    const waiting = flowFrom('10.0.0.2');
    expect(returning.admit(waiting, there, 10)).toBe('wait');
    returning.answered(first!, there, () => 20);
    expect(returning.due(20)).toEqual([waiting]);
    expect(returning.admit(waiting, there, 20)).toBe('go');
    for (let i = 0; i < 5_000; i++) expect(returning.admit(flowFrom('10.0.0.2'), there, 30)).toBe('go');
  });

  test('an answer to anybody is a sign of life', () => {
    fill('10.0.0.2');
    returning.answered(flowFrom('192.0.2.1'), there, () => 20);
    expect(returning.admit(flowFrom('10.0.0.2'), there, 30)).toBe('go');
  });

  test('a place that is given back is another one’s', () => {
    const open = fill('10.0.0.2');
    const waiting = flowFrom('10.0.0.2');
    expect(returning.admit(waiting, there, 10)).toBe('wait');
    returning.left(open[0]!, () => 0);
    returning.left(open[0]!, () => 0);
    expect(returning.due(20)).toEqual([waiting]);
    expect(returning.admit(waiting, there, 20)).toBe('go');
    expect(returning.admit(flowFrom('10.0.0.2'), there, 20)).toBe('wait');
  });

  test('a client that leaves while it waits is forgotten', () => {
    fill('10.0.0.2');
    const waiting = flowFrom('10.0.0.2');
    expect(returning.admit(waiting, there, 10)).toBe('wait');
    returning.left(waiting, () => 0);
    expect(returning.due(100_000)).toEqual([]);
  });

  test('a loop is remembered from the end of its last flow on', () => {
    const open = fill('10.0.0.2');
    const last = flowFrom('10.0.0.2');
    returning.admit(last, there, 0);
    expect(returning.admit(last, there, returningPatienceMs)).toBe('loop');
    const fallenMs = returningPatienceMs + 2 * loopRememberedMs;
    for (const [i, flow] of open.entries()) returning.left(flow, () => fallenMs - open.length + i);
    expect(returning.admit(flowFrom('10.0.0.2'), there, fallenMs + loopRememberedMs - 1)).toBe('go');
    expect(returning.admit(flowFrom('10.0.0.2'), there, fallenMs + loopRememberedMs - 1)).toBe('loop');
    expect(returning.admit(flowFrom('10.0.0.2'), there, fallenMs + loopRememberedMs)).toBe('go');
  });

  test('a backend that is slow proves itself by any of those that were counted before the verdict', () => {
    const open = fill('10.0.0.2');
    const last = flowFrom('10.0.0.2');
    returning.admit(last, there, 0);
    expect(returning.admit(last, there, returningPatienceMs)).toBe('loop');
    expect(returning.admit(flowFrom('10.0.0.2'), there, 20_000)).toBe('go');
    expect(returning.admit(flowFrom('10.0.0.2'), there, 20_000)).toBe('loop');
    returning.answered(open[0]!, there, () => 20_001);
    for (let i = 0; i < 100; i++) expect(returning.admit(flowFrom('10.0.0.2'), there, 20_002)).toBe('go');
  });

  test('flows of a chain that end after the backend has answered make no loop of it', () => {
    const open = fill('10.0.0.2');
    const last = flowFrom('10.0.0.2');
    returning.admit(last, there, 0);
    returning.admit(last, there, returningPatienceMs);
    const next = flowFrom('10.0.0.2');
    expect(returning.admit(next, there, 10_000)).toBe('go');
    returning.answered(next, there, () => 10_001);
    for (const flow of open) returning.left(flow, () => 10_002);
    for (let i = 0; i < 10; i++) expect(returning.admit(flowFrom('10.0.0.2'), there, 20_000)).toBe('go');
  });

  test('one taken for a loop is none any more when it answers', () => {
    fill('10.0.0.2');
    const last = flowFrom('10.0.0.2');
    returning.admit(last, there, 0);
    expect(returning.admit(last, there, returningPatienceMs)).toBe('loop');
    const next = flowFrom('10.0.0.2');
    expect(returning.admit(next, there, 100_000)).toBe('go');
    returning.answered(next, there, () => 100_001);
    for (let i = 0; i < 1_000; i++) expect(returning.admit(flowFrom('10.0.0.2'), there, 100_002)).toBe('go');
  });
});

test('between members a handful is enough, wherever in a circle of them the client is', () => {
  returning.learn({
    memberListeners: [{ protocol: 'tcp', ip: '10.0.0.2', port: 443 }],
    memberIps: ['10.0.0.2', '10.0.0.3'],
  });
  expect(fill('10.0.0.3')).toHaveLength(returningFlowsMax.members);
  expect(fill('10.0.0.3', 'udp').length, 'over UDP it is no member').toBeGreaterThan(10_000);
  expect(returning.admit(flowFrom('192.0.2.1'), there, 0)).toBe('go');
});

test('each worker has its share', () => {
  returning = new ReturningFlows(8, () => {});
  expect(fill('10.0.0.2')).toHaveLength(returningFlowsMax.tcp / 8);
});
