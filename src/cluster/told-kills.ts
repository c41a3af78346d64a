/**
 * Orders to end open flows, told to all instances of the cluster. They are events: Redis has them for half a minute, at most so
 * many, and each instance takes those that are new to it with its next beat. One that was away for longer, or has only
 * begun to share, does nothing about them; nor is an order told later that Redis did not take at once.
 */
import { formatKill, type KillOrder, parseKill } from '../core/kill-order.ts';
import type { HandOutcome } from '../pins/by-hand.ts';

/** What is asked of Redis. Both reject when it does not answer. */
export interface KillsStore {
  /** @returns false: too many were told within half a minute */
  tellKill(id: string, text: string): Promise<boolean>;
  kills(): Promise<readonly ToldKill[]>;
}

export interface ToldKill {
  readonly id: string;
  readonly text: string;
  /** By the clock of Redis. */
  readonly ageMs: number;
}

export interface KillTellerOptions {
  readonly store: KillsStore;
  readonly instance: string;
  /** Different each time. */
  readonly newId: () => string;
  /** Not while this instance shares nothing (its name is taken, another layout). */
  readonly mayWrite: () => boolean;
  /** An order of another instance, given so long ago. */
  readonly heard: (order: KillOrder, from: string, ageMs: number) => void;
}

export class KillTeller {
  private readonly options: KillTellerOptions;
  /** Those Redis still has; undefined: nobody has looked yet. */
  private known: ReadonlySet<string> | undefined;

  constructor(options: KillTellerOptions) {
    this.options = options;
  }

  /** Never rejects. `here-only`: Redis did not take it, and nobody else will hear of it. */
  async tell(order: KillOrder): Promise<HandOutcome> {
    const { store, instance, newId, mayWrite } = this.options;
    if (!mayWrite()) return 'here-only';
    try {
      return (await store.tellKill(newId(), formatKill(instance, order))) ? 'shared' : 'here-only';
    } catch {
      return 'here-only';
    }
  }

  /** Rejects when Redis does not answer. */
  async read(): Promise<void> {
    const { store, instance, heard } = this.options;
    const told = await store.kills();
    const before = this.known;
    this.known = new Set(told.map(({ id }) => id));
    if (before === undefined) return;
    for (const { id, text, ageMs } of told) {
      const kill = before.has(id) ? undefined : parseKill(text);
      if (kill === undefined || kill.from === instance) continue;
      const { from, ...order } = kill;
      heard(order, from, ageMs);
    }
  }
}
