/**
 * Control's end of the checks room: who is to be checked, and which names are asked for. A room that died is told all
 * of it again; until it serves, verdicts and addresses stay as they were.
 */
import { checksHeapMibMax } from '../core/limits.ts';
import type { BackendAddress, Bind, HealthPlan } from '../core/plan.ts';
import { RoomClient, type RoomDeath } from '../rooms/client.ts';
import type { MessageFromChecks } from './messages-from-checks.ts';
import type { CheckOrder, MessageToChecks } from './messages-to-checks.ts';
import type { Ip, Target } from './resolve.ts';

/** One backend's check. */
export interface Check {
  /** Real flows failed: look now instead of at the next interval. */
  suspect(): void;
  stop(): void;
}

export interface Checks {
  /**
   * Begins to check a backend.
   * @param wasUp the verdict so far (a reload keeps it); undefined: nobody has looked yet
   * @param delayMs until the first check: with many backends the caller spreads them
   * @param onFlip called when the verdict changes, never after `stop`
   */
  check(
    health: HealthPlan,
    target: Bind,
    wasUp: boolean | undefined,
    delayMs: number,
    onFlip: (up: boolean, why: string) => void,
  ): Check;
  /** Where a backend is; an address is its own answer. Never rejects; a dead room answers when it is back. */
  resolve(address: BackendAddress): Promise<Target>;
}

export interface ChecksEvents {
  died(death: RoomDeath): void;
  restarted(): void;
}

interface Running {
  readonly order: CheckOrder;
  isUp: boolean | undefined;
  readonly onFlip: (up: boolean, why: string) => void;
}

export class ChecksClient implements Checks {
  readonly room: RoomClient<MessageToChecks, MessageFromChecks>;
  private readonly running = new Map<number, Running>();
  /** Orders of this turn of the loop: they go in one message. */
  private fresh: CheckOrder[] = [];
  private readonly asked = new Map<string, ((ip: Ip) => void)[]>();
  private nextId = 1;
  private inFlightMax: number | undefined;
  private isStopped = false;

  constructor(events: ChecksEvents) {
    this.room = new RoomClient<MessageToChecks, MessageFromChecks>({
      name: 'checks',
      entry: new URL('./entry.js', import.meta.url),
      data: () => undefined,
      heapMibMax: checksHeapMibMax,
      message: (message) => this.hear(message),
      started: () => this.tellAll(),
      ...events,
    });
  }

  check(
    health: HealthPlan,
    target: Bind,
    wasUp: boolean | undefined,
    delayMs: number,
    onFlip: (up: boolean, why: string) => void,
  ): Check {
    const id = this.nextId++;
    const order: CheckOrder = { id, health, target, wasUp, delayMs };
    this.running.set(id, { order, isUp: wasUp, onFlip });
    if (this.fresh.length === 0) queueMicrotask(() => this.tellFresh());
    this.fresh.push(order);
    return {
      suspect: () => this.room.post({ type: 'suspect', id }),
      stop: () => {
        this.running.delete(id);
        this.room.post({ type: 'uncheck', id });
      },
    };
  }

  /** At most so many checks hold a descriptor at once. */
  limit(inFlightMax: number): void {
    if (this.inFlightMax === inFlightMax) return;
    this.inFlightMax = inFlightMax;
    // A room that starts later is told then.
    if (this.room.isStarted) this.room.post({ type: 'limit', inFlightMax });
  }

  async resolve(address: BackendAddress): Promise<Target> {
    if (address.kind !== 'name') return address;
    const { host, port } = address;
    const ip = await this.ipOf(host);
    return ip === undefined || ip === 'unanswered' ? ip : { kind: 'inet', ip, port };
  }

  stop(timeoutMs: number): Promise<void> {
    this.isStopped = true;
    return this.room.stop({ type: 'stop' }, timeoutMs);
  }

  private ipOf(host: string): Promise<Ip> {
    return new Promise((resolve) => {
      const others = this.asked.get(host);
      if (others !== undefined) {
        others.push(resolve);
        return;
      }
      this.asked.set(host, [resolve]);
      // One that is not taken now is asked for when the room starts (again).
      if (!this.wake()) this.room.post({ type: 'resolve', host });
    });
  }

  /** Nobody to check and no name to ask for: no thread. @returns true if it was started by this, and has been told all */
  private wake(): boolean {
    if (this.isStopped || this.room.isStarted) return false;
    this.room.start();
    return true;
  }

  private tellFresh(): void {
    const orders = this.fresh.filter(({ id }) => this.running.has(id));
    this.fresh = [];
    if (orders.length > 0 && !this.wake()) this.room.post({ type: 'check', orders });
  }

  /** To a new thread. What it replaces had a verdict: one failure of a backend that was up does not suffice. */
  private tellAll(): void {
    const isFirst = this.room.starts === 1;
    const orders = [...this.running.values()].map(({ order, isUp }) =>
      isFirst ? order : { ...order, wasUp: isUp ?? true },
    );
    this.fresh = [];
    if (this.inFlightMax !== undefined) this.room.post({ type: 'limit', inFlightMax: this.inFlightMax });
    if (orders.length > 0) this.room.post({ type: 'check', orders });
    for (const host of this.asked.keys()) this.room.post({ type: 'resolve', host });
  }

  private hear(message: MessageFromChecks): void {
    if (message.type === 'resolved') {
      const waiting = this.asked.get(message.host);
      this.asked.delete(message.host);
      for (const resolve of waiting ?? []) resolve(message.ip);
      return;
    }
    const running = this.running.get(message.id);
    if (running === undefined) return;
    running.isUp = message.up;
    running.onFlip(message.up, message.why);
  }
}
