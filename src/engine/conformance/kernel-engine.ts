/**
 * The kernel's relay as an engine for the suite. It asks nobody whom a client is for: what the host would answer is made into a pool and
 * backends' states before, from which the relay makes its table; whether the kernel led a client where the host would have is then checked
 * with each. Backends that are not meant any more are drained, so open flows stay theirs.
 *
 *    behave, update, move --> snapshot, states --> table --> the kernel <-- packets
 *    recorder <-- open, route, dialed, replied, closed <-- relay <-- conntrack
 */
import assert from 'node:assert/strict';
import type { Address } from '../../core/address.ts';
import { BackendStates } from '../../core/backend-states.ts';
import type { Flow } from '../../core/flow.ts';
import { kernelTurnMs } from '../../core/limits.ts';
import { PinTable } from '../../core/pins/table.ts';
import type { Bind } from '../../core/plan.ts';
import type { BackendView, ListenerView, PoolView, Snapshot } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { layoutMarker } from '../../kernel/layout.ts';
import { openLinuxMeans } from '../../kernel/linux-means.ts';
import type { KernelMeans } from '../../kernel/means.ts';
import type { KernelRelay } from '../../kernel/relay.ts';
import { KernelThread, type KernelThreadHost } from '../../kernel/thread.ts';
import type { BindFailure, Engine } from '../engine.ts';
import { poolPlan } from './listener.ts';
import type { Behaviour, StartOptions, ToEngine } from './messages.ts';
import type { Recorder } from './recorder.ts';
import type { Started } from './starters.ts';

const pinsMax = 1_000;

/** A backend that the host has named, under an id of its own. */
interface Known {
  readonly named: BackendView;
  view: BackendView;
}

/** A listener as the suite gave it, with its addresses by their doors. */
interface Open {
  view: ListenerView;
  readonly binds: Map<string, Bind>;
}

export function startKernelEngine(recorder: Recorder, { kernel }: StartOptions): Started {
  assert.ok(kernel !== undefined, 'the kernel needs a table');
  const engine = new KernelEngine(recorder, kernel.table, kernel.firstPort);
  return {
    engine,
    wakeDescriptor: undefined,
    run: () => engine.run(),
    hears: (message) => engine.hears(message),
    settled: () => engine.settled(),
    endsLater: true,
  };
}

class KernelEngine implements Engine {
  readonly name = 'kernel';
  private readonly recorder: Recorder;
  private readonly means: KernelMeans;
  private readonly table: string;
  private readonly thread: KernelThread;
  private readonly relay: KernelRelay;
  private readonly states = new BackendStates();
  private readonly listeners = new Map<number, Open>();
  private readonly backends: Known[] = [];
  private serving: readonly Known[] = [];
  private nextPort: number;
  private version = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(recorder: Recorder, table: string, firstPort: number) {
    this.recorder = recorder;
    this.nextPort = firstPort;
    const means = openLinuxMeans(table);
    if (typeof means === 'string') throw new Error(means);
    this.means = means;
    this.table = table;
    this.thread = new KernelThread({
      director: this.host(),
      means,
      table,
      pins: PinTable.create(pinsMax, { reportChanges: false }),
      states: this.states,
      counters: { addInstance: () => {} },
      nowMs: () => performance.now(),
    });
    this.relay = this.thread.relay;
  }

  run(): void {
    this.timer = setInterval(() => this.thread.turn(), kernelTurnMs);
  }

  /** Before the order is carried out. */
  hears(message: ToEngine): void {
    // Who has come so far was led by what was wanted so far.
    this.thread.turn();
    if (message.type === 'behave') this.mean(message.behaviour);
    else if (message.type === 'move') this.move(message.backend);
    else if (message.type === 'update') {
      const open = this.listeners.get(message.listener.id);
      if (open !== undefined) open.view = message.listener;
    } else return;
    this.tell();
  }

  /** Resolves when the table is as the orders so far have it, and all is told that has happened so far. */
  async settled(): Promise<void> {
    await this.thread.settled();
    this.thread.turn();
    await this.relay.list();
    this.thread.turn();
    // One is carried out after another: none is under way when this has been.
    await this.means.nft.run(`list set inet ${this.table} ${layoutMarker}`);
  }

  // ---- the engine's orders -----------------------------------------------------------------------------------

  listen(
    view: ListenerView,
    done: (result: { readonly port: number } | BindFailure) => void,
    isFirst?: boolean,
    door = '',
  ): void {
    const { bind } = view.plan;
    assert.ok(bind.kind === 'inet', 'the kernel has no unix sockets');
    const placed = bind.port === 0 ? { ...bind, port: this.nextPort++ } : bind;
    const open = this.listeners.get(view.id) ?? { view, binds: new Map<string, Bind>() };
    open.binds.set(door, placed);
    this.listeners.set(view.id, open);
    this.tell();
    this.relay.listen({ ...view, plan: { ...view.plan, bind: placed } }, done, isFirst, door);
  }

  unlisten(listenerId: number, code: 'listener-removed' | 'shutdown', doors?: readonly string[]): void {
    this.relay.unlisten(listenerId, code, doors);
    const open = this.listeners.get(listenerId);
    if (open === undefined || code === 'shutdown') return;
    for (const door of doors ?? [...open.binds.keys()]) open.binds.delete(door);
    if (open.binds.size === 0) this.listeners.delete(listenerId);
    this.tell();
  }

  stop(): void {
    clearInterval(this.timer);
    this.thread.turn();
    this.relay.stop();
    this.thread.close();
  }

  update(): void {
    this.relay.update();
  }

  waysChanged(): void {
    this.relay.waysChanged();
  }

  abandonDial(flow: Flow): void {
    this.relay.abandonDial(flow);
  }

  terminate(flow: Flow, code: TerminationCode): void {
    this.relay.terminate(flow, code);
  }

  evict(): boolean {
    return this.relay.evict();
  }

  spareDescriptors(): void {}
  limitArrivals(): void {}
  proceed(): void {}
  trust(): void {}

  // ---- what is wanted ----------------------------------------------------------------------------------------

  /** Clients from now on are for these. */
  private mean({ routes }: Behaviour): void {
    this.serving = routes.filter((step) => typeof step === 'object').map((named) => this.known(named));
    for (const one of this.backends) this.states.setDraining(one.view.id, !this.serving.includes(one));
  }

  private known(named: BackendView): Known {
    const text = JSON.stringify(named);
    const known = this.backends.find((one) => JSON.stringify(one.named) === text);
    if (known !== undefined) return known;
    const id = this.backends.length + 1;
    const one = { named, view: { ...named, id } };
    this.backends.push(one);
    this.states.setUp(id, true);
    this.states.setWeight(id, 1);
    return one;
  }

  private move({ id, target }: BackendView): void {
    const moved = this.serving.find(({ named }) => named.id === id);
    if (moved !== undefined) moved.view = { ...moved.view, target };
  }

  private tell(): void {
    const pool: PoolView = {
      id: 1,
      version: ++this.version,
      plan: poolPlan({}),
      backends: this.backends.map(({ view }) => view),
    };
    const listeners = [...this.listeners.values()].map(({ view, binds }): ListenerView => {
      const [bind = view.plan.bind] = binds.values();
      return { ...view, plan: { ...view.plan, relay: 'kernel', bind, binds: [...binds.values()] } };
    });
    this.thread.useSnapshot({ listeners, pools: [pool] } as unknown as Snapshot);
  }

  // ---- the relay's host --------------------------------------------------------------------------------------

  private host(): KernelThreadHost {
    const { recorder } = this;
    return {
      enter: (listener, client, local, pool, backend) => this.enter(listener, client, local, pool, backend),
      dialed: (flow) => {
        flow.connectedAtMs = performance.now();
        recorder.dialed(flow);
      },
      replied: (flow) => recorder.replied(flow),
      silent: (flow, failure) => recorder.dialFailed(flow, failure),
      closed: (flow, code) => recorder.closed(flow, code),
      backendNow: (flow) => {
        flow.backend = this.backends[flow.backend!.id - 1]!.view;
        return flow.backend;
      },
      turnedAwayByKernel: (listener, code, count) => {
        for (let i = 0; i < count; i++) recorder.turnedAway(listener, code);
      },
      trouble: (listener, flow, text) => recorder.trouble(listener, flow, text),
      fault: (error, flow) => recorder.fault(error, flow),
    };
  }

  private enter(
    listener: ListenerView,
    client: Address,
    local: Address,
    pool: PoolView,
    backend: BackendView,
  ): Flow {
    const { recorder } = this;
    const flow = recorder.open(listener, client, local);
    assert.ok(typeof flow === 'object', 'the kernel asks nobody whether a client may come in');
    flow.lead(pool);
    recorder.route(flow);
    flow.backend = backend;
    if (!this.serving.some(({ view }) => view.id === backend.id))
      recorder.violation(`flow ${flow.id} was led to ${backend.addressText}`);
    if (listener.plan.protocol === 'udp') {
      flow.connectedAtMs = performance.now();
      recorder.dialed(flow);
    }
    return flow;
  }
}
