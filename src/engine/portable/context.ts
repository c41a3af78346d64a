/**
 * What all parts of one portable engine share.
 */
import type { Flow } from '../../core/flow.ts';
import type { TerminationCode } from '../../core/termination.ts';
import type { Crowd } from '../arrival.ts';
import type { BindFailure, EngineHost } from '../engine.ts';
import type { EvictionOrder } from '../eviction-order.ts';
import type { Deadlines } from './deadlines.ts';
import type { EndsInTurn } from './ends-in-turn.ts';
import type { KernelDrops } from './kernel-drops.ts';
import type { KernelQueues } from './kernel-queues.ts';
import type { SilencedClients } from './silenced.ts';
import type { SourceAddresses } from './socket-options.ts';
import type { TcpArrival } from './tcp-arrival.ts';

/** A flow as this engine carries it: the value of `flow.engineState`. */
export interface Carried {
  readonly flow: Flow;
  /** The host has an answer for a flow that was told to wait; ignored otherwise. */
  proceed(): void;
  /** Ends it now; ignored if it is over. */
  end(code: TerminationCode): void;
}

export interface Context {
  readonly host: EngineHost;
  readonly nowMs: () => number;
  readonly deadlines: Deadlines;
  /** Every open flow. */
  readonly carried: Set<Carried>;
  readonly order: EvictionOrder;
  /** UDP conversations at once. */
  readonly conversationsMax: number;
  readonly reusePort: boolean;
  readonly sources: SourceAddresses;
  readonly drops: KernelDrops;
  /** Changes whenever the ways to backends may have. */
  waysVersion: number;
  readonly queues: KernelQueues;
  readonly arrivals: Crowd<TcpArrival>;
  readonly silenced: SilencedClients;
  /** Of TCP connections. */
  readonly ends: EndsInTurn;
}

/** The answer to `listen`. */
export type Bound = { readonly port: number } | BindFailure;

/** As a BindFailure; the code is empty if the error has none. */
export function bindFailureOf(error: unknown): BindFailure {
  const { code, message } = error as NodeJS.ErrnoException;
  return { code: code ?? '', message };
}

/** What `listen` answers when `unlisten` came first. */
export const unlistened: BindFailure = {
  code: 'ECANCELED',
  message: 'unlisten came before the bind was done',
};

/** Runs `act` for a flow; a throw, which is a defect, costs this flow and nothing else. */
export function guarded(context: Context, carried: Carried, act: () => void): void {
  try {
    act();
  } catch (error) {
    context.host.fault(error, carried.flow);
    carried.end('worker-error');
  }
}

/** Tells the host that a flow is over; its descriptors are free by now, so a throw can only be reported. */
export function reportClosed(context: Context, flow: Flow, code: TerminationCode): void {
  try {
    context.host.closed(flow, code);
  } catch (error) {
    context.host.fault(error, flow);
  }
}
