/** `affinity.key: quic-id`, by the director: whom the ids of clients and servers lead where, on this worker, another, or another instance. */
import { beforeEach, expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import { identifies } from '../core/identity.ts';
import { Key, keyOf } from '../core/key.ts';
import { readHex } from '../core/key-bytes.ts';
import { unconfirmedPinTtlMs } from '../core/limits.ts';
import type { PinChange, PinTable } from '../core/pins/table.ts';
import type { ListenerPlan } from '../core/plan.ts';
import { shareFlows } from '../core/shares.ts';
import type { ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import { listenerView, poolPlan } from '../engine/conformance/listener.ts';
import type { Engine } from '../engine/engine.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { mutate } from '../wire/mutations.fixture.ts';
import { writeProxyHeader } from '../wire/proxy-header.ts';
import { Director } from './director.ts';
import { QuicIds } from './quic-ids.ts';

const ttlMs = 600_000;
const local = Address.parseWithPort('192.0.2.1:443')!;
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/ /g, ''), 'hex'));
let clockMs = 1;
let places = 0;

beforeEach(() => {
  clockMs = 1;
});

// RFC 8999: form and type, version, destination and source id, each behind its length.
function long(destination: string, source: string, version = '00000001', first = 'c0'): Uint8Array {
  const sized = (id: string): string => (id.length / 2).toString(16).padStart(2, '0') + id;
  return bytes(`${first} ${version} ${sized(destination)} ${sized(source)} 00112233`);
}
const short = (id: string): Uint8Array => bytes(`40 ${id} 99887766554433221100aabbccddeeff00112233`);

const viewOf = (key: 'quic-id' | 'client-ip' = 'quic-id'): ListenerView => {
  const view = listenerView(0, 'udp', { identifies: true });
  return { ...view, plan: { ...view.plan, affinity: { ...view.plan.affinity, key, ttlMs } } };
};

interface Instance {
  readonly workers: readonly Director[];
  readonly pins: PinTable;
  readonly listener: ListenerView;
  readonly snapshot: Snapshot;
}

interface Around {
  readonly scope?: PoolView['scope'];
  readonly plan?: Partial<ListenerPlan>;
}

/**
 * Two workers, two backends in turn: nobody finds the same one twice but by a pin. With `routes` who says first what is written there
 * is led to pool `shop`, which has a backend of its own; with a scope both pools have their pins there, by names.
 */
function instance({ scope, plan = {} }: Around = {}): Instance {
  const { pins, states, counters, dials } = createSharedMemory(2, 1024);
  pins.reportChanges(true);
  const view = viewOf();
  const isRouted = plan.routes !== undefined;
  const listener = { ...view, plan: { ...view.plan, ...plan }, ...(isRouted ? { poolIds: [1, 2] } : {}) };
  const backends = ['a', 'b', 'c'].map((name, i) => {
    states.setUp(i + 1, true);
    states.setWeight(i + 1, 1);
    const target = { kind: 'inet', ip: '127.0.0.1', port: i + 1 } as const;
    return { id: i + 1, pinId: i + 1, name, target, addressText: name, weight: 1, maxConnections: 0 };
  });
  const pool = { version: 1, ...(scope && { scope }) };
  const snapshot: Snapshot = {
    generation: 1,
    listeners: [listener],
    pools: [
      { ...pool, id: 1, plan: poolPlan({ policy: 'round-robin' }), backends: backends.slice(0, 2) },
      { ...pool, id: 2, plan: poolPlan({ name: 'shop' }), backends: backends.slice(2) },
    ],
    flowsMax: 100_000,
    secondLooksMax: 0,
    arrivalsMax: 0,
    shares: shareFlows([listener.plan], 100_000, 1),
    isShared: true,
    flowLog: { which: 'none', sample: 0 },
    machineIps: [],
    memberListeners: [],
    memberIps: [],
  };
  const workers = [0, 1].map((worker) => {
    const director = new Director({
      worker,
      pins,
      states,
      counters,
      dials,
      nowMs: () => clockMs,
      post: () => {},
    });
    const terminate: Engine['terminate'] = (flow, code) => director.closed(flow, code);
    director.engine = { terminate } as Partial<Engine> as Engine;
    director.useSnapshot(snapshot);
    return director;
  });
  return { workers, pins, listener, snapshot };
}

/** A datagram of an address that nobody has seen. */
function come({ workers, listener }: Instance, datagram: Uint8Array, worker = 0): Flow {
  const director = workers[worker]!;
  const client = Address.v4(0x0a000000 + places++, 4000);
  const flow = director.open(listener, client, local, undefined, datagram);
  if (typeof flow === 'string') throw new Error(flow);
  expect(typeof director.route(flow)).toBe('object');
  director.dialed(flow);
  flow.datagramsIn = 1;
  return flow;
}

function answer({ workers }: Instance, flow: Flow, reply: Uint8Array, worker = 0): void {
  if (!flow.hasReplied) workers[worker]!.replied(flow);
  if (flow.learnsIds) workers[worker]!.answered(flow, reply);
}

const says = (flow: Flow): void => void flow.datagramsIn++;
const idOf = (id: string): Key => new Key('quic-id', readHex(id)!);
const pinOf = ({ pins, listener }: Instance, id: string) => pins.pin(listener.poolId, idOf(id), clockMs);
const keyText = ({ key }: Flow): string => `${key.kind} ${key.text}`;
/** Someone else comes, so that whose turn it is says nothing. */
const others = (on: Instance): void =>
  void come(on, long(`ffffffff${(places++).toString(16).padStart(8, '0')}`, ''));

const chosen = '0102030405060708';
const server = 'a1a2a3a4a5a6a7a8';

/** A handshake as RFC 9000 section 7 has it. */
function shakeHands(on: Instance, serverId = server, clientId = chosen): Flow {
  const flow = come(on, long(clientId, 'c1c2'));
  answer(on, flow, long('c1c2', serverId));
  says(flow);
  answer(on, flow, bytes('40 c1c2 00'));
  return flow;
}

test('a first datagram is known by the id that its client chose, whatever its address and worker', () => {
  const on = instance();
  const first = come(on, long(chosen, 'c1c2'));
  others(on);
  const again = come(on, long(chosen, 'c1c2'), 1);
  const inVersion2 = come(on, long(chosen, '', '6b3343cf'));
  expect([first, again, inVersion2].map(keyText)).toEqual(Array(3).fill(`quic-id ${chosen}`));
  expect([again.backend!.name, inVersion2.backend!.name]).toEqual(Array(2).fill(first.backend!.name));
});

// 8: Google, HAProxy; 4: quic-go; 18: ngtcp2, of which a hash is kept; 20: nginx.
test.each([1, 4, 8, 16, 17, 18, 20])(
  'the id that the server chose leads back to it, of %i bytes',
  (length) => {
    const on = instance();
    const id = 'a7'.repeat(length);
    const flow = shakeHands(on, id);
    expect(flow.learnsIds).toBe(false);
    for (const worker of [0, 1, 0]) {
      others(on);
      const moved = come(on, short(id), worker);
      expect([moved.key.text, moved.backend!.name, moved.reason]).toEqual([
        idOf(id).text,
        flow.backend!.name,
        'pin',
      ]);
      others(on);
      expect(come(on, long(id, 'c1c2'), worker).backend!.name, 'a handshake that goes on').toBe(
        flow.backend!.name,
      );
    }
  },
);

test('another instance of the pair finds it by the pin alone, also by ids of several lengths', () => {
  const [here, there] = [instance(), instance()];
  const ids = [server, 'b1b2b3b4', 'e7'.repeat(18)];
  const homes = ids.map((id, i) => shakeHands(here, id, `${chosen}0${i}`).backend!.name);
  const tell = (change: PinChange): void => {
    const { poolId, kind, backendId, ttlMs, expiresAtMs, reason } = change;
    there.pins.applyRemote(
      new Key(kind, change),
      { poolId, backendId, ttlMs, expiresAtMs, reason, writer: 1 },
      clockMs,
    );
  };
  expect(keyText(come(there, short(server))), 'before').toMatch(/^client-ip/);
  here.pins.drainChanges(100, tell);
  for (const [i, id] of ids.entries()) {
    others(there);
    expect(come(there, short(id), 1).backend!.name).toBe(homes[i]);
  }
});

test('the client is known to be there before others are told of the id, and a forged one lasts a minute', () => {
  const on = instance();
  const told: string[] = [];
  const drain = (): void => {
    on.pins.drainChanges(100, (change) => void told.push(new Key(change.kind, change).text));
  };
  const forged = come(on, long(chosen, 'c1c2'));
  answer(on, forged, long('c1c2', server));
  answer(on, forged, bytes('40 c1c2 00'));
  drain();
  expect([told, pinOf(on, server)!.isConfirmed, forged.learnsIds]).toEqual([[], false, true]);
  for (let i = 0; i < 100; i++) {
    clockMs += 1_000;
    on.workers[0]!.tick();
  }
  expect(pinOf(on, server)).toBeUndefined();
  const real = shakeHands(on, server, '1102030405060708');
  drain();
  expect(told).toContain(server);
  expect(real.learnsIds).toBe(false);
});

test('of a source that is forged in several datagrams at once others are not told of the id, and it lasts a minute', () => {
  const on = instance();
  const forged = come(on, long(chosen, 'c1c2'));
  for (let i = 0; i < 3; i++) says(forged);
  answer(on, forged, long('c1c2', 'd1d2d3d4', '00000001', 'f0'));
  answer(on, forged, long('c1c2', server));
  answer(on, forged, bytes('40 c1c2 00'));
  expect([pinOf(on, server)!.isConfirmed, forged.learnsIds]).toEqual([false, true]);
  for (let i = 0; i < 100; i++) {
    clockMs += 1_000;
    on.workers[0]!.tick();
  }
  expect(pinOf(on, server)).toBeUndefined();
  says(forged);
  answer(on, forged, bytes('40 c1c2 00'));
  for (let i = 0; i < 12; i++) {
    clockMs += 1_000;
    on.workers[0]!.tick();
  }
  expect([pinOf(on, server)?.isConfirmed, forged.learnsIds], 'it was none').toEqual([true, false]);
});

test('one host that invents ids leaves no pin by them, though a server answers each', () => {
  const on = instance();
  const told: string[] = [];
  const flows = Array.from({ length: 200 }, (_, i) => {
    const flow = come(on, long(i.toString(16).padStart(16, '0'), 'c1c2'));
    answer(on, flow, long('c1c2', `b1b2b3b4${i.toString(16).padStart(4, '0')}`));
    return flow;
  });
  for (let i = 0; i < 100; i++) {
    clockMs += 1_000;
    on.workers[0]!.tick();
    if (i === 15) for (const flow of flows) on.workers[0]!.closed(flow, 'expired');
  }
  on.pins.drainChanges(1_000, (change) => void told.push(new Key(change.kind, change).text));
  expect([told, [...on.pins.entries(clockMs)]]).toEqual([[], []]);
});

test('the pin of the id lives as long as the conversation, and for the ttl after it', () => {
  const on = instance();
  const flow = shakeHands(on);
  for (let i = 0; i < 3 * (ttlMs / 10_000); i++) {
    clockMs += 10_000;
    on.workers[0]!.tick();
  }
  expect([pinOf(on, server), pinOf(on, chosen)].map((pin) => pin!.expiresAtMs > clockMs + ttlMs / 2)).toEqual(
    [true, true],
  );
  on.workers[0]!.closed(flow, 'expired');
  clockMs += ttlMs - 1;
  others(on);
  expect(come(on, short(server)).backend!.name).toBe(flow.backend!.name);
  clockMs += ttlMs + unconfirmedPinTtlMs;
  expect(pinOf(on, server)).toBeUndefined();
});

test('Retry: its id counts until the server has chosen another one', () => {
  const on = instance();
  const flow = come(on, long(chosen, 'c1c2'));
  answer(on, flow, long('c1c2', 'd1d2d3d4', '00000001', 'f0'));
  others(on);
  const elsewhere = come(on, long('d1d2d3d4', 'c1c2'), 1);
  expect([keyText(elsewhere), elsewhere.backend!.name]).toEqual(['quic-id d1d2d3d4', flow.backend!.name]);
  says(flow);
  answer(on, flow, long('c1c2', server));
  answer(on, flow, bytes('40 c1c2'));
  others(on);
  expect(come(on, short(server)).backend!.name).toBe(flow.backend!.name);
  expect(flow.serverPin!.key.text).toBe(server);
});

test('version negotiation teaches nothing: it says back what the client said', () => {
  const on = instance();
  const flow = come(on, long(chosen, 'c1c2', '0a1a2a3a'));
  answer(on, flow, long('c1c2', chosen, '00000000'));
  expect([keyText(flow), flow.serverPin, flow.learnsIds]).toEqual([`quic-id ${chosen}`, undefined, true]);
  // Then the client goes on with a version of the server's.
  answer(on, flow, long('c1c2', server));
  expect(flow.serverPin!.key.text).toBe(server);
});

test.each([
  ['nothing', ''],
  ['a first byte alone', '40'],
  ['a long header that is cut', 'c0 00000001 08 0102'],
  ['no id', 'c0 00000001 00 00'],
  ['what clients never send', 'c0 00000000 08 0102030405060708 00'],
  ['an id too short for a client to choose', 'c0 00000001 07 01020304050607 00'],
  ['an unknown short header', '40 f1f2f3f4f5f6f7f8 0000'],
])('%s: its client is recognised by its address', (_, datagram) => {
  const on = instance();
  shakeHands(on);
  const flow = come(on, bytes(datagram));
  expect(flow.key).toEqual(
    keyOf(flow.client.withPort(0), { ...on.listener.plan.affinity, key: 'client-ip' }),
  );
});

test('the header of a first datagram is read once', () => {
  const ids = new QuicIds(instance().pins, undefined as never, undefined as never);
  let reads = 0;
  const watched = new Proxy(long(chosen, 'c1c2'), {
    get(datagram, name) {
      if (name === '0') reads++;
      const value: unknown = Reflect.get(datagram, name);
      return typeof value === 'function' ? value.bind(datagram) : value;
    },
  });
  expect(Buffer.from(ids.idOf(watched, 1, clockMs)!).toString('hex')).toBe(chosen);
  expect(reads).toBe(1);
});

test('what clients invent has no part in the lengths that ids are looked for at', () => {
  const on = instance();
  for (let length = 8; length <= 20; length++) come(on, long('f7'.repeat(length), ''));
  expect(on.pins.quicIdLengths).toBe(0);
  shakeHands(on);
  expect(on.pins.quicIdLengths).toBe(1 << 8);
});

test('a server that says ever more ids has four pins for it, and one without ids none', () => {
  const on = instance();
  const flow = come(on, long(chosen, 'c1c2'));
  says(flow);
  for (let i = 0; i < 100; i++) answer(on, flow, long('c1c2', `b1b2b3b4${i.toString().padStart(2, '0')}`));
  expect([...on.pins.entries(clockMs)]).toHaveLength(5);
  const without = come(on, long('1102030405060708', 'c1c2'));
  answer(on, without, long('c1c2', ''));
  says(without);
  answer(on, without, bytes('40 c1c2'));
  expect([without.serverPin, without.learnsIds]).toEqual([undefined, false]);
});

test('an id that two servers have chosen stays where it was first', () => {
  const on = instance();
  const [first, second] = [shakeHands(on, 'a7', '01'.repeat(8)), shakeHands(on, 'a7', '02'.repeat(8))];
  expect([second.backend === first.backend, second.serverPin]).toEqual([false, undefined]);
  others(on);
  expect(come(on, short('a7')).backend).toBe(first.backend);
});

const toShop = { routes: [{ pool: 'shop', firstBytesHex: 'c0' }] };

test('with routes: who goes on says none of what they go by, and belongs where its connection is', () => {
  const on = instance({ plan: toShop });
  const flow = shakeHands(on);
  expect([flow.poolName, flow.routeNumber]).toEqual(['shop', 1]);
  const elsewhere = come(on, long('1102030405060708', 'c1c2', '00000001', 'd0'));
  answer(on, elsewhere, long('c1c2', 'b1b2b3b4b5b6b7b8'));
  const moved = [short(server), long(server, 'c1c2', '00000001', 'e0'), short('b1b2b3b4b5b6b7b8')].map(
    (datagram) => come(on, datagram, 1),
  );
  expect(moved.map(({ poolName, routeNumber, backend }) => [poolName, routeNumber, backend!.name])).toEqual([
    ['shop', 0, 'c'],
    ['shop', 0, 'c'],
    ['pool', 0, elsewhere.backend!.name],
  ]);
  // The route alone.
  expect(come(on, short('f1f2f3f4f5f6f7f8')).poolName).toBe('pool');
});

test('with routes, and no pool for others: only who has a known id comes in', () => {
  const on = instance({ plan: { ...toShop, pool: undefined } });
  shakeHands(on);
  expect(come(on, short(server)).poolName).toBe('shop');
  const client = Address.v4(0x0a000000 + places++, 4000);
  expect(on.workers[0]!.open(on.listener, client, local, undefined, short('f1f2f3f4f5f6f7f8'))).toBe(
    'no-route',
  );
});

test('with routes by clients: an id leads nobody where no route would', () => {
  const on = instance({ plan: { routes: [{ pool: 'shop', clients: ['10.0.0.0/8'], firstBytesHex: 'c0' }] } });
  expect(shakeHands(on).poolName).toBe('shop');
  const comesFrom = (client: string, said: Uint8Array): [string, number] => {
    const flow = on.workers[0]!.open(
      on.listener,
      Address.parseWithPort(client)!,
      local,
      undefined,
      said,
    ) as Flow;
    return [flow.poolName, flow.routeNumber];
  };
  for (const said of [short(server), long(server, 'c1c2', '00000001', 'e0')]) {
    expect(comesFrom(`10.99.0.1:${1_000 + places++}`, said)).toEqual(['shop', 0]);
    expect(comesFrom(`198.51.100.7:${1_000 + places++}`, said), 'a stranger').toEqual(['pool', 0]);
    expect(comesFrom(`[2001:db8::7]:${1_000 + places++}`, said), 'a stranger').toEqual(['pool', 0]);
  }
});

test('with routes: one that fits whatever is said has its clients, but for those that could be led before it', () => {
  const routes = [
    { pool: 'shop', firstBytesHex: 'c0' },
    { pool: 'pool', clients: ['10.0.0.0/8'] },
  ];
  const on = instance({ plan: { routes, pool: 'shop' } });
  shakeHands(on);
  expect(
    [come(on, short(server)), come(on, short('f1f2f3f4f5f6f7f8'))].map(({ poolName }) => poolName),
  ).toEqual(['shop', 'pool']);
  const after = instance({ plan: { routes: routes.toReversed(), pool: 'shop' } });
  const stranger = Address.parseWithPort('198.51.100.7:4711')!;
  const flow = after.workers[0]!.open(
    after.listener,
    stranger,
    local,
    undefined,
    long(chosen, 'c1c2'),
  ) as Flow;
  after.workers[0]!.route(flow);
  after.workers[0]!.dialed(flow);
  answer(after, flow, long('c1c2', server));
  expect([flow.poolName, come(after, short(server)).poolName]).toEqual(['shop', 'pool']);
});

test('with routes, in a group: one pin for all pools, of which one has such a backend', () => {
  const on = instance({ plan: toShop, scope: { id: 9, name: '@world', elsewhere: [] } });
  shakeHands(on);
  expect(on.pins.lookup(9, idOf(server), clockMs)).toBe(3);
  expect(come(on, short(server)).poolName).toBe('shop');
});

test('of an id that begins with another one, the whole counts', () => {
  const on = instance();
  const homes = ['a1a2a3a4', server].map((id, i) => shakeHands(on, id, `${chosen}0${i}`).backend!.name);
  expect(homes[0]).not.toBe(homes[1]);
  expect([short('a1a2a3a4ffffffff'), short(server)].map((said) => come(on, said).backend!.name)).toEqual(
    homes,
  );
});

test('a pool that joins a group: an open conversation has its pins there', () => {
  const on = instance();
  const flow = shakeHands(on);
  const keep = (): void => {
    for (let i = 0; i < 30; i++) {
      clockMs += 1_000;
      on.workers[0]!.tick();
    }
  };
  keep();
  const scope = { id: 9, name: '@world', elsewhere: [] };
  const pools = on.snapshot.pools.map((pool) => ({ ...pool, version: 2, scope }));
  on.workers[0]!.useSnapshot({ ...on.snapshot, pools });
  on.workers[0]!.backendNow(flow);
  clockMs += ttlMs;
  keep();
  for (const id of [chosen, server]) {
    expect([1, 9].map((scopeId) => on.pins.lookup(scopeId, idOf(id), clockMs))).toEqual([
      0,
      flow.backend!.id,
    ]);
  }
});

test('a client behind a proxy is led by what stands behind the header', () => {
  const on = instance({ plan: { proxyProtocol: { from: ['10.0.0.0/8'], timeoutMs: 1_000, udp: 'first' } } });
  const source = Address.parseWithPort('203.0.113.9:4000')!;
  const header = writeProxyHeader({ transport: 'datagram', source, destination: local });
  const flow = come(on, Buffer.concat([header, long(chosen, 'c1c2')]));
  expect([keyText(flow), flow.consumed, flow.learnsIds]).toEqual([`quic-id ${chosen}`, header.length, true]);
});

test('the first datagram is shown to who looks for the id', () => {
  const { plan } = instance().listener;
  expect([plan, viewOf('client-ip').plan].map(identifies)).toEqual([true, false]);
});

test('connections are ended by the id that the server chose, too', () => {
  const on = instance();
  const [flow, other] = [shakeHands(on), shakeHands(on, 'b1b2b3b4', '1102030405060708')];
  const filter = { client: `quic-id=${server}` };
  on.workers[0]!.endFlows({ by: 'operator', filter, pools: [flow.poolName] }, 'operator');
  on.workers[0]!.tick();
  expect(on.workers[0]!.registry.select(() => true, 9)).toEqual([other]);
});

test('whatever a client and its server say, nothing is thrown, and a flow leaves no more than five pins', () => {
  const on = instance();
  shakeHands(on);
  const samples = [
    long(chosen, 'c1c2'),
    long('c1c2', server),
    long(server, '', '6b3343cf'),
    long('c1c2', 'a7', '00000000'),
    short(server),
    bytes('40'),
  ];
  const said: Uint8Array[] = [];
  let most = 0;
  mutate(samples, 30_000, (piece) => {
    if (said.push(new Uint8Array(piece)) < 8) return;
    const before = on.pins.stats().live;
    const flow = come(on, said[0]!);
    for (const reply of said.splice(0).slice(1)) {
      answer(on, flow, reply);
      says(flow);
    }
    most = Math.max(most, on.pins.stats().live - before);
    on.workers[0]!.closed(flow, 'expired');
  });
  expect(most).toBe(5);
}, 60_000);

test('rebind beside it: a conversation that a proxy has told of goes on by nobody else', () => {
  const proxyProtocol = { from: ['10.0.0.0/8'], timeoutMs: 5_000, udp: 'first' } as const;
  const on = instance({ plan: { rebind: 'quic', proxyProtocol } });
  const source = Address.parseWithPort('198.51.100.7:4711')!;
  const header = writeProxyHeader({ transport: 'datagram', source, destination: local });
  const flow = come(on, Uint8Array.from([...header, ...long(chosen, 'c1c2')]));
  expect(flow.client).toEqual(source);
  answer(on, flow, long('c1c2', server));
  says(flow);
  const stranger = Address.parseWithPort('203.0.113.9:4711')!;
  expect(on.workers[0]!.continues(on.listener, stranger, local, short(server))).toBeUndefined();
  expect(flow.serverPin!.key.text).toBe(server);
  const direct = on.workers[0]!.open(on.listener, stranger, local, undefined, long(chosen, 'c1c2')) as Flow;
  on.workers[0]!.route(direct);
  on.workers[0]!.dialed(direct);
  answer(on, direct, long('c1c2', 'd1d2d3d4'));
  expect(on.workers[0]!.continues(on.listener, source, local, short('d1d2d3d4'))).toBe(direct);
});
