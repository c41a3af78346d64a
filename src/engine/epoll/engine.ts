/**
 * The epoll engine: Linux sockets driven from TypeScript through src/linux. One per thread.
 *
 * `run` sits in the kernel and calls the host from there; nothing else of Node runs on the thread meanwhile, no
 * promise and no timer. Control posts its message and writes eight bytes to `wakeDescriptor`; `onWake` then takes
 * the message. What is thrown inside a handler costs one flow (`worker-error`), never the loop.
 */
import { doorsAmong } from '../../core/binds.ts';
import type { Flow } from '../../core/flow.ts';
import { descriptorsPerPipe, pipesPerWorkerMax } from '../../core/limits.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { errnoName } from '../../linux/errno.ts';
import { close, type Descriptor } from '../../linux/libc.ts';
import { Reactor, type TurnEnd } from '../../linux/reactor.ts';
import type { BindFailure, Engine, EngineHost } from '../engine.ts';
import { Context, type ContextLimits } from './context.ts';
import { addressInUse, bindListener, useListener } from './sockets.ts';
import { TcpArrival } from './tcp-arrival.ts';
import { TcpFlow } from './tcp-flow.ts';
import { TcpListener } from './tcp-listener.ts';
import { TcpSide } from './tcp-side.ts';
import { UdpConversation } from './udp-conversation.ts';
import { UdpListener } from './udp-listener.ts';

export interface EpollEngineOptions {
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /**
   * Called in every turn before the thread sleeps.
   * @param isWoken somebody wrote to the wake descriptor since the last call
   * @returns the longest sleep it allows, in milliseconds
   */
  readonly onWake: (isWoken: boolean, turnMs: number, nowMs: number) => number;
  /** Several workers bind the same ports (SO_REUSEPORT). Default true. */
  readonly reusePort?: boolean;
  /** UDP conversations at once; beyond it the oldest unanswered one makes room. */
  readonly conversationsMax?: number;
}

/** Memory of one worker that a user's limits do not speak of. Slow readers come first against `pipes`, then `pendingBytes`. */
const limits: ContextLimits = {
  pendingBytes: 256 * 1024 * 1024,
  pipes: pipesPerWorkerMax,
  conversations: 100_000,
};

type Listener = TcpListener | UdpListener;
type ListenResult = { readonly port: number } | BindFailure;

/** Throws if epoll cannot be had; `decideEngine` asks before. */
export function createEpollEngine(host: EngineHost, options: EpollEngineOptions): EpollEngine {
  return new EpollEngine(host, options);
}

export class EpollEngine implements Engine {
  readonly name = 'epoll';
  /** An eventfd: eight bytes written to it (a native 64-bit 1), from any thread, end the sleep of `run`. Its writers close it. */
  readonly wakeDescriptor: number;
  readonly #host: EngineHost;
  readonly #reactor: Reactor;
  readonly #context: Context;
  /** By id and door. */
  readonly #listeners = new Map<number, Map<string, Listener>>();
  readonly #answers: (() => void)[] = [];
  readonly #answering: TurnEnd = { onTurnEnd: () => this.#answer() };
  readonly #reusePort: boolean;
  #stopped = false;

  constructor(host: EngineHost, options: EpollEngineOptions) {
    this.#host = host;
    this.#reusePort = options.reusePort ?? true;
    this.#reactor = new Reactor({
      nowMs: options.nowMs,
      onWake: options.onWake,
      fault: (error, at) => this.#fault(error, at),
    });
    this.wakeDescriptor = this.#reactor.wakeDescriptor;
    this.#context = new Context(this.#reactor, host, {
      ...limits,
      conversations: options.conversationsMax ?? limits.conversations,
    });
  }

  /**
   * Serves until `stop`; blocks the thread. The kernel does not close what a thread leaves open, so if the thread
   * ends in another way than through `stop` everything is closed here. (Not after `worker.terminate()`, which runs no more code: control asks a worker to stop instead.)
   */
  run(): void {
    const onExit = (): void => {
      this.#reactor.abandon();
      this.stop();
    };
    process.once('exit', onExit);
    try {
      this.#reactor.run();
    } finally {
      process.removeListener('exit', onExit);
      onExit();
    }
  }

  /** One turn that sleeps at most `mostMs`: for tests and for a host with a loop of its own. */
  turn(mostMs: number): void {
    this.#reactor.turn(mostMs);
  }

  listen(
    view: ListenerView,
    done: (result: ListenResult) => void,
    isFirst = true,
    door = '',
    passed?: number,
  ): void {
    const { name } = this.#context;
    const mayBeTaken = isFirst && this.#reusePort && passed === undefined;
    const stranger = mayBeTaken ? addressInUse(view.plan, name) : undefined;
    const result = stranger ?? this.#bind(view, door, passed as Descriptor | undefined);
    if (this.#answers.length === 0) this.#reactor.atTurnEnd(this.#answering);
    this.#answers.push(() => done(result));
  }

  update(view: ListenerView): void {
    for (const listener of this.#listeners.get(view.id)?.values() ?? []) listener.view = view;
  }

  waysChanged(): void {
    this.#context.waysVersion++;
    this.#context.dialer.planChanged();
  }

  unlisten(listenerId: number, code: 'listener-removed' | 'shutdown', some?: readonly string[]): void {
    const doors = this.#listeners.get(listenerId);
    if (doors === undefined) return;
    const those = doorsAmong(doors, some);
    const conversations = this.#conversationsOf(those.map(([, listener]) => listener));
    for (const [key, listener] of those) {
      if (listener instanceof UdpListener) {
        const own = conversations.get(listener) ?? [];
        if (code === 'shutdown') {
          listener.drain(own);
          continue;
        }
        listener.close(code, own);
      } else listener.close(code === 'shutdown' && listener.isPassed);
      doors.delete(key);
    }
    if (doors.size === 0) this.#listeners.delete(listenerId);
  }

  spareDescriptors(count: number): void {
    this.#context.pipes.limit(Math.min(limits.pipes, Math.floor(count / descriptorsPerPipe)));
  }

  limitArrivals(count: number): void {
    this.#context.arrivals.most = count;
  }

  proceed(flow: Flow): void {
    const state = flow.engineState;
    if (!(state instanceof TcpFlow || state instanceof UdpConversation)) return;
    try {
      state.begin();
    } catch (error) {
      state.onFault(error);
    }
  }

  abandonDial(flow: Flow): void {
    if (flow.engineState instanceof TcpFlow) flow.engineState.abandonDial();
  }

  terminate(flow: Flow, code: TerminationCode): void {
    const state = flow.engineState;
    if (state instanceof TcpFlow || state instanceof UdpConversation) state.reset(code);
  }

  trust(flow: Flow): void {
    const state = flow.engineState;
    if (state instanceof UdpConversation) this.#context.order.trust(state);
  }

  evict(listenerId: number, quietToo: boolean): boolean {
    return this.#context.order.evict(listenerId, quietToo, this.#reactor.nowMs);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const listeners = [...this.#listeners.values()].flatMap((doors) => [...doors.values()]);
    const conversations = this.#conversationsOf(listeners);
    for (const listener of listeners) {
      if (listener instanceof UdpListener) listener.close('shutdown', conversations.get(listener) ?? []);
      else listener.close(true);
    }
    this.#listeners.clear();
    for (const arrival of this.#context.arrivals.all()) arrival.end('shutdown');
    for (const handler of this.#reactor.handlers()) {
      if (handler instanceof TcpSide) handler.owner.reset('shutdown');
    }
    this.#answer();
    this.#context.silenced.close();
    this.#context.pipes.close();
    this.#reactor.stop();
  }

  /** Looked through once for all of them: a listener may have a thousand sockets. */
  #conversationsOf(listeners: readonly Listener[]): ReadonlyMap<UdpListener, UdpConversation[]> {
    const found = new Map<UdpListener, UdpConversation[]>();
    for (const listener of listeners) if (listener instanceof UdpListener) found.set(listener, []);
    if (found.size > 0) {
      for (const one of this.#context.conversations.all()) found.get(one.listener)?.push(one);
    }
    return found;
  }

  #bind(view: ListenerView, door: string, passed: Descriptor | undefined): ListenResult {
    const { name } = this.#context;
    const fd =
      passed === undefined
        ? bindListener(view.plan, name, this.#reusePort)
        : useListener(view.plan, passed, name);
    if (typeof fd !== 'number') return fd;
    const listener =
      view.plan.protocol === 'tcp'
        ? new TcpListener(this.#context, view, fd, passed !== undefined)
        : new UdpListener(this.#context, view, fd, passed !== undefined);
    const result = listener.open();
    if (result < 0) {
      close(fd);
      return { code: errnoName(result), message: `epoll_ctl: ${errnoName(result)}` };
    }
    const doors = this.#listeners.get(view.id);
    if (doors === undefined) this.#listeners.set(view.id, new Map([[door, listener]]));
    else doors.set(door, listener);
    return { port: listener.local.port };
  }

  #answer(): void {
    for (const answer of this.#answers.splice(0)) {
      try {
        answer();
      } catch (error) {
        this.#host.fault(error, undefined);
      }
    }
  }

  #fault(error: unknown, at: unknown): void {
    if (at instanceof TcpSide) at.owner.onFault(error);
    else if (at instanceof TcpFlow || at instanceof TcpArrival || at instanceof UdpConversation)
      at.onFault(error);
    else this.#host.fault(error, undefined);
  }
}
