/**
 * The portable engine: TCP through node:net, UDP through node:dgram, on the thread's own event loop. It runs
 * wherever Node runs and needs nothing else; it is slower than the epoll engine and does less in three corners
 * (see tcp-flow.ts, tcp-listener.ts, local-sockets.ts, and the skips in its conformance test).
 */
import assert from 'node:assert/strict';
import { doorsAmong } from '../../core/binds.ts';
import type { Flow } from '../../core/flow.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { Crowd } from '../arrival.ts';
import type { BindFailure, Engine, EngineHost } from '../engine.ts';
import { EvictionOrder } from '../eviction-order.ts';
import { conversationsMaxDefault, tickMs } from './bounds.ts';
import { type Carried, type Context, unlistened } from './context.ts';
import { Conversation } from './conversation.ts';
import { Deadlines } from './deadlines.ts';
import { EndsInTurn } from './ends-in-turn.ts';
import { KernelDrops } from './kernel-drops.ts';
import { KernelQueues } from './kernel-queues.ts';
import { SilencedClients } from './silenced.ts';
import { SourceAddresses } from './socket-options.ts';
import { TcpFlow } from './tcp-flow.ts';
import { TcpListener } from './tcp-listener.ts';
import { UdpListener } from './udp-listener.ts';

export interface PortableOptions {
  /** Monotonic, milliseconds. */
  readonly nowMs: () => number;
  /** Several threads bind the same ports (SO_REUSEPORT). Only where {@link reusePortSupported}. */
  readonly reusePort?: boolean;
  /** UDP conversations of this engine at once; one costs a descriptor. */
  readonly conversationsMax?: number;
}

/** Whether this Node can share a port between threads: from 22.12 in the 22 line, from 23.1 after it. */
export function reusePortSupported(version: string = process.versions.node): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return (major === 22 && minor >= 12) || (major === 23 && minor >= 1) || major > 23;
}

export function createPortableEngine(host: EngineHost, options: PortableOptions): Engine {
  assert.ok(
    options.reusePort !== true || reusePortSupported(),
    'this Node cannot share ports between threads',
  );
  return new PortableEngine(host, options);
}

class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly #context: Context;
  /** By id and door. */
  readonly #listeners = new Map<number, Map<string, TcpListener | UdpListener>>();

  constructor(host: EngineHost, options: PortableOptions) {
    const ends = new EndsInTurn(options.nowMs);
    this.#context = {
      host,
      nowMs: options.nowMs,
      ends,
      deadlines: new Deadlines(options.nowMs, tickMs, ends),
      carried: new Set(),
      order: new EvictionOrder((flow) => host.proved(flow)),
      conversationsMax: options.conversationsMax ?? conversationsMaxDefault,
      reusePort: options.reusePort === true,
      sources: new SourceAddresses(),
      drops: new KernelDrops(),
      waysVersion: 0,
      queues: new KernelQueues(),
      arrivals: new Crowd(),
      silenced: new SilencedClients(),
    };
  }

  listen(
    view: ListenerView,
    done: (result: { readonly port: number } | BindFailure) => void,
    isFirst = true,
    door = '',
    passed?: number,
  ): void {
    const doors = this.#listeners.get(view.id) ?? new Map<string, TcpListener | UdpListener>();
    assert.ok(!doors.has(door), `listener ${view.id} is bound already`);
    const listener = listenerOf(this.#context, view, isFirst);
    doors.set(door, listener);
    this.#listeners.set(view.id, doors);
    const stranger =
      isFirst && this.#context.reusePort && passed === undefined
        ? this.#addressInUse(view)
        : Promise.resolve(undefined);
    void stranger
      .then(async (inUse) => inUse ?? (await listener.listen(passed)))
      .then((result) => {
        const isWanted = doors.get(door) === listener;
        if (isWanted && 'code' in result) this.#forget(view.id, door);
        // In a turn of its own: what `done` throws is the caller's, not this promise's.
        setImmediate(() => done(isWanted ? result : unlistened));
      });
  }

  /** Binds without sharing the port, and gives the address back at once. */
  async #addressInUse(view: ListenerView): Promise<BindFailure | undefined> {
    const { bind } = view.plan;
    if (bind.kind === 'unix' || bind.port === 0) return undefined;
    const trial = listenerOf({ ...this.#context, reusePort: false }, view, false);
    const result = await trial.listen();
    trial.close('listener-removed');
    return 'code' in result && result.code === 'EADDRINUSE' ? result : undefined;
  }

  update(view: ListenerView): void {
    for (const listener of this.#listeners.get(view.id)?.values() ?? []) listener.view = view;
  }

  waysChanged(): void {
    this.#context.waysVersion++;
  }

  unlisten(listenerId: number, code: 'listener-removed' | 'shutdown', some?: readonly string[]): void {
    for (const [key, listener] of doorsAmong(this.#listeners.get(listenerId), some)) {
      if (code === 'shutdown' && listener instanceof UdpListener && listener.isBound) {
        listener.drain();
        continue;
      }
      this.#forget(listenerId, key);
      listener.close(code);
    }
  }

  #forget(listenerId: number, door: string): void {
    const doors = this.#listeners.get(listenerId);
    doors?.delete(door);
    if (doors?.size === 0) this.#listeners.delete(listenerId);
  }

  /** It has no use for any. */
  spareDescriptors(): void {}

  limitArrivals(count: number): void {
    this.#context.arrivals.most = count;
  }

  proceed(flow: Flow): void {
    carriedOf(flow)?.proceed();
  }

  abandonDial(flow: Flow): void {
    if (flow.engineState instanceof TcpFlow) flow.engineState.abandonDial();
  }

  terminate(flow: Flow, code: TerminationCode): void {
    carriedOf(flow)?.end(code);
  }

  trust(flow: Flow): void {
    const state = flow.engineState;
    if (state instanceof Conversation) this.#context.order.trust(state);
  }

  evict(listenerId: number, quietToo: boolean): boolean {
    return this.#context.order.evict(listenerId, quietToo, this.#context.nowMs());
  }

  stop(): void {
    for (const carried of this.#context.carried) carried.end('shutdown');
    for (const arrival of this.#context.arrivals.all()) arrival.end('shutdown');
    for (const doors of this.#listeners.values()) for (const one of doors.values()) one.close('shutdown');
    this.#listeners.clear();
    this.#context.silenced.close();
    this.#context.deadlines.stop();
    this.#context.queues.close();
  }
}

function carriedOf(flow: Flow): Carried | undefined {
  return flow.engineState as Carried | undefined;
}

function listenerOf(context: Context, view: ListenerView, isFirst: boolean): TcpListener | UdpListener {
  if (view.plan.protocol === 'tcp') return new TcpListener(context, view);
  return new UdpListener(context, view, isFirst || !context.reusePort);
}
