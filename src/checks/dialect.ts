/**
 * What a dialect of health checks is: a name in the file, options of its own, and one function that asks one backend once.
 * When, how often and what follows from the answers is checker.ts's business.
 *
 * A new one is a file in dialects/ and a row in dialects.ts. A client library is loaded inside of `ask`, by `import()`, so that
 * who does not use the dialect does not pay for it.
 */

import type { DownReason } from '../core/down-reason.ts';
import type { Options, OptionValues } from '../core/options.ts';
import type { Bind } from '../core/plan.ts';
import type { Cancel } from './cancel.ts';

export type CheckResult =
  | {
      readonly verdict: 'pass';
      /** The share of its weight that the backend is to have now, 0 to 1; absent: all of it. */
      readonly share?: number;
      /** Milliseconds it took, where the dialect knows better than who waits for it. */
      readonly tookMs?: number;
    }
  | { readonly verdict: 'fail'; readonly reason: DownReason; readonly why: string }
  /** This machine was too busy to tell, or had no descriptor: it counts neither for nor against. */
  | { readonly verdict: 'unknown'; readonly why: string };

/** Where a check asks, from where, and for how long. */
export interface CheckWay {
  /** Where to ask: the backend's address with the check's own port or address in it. */
  readonly target: Bind;
  /** The address of this machine to ask from; undefined: the kernel chooses. */
  readonly source: string | undefined;
  /** Said first of all on a TCP connection, and before each datagram; absent: nothing. */
  readonly greeting?: Uint8Array | undefined;
  /** Aborted when the time is over or nobody wants to know any more: whatever was opened is to be closed then. */
  readonly signal: Cancel;
}

export interface Asked<O extends Options> extends CheckWay {
  /** Milliseconds that are left for all of it, connecting included. */
  readonly timeoutMs: number;
  readonly options: OptionValues<O>;
}

/**
 * What a check that passes has shown. `tcp`, `udp`: a server that speaks its language over it. `connect`: that a TCP connection can
 * be made, and no more. `beside`: what somebody else says of the server.
 */
export type Reach = 'tcp' | 'udp' | 'connect' | 'beside';

export interface Dialect<O extends Options = Options> {
  /** What it finds out, for the reference: one sentence. */
  readonly meaning: string;
  readonly options: O;
  /** What has not come when time is over, for the log: "no connection". Default: "no answer". */
  readonly silence?: string;
  /** Default: `tcp`. */
  reach?(options: OptionValues<O>): Reach;
  /** What is wrong with options that are right each by itself: the key it is about, and a sentence. Undefined: nothing. */
  problem?(options: OptionValues<O>): { readonly key: string; readonly message: string } | undefined;
  /**
   * Asks once. What it rejects with, or throws, is judged by faults.ts. When `signal` aborts it closes what it has opened; what it
   * makes of the check then is not looked at.
   * @returns no promise where the answer is there already, which costs a third less
   */
  ask(asked: Asked<O>): CheckResult | Promise<CheckResult>;
}

/** Types a dialect by its options. */
export function dialect<const O extends Options>(definition: Dialect<O>): Dialect<O> {
  return definition;
}

export const passed: CheckResult = { verdict: 'pass' };

export function failed(reason: DownReason, why: string): CheckResult {
  return { verdict: 'fail', reason, why };
}
