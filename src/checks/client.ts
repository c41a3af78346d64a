/**
 * Control's end of the checks room: who is to be checked, and which names are asked for. A room that died is told all
 * of it again; until it serves, verdicts and addresses stay as they were.
 */
import { checksHeapMibMax, heldDescriptorsMax } from '../core/limits.ts';
import type { BackendAddress, Bind, HealthPlan } from '../core/plan.ts';
import { RoomClient, type RoomEvents } from '../rooms/client.ts';
import type { CheckFacts, CheckVerdict, MessageFromChecks } from './messages-from-checks.ts';
import type { CheckOrder, MessageToChecks } from './messages-to-checks.ts';
import type { RecordAnswer, RecordQuestion } from './records.ts';
import type { Ip, Target } from './resolve.ts';

/** One backend's check. */
export interface Check {
  /** Real flows failed: look sooner than at the next interval. As often as one likes. */
  suspect(): void;
  stop(): void;
}

export interface Checks {
  /**
   * Begins to check a backend.
   * @param wasUp the verdict so far (a reload keeps it); undefined: nobody has looked yet
   * @param delayMs until the first check: with many backends the caller spreads them
   * @param onVerdict the verdict is another one, or has another reason; never after `stop`
   * @param onChecked what the last check has seen, now and then; never after `stop`
   */
  check(
    health: HealthPlan,
    target: Bind,
    wasUp: boolean | undefined,
    delayMs: number,
    onVerdict: (verdict: CheckVerdict) => void,
    onChecked?: (facts: CheckFacts) => void,
  ): Check;
  /** Where a backend is; an address is its own answer. Never rejects; a dead room answers when it is back. */
  resolve(address: BackendAddress): Promise<Target>;
}

/** What the room is made with. */
export interface ChecksRoomData {
  /**
   * Memory for the descriptors that a thread holds by itself, one for all threads in turn; undefined: it holds none, as the
   * kernel's sockets cannot be had here or are not wanted.
   */
  readonly held: SharedArrayBuffer | undefined;
}

interface Running {
  readonly order: CheckOrder;
  isUp: boolean | undefined;
  readonly onVerdict: (verdict: CheckVerdict) => void;
  readonly onChecked: (facts: CheckFacts) => void;
}

interface Sought {
  readonly question: RecordQuestion;
  readonly waiting: ((answer: RecordAnswer) => void)[];
}

export class ChecksClient implements Checks {
  readonly room: RoomClient<MessageToChecks, MessageFromChecks>;
  private readonly running = new Map<number, Running>();
  /** What is new in this turn of the loop: it goes in one message. */
  private fresh = nothing();
  private isDue = false;
  private readonly suspects = new Set<number>();
  private readonly asked = new Map<string, ((ip: Ip) => void)[]>();
  private readonly sought = new Map<string, Sought>();
  private nextId = 1;
  private inFlightMax: number | undefined;
  private isStopped = false;

  /** @param hasSockets where the kernel's own sockets work, and are wanted (`engine: epoll`), checks that can use them do */
  constructor(events: RoomEvents, hasSockets: boolean) {
    const held = hasSockets ? new SharedArrayBuffer(heldDescriptorsMax / 8) : undefined;
    this.room = new RoomClient<MessageToChecks, MessageFromChecks>({
      name: 'checks',
      entry: new URL('./entry.js', import.meta.url),
      data: () => ({ held }) satisfies ChecksRoomData,
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
    onVerdict: (verdict: CheckVerdict) => void,
    onChecked: (facts: CheckFacts) => void = () => {},
  ): Check {
    const id = this.nextId++;
    const order: CheckOrder = { id, health, target, wasUp, delayMs };
    this.running.set(id, { order, isUp: wasUp, onVerdict, onChecked });
    this.fresh.start.push(order);
    this.tellSoon();
    return {
      suspect: () => this.suspect(id),
      stop: () => {
        this.running.delete(id);
        this.fresh.stop.push(id);
        this.tellSoon();
      },
    };
  }

  /** At most so many checks hold a descriptor at once. */
  limit(inFlightMax: number): void {
    if (this.inFlightMax === inFlightMax) return;
    this.inFlightMax = inFlightMax;
    // A room that starts later is told then.
    if (this.room.isStarted) this.tellSoon();
  }

  async resolve(address: BackendAddress): Promise<Target> {
    if (address.kind !== 'name') return address;
    const { host, port, portShift } = address;
    const ip = await this.ipOf(host);
    if (ip === undefined || ip === 'unanswered') return ip;
    return { kind: 'inet', ip, port, ...(portShift === undefined ? {} : { portShift }) };
  }

  /** All records of a name. Never rejects; a dead room answers when it is back. Who asks the same shares the answer. */
  records(question: RecordQuestion): Promise<RecordAnswer> {
    return new Promise((resolve) => {
      const key = JSON.stringify(question);
      const others = this.sought.get(key);
      if (others !== undefined) {
        others.waiting.push(resolve);
        return;
      }
      this.sought.set(key, { question, waiting: [resolve] });
      this.fresh.find.push(question);
      this.tellSoon();
    });
  }

  stop(timeoutMs: number): Promise<void> {
    this.isStopped = true;
    return this.room.stop({ type: 'stop' }, timeoutMs);
  }

  /** All workers tell of the same backends: what this turn of the loop brings goes in one message. */
  private suspect(id: number): void {
    if (this.suspects.size === 0) setImmediate(() => this.tellSuspects());
    this.suspects.add(id);
  }

  private tellSuspects(): void {
    const ids = [...this.suspects].filter((id) => this.running.has(id));
    this.suspects.clear();
    if (ids.length > 0) this.room.post({ type: 'suspect', ids });
  }

  private ipOf(host: string): Promise<Ip> {
    return new Promise((resolve) => {
      const others = this.asked.get(host);
      if (others !== undefined) {
        others.push(resolve);
        return;
      }
      this.asked.set(host, [resolve]);
      this.fresh.resolve.push(host);
      this.tellSoon();
    });
  }

  private tellSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => this.tell());
  }

  private tell(): void {
    this.isDue = false;
    const { stop, start, resolve, find } = this.fresh;
    if (this.isStopped) return;
    if (!this.room.isStarted) {
      // Nobody to check and no name to ask for: no thread. One that starts is told all.
      if (start.length + resolve.length + find.length > 0) this.room.start();
      return;
    }
    this.fresh = nothing();
    const limit = this.inFlightMax === undefined ? {} : { inFlightMax: this.inFlightMax };
    const wanted = start.filter(({ id }) => this.running.has(id));
    // One that takes no orders would go on with old ones for ever; the next thread is told all.
    if (!this.room.post({ type: 'orders', stop, start: wanted, resolve, find, ...limit }))
      this.room.giveUp('it takes no orders');
  }

  /** To a new thread. What it replaces had a verdict: one failure of a backend that was up does not suffice. */
  private tellAll(): void {
    const isFirst = this.room.starts === 1;
    const start = [...this.running.values()].map(({ order, isUp }) =>
      isFirst ? order : { ...order, wasUp: isUp },
    );
    const find = [...this.sought.values()].map(({ question }) => question);
    this.fresh = { stop: [], start, resolve: [...this.asked.keys()], find };
    this.tell();
  }

  private hear({ verdicts, facts, resolved, found }: MessageFromChecks): void {
    for (const { key, answer } of found) {
      const sought = this.sought.get(key);
      this.sought.delete(key);
      for (const resolve of sought?.waiting ?? []) resolve(answer);
    }
    for (const { host, ip } of resolved) {
      const waiting = this.asked.get(host);
      this.asked.delete(host);
      for (const resolve of waiting ?? []) resolve(ip);
    }
    // What was seen before what is made of it: how many checks have failed is told with the verdict.
    for (const one of facts) this.running.get(one.id)?.onChecked(one.facts);
    for (const { id, verdict } of verdicts) {
      const running = this.running.get(id);
      if (running === undefined) continue;
      running.isUp = verdict.isUp;
      running.onVerdict(verdict);
    }
  }
}

function nothing(): { stop: number[]; start: CheckOrder[]; resolve: string[]; find: RecordQuestion[] } {
  return { stop: [], start: [], resolve: [], find: [] };
}
