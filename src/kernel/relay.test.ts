/** The kernel as an engine, against a kernel and a director that are made up: what is asked of them, and in which order. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { Flow } from '../core/flow.ts';
import { keyOf } from '../core/key.ts';
import { flowsEndedPerTurnMax, lingerOverMs } from '../core/limits.ts';
import type { BackendView, ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import { type ConntrackEntry, conntrackStatus, tcpState } from '../wire/conntrack.ts';
import type { EndedConnection } from './ended-connections.ts';
import { KernelRelay, type RelayHost } from './relay.ts';

const door = Address.v4(0x0a000001, 80);
const backendAddress = Address.v4(0x0a000002, 8080);
const affinity = {
  key: 'none',
  prefixV4: 32,
  prefixV6: 128,
  ttlMs: 1_000,
  claim: 'async',
  claimTimeoutMs: 0,
} as const;

function listenerOf(protocol: 'tcp' | 'udp'): ListenerView {
  const bind = { kind: 'inet', ip: door.ip, port: door.port } as const;
  const timeouts = { connectMs: 1_000 };
  const plan = { name: protocol, protocol, bind, affinity, relay: 'kernel', timeouts };
  return { id: protocol === 'tcp' ? 1 : 2, poolId: 1, plan } as unknown as ListenerView;
}

const backend: BackendView = {
  id: 1,
  name: 'b1',
  target: { kind: 'inet', ip: backendAddress.ip, port: backendAddress.port },
  addressText: String(backendAddress),
  weight: 1,
  maxConnections: 0,
};

function snapshotOf(backends: readonly BackendView[] = [backend]): Snapshot {
  const pool = { id: 1, version: 1, plan: { name: 'p' }, backends } as unknown as PoolView;
  return { listeners: [listenerOf('tcp'), listenerOf('udp')], pools: [pool] } as unknown as Snapshot;
}

function entryOf(id: number, protocol: 'tcp' | 'udp', change: Partial<ConntrackEntry> = {}): ConntrackEntry {
  const client = Address.v4(0x0a010000 + (id >> 12), 1_024 + (id & 0xfff));
  const isOpen = { status: conntrackStatus.seenReply, tcpState: tcpState.established };
  return {
    event: 'update',
    id,
    protocol,
    original: { source: client, destination: door },
    reply: { source: backendAddress, destination: client },
    mark: 0,
    ...isOpen,
    ...change,
  };
}

class World {
  nowMs = 10_000;
  readonly flows: Flow[] = [];
  readonly ended: string[] = [];
  /** The host throws inside this call. */
  defect: 'enter' | 'dialed' | 'replied' | 'silent' | 'backendNow' | 'closed' | undefined;
  /** Flows the host was at fault about; 0: none. */
  readonly faults: number[] = [];
  readonly reset: EndedConnection[] = [];
  readonly spared: EndedConnection[] = [];
  isUp = true;
  isFull = false;
  readonly removed: ConntrackEntry[] = [];
  /** What conntrack has. */
  entries: ConntrackEntry[] = [];
  /** Of others. */
  foreign: ConntrackEntry[] = [];
  /** Resolve it, and what was waited for has happened. */
  readonly waiting: (() => void)[] = [];
  readonly changes: ((error?: string) => void)[] = [];
  readonly relay: KernelRelay;

  constructor() {
    const host: Partial<RelayHost> = {
      enter: (listener, client, local, _pool, at) => {
        this.breaks('enter');
        const flow = new Flow(
          this.flows.length + 1,
          listener,
          client,
          local,
          keyOf(client, affinity),
          this.nowMs,
        );
        flow.backend = at;
        if (listener.plan.protocol === 'udp') flow.connectedAtMs = this.nowMs;
        this.flows.push(flow);
        return flow;
      },
      dialed: (flow) => {
        flow.connectedAtMs = this.nowMs;
        this.breaks('dialed');
      },
      replied: () => this.breaks('replied'),
      silent: () => this.breaks('silent'),
      backendNow: (flow) => {
        this.breaks('backendNow');
        return flow.backend!;
      },
      closed: (flow, code) => {
        this.ended.push(`${flow.id} ${code}`);
        this.breaks('closed');
      },
      fault: (_error, flow) => void this.faults.push(flow?.id ?? 0),
    };
    const wait = (): Promise<void> => new Promise((resolve) => this.waiting.push(resolve));
    this.relay = new KernelRelay({
      host: host as RelayHost,
      means: {
        list: async (visit, isOfAll) => {
          for (const entry of isOfAll === true ? [...this.entries, ...this.foreign] : this.entries)
            visit({ ...entry, event: 'dump' });
          return true;
        },
        look: () => undefined,
        remove: (entries) => void this.removed.push(...entries),
      },
      change: (done) => void (done !== undefined && this.changes.push(done)),
      settled: wait,
      readyToReset: wait,
      reset: (connections) => {
        this.reset.push(...connections);
        return wait();
      },
      spare: async (connections) => void this.spared.push(...connections),
      isUp: () => this.isUp,
      isFull: () => this.isFull,
      nowMs: () => this.nowMs,
    });
  }

  private breaks(call: string): void {
    if (call === this.defect) throw new Error(`a defect in ${call}`);
  }

  async open(snapshot = snapshotOf()): Promise<void> {
    this.relay.useSnapshot(snapshot);
    for (const listener of snapshot.listeners) this.relay.listen(listener, () => {});
    this.changed();
    await this.relay.takeOver();
  }

  /** The table is as it was wanted. */
  changed(): void {
    for (const done of this.changes.splice(0)) done();
  }

  async turn(): Promise<void> {
    this.relay.turn();
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }

  async settle(): Promise<void> {
    for (const resolve of this.waiting.splice(0)) resolve();
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

test('however long it takes, each of many connections that are ended is reset before its entry is deleted', async () => {
  const world = new World();
  await world.open();
  const count = 3 * flowsEndedPerTurnMax;
  world.entries = Array.from({ length: count }, (_, id) => entryOf(id, 'tcp'));
  for (const entry of world.entries) world.relay.heard(entry);
  for (const flow of world.flows) world.relay.terminate(flow, 'operator');
  for (let round = 1; round <= 3; round++) {
    await world.turn();
    await world.settle();
    expect(world.reset).toHaveLength(round * flowsEndedPerTurnMax);
    expect(world.removed).toHaveLength((round - 1) * flowsEndedPerTurnMax);
    // A transaction of a large table.
    world.nowMs += 5_000;
    await world.turn();
    await world.settle();
    expect(world.removed).toHaveLength(round * flowsEndedPerTurnMax);
  }
  world.nowMs += 5_000;
  await world.turn();
  expect(world.ended).toHaveLength(count);
  expect(new Set(world.ended)).toEqual(new Set(world.flows.map(({ id }) => `${id} operator`)));
});

test('a conversation that is ended goes once the table leads elsewhere: its next datagram is there at once', async () => {
  const world = new World();
  await world.open();
  world.relay.heard(entryOf(1, 'udp'));
  world.isUp = false;
  world.relay.terminate(world.flows[0]!, 'backend-down');
  await world.turn();
  expect(world.removed).toEqual([]);
  await world.settle();
  expect(world.removed.map(({ id }) => id)).toEqual([1]);
  expect(world.reset).toEqual([]);
});

test('conversations of an address that is given up end when no rule leads there any more, and no others', async () => {
  const world = new World();
  await world.open();
  world.relay.heard(entryOf(1, 'udp'));
  world.relay.heard(entryOf(2, 'tcp'));
  world.relay.unlisten(1, 'listener-removed');
  world.relay.unlisten(2, 'listener-removed');
  await world.turn();
  await world.settle();
  expect(world.removed).toEqual([]);
  world.changed();
  await world.turn();
  await world.settle();
  expect(world.removed.map(({ id }) => id)).toEqual([1]);
});

test('conversations that began before there was a rule begin anew, and those of nobody here are left alone', async () => {
  const world = new World();
  const unled = (id: number, at: Address): ConntrackEntry => {
    const { original } = entryOf(id, 'udp');
    const { source } = original;
    const tuples = { original: { source, destination: at }, reply: { source: at, destination: source } };
    return entryOf(id, 'udp', { ...tuples, tcpState: undefined });
  };
  world.foreign = [
    unled(1, door),
    unled(2, door.withPort(81)),
    { ...unled(3, door), protocol: 'tcp' },
    unled(4, Address.v4(0x08080808, 80)),
  ];
  world.entries = [entryOf(5, 'udp')];
  await world.open();
  for (let i = 0; i < 3; i++) await world.turn();
  expect(world.removed.map(({ id }) => id)).toEqual([1]);
  expect(world.flows).toHaveLength(1);
});

test('what a predecessor’s connections had moved is in their records, and not counted again', async () => {
  const world = new World();
  const counters = (bytes: number): Partial<ConntrackEntry> => ({
    originalCounters: { packets: 1, bytes },
    replyCounters: { packets: 1, bytes: 2 * bytes },
  });
  world.entries = [entryOf(1, 'tcp', counters(1_000))];
  await world.open();
  const [flow] = world.flows;
  expect([flow!.bytesIn, flow!.accounted.bytesIn, flow!.accounted.bytesOut]).toEqual([1_000, 1_000, 2_000]);
  world.relay.heard(entryOf(1, 'tcp', { event: 'destroy', ...counters(1_500) }));
  expect([flow!.bytesIn, flow!.accounted.bytesIn]).toEqual([1_500, 1_000]);
});

test('where no backend is known yet nobody is a stray; a connection to one that is gone is', async () => {
  const nobody = new World();
  nobody.entries = [entryOf(1, 'tcp')];
  await nobody.open(snapshotOf([]));
  await nobody.turn();
  expect(nobody.reset).toEqual([]);
  const other = new World();
  other.entries = [entryOf(1, 'tcp')];
  await other.open(snapshotOf([{ ...backend, target: { kind: 'inet', ip: '10.0.0.9', port: 1 } }]));
  await other.turn();
  await other.settle();
  expect(other.reset.map((one) => String(one.backend))).toEqual([String(backendAddress)]);
});

test('a connection that is over by itself is deleted a moment later without a word', async () => {
  const world = new World();
  await world.open();
  world.relay.heard(entryOf(1, 'tcp'));
  world.relay.heard(entryOf(1, 'tcp', { tcpState: tcpState.timeWait }));
  world.nowMs += lingerOverMs;
  await world.turn();
  await world.turn();
  expect(world.removed.map(({ id }) => id)).toEqual([1]);
  expect([world.reset, world.waiting]).toEqual([[], []]);
});

test('connections that ended because their backend was down go on when it is up again, and no others', async () => {
  const world = new World();
  await world.open();
  world.isUp = false;
  for (const id of [1, 2]) world.relay.heard(entryOf(id, 'tcp'));
  world.relay.terminate(world.flows[0]!, 'backend-down');
  world.relay.terminate(world.flows[1]!, 'operator');
  await world.turn();
  await world.settle();
  await world.settle();
  await world.turn();
  expect(world.reset).toHaveLength(2);
  expect(world.spared).toEqual([]);
  // The remnant of one that was ended is nobody's flow.
  world.relay.heard({ ...entryOf(1, 'tcp'), id: 11 });
  expect(world.flows).toHaveLength(2);
  world.isUp = true;
  await world.turn();
  await world.turn();
  expect(world.spared).toEqual([world.reset[0]]);
  world.relay.heard({ ...entryOf(1, 'tcp'), id: 12 });
  world.relay.heard({ ...entryOf(2, 'tcp'), id: 13 });
  expect(world.flows.map(({ client }) => String(client))).toEqual(
    [1, 2, 1].map((id) => String(entryOf(id, 'tcp').original.source)),
  );
});

test('a former address that dies after its backend has moved has its connections reset, and they stay so until it is up there again', async () => {
  const world = new World();
  await world.open();
  world.relay.heard(entryOf(1, 'tcp'));
  const elsewhere = { kind: 'inet', ip: '10.0.0.9', port: 8_080 } as const;
  world.relay.useSnapshot(snapshotOf([{ ...backend, target: elsewhere }]));
  // The backend is up, where it is now.
  world.relay.terminate(world.flows[0]!, 'backend-down');
  await world.turn();
  await world.settle();
  await world.settle();
  for (let i = 0; i < 3; i++) await world.turn();
  expect([world.reset.length, world.spared]).toEqual([1, []]);
  world.relay.heard({ ...entryOf(1, 'tcp'), id: 11 });
  expect(world.flows, 'its remnant is nobody’s flow').toHaveLength(1);
  world.relay.useSnapshot(snapshotOf());
  await world.turn();
  expect(world.spared).toEqual(world.reset);
});

test('a backend that is up again before anything was done keeps its connections, where they have it', async () => {
  const moved = { ...backend, target: { kind: 'inet', ip: '10.0.0.9', port: 8_080 } } as const;
  for (const isMoved of [false, true]) {
    const world = new World();
    await world.open();
    for (const id of [1, 2, 3]) world.relay.heard(entryOf(id, id === 3 ? 'udp' : 'tcp'));
    world.isUp = false;
    for (const flow of world.flows) world.relay.terminate(flow, flow.id === 2 ? 'operator' : 'backend-down');
    await world.turn();
    world.isUp = true;
    if (isMoved) world.relay.useSnapshot(snapshotOf([moved]));
    await world.settle();
    await world.settle();
    expect(world.removed.map(({ id }) => id)).toEqual(isMoved ? [1, 2, 3] : [2]);
    // Whoever was kept can be ended again, for something else.
    world.relay.terminate(world.flows[0]!, 'operator');
    for (let i = 0; i < 3; i++) {
      await world.turn();
      await world.settle();
    }
    world.relay.heard(entryOf(1, 'tcp', { event: 'destroy' }));
    expect(world.ended).toContain(isMoved ? '1 backend-down' : '1 operator');
  }
});

test('a backend that is up while its connections are being reset has them spared when that is done', async () => {
  const world = new World();
  await world.open();
  world.relay.heard(entryOf(1, 'tcp'));
  world.isUp = false;
  world.relay.terminate(world.flows[0]!, 'backend-down');
  await world.turn();
  await world.settle();
  world.isUp = true;
  await world.turn();
  expect([world.reset.length, world.spared]).toEqual([1, []]);
  await world.settle();
  await world.turn();
  expect(world.spared).toEqual(world.reset);
});

test('while the kernel has no room for checks nobody is ended for a backend that seems to be down; once it has, who is down is', async () => {
  for (const isUpThen of [true, false]) {
    const world = new World();
    await world.open();
    for (const id of [1, 2]) world.relay.heard(entryOf(id, 'tcp'));
    world.isFull = true;
    world.isUp = false;
    world.relay.terminate(world.flows[0]!, 'backend-down');
    world.relay.terminate(world.flows[1]!, 'operator');
    await world.turn();
    await world.settle();
    await world.settle();
    expect(world.removed.map(({ id }) => id)).toEqual([2]);
    world.isFull = false;
    world.isUp = isUpThen;
    await world.turn();
    await world.settle();
    await world.settle();
    expect(world.removed.map(({ id }) => id)).toEqual(isUpThen ? [2] : [2, 1]);
  }
});

test.each(['dialed', 'replied'] as const)(
  'a defect of the host in %s ends that flow, and no other',
  async (call) => {
    const world = new World();
    await world.open();
    world.defect = call;
    world.relay.heard(entryOf(1, 'tcp'));
    world.defect = undefined;
    world.relay.heard(entryOf(2, 'tcp'));
    expect(world.faults).toEqual([1]);
    await world.turn();
    await world.settle();
    await world.settle();
    expect(world.reset).toHaveLength(1);
    expect(world.removed.map(({ id }) => id)).toEqual([1]);
    world.relay.heard(entryOf(1, 'tcp', { event: 'destroy' }));
    world.relay.heard(entryOf(2, 'tcp', { event: 'destroy' }));
    expect(world.ended).toEqual(['1 worker-error', '2 idle']);
  },
);

test('a defect of the host about where backends are, or about an end, costs nobody else', async () => {
  const world = new World();
  await world.open();
  for (const id of [1, 2]) world.relay.heard(entryOf(id, 'udp'));
  world.defect = 'backendNow';
  world.relay.waysChanged();
  expect(world.faults).toEqual([1, 2]);
  world.defect = 'closed';
  world.relay.heard(entryOf(1, 'udp', { event: 'destroy' }));
  world.defect = undefined;
  world.relay.heard(entryOf(2, 'udp', { event: 'destroy' }));
  expect(world.faults).toEqual([1, 2, 1]);
  expect(world.ended).toEqual(['1 worker-error', '2 worker-error']);
});

test('a flow that cannot be followed for a defect of the host is left to the kernel', async () => {
  const world = new World();
  await world.open();
  world.defect = 'enter';
  world.relay.heard(entryOf(1, 'tcp'));
  expect([world.faults, world.flows]).toEqual([[0], []]);
  world.defect = undefined;
  // What is heard of it next makes it a flow.
  world.relay.heard(entryOf(1, 'tcp'));
  expect(world.flows).toHaveLength(1);
  await world.turn();
  expect(world.removed).toEqual([]);
});
