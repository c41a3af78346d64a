import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { Flow } from '../core/flow.ts';
import { keyOf } from '../core/key.ts';
import { rebindTriesPerSecondMax } from '../core/limits.ts';
import { PinTable } from '../core/pins/table.ts';
import type { RebindPlan } from '../core/plan.ts';
import type { ListenerView } from '../core/snapshot.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import { FlowPins } from './flow-pins.ts';
import { QuicIds } from './quic-ids.ts';
import { Rebinding } from './rebinding.ts';

const client = Address.parseWithPort('192.0.2.1:7')!;
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/ /g, ''), 'hex'));
let nextId = 1;

function viewOf(rebind: RebindPlan, id = 0): ListenerView {
  const view = listenerView(id, 'udp', { rebinds: true });
  return { ...view, plan: { ...view.plan, rebind } };
}

function flowOf(view: ListenerView, hasReplied = true): Flow {
  const flow = new Flow(nextId++, view, client, client, keyOf(client, view.plan.affinity), 0);
  flow.hasReplied = hasReplied;
  return flow;
}

const payload = { payload: { offset: 1, length: 4 } } as const;

test('a token is found at its place, while its flow is open and was answered', () => {
  const rebinding = new Rebinding();
  const view = viewOf(payload);
  const flow = flowOf(view, false);
  rebinding.opened(flow, bytes('00 01020304 05'));
  const same = bytes('ff 01020304');
  expect(rebinding.find(view, client, same), 'nobody has answered yet').toBeUndefined();
  flow.hasReplied = true;
  expect(rebinding.find(view, client, same)).toBe(flow);
  for (const other of ['', '00', '00 010203', '01 02030405', '00 01020305'])
    expect(rebinding.find(view, client, bytes(other))).toBeUndefined();
  expect(rebinding.find(viewOf(payload, 1), client, same), 'at another listener').toBeUndefined();
  rebinding.closed(flow);
  expect(rebinding.find(view, client, same)).toBeUndefined();
});

test('a token that is taken stays where it is, and one that is cut is none', () => {
  const rebinding = new Rebinding();
  const view = viewOf(payload);
  const [first, second, short] = [flowOf(view), flowOf(view), flowOf(view)];
  rebinding.opened(first, bytes('00 01020304'));
  rebinding.opened(second, bytes('00 01020304'));
  rebinding.opened(short, bytes('00 010203'));
  expect([second.tokens, short.tokens]).toEqual([undefined, undefined]);
  rebinding.closed(second);
  expect(rebinding.find(view, client, bytes('00 01020304'))).toBe(first);
});

test('a client has a conversation at each address of a listener', () => {
  const rebinding = new Rebinding();
  const single = viewOf(payload);
  const local = (port: number) => ({ kind: 'inet', ip: client.ip, port }) as const;
  const view = { ...single, plan: { ...single.plan, binds: [local(7), local(8)] } };
  const flow = flowOf(view);
  rebinding.opened(flow, bytes('00 01020304'));
  const same = bytes('ff 01020304');
  expect(rebinding.find(view, client, same)).toBe(flow);
  expect(rebinding.find(view, client.withPort(8), same)).toBeUndefined();
});

// Long header (RFC 8999): form, version, length and destination id, length and source id.
const long = (destination: string, source: string, version = '00000001'): Uint8Array => {
  const sized = (id: string): string => (id.replace(/ /g, '').length / 2).toString(16).padStart(2, '0') + id;
  return bytes(`c0 ${version} ${sized(destination)} ${sized(source)} 00112233`);
};
const server = 'a1a2a3a4a5a6a7a8';
const noPins = PinTable.create(16, { reportChanges: false });

function answered(rebinding: Rebinding, flow: Flow, reply: Uint8Array): void {
  new QuicIds(noPins, new FlowPins(noPins), rebinding).answered(flow, reply, 0);
}

test('of QUIC it is the id that the server chose, in long and in short headers', () => {
  const rebinding = new Rebinding();
  const view = viewOf('quic');
  const flow = flowOf(view);
  rebinding.opened(flow, long('0102030405060708', 'c1c2'));
  expect(flow.learnsIds).toBe(true);
  expect(
    rebinding.find(view, client, long('0102030405060708', 'c1c2')),
    'the client chose it',
  ).toBeUndefined();
  answered(rebinding, flow, long('c1c2', '0102030405060708', '00000000'));
  expect(flow.tokens, 'version negotiation').toBeUndefined();
  answered(rebinding, flow, long('c1c2', 'b1b2b3b4b5b6b7b8'));
  answered(rebinding, flow, long('c1c2', server));
  expect(flow.learnsIds).toBe(true);
  for (const id of [server, 'b1b2b3b4b5b6b7b8']) {
    expect(rebinding.find(view, client, long(id, 'c1c2'))).toBe(flow);
    expect(rebinding.find(view, client, bytes(`40 ${id} 99887766`))).toBe(flow);
    expect(rebinding.find(view, client, bytes(`40 ${id}`))).toBe(flow);
    expect(rebinding.find(view, client, bytes(`40 ${id.slice(2)}`)), 'cut').toBeUndefined();
  }
  for (const other of [bytes(''), bytes('40'), bytes('40 00'), long('ff', server), bytes('c0 00')])
    expect(rebinding.find(view, client, other)).toBeUndefined();
  answered(rebinding, flow, bytes('40 c1c2 00'));
  expect(flow.learnsIds, 'a short header: the server has chosen').toBe(false);
  rebinding.closed(flow);
  expect(rebinding.find(view, client, bytes(`40 ${server} 99`))).toBeUndefined();
});

test('servers may have ids of several lengths; those that anybody guesses are none', () => {
  const rebinding = new Rebinding();
  const view = viewOf('quic');
  const flows = ['a1a2a3', 'b1b2b3b4', 'c1c2c3c4c5c6c7c8c9'].map((id) => {
    const flow = flowOf(view);
    rebinding.opened(flow, long('00', '00'));
    answered(rebinding, flow, long('00', id));
    return rebinding.find(view, client, bytes(`40 ${id} 0000`)) === flow;
  });
  expect(flows).toEqual([false, true, true]);
});

test('no server makes one flow known by ever more ids', () => {
  const rebinding = new Rebinding();
  const flow = flowOf(viewOf('quic'));
  rebinding.opened(flow, long('00', '00'));
  for (let i = 0; i < 100; i++)
    answered(rebinding, flow, long('00', `a1a2a3${i.toString().padStart(4, '0')}`));
  expect(flow.tokens).toHaveLength(4);
});

test('so many tries a second, for each listener', () => {
  const rebinding = new Rebinding();
  const views = [viewOf('quic'), viewOf('quic', 1)];
  const tries = (view: ListenerView, nowMs: number): number =>
    Array.from({ length: rebindTriesPerSecondMax + 10 }).filter(() => rebinding.mayTry(view, nowMs)).length;
  expect(views.map((view) => tries(view, 5_000))).toEqual([rebindTriesPerSecondMax, rebindTriesPerSecondMax]);
  expect(rebinding.mayTry(views[0]!, 5_999)).toBe(false);
  expect(rebinding.mayTry(views[0]!, 6_000)).toBe(true);
});
