/**
 * The maps of pins that are kept element by element, against the same made anew of all pins, and against a table that takes what is said
 * of them as the kernel does: an element that is to be deleted has to be there, and one that is added must not. Seeded, so that what fails
 * can be run again.
 */
import { expect, test } from 'vitest';
import { viewOf } from '../../test/support/kernel-view.ts';
import { Address } from '../core/address.ts';
import { BackendStates } from '../core/backend-states.ts';
import { pinIdOf } from '../core/choose.ts';
import { bucketSeed, kernelBucket } from '../core/kernel-bucket.ts';
import { type Key, keyOf, maskAddress } from '../core/key.ts';
import { PinTable } from '../core/pins/table.ts';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import type { BackendView, ListenerView, PoolView } from '../core/snapshot.ts';
import { targetText } from './doors.ts';
import type { Ruleset } from './form.ts';
import { targetsMax } from './layout.ts';
import { PinMaps } from './pin-maps.ts';
import { wantedOf } from './ruleset.ts';
import { hasPins, kernelListeners, pinsMap } from './spread.ts';
import { TargetNumbers } from './target-numbers.ts';
import { elementsTransaction, transaction } from './transaction.ts';
import { Wants } from './wants.ts';

const table = 'pinion_test';
const groupScope = 40;
const elsewhereId = 77;
const file = `
listeners:
  - { name: web, bind: ["tcp://10.9.0.100:8080", "tcp://[fd09::100]:8080"], relay: kernel, pool: p }
  - { name: fine, bind: "tcp://[::]:8081", relay: kernel, pool: p, affinity: { key: client-subnet, prefix_v4: 28, prefix_v6: 60 } }
  - { name: coarse, bind: "tcp://[::]:8082", relay: kernel, pool: p, affinity: { key: client-subnet, prefix_v4: 24 } }
  - { name: login, bind: "tcp://10.9.0.100:81", relay: kernel, pool: q, affinity: { key: client-ip, group: g } }
  - { name: game, bind: "udp://10.9.0.100:82", relay: kernel, pool: r, affinity: { key: client-ip, group: g } }
pools:
  p: { table_size: 13, backends: [ { name: a, address: "10.9.1.1:80" }, { name: b, address: "10.9.1.2:80" }, { name: a6, address: "[fd09::1]:80" }, { name: b6, address: "[fd09::2]:80" } ] }
  q: { table_size: 7, backends: [ { name: c, address: "10.9.1.3:80" }, { name: d, address: "10.9.1.4:80" } ] }
  r: { table_size: 5, health: { type: none }, backends: [ { name: d, address: "10.9.1.5:82" }, { name: c, address: "10.9.1.6:82" } ] }
`;
const whole = viewOf(file);

/** A table of nftables that takes elements of maps of pins, and passes over the rest. */
class ElementsOfTable {
  readonly maps = new Map<string, Map<string, string>>();

  run(text: string): void {
    for (const line of text.split('\n')) {
      const [, verb, what, name, body = ''] = /^(\w+) (\w+) inet \S+ (pins\/\S+)(.*)$/.exec(line) ?? [];
      if (name === undefined) continue;
      if (what === 'map' && verb === 'add') this.maps.set(name, new Map());
      else if (what === 'map' && verb === 'delete') this.maps.delete(name);
      else if (what === 'map') this.maps.get(name)!.clear();
      else this.change(this.maps.get(name)!, verb === 'add', body.slice(3, -2).split(', '));
    }
  }

  private change(map: Map<string, string>, isAdded: boolean, elements: readonly string[]): void {
    for (const element of elements) {
      const [key = '', value = ''] = element.split(' : ');
      if (map.has(key) === isAdded) throw new Error(`${isAdded ? 'added' : 'deleted'} twice: ${key}`);
      if (isAdded) map.set(key, value);
      else map.delete(key);
    }
  }

  /** As somebody finds it who knows nothing of it. */
  found(of: Ruleset): Ruleset {
    const collections = new Map(of.collections);
    for (const name of of.collections.keys()) if (name.startsWith('pins/')) collections.delete(name);
    for (const [name, elements] of this.maps) {
      const content = { kind: 'elements', elements: new Map(elements) } as const;
      collections.set(name, { kind: 'map', head: '', content });
    }
    return { ...of, collections };
  }
}

class World {
  nowMs = 1_000_000;
  readonly random: () => number;
  readonly states = new BackendStates();
  readonly wants = new Wants(this.states);
  readonly pins: PinTable;
  readonly maps: PinMaps;
  readonly kernel = new ElementsOfTable();
  private numbers = new TargetNumbers();
  private version = 1;
  /** As they are now, and as they were when the table was made last. */
  private open = { listeners: whole.listeners, pools: whole.pools.map((pool) => scoped(pool)) };
  private made = this.open;
  private known: Ruleset | undefined;
  private readonly arrived: Key[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    // Small enough that pins make room for others.
    this.pins = PinTable.create(200 + 400 * (seed % 2), { reportChanges: false });
    this.maps = new PinMaps({
      pins: this.pins,
      homesOf: (pool, family) => this.wants.homesOf(pool, family),
      bucketsOf: (pool, family) => this.wants.bucketsOf(pool, family),
      nowMs: () => this.nowMs,
    });
    for (const { backends } of whole.pools) {
      for (const { id } of backends) {
        this.states.setWeight(id, 1);
        this.states.setUp(id, true);
      }
    }
    this.makeTable();
  }

  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  // ---- what happens to pins --------------------------------------------------------------------------------

  private somebody(): { readonly scopeId: number; readonly key: Key; readonly ids: readonly number[] } {
    const { plan } = whole.listeners[this.pick(5)]!;
    const pool = scoped(whole.pools.find(({ plan: { name } }) => name === plan.pool)!);
    const n = this.pick(150);
    const client =
      this.pick(2) === 0
        ? Address.v4(0x0a090000 + n * 7, 0)
        : new Address(0xfd090000, n * 5 * 0x1_0000, 0, n, 0);
    const ids = [...pool.backends.map(pinIdOf), ...(pool.scope === undefined ? [] : [elsewhereId])];
    return { scopeId: pool.scope?.id ?? pool.id, key: keyOf(client, plan.affinity), ids };
  }

  changePin(): void {
    const { pins, nowMs } = this;
    const { scopeId, key, ids } = this.somebody();
    const id = ids[this.pick(ids.length)]!;
    const ttlMs = this.pick(3) === 0 ? 2_000 : 600_000;
    const pinned = pins.lookup(scopeId, key, nowMs);
    const choice = this.pick(9);
    if (choice < 2) pins.claim(scopeId, key, id, ttlMs, nowMs, 'policy');
    else if (choice < 4) pins.move(scopeId, key, pinned, id, ttlMs, nowMs, 'operator');
    else if (choice === 4) pins.remove(scopeId, key, 0, nowMs);
    else if (choice === 5) pins.touch(scopeId, key, ttlMs, nowMs);
    else if (choice === 6 && pins.arrive(scopeId, key, id, ttlMs, nowMs, true)) this.arrived.push(key);
    else if (choice === 7) {
      const remote = {
        poolId: scopeId,
        ttlMs,
        expiresAtMs: nowMs + ttlMs,
        reason: 'peer',
        writer: 1,
      } as const;
      pins.applyRemote(key, { ...remote, backendId: this.pick(4) === 0 ? 0 : id }, nowMs);
    } else pins.expire(nowMs, 256);
  }

  /** There and back, or gone and there again, within one look. */
  flapPin(): void {
    const { pins, nowMs } = this;
    const { scopeId, key, ids } = this.somebody();
    const pinned = pins.lookup(scopeId, key, nowMs);
    if (pinned === 0) return;
    const other = ids[this.pick(ids.length)]!;
    if (this.pick(2) === 0) {
      pins.move(scopeId, key, pinned, other, 600_000, nowMs, 'operator');
      if (this.pick(2) === 0) this.maps.look(true);
      pins.move(scopeId, key, other, pinned, 600_000, nowMs, 'operator');
    } else {
      pins.remove(scopeId, key, 0, nowMs);
      // The slot it had may be somebody else's before it comes back.
      for (let i = 0; i < 5; i++) this.changePin();
      if (this.pick(2) === 0) this.maps.look(true);
      pins.claim(scopeId, key, this.pick(2) === 0 ? pinned : other, 600_000, nowMs, 'policy');
    }
  }

  /** Those who are connected leave: whether they are is not what this is about. */
  leave(): void {
    for (const key of this.arrived.splice(0))
      for (const scopeId of [1, groupScope]) this.pins.leave(scopeId, key, 2_000, this.nowMs);
  }

  // ---- what happens to pools, and the table ----------------------------------------------------------------

  changePools(): void {
    const backends = whole.pools.flatMap((pool) => pool.backends);
    const { id } = backends[this.pick(backends.length)]!;
    const choice = this.pick(6);
    if (choice < 2) this.states.setUp(id, this.random() < 0.6);
    else if (choice === 2) this.states.setDraining(id, this.random() < 0.5, this.random() < 0.5);
    else {
      this.version++;
      const isIn = (): boolean => this.random() < 0.8;
      const pools = whole.pools.map((pool) => {
        const moved = (one: BackendView): BackendView =>
          this.random() < 0.1
            ? { ...one, target: { ...one.target, port: 8_000 } as BackendView['target'] }
            : one;
        const some = pool.backends.filter(isIn).map(moved);
        const backups = some.map((one) => (this.random() < 0.15 ? { ...one, isBackup: true } : one));
        const isGrouped = this.random() < 0.8;
        return scoped({ ...pool, version: this.version, backends: backups }, isGrouped);
      });
      this.open = { listeners: whole.listeners.filter(isIn), pools };
    }
  }

  /** The table anew, as the keeper has it done. @param isRefused nothing of it is done, and what is there is read before the next */
  makeTable(isRefused = false, meanwhile = (): void => {}): void {
    const { open } = this;
    this.maps.begin();
    const wanted = wantedOf(
      {
        table,
        ...open,
        bucketsOf: (pool, family) => this.wants.bucketsOf(pool, family),
        pinsIn: (map) => this.maps.ask(map),
        isEnding: false,
      },
      this.numbers,
    );
    this.maps.finish();
    const text = transaction(this.known, wanted);
    this.made = open;
    meanwhile();
    this.done(text, wanted, isRefused);
  }

  /** Elements alone. */
  change(isRefused = false, meanwhile = (): void => {}): void {
    const text = elementsTransaction(table, this.maps.takeChanges());
    expect(text).not.toMatch(/chain|map inet|buckets|targets/);
    meanwhile();
    this.done(text, this.known!, isRefused && text !== '');
  }

  private done(text: string, wanted: Ruleset, isRefused: boolean): void {
    if (!isRefused) this.kernel.run(text);
    this.known = wanted;
    if (!isRefused) return;
    this.known = this.kernel.found(wanted);
    this.makeTable();
  }

  /** All that was changed in pins alone is seen and done. */
  settle(): void {
    this.maps.look(true);
    this.change();
  }

  /** What a table would have that is made anew of the pins as they are. */
  expected(): Map<string, Map<string, string>> {
    const numberByText = new Map<string, string>();
    for (const [name, { content }] of this.known!.collections) {
      if (!name.startsWith('targets/') || content.kind !== 'elements') continue;
      for (const [mark, text] of content.elements) numberByText.set(text, String(Number(mark) & targetsMax));
    }
    const maps = new Map<string, Map<string, string>>();
    for (const listener of kernelListeners(this.made)) {
      if (!hasPins(listener)) continue;
      const { pool, view } = listener;
      const { prefixV4, prefixV6 } = view.plan.affinity;
      for (const family of [4, 6] as const) {
        const name = pinsMap(listener, family);
        if (maps.has(name) || !this.known!.collections.has(name)) continue;
        const elements = new Map<string, string>();
        maps.set(name, elements);
        const buckets = this.wants.bucketsOf(pool, family);
        const isFamily = ({ target }: BackendView): boolean =>
          target?.kind === 'inet' && target.ip.includes(':') === (family === 6);
        for (const pin of this.pins.entries(this.nowMs)) {
          const client = new Address(pin.w0, pin.w1, pin.w2, pin.w3, 0);
          const backend = pool.backends.find((one) => pinIdOf(one) === pin.backendId);
          const isOurs = pin.poolId === (pool.scope?.id ?? pool.id) && pin.kind === listener.key;
          if (!isOurs || backend === undefined || client.family !== family || !isFamily(backend)) continue;
          const network = maskAddress(client, prefixV4, prefixV6);
          if (listener.key === 'client-subnet' && network.ip !== client.ip) continue;
          const isOpen = (one: BackendView): boolean =>
            one.isBackup !== true && isFamily(one) && this.states.servesNew(one.id);
          if (!this.states.servesPinned(backend.id)) continue;
          if (backend.isBackup === true && pool.backends.some(isOpen)) continue;
          const how = {
            key: listener.key,
            prefixV4,
            prefixV6,
            seed: bucketSeed,
            modulus: pool.plan.tableSize,
          };
          if (buckets[kernelBucket(client, how)] === backend.id) continue;
          elements.set(client.ip, numberByText.get(targetText(backend.target, listener)!)!);
        }
      }
    }
    return maps;
  }
}

/** Pools of the group have their pins in one place, each backend under the number of its name. */
function scoped(pool: PoolView, isGrouped = true): PoolView {
  if (pool.plan.name === 'p' || !isGrouped) return pool;
  const backends = pool.backends.map((one) => ({ ...one, pinId: one.name === 'c' ? 61 : 62 }));
  return { ...pool, backends, scope: { id: groupScope, name: '@g', elsewhere: [elsewhereId] } };
}

function sorted(maps: ReadonlyMap<string, ReadonlyMap<string, string>>): unknown {
  return [...maps].map(([name, elements]) => [name, [...elements].sort()]).sort();
}

test.each(Array.from({ length: process.env.PINION_LONG === '1' ? 200 : 8 }, (_, seed) => seed))(
  'are what they would be if they were made anew, whatever happens to pins and pools (seed %i)',
  (seed) => {
    const world = new World(seed);
    const pick = (count: number): number => world.pick(count);
    let elements = 0;
    let seen = 0;
    const aFew = (): void => {
      for (let i = pick(6); i > 0; i--) world.changePin();
      if (pick(2) === 0) world.maps.look(true);
    };
    for (let step = 0; step < 500; step++) {
      for (let i = pick(12); i > 0; i--) world.changePin();
      if (pick(4) === 0) world.flapPin();
      if (pick(10) === 0) world.leave();
      world.nowMs += pick(20) === 0 ? pick(70_000) : pick(400);
      const choice = pick(10);
      if (choice === 0) {
        world.changePools();
        world.makeTable(pick(4) === 0, aFew);
      } else if (choice === 1) world.makeTable(pick(4) === 0, aFew);
      else if (choice < 6) {
        if (world.maps.look()) seen++;
        world.change(pick(8) === 0, aFew);
      } else if (choice < 8) world.maps.look();
      if (pick(4) > 0) continue;
      world.leave();
      // Nobody is connected any more: what has expired then is gone when it is looked at again.
      world.maps.look(true);
      world.nowMs += 10_000;
      world.settle();
      const expected = world.expected();
      for (const one of expected.values()) elements += one.size;
      expect(sorted(world.kernel.maps), `step ${step}`).toEqual(sorted(expected));
    }
    expect(elements).toBeGreaterThan(1_000);
    expect(seen).toBeGreaterThan(10);
  },
);

function small(count: number): {
  readonly world: World;
  readonly clients: readonly Address[];
  readonly listener: ListenerView;
} {
  const world = new World(1);
  const [listener] = whole.listeners;
  const clients = Array.from({ length: count }, (_, n) => Address.v4(0x0a640000 + n, 0));
  return { world, clients, listener: listener! };
}

test('many changes are one transaction, as long as they are, and one that is taken back is none', () => {
  const { world, clients, listener } = small(100);
  const { pins, maps } = world;
  const keys = clients.map((client) => keyOf(client, listener.plan.affinity));
  const bucketOf = (client: Address): number => {
    const how = { key: 'client-ip', prefixV4: 32, prefixV6: 128, seed: bucketSeed, modulus: 13 } as const;
    return world.wants.bucketsOf(whole.pools[0]!, 4)[kernelBucket(client, how)]!;
  };
  for (const [i, key] of keys.entries())
    pins.claim(1, key, bucketOf(clients[i]!), 60_000, world.nowMs, 'policy');
  // Each says what its bucket says.
  expect(maps.look(true)).toBe(false);
  for (const [i, key] of keys.entries()) {
    const id = bucketOf(clients[i]!);
    pins.move(1, key, id, 3 - id, 60_000, world.nowMs, 'operator');
  }
  expect(maps.look()).toBe(false);
  world.nowMs += 500;
  expect(maps.look()).toBe(true);
  const text = elementsTransaction(table, maps.takeChanges());
  expect(text.split('\n')).toHaveLength(2);
  expect(text.match(/ : /g)).toHaveLength(100);
  world.kernel.run(text);
  const id = bucketOf(clients[0]!);
  pins.move(1, keys[0]!, 3 - id, id, 60_000, world.nowMs, 'operator');
  maps.look(true);
  pins.move(1, keys[0]!, id, 3 - id, 60_000, world.nowMs, 'operator');
  maps.look(true);
  expect(elementsTransaction(table, maps.takeChanges())).toBe('');
  pins.move(1, keys[1]!, 3 - bucketOf(clients[1]!), bucketOf(clients[1]!), 60_000, world.nowMs, 'operator');
  maps.look(true);
  expect(elementsTransaction(table, maps.takeChanges())).toBe(
    `delete element inet ${table} pins/p/web/4 { 10.100.0.1 }\n`,
  );
});

test('one that expires is taken out by itself, and one that is used meanwhile is not', () => {
  const { world, clients, listener } = small(20);
  const { pins, maps } = world;
  const keys = clients.map((client) => keyOf(client, listener.plan.affinity));
  for (const key of keys) pins.claim(1, key, 1, 2_000, world.nowMs, 'policy');
  for (const key of keys) pins.move(1, key, 1, 2, 2_000, world.nowMs, 'operator');
  world.settle();
  const before = world.kernel.maps.get('pins/p/web/4')!.size;
  expect(before).toBeGreaterThan(4);
  world.nowMs += 1_500;
  for (const key of keys.slice(0, 10)) pins.touch(1, key, 2_000, world.nowMs);
  world.nowMs += 600;
  expect(maps.look()).toBe(true);
  world.change();
  expect(sorted(world.kernel.maps)).toEqual(sorted(world.expected()));
  const used = world.kernel.maps.get('pins/p/web/4')!.size;
  expect(used).toBeGreaterThan(0);
  expect(used).toBeLessThan(before);
});
