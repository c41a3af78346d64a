/**
 * Sockets that a service manager has bound for this process, and which listener of a plan each of them is for: the one that has its
 * address. A socket that is called like a listener has to be of one of its addresses, else one of the two is a mistake.
 *
 * A worker gets a descriptor of its own for each (dup), and the one passed stays open, so that a worker or a listener that comes again
 * finds it. Of one address several may be passed (`ReusePort=yes`): they are shared out, for the kernel spreads clients over all of them.
 * One alone is for all workers over TCP, which take clients from one queue; over UDP it is for one worker, as a conversation has one.
 */
import { closeSync } from 'node:fs';
import { bindKey, bindsOf, bindsText } from '../core/binds.ts';
import { type PassedSocket, passedKey } from '../core/passed-socket.ts';
import type { Bind, ListenerPlan, Plan, Protocol } from '../core/plan.ts';

/** A plan cannot be served with what is passed. */
export interface PassedProblem {
  /** Where the plan's listeners have it: its index. */
  readonly listener: number;
  readonly message: string;
}

export class PassedSockets {
  private readonly duplicate: (descriptor: number) => number;
  private readonly sockets: readonly PassedSocket[];
  private readonly byKey = new Map<string, PassedSocket[]>();

  /** @param duplicate the same socket under another number, or a negative errno */
  constructor(sockets: readonly PassedSocket[], duplicate: (descriptor: number) => number) {
    this.sockets = sockets;
    this.duplicate = duplicate;
    for (const socket of sockets) {
      const key = passedKey(socket.protocol, socket.bind);
      const known = this.byKey.get(key);
      if (known === undefined) this.byKey.set(key, [socket]);
      else known.push(socket);
    }
  }

  /** Descriptors that are held for as long as the process runs. */
  get count(): number {
    return this.sockets.length;
  }

  /** Whether this address is bound already, for us. */
  has(protocol: Protocol, bind: Bind): boolean {
    return this.byKey.has(passedKey(protocol, bind));
  }

  /** How many workers, of all those there are, serve this address; undefined: nobody passes it. */
  workersOf(protocol: Protocol, bind: Bind, workers: number): number | undefined {
    const count = this.byKey.get(passedKey(protocol, bind))?.length;
    if (count === undefined || (protocol === 'tcp' && bind.kind === 'inet')) return count && workers;
    return bind.kind === 'unix' ? 1 : Math.min(count, workers);
  }

  /** A descriptor of its own for a worker; it or {@link giveBack} closes it. Undefined: none is passed, or none is left. */
  descriptorFor(worker: number, protocol: Protocol, bind: Bind): number | undefined {
    const sockets = this.byKey.get(passedKey(protocol, bind));
    if (sockets === undefined) return undefined;
    const descriptor = this.duplicate(sockets[worker % sockets.length]!.descriptor);
    return descriptor < 0 ? undefined : descriptor;
  }

  giveBack(descriptor: number): void {
    closeSync(descriptor);
  }

  problems({ listeners }: Pick<Plan, 'listeners'>, workers: number): PassedProblem[] {
    return listeners.flatMap((plan, listener) =>
      [...this.misnamed(plan), ...bindsOf(plan).flatMap((bind) => this.unfit(plan, bind, workers))].map(
        (message) => ({ listener, message }),
      ),
    );
  }

  /** Those that no listener has, in words: whoever connects there waits. */
  unused({ listeners }: Pick<Plan, 'listeners'>): string[] {
    const wanted = new Set(
      listeners.flatMap((plan) => bindsOf(plan).map((bind) => passedKey(plan.protocol, bind))),
    );
    return [...this.byKey].filter(([key]) => !wanted.has(key)).map(([, sockets]) => textOf(sockets[0]!));
  }

  private misnamed(plan: ListenerPlan): string[] {
    const own = new Set(bindsOf(plan).map((bind) => passedKey(plan.protocol, bind)));
    return this.sockets
      .filter(({ name, protocol, bind }) => name === plan.name && !own.has(passedKey(protocol, bind)))
      .map(
        (socket) =>
          `the socket that is passed under this listener's name is ${textOf(socket)}; write that address here, or another one in the socket unit`,
      );
  }

  private unfit(plan: ListenerPlan, bind: Bind, workers: number): string[] {
    const sockets = this.byKey.get(passedKey(plan.protocol, bind));
    if (sockets === undefined) return [];
    const problems: string[] = [];
    const text = textOf(sockets[0]!);
    if (bind.kind === 'inet' && bind.device !== undefined)
      problems.push(
        `${text} is passed: bind_device has no effect on it; leave it out and write BindToDevice=${bind.device} in the socket unit`,
      );
    if (bind.kind === 'inet' && bind.ip === '::' && sockets.some(({ onlyV6 }) => onlyV6))
      problems.push(
        `${text} is passed and takes clients over IPv6 only; write BindIPv6Only=both in the socket unit`,
      );
    const most = bind.kind === 'unix' ? 1 : workers;
    if (sockets.length > most)
      problems.push(
        `${text} is passed ${sockets.length} times, and ${most === 1 ? 'one worker serves' : `${most} workers serve`} it: clients of the others would wait for ever; pass it at most ${most === 1 ? 'once' : `${most} times`}`,
      );
    return problems;
  }
}

function textOf({ protocol, bind, name }: PassedSocket): string {
  return `${bindsText(protocol, [bind])} (${name === '' ? bindKey(bind) : name})`;
}
