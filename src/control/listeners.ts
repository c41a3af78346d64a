/**
 * Binding, over all workers. A listener has one address or several (doors); it is open when every worker has bound them all, and if
 * one cannot, none keeps it. A reload opens and closes single doors of a listener that stays. With port 0 the first worker draws the
 * port and the others bind the same.
 */
import { bindKey, bindsOf, bindsText } from '../core/binds.ts';
import type { Bind } from '../core/plan.ts';
import type { ListenerView } from '../core/snapshot.ts';
import type { MessageFromWorker } from '../worker/messages-from-worker.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import type { ControlWatcher } from './events.ts';
import type { PassedSockets } from './passed-sockets.ts';

/** The plan cannot be put to use on this machine. The message says which part, why, and what to do. */
export class StartFailure extends Error {}

type Answer = Extract<MessageFromWorker, { type: 'listening' | 'bind-failed' }>;

interface Door {
  /** Of the listener, as the plan has it: equal for equal addresses. */
  readonly key: string;
  readonly bind: Bind;
  port: number;
  /** The workers are asked one after the other. */
  isOpening: boolean;
}

interface OpenListener {
  view: ListenerView;
  readonly doors: Map<string, Door>;
}

export class Listeners {
  private readonly watch: ControlWatcher;
  private readonly post: (worker: number, message: MessageToWorker) => boolean;
  private readonly workers: number;
  private readonly passed: PassedSockets | undefined;
  private readonly open = new Map<number, OpenListener>();
  /** By worker and listener: the doors a living worker has been told to open. */
  private readonly told = new Map<string, Set<string>>();
  /** By worker, listener and door. */
  private readonly waiting = new Map<string, (answer: Answer | undefined) => void>();
  /** By worker, listener and the doors that are given up together (`*`: all of the listener). */
  private readonly closing = new Map<string, () => void>();

  constructor(
    watch: ControlWatcher,
    /** Returns false if the worker does not run now. */
    post: (worker: number, message: MessageToWorker) => boolean,
    workers: number,
    /** Sockets that are bound already. */
    passed?: PassedSockets,
  ) {
    this.watch = watch;
    this.post = post;
    this.workers = workers;
    this.passed = passed;
  }

  /**
   * Opens what is new and closes what is gone. On failure what this call opened is closed again, and what it closed
   * to make room stays closed: see {@link reopen}.
   */
  async use(views: readonly ListenerView[]): Promise<StartFailure | undefined> {
    const wanted = new Map(
      views.map((view) => [view.id, new Map(doorsOf(view).map((door) => [door.key, door]))]),
    );
    const gone = [...this.open.values()].flatMap(({ view, doors }) =>
      [...doors.values()]
        .filter(({ key }) => wanted.get(view.id)?.has(key) !== true)
        .map((door) => ({ view, door })),
    );
    const fresh = views.map((view) => {
      const known = this.open.get(view.id)?.doors;
      return {
        view,
        doors: [...wanted.get(view.id)!.values()].filter(({ key }) => known?.has(key) !== true),
      };
    });
    // First those whose address a new one wants: every worker must have let go of it.
    const places = new Set(fresh.flatMap(({ view, doors }) => doors.map((door) => placeOf(view, door))));
    const isInTheWay = ({ view, door }: (typeof gone)[number]): boolean => places.has(placeOf(view, door));
    await this.closeDoors(gone.filter(isInTheWay));
    const opened: { view: ListenerView; door: Door }[] = [];
    for (const some of inTurns(fresh)) {
      const failures = await Promise.all(
        some.map(({ view, doors }) => (doors.length === 0 ? undefined : this.openEverywhere(view, doors))),
      );
      for (const [i, { view, doors }] of some.entries()) {
        if (failures[i] !== undefined) continue;
        opened.push(...doors.map((door) => ({ view, door })));
        const listener = this.open.get(view.id);
        if (listener !== undefined) listener.view = view;
      }
      const failure = failures.find((one) => one !== undefined);
      if (failure === undefined) continue;
      await this.closeDoors(opened);
      return failure;
    }
    await this.closeDoors(gone.filter((one) => !isInTheWay(one)));
    // Workers that answered, died and started anew in the meantime.
    for (const listener of this.open.values()) this.complete(listener);
    return undefined;
  }

  /**
   * The way back after a failed {@link use}: opens again what that has closed.
   * @returns what could not be opened any more
   */
  async reopen(views: readonly ListenerView[]): Promise<StartFailure[]> {
    const failures: StartFailure[] = [];
    for (const view of views) {
      const known = this.open.get(view.id)?.doors;
      const doors = doorsOf(view).filter(({ key }) => known?.has(key) !== true);
      const failure = doors.length === 0 ? undefined : await this.openEverywhere(view, doors);
      if (failure !== undefined) failures.push(failure);
    }
    for (const listener of this.open.values()) this.complete(listener);
    return failures;
  }

  /** Opens everything on a worker that has started anew. */
  openOn(worker: number): void {
    for (const { view, doors } of this.open.values()) {
      for (const door of doors.values()) {
        // Its turn comes, or it has been asked while it did not run.
        if (door.isOpening && !this.waiting.has(`${worker} ${view.id} ${door.key}`)) continue;
        if (this.workersOf(view, door).includes(worker)) this.openLate(worker, view, door);
      }
    }
  }

  /** Whoever waits for this worker's answer waits no longer. */
  workerDied(worker: number): void {
    const isItsKey = (key: string): boolean => key.startsWith(`${worker} `);
    for (const key of [...this.told.keys()].filter(isItsKey)) this.told.delete(key);
    for (const [key, resolve] of [...this.waiting]) if (isItsKey(key)) resolve(undefined);
    for (const [key, resolve] of [...this.closing]) if (isItsKey(key)) resolve();
  }

  answered(worker: number, answer: Answer): void {
    const { listenerId, door } = answer;
    if (answer.type === 'bind-failed') this.told.get(`${worker} ${listenerId}`)?.delete(door);
    this.waiting.get(`${worker} ${listenerId} ${door}`)?.(answer);
  }

  unlistened(worker: number, listenerId: number, doors: readonly string[] | undefined): void {
    this.closing.get(closingKey(worker, listenerId, doors))?.();
  }

  /** Resolves when no worker accepts any more: what clients had connected before is among the open flows then. */
  async closeAll(): Promise<void> {
    await this.closeThese([...this.open.keys()], 'shutdown');
  }

  /** Where a listener is really open: what every worker has bound, with the ports that were drawn. */
  openBinds(listenerId: number): readonly Bind[] {
    const doors = [...(this.open.get(listenerId)?.doors.values() ?? [])];
    return doors.filter(({ isOpening }) => !isOpening).map(boundOf);
  }

  /** Asks the workers that do not have it. */
  private complete({ view, doors }: OpenListener): void {
    for (const door of doors.values()) {
      for (const worker of this.workersOf(view, door)) {
        if (!this.wasTold(worker, view.id, door.key)) this.openLate(worker, view, door);
      }
    }
  }

  private openLate(worker: number, view: ListenerView, door: Door): void {
    void this.ask(worker, view, door).then((answer) => {
      if (answer?.type !== 'bind-failed') return;
      this.watch({
        event: 'bind-failed',
        listener: view.plan.name,
        address: doorText(view, door),
        failure: answer.failure,
      });
    });
  }

  private wasTold(worker: number, listenerId: number, door: string): boolean {
    return this.told.get(`${worker} ${listenerId}`)?.has(door) === true;
  }

  /**
   * Who binds it: all workers of the data plane, or the one of the kernel, whose number follows on theirs. One path cannot be bound
   * twice: on unix sockets one worker serves.
   */
  private workersOf({ plan }: ListenerView, { bind }: Door): number[] {
    if (plan.relay === 'kernel') return [this.workers];
    const count =
      bind.kind === 'unix' ? 1 : (this.passed?.workersOf(plan.protocol, bind, this.workers) ?? this.workers);
    return Array.from({ length: count }, (_, worker) => worker);
  }

  /** Whoever may have it open. */
  private everybody(): number[] {
    return Array.from({ length: this.workers + 1 }, (_, worker) => worker);
  }

  /** Single doors; a listener without any is closed with its last one. */
  private async closeDoors(those: readonly { view: ListenerView; door: Door }[]): Promise<void> {
    const byListener = new Map<number, Door[]>();
    for (const { view, door } of those) {
      const doors = byListener.get(view.id);
      if (doors === undefined) byListener.set(view.id, [door]);
      else doors.push(door);
    }
    const done: Promise<void>[] = [];
    for (const [listenerId, doors] of byListener) {
      const listener = this.open.get(listenerId);
      if (listener === undefined || doors.length === listener.doors.size) {
        done.push(this.closeThese([listenerId]));
        continue;
      }
      const keys = doors.map(({ key }) => key);
      for (const key of keys) listener.doors.delete(key);
      // Together: for a thousand of them a worker looks through its conversations once.
      for (const worker of this.everybody())
        done.push(this.close(worker, listenerId, 'listener-removed', keys));
    }
    await Promise.all(done);
  }

  private async closeThese(
    listenerIds: readonly number[],
    code: 'listener-removed' | 'shutdown' = 'listener-removed',
  ): Promise<void> {
    const done: Promise<void>[] = [];
    for (const listenerId of listenerIds) {
      this.open.delete(listenerId);
      for (const worker of this.everybody()) done.push(this.close(worker, listenerId, code));
    }
    await Promise.all(done);
  }

  /** @param doors undefined: all of the listener */
  private close(
    worker: number,
    listenerId: number,
    code: 'listener-removed' | 'shutdown',
    doors?: readonly string[],
  ): Promise<void> {
    const key = closingKey(worker, listenerId, doors);
    if (doors === undefined) this.told.delete(`${worker} ${listenerId}`);
    else for (const door of doors) this.told.get(`${worker} ${listenerId}`)?.delete(door);
    return new Promise((resolve) => {
      const others = this.closing.get(key);
      this.closing.set(key, () => {
        this.closing.delete(key);
        others?.();
        resolve();
      });
      if (!this.post(worker, { type: 'unlisten', listenerId, code, doors })) this.closing.get(key)!();
    });
  }

  /** Opens doors of a listener, one worker after the other. If one of them cannot be had, none of them stays. */
  private async openEverywhere(
    view: ListenerView,
    doors: readonly Door[],
  ): Promise<StartFailure | undefined> {
    const listener = this.open.get(view.id) ?? { view, doors: new Map<string, Door>() };
    // From now on a worker that starts anew binds them as well.
    this.open.set(view.id, listener);
    for (const door of doors) listener.doors.set(door.key, door);
    for (const worker of this.everybody()) {
      const failure = await this.openAt(worker, view, doors);
      if (failure === undefined) continue;
      await this.closeDoors(doors.map((door) => ({ view, door })));
      return failure;
    }
    for (const door of doors) door.isOpening = false;
    const bound = doors.map(boundOf);
    this.watch({
      event: 'listening',
      listener: view.plan.name,
      protocol: view.plan.protocol,
      address: bindsText(view.plan.protocol, bound),
      port: doors[0]!.port,
    });
    return undefined;
  }

  private async openAt(
    worker: number,
    view: ListenerView,
    doors: readonly Door[],
  ): Promise<StartFailure | undefined> {
    const asked = doors.filter((door) => this.workersOf(view, door).includes(worker));
    const answers = await Promise.all(asked.map((door) => this.ask(worker, view, door)));
    for (const [i, answer] of answers.entries()) {
      const door = asked[i]!;
      if (answer?.type !== 'listening' || this.open.get(view.id)?.doors.get(door.key) !== door)
        return bindFailure(view, door, answer);
      door.port = answer.port;
    }
    return undefined;
  }

  /** Asks a worker to listen, once. One that does not run now is asked when it has started again. */
  private ask(worker: number, view: ListenerView, door: Door): Promise<Answer | undefined> {
    const { id } = view;
    const { key, port } = door;
    const asked = `${worker} ${id} ${key}`;
    const others = this.waiting.get(asked);
    if (this.wasTold(worker, id, key) && others === undefined) {
      return Promise.resolve({ type: 'listening', listenerId: id, door: key, port });
    }
    return new Promise((resolve) => {
      this.waiting.set(asked, (answer) => {
        this.waiting.delete(asked);
        others?.(answer);
        resolve(answer);
      });
      if (this.wasTold(worker, id, key)) return;
      const isFirst = !Array.from({ length: this.workers }).some((_, other) => this.wasTold(other, id, key));
      if (!this.postListen(worker, view, door, isFirst)) return;
      const told = this.told.get(`${worker} ${id}`);
      if (told === undefined) this.told.set(`${worker} ${id}`, new Set([key]));
      else told.add(key);
    });
  }

  private postListen(worker: number, { id, plan }: ListenerView, door: Door, isFirst: boolean): boolean {
    const { key } = door;
    // What the kernel carries is bound by nobody.
    const passed =
      plan.relay === 'kernel' ? undefined : this.passed?.descriptorFor(worker, plan.protocol, door.bind);
    const bind = boundOf(door);
    if (this.post(worker, { type: 'listen', listenerId: id, door: key, bind, isFirst, passed })) return true;
    if (passed !== undefined) this.passed?.giveBack(passed);
    return false;
  }
}

/** One after the other; those that the kernel carries together, as they are one table. */
function inTurns<T extends { readonly view: ListenerView }>(fresh: readonly T[]): T[][] {
  const isKernel = ({ view }: T): boolean => view.plan.relay === 'kernel';
  const together = fresh.filter(isKernel);
  const turns = fresh.filter((one) => !isKernel(one)).map((one) => [one]);
  return together.length === 0 ? turns : [...turns, together];
}

function closingKey(worker: number, listenerId: number, doors: readonly string[] | undefined): string {
  return `${worker} ${listenerId} ${doors?.join('\n') ?? '*'}`;
}

/** With the port it really has. */
function boundOf({ bind, port }: Door): Bind {
  return bind.kind === 'unix' ? bind : { ...bind, port };
}

function doorsOf({ plan }: ListenerView): Door[] {
  return bindsOf(plan).map((bind) => ({
    key: bindKey(bind),
    bind,
    port: bind.kind === 'inet' ? bind.port : 0,
    isOpening: true,
  }));
}

/** Two doors of one place may stand in each other's way. Two addresses of one port are taken for one: `0.0.0.0` holds all. */
function placeOf({ plan }: ListenerView, { bind, port }: Door): string {
  return bind.kind === 'unix' ? bind.path : `${plan.protocol} ${port}`;
}

function doorText({ plan }: ListenerView, door: Door): string {
  return bindsText(plan.protocol, [boundOf(door)]);
}

/** What to do about a bind that failed, by the kernel's code. */
export const bindHints: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has this address; stop it, or choose another port',
  EACCES:
    'ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=), files a writable folder',
  EADDRNOTAVAIL: 'this machine has no such address; bind 0.0.0.0 or [::], or set net.ipv4.ip_nonlocal_bind=1',
};

function bindFailure(view: ListenerView, door: Door, answer: Answer | undefined): StartFailure {
  const where = `listener ${view.plan.name}: cannot bind ${doorText(view, door)}`;
  if (answer?.type === 'listening') return new StartFailure(`${where}: this instance is shutting down`);
  if (answer === undefined) return new StartFailure(`${where}: its worker died`);
  const { code, message } = answer.failure;
  const hint = bindHints[code];
  return new StartFailure(`${where}: ${code}${hint === undefined ? ` (${message})` : `; ${hint}`}`);
}
