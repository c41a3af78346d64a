/**
 * The kernel's thread, whole, with a kernel that is made up (model-kernel.fixture.ts): backends come, go, drain and die, pins are moved here and
 * by peers, removed, renewed and left to expire, one by one and by the dozen, elements are changed by somebody else, events of conntrack are
 * late or lost, transactions fail, the table is deleted, connections of another instance are taken over, and a successor with
 * nothing but what the kernel has takes over itself. Seeded, so that what fails can be run again.
 *
 * At all times a client is led to its pin if that is followed, and by its bucket otherwise; nothing else for longer than one
 * look at the pins and one transaction. In the end pinion knows the connections that the kernel has, each at its backend.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { bucketSeed, kernelBucket } from '../core/kernel-bucket.ts';
import { keyOf } from '../core/key.ts';
import { createPolicy } from '../core/policy/create.ts';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import { shareFlows } from '../core/shares.ts';
import type { BackendView, ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import { listenerView, poolPlan } from '../engine/conformance/listener.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { Director } from '../worker/director.ts';
import { fillBuckets } from './buckets.ts';
import { ModelKernel } from './model-kernel.fixture.ts';
import { KernelThread } from './thread.ts';

const isLong = process.env.PINION_LONG === '1';
const seeds = isLong ? 200 : 4;
const steps = isLong ? 200 : 40;
const clientCount = 80;
const backendIds = [1, 2, 3, 4, 5];
const tableSize = 251;
const table = 'pinion_test';
const turnMs = 20;
/** Of wants.ts: the pins are looked at so often. */
const pinLookMs = 500;
const transactionMsMax = 60;
/** Two transactions, as one may have begun before, and the turns between. */
const disagreeMsMax = pinLookMs + 2 * transactionMsMax + 4 * turnMs;
/** That a table is gone is seen within a second, and what failed is tried again after one. */
const faultMs = 2_000 + disagreeMsMax;
/** Of lost events pinion hears at once, and lists what there is. */
const knownWithinMs = 500;

const how = {
  key: 'client-ip',
  prefixV4: 32,
  prefixV6: 128,
  seed: bucketSeed,
  modulus: tableSize,
} as const;

const door = Address.v4(0x0a000064, 80);
const clientAt = (n: number): Address => Address.v4(0x0a010000 + n, 0);
const affinityOf = (): ListenerView['plan']['affinity'] => listener.plan.affinity;

function kernelListener(): ListenerView {
  const view = listenerView(1, 'tcp', { name: 'web', bind: { kind: 'inet', ip: door.ip, port: door.port } });
  const affinity = { ...view.plan.affinity, ttlMs: 600_000 };
  return { ...view, plan: { ...view.plan, affinity, relay: 'kernel' } };
}

const listener = kernelListener();

function backendOf(id: number): BackendView {
  const target = { kind: 'inet', ip: `10.0.1.${id}`, port: 80 } as const;
  return { id, name: `b${id}`, target, addressText: `10.0.1.${id}:80`, weight: 1, maxConnections: 0 };
}

function snapshotOf(version: number, ids: readonly number[]): Snapshot {
  const pool = { id: 1, version, plan: poolPlan({ name: 'p', tableSize }), backends: ids.map(backendOf) };
  return {
    generation: version,
    listeners: [listener],
    pools: [pool],
    flowsMax: 100_000,
    secondLooksMax: 64,
    arrivalsMax: 0,
    shares: shareFlows([listener.plan], 100_000, 1),
    isShared: false,
    flowLog: { level: 'none', share: 1, errors: false } as unknown as Snapshot['flowLog'],
    machineIps: [],
    memberListeners: [],
    memberIps: [],
  };
}

class Simulation {
  nowMs = 1_000;
  readonly random: () => number;
  readonly kernel: ModelKernel;
  /** Those that are open, by the kernel's number. */
  readonly open = new Set<number>();
  private memory = createSharedMemory(1, 2_048);
  private director!: Director;
  private thread!: KernelThread;
  private snapshot = snapshotOf(1, [1, 2, 3]);
  private readonly up = new Set(backendIds);
  private readonly disagreeing = new Map<number, number>();
  private lastFaultMs = 0;
  private port = 1_024;
  private hasFailed = false;
  private later: { readonly atMs: number; readonly run: () => void }[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const { random } = this;
    this.kernel = new ModelKernel({
      table,
      nowMs: () => this.nowMs,
      random,
      transactionMsMax,
      failed: () => this.fault(),
    });
    this.start();
  }

  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  /** An instance that knows nothing but its file, and what the kernel has. */
  start(): void {
    this.fault();
    this.memory = createSharedMemory(1, 2_048);
    const { pins, states, counters, dials } = this.memory;
    for (const id of backendIds) {
      states.setWeight(id, 1);
      states.setUp(id, this.up.has(id));
    }
    const nowMs = (): number => this.nowMs;
    this.director = new Director({ worker: 0, pins, states, counters, dials, nowMs, post: () => {} });
    this.thread = new KernelThread({
      director: this.director,
      means: this.kernel,
      table,
      pins,
      states,
      counters,
      nowMs,
    });
    this.director.engine = this.thread.relay;
    this.use(this.snapshot);
    this.hasFailed = false;
    this.thread.relay.listen(listener, (result) => {
      this.hasFailed = 'code' in result;
    });
  }

  restart(): void {
    this.thread.close();
    this.start();
  }

  fault(): void {
    this.lastFaultMs = this.nowMs;
  }

  private use(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.thread.useSnapshot(snapshot);
    this.director.useSnapshot(snapshot);
  }

  private get pool(): PoolView {
    return this.snapshot.pools[0]!;
  }

  // ---- what happens --------------------------------------------------------------------------------------

  connect(n: number): void {
    const target = this.kernel.lead(clientAt(n), 'p', tableSize);
    if (target === undefined) return;
    this.open.add(this.kernel.open(this.fromClient(n), door, addressOf(target), false));
  }

  /** A connection that another instance carried comes by, and a peer has told its client's pin. */
  takeOver(n: number): void {
    const id = this.pool.backends[this.pick(this.pool.backends.length)]?.id;
    if (id === undefined) return;
    this.tellPin(n, id);
    this.open.add(this.kernel.open(this.fromClient(n), door, addressOf(`10.0.1.${id} . 80`), true));
  }

  private fromClient(n: number): Address {
    this.port = this.port === 65_535 ? 1_024 : this.port + 1;
    return clientAt(n).withPort(this.port);
  }

  tellPin(n: number, backendId: number, ttlMs = 600_000): void {
    const expiresAtMs = this.nowMs + ttlMs;
    const remote = {
      poolId: 1,
      backendId,
      expiresAtMs,
      ttlMs,
      reason: 'policy',
      writer: 1,
    } as const;
    this.memory.pins.applyRemote(keyOf(clientAt(n), affinityOf()), remote as never, this.nowMs);
  }

  movePin(n: number, to: number): void {
    const key = keyOf(clientAt(n), affinityOf());
    const from = this.memory.pins.pin(1, key, this.nowMs)?.backendId;
    if (from !== undefined) this.memory.pins.move(1, key, from, to, 600_000, this.nowMs, 'operator' as never);
  }

  /** It has no pin then. */
  removePin(n: number): void {
    this.memory.pins.remove(1, keyOf(clientAt(n), affinityOf()), 0, this.nowMs);
  }

  /** Gone, and there again: in a slot that is another's by then, maybe. */
  renewPin(n: number, to: number): void {
    this.removePin(n);
    for (let i = 0; i < 5; i++) this.tellPin(this.pick(clientCount), this.anyId(), 600_000);
    this.tellPin(n, to);
  }

  /**
   * Somebody else takes a client's element out, or puts one in, as pinion is about to change it: that is refused, and all is read.
   * What nobody is about to change nobody would notice.
   */
  async meddle(n: number): Promise<void> {
    const elements = this.kernel.table?.elements.get('pins/p/4');
    if (elements === undefined || this.later.length > 0) return;
    this.fault();
    const { ip } = clientAt(n);
    const home = this.pool.backends.find((one) => {
      return this.memory.states.servesPinned(one.id) && this.bucketOf(n) !== one.id;
    });
    if (elements.delete(ip)) this.removePin(n);
    else if (home !== undefined) {
      this.tellPin(n, home.id);
      elements.set(ip, '9');
    }
    await this.pass(disagreeMsMax);
  }

  private bucketOf(n: number): number {
    const buckets = fillBuckets(
      this.pool,
      createPolicy(this.pool, Math.random),
      this.memory.states,
      4,
      tableSize,
    );
    return buckets[kernelBucket(clientAt(n), how)]!;
  }

  anyId(): number {
    return backendIds[this.pick(backendIds.length)]!;
  }

  /** There and back, with a change of something else between. */
  movePinForAMoment(n: number, to: number): void {
    const before = this.memory.pins.pin(1, keyOf(clientAt(n), affinityOf()), this.nowMs)?.backendId;
    if (before === undefined) return;
    const memory = this.memory;
    this.movePin(n, to);
    this.drain(to, !memory.states.isDraining(to));
    const run = (): void => {
      if (this.memory === memory) this.movePin(n, before);
    };
    this.later.push({ atMs: this.nowMs + 2 * transactionMsMax, run });
  }

  setUp(id: number, isUp: boolean): void {
    if (isUp) this.up.add(id);
    else this.up.delete(id);
    this.memory.states.setUp(id, isUp);
    if (!isUp) this.director.endFlows({ by: 'backend', backendId: id, protocol: undefined }, 'backend-down');
  }

  drain(id: number, isOn: boolean): void {
    this.memory.states.setDraining(id, isOn, isOn && this.random() < 0.3);
  }

  scale(): void {
    const ids = backendIds.filter(() => this.random() < 0.7);
    const gone = this.pool.backends.filter(({ id }) => !ids.includes(id));
    this.use(snapshotOf(this.pool.version + 1, ids));
    for (const { id } of gone)
      this.director.endFlows({ by: 'backend', backendId: id, protocol: undefined }, 'backend-removed');
  }

  // ---- time ----------------------------------------------------------------------------------------------

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += turnMs) await this.turn();
  }

  private async turn(): Promise<void> {
    this.nowMs += turnMs;
    for (const { run } of this.later.filter(({ atMs }) => atMs <= this.nowMs)) run();
    this.later = this.later.filter(({ atMs }) => atMs > this.nowMs);
    if (this.nowMs % 1_000 < turnMs) this.memory.pins.expire(this.nowMs, 256);
    this.kernel.turn();
    await nextTurn();
    // An instance whose listener cannot be opened ends, and is started again.
    if (this.hasFailed) this.restart();
    this.thread.turn();
    this.director.tick();
    await nextTurn();
    this.check();
  }

  private check(): void {
    const expected = this.expectations();
    for (let n = 0; n < clientCount; n++) {
      if (this.kernel.lead(clientAt(n), 'p', tableSize) === expected(n)) this.disagreeing.delete(n);
      else {
        const sinceMs = this.disagreeing.get(n) ?? this.nowMs;
        this.disagreeing.set(n, sinceMs);
        const forMs = this.nowMs - sinceMs;
        if (this.nowMs - this.lastFaultMs > faultMs && forMs > disagreeMsMax)
          throw new Error(
            `client ${n} is led to ${this.kernel.lead(clientAt(n), 'p', tableSize)} for ${forMs} ms, not to ${expected(n)}; ${this.kernel.problem.slice(0, 300)}`,
          );
      }
    }
  }

  /** Its pin if that is followed, or who has its bucket. */
  private expectations(): (n: number) => string | undefined {
    const { pins, states } = this.memory;
    const buckets = fillBuckets(this.pool, createPolicy(this.pool, Math.random), states, 4, tableSize);
    const has = new Set(this.pool.backends.map(({ id }) => id));
    return (n) => {
      const pinned = pins.pin(1, keyOf(clientAt(n), affinityOf()), this.nowMs)?.backendId ?? 0;
      const isFollowed = has.has(pinned) && states.servesPinned(pinned);
      const id = isFollowed ? pinned : buckets[kernelBucket(clientAt(n), how)]!;
      return id === 0 ? undefined : `10.0.1.${id} . 80`;
    };
  }

  /** What pinion and the kernel say is open: client and backend, where the pool has it. */
  known(): { readonly here: string[]; readonly there: string[] } {
    const flows = this.director.registry.select(() => true, Number.POSITIVE_INFINITY);
    const here = flows.map(({ client, backend }) => `${client} ${backend!.addressText}`).sort();
    const there = [...this.kernel.entries.values()].map(
      ({ original, reply }) => `${original.source} ${reply.source}`,
    );
    return { here, there: there.sort() };
  }
}

function addressOf(target: string): Address {
  const [ip = '', port] = target.split(' . ');
  return Address.parse(ip, Number(port))!;
}

async function actOnPins(world: Simulation, n: number, id: number): Promise<void> {
  const dice = world.random();
  if (dice < 0.3) world.movePin(n, id);
  else if (dice < 0.5) world.tellPin(n, id);
  else if (dice < 0.65) world.tellPin(n, id, 1_000 + world.pick(5_000));
  else if (dice < 0.75) for (let i = 0; i < 30; i++) world.tellPin(world.pick(clientCount), id);
  else if (dice < 0.85) world.removePin(n);
  else if (dice < 0.95) world.renewPin(n, id);
  else await world.meddle(n);
}

async function act(world: Simulation): Promise<void> {
  const { random } = world;
  const n = world.pick(clientCount);
  const id = backendIds[world.pick(backendIds.length)]!;
  const dice = random();
  if (dice < 0.25) for (let i = 0; i < 10; i++) world.connect(world.pick(clientCount));
  else if (dice < 0.35) for (const one of [...world.open].slice(0, 5)) close(world, one);
  else if (dice < 0.47) world.setUp(id, random() < 0.6);
  else if (dice < 0.55) world.drain(id, random() < 0.4);
  else if (dice < 0.63) world.scale();
  else if (dice < 0.74) await actOnPins(world, n, id);
  else if (dice < 0.77) world.movePinForAMoment(n, id);
  else if (dice < 0.85) for (let i = 0; i < 5; i++) world.takeOver(world.pick(clientCount));
  else if (dice < 0.91) world.kernel.losesEvents = true;
  else if (dice < 0.94) {
    world.fault();
    world.kernel.failures = 1;
  } else if (dice < 0.97) {
    world.fault();
    world.kernel.table = undefined;
  } else world.restart();
}

function close(world: Simulation, id: number): void {
  world.open.delete(id);
  world.kernel.end(id);
}

test.each(Array.from({ length: seeds }, (_, seed) => seed))(
  'clients are led as pins and buckets say, and connections are known, whatever happens (seed %i)',
  async (seed) => {
    const world = new Simulation(seed);
    for (let step = 0; step < steps; step++) {
      await act(world);
      if (world.pick(2) === 0) await actOnPins(world, world.pick(clientCount), world.anyId());
      await world.pass((1 + world.pick(20)) * turnMs);
      world.kernel.losesEvents = false;
    }
    world.fault();
    await world.pass(2 * faultMs);
    // Whose beginning and end nobody has told.
    world.kernel.losesEvents = true;
    for (let n = 0; n < clientCount; n++) world.connect(n);
    for (const one of [...world.open].slice(0, clientCount / 2)) close(world, one);
    await world.pass(3 * turnMs);
    world.kernel.losesEvents = false;
    await world.pass(knownWithinMs);
    const { here, there } = world.known();
    expect(here).toEqual(there);
    expect(world.kernel.pinTransactions, 'of elements alone').toBeGreaterThan(0);
  },
  120_000,
);
