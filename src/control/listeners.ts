/**
 * Binding, over all workers. A listener is open when every worker has bound it; if one cannot, none keeps it.
 * With port 0 the first worker draws the port and the others bind the same.
 */
import type { ListenerView } from '../core/snapshot.ts';
import type { MessageFromWorker } from '../worker/messages-from-worker.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import type { ControlWatcher } from './events.ts';

/** The plan cannot be put to use on this machine. The message says which part, why, and what to do. */
export class StartFailure extends Error {}

type Answer = Extract<MessageFromWorker, { type: 'listening' | 'bind-failed' }>;

interface OpenListener {
  readonly view: ListenerView;
  port: number;
  /** The workers are asked one after the other. */
  isOpening: boolean;
}

export class Listeners {
  private readonly watch: ControlWatcher;
  private readonly post: (worker: number, message: MessageToWorker) => boolean;
  private readonly workers: number;
  private readonly open = new Map<number, OpenListener>();
  // The keys of all three: worker and listener.
  /** What a living worker has been told to listen on. */
  private readonly told = new Set<string>();
  private readonly waiting = new Map<string, (answer: Answer | undefined) => void>();
  private readonly closing = new Map<string, () => void>();

  constructor(
    watch: ControlWatcher,
    /** Returns false if the worker does not run now. */
    post: (worker: number, message: MessageToWorker) => boolean,
    workers: number,
  ) {
    this.watch = watch;
    this.post = post;
    this.workers = workers;
  }

  /**
   * Opens what is new and closes what is gone. On failure what this call opened is closed again, and what it closed
   * to make room stays closed: see {@link reopen}.
   */
  async use(views: readonly ListenerView[]): Promise<StartFailure | undefined> {
    const wanted = new Set(views.map((view) => view.id));
    const opened: number[] = [];
    const fresh = views.filter((view) => !this.open.has(view.id));
    const gone = [...this.open.values()].filter(({ view }) => !wanted.has(view.id));
    // First those whose address a new one wants: every worker must have let go of it.
    const inTheWay = gone.filter((old) => fresh.some((view) => wantsAddressOf(view, old)));
    await this.closeThese(inTheWay.map(({ view }) => view.id));
    for (const view of fresh) {
      const failure = await this.openEverywhere(view);
      if (failure !== undefined) {
        await this.closeThese(opened);
        return failure;
      }
      opened.push(view.id);
    }
    await this.closeThese(gone.filter((old) => !inTheWay.includes(old)).map(({ view }) => view.id));
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
      const failure = this.open.has(view.id) ? undefined : await this.openEverywhere(view);
      if (failure !== undefined) failures.push(failure);
    }
    for (const listener of this.open.values()) this.complete(listener);
    return failures;
  }

  /** Opens everything on a worker that has started anew. */
  openOn(worker: number): void {
    for (const listener of this.open.values()) {
      // Its turn comes, or it has been asked while it did not run.
      if (listener.isOpening && !this.waiting.has(`${worker} ${listener.view.id}`)) continue;
      if (worker < this.workersOf(listener.view)) this.openLate(worker, listener);
    }
  }

  /** Whoever waits for this worker's answer waits no longer. */
  workerDied(worker: number): void {
    const isItsKey = (key: string): boolean => key.startsWith(`${worker} `);
    for (const key of [...this.told].filter(isItsKey)) this.told.delete(key);
    for (const [key, resolve] of [...this.waiting]) if (isItsKey(key)) resolve(undefined);
    for (const [key, resolve] of [...this.closing]) if (isItsKey(key)) resolve();
  }

  answered(worker: number, answer: Answer): void {
    const key = `${worker} ${answer.listenerId}`;
    if (answer.type === 'bind-failed') this.told.delete(key);
    this.waiting.get(key)?.(answer);
  }

  unlistened(worker: number, listenerId: number): void {
    this.closing.get(`${worker} ${listenerId}`)?.();
  }

  /** Resolves when no worker accepts any more: what clients had connected before is among the open flows then. */
  async closeAll(): Promise<void> {
    await this.closeThese([...this.open.keys()], 'shutdown');
  }

  /** The port a listener really has, once every worker has bound it. */
  openPort(listenerId: number): number | undefined {
    const listener = this.open.get(listenerId);
    return listener?.isOpening === false ? listener.port : undefined;
  }

  /** Asks the workers that do not have it. */
  private complete(listener: OpenListener): void {
    for (let worker = 0; worker < this.workersOf(listener.view); worker++) {
      if (!this.told.has(`${worker} ${listener.view.id}`)) this.openLate(worker, listener);
    }
  }

  private openLate(worker: number, listener: OpenListener): void {
    const { view, port } = listener;
    void this.ask(worker, listener).then((answer) => {
      if (answer?.type !== 'bind-failed') return;
      this.watch({
        event: 'bind-failed',
        listener: view.plan.name,
        address: bindText(view, port),
        failure: answer.failure,
      });
    });
  }

  /** One path cannot be bound twice: on unix sockets one worker serves. */
  private workersOf(view: ListenerView): number {
    return view.plan.bind.kind === 'unix' ? 1 : this.workers;
  }

  private async closeThese(
    listenerIds: readonly number[],
    code: 'listener-removed' | 'shutdown' = 'listener-removed',
  ): Promise<void> {
    const done: Promise<void>[] = [];
    for (const listenerId of listenerIds) {
      this.open.delete(listenerId);
      for (let worker = 0; worker < this.workers; worker++) done.push(this.close(worker, listenerId, code));
    }
    await Promise.all(done);
  }

  private close(worker: number, listenerId: number, code: 'listener-removed' | 'shutdown'): Promise<void> {
    const key = `${worker} ${listenerId}`;
    this.told.delete(key);
    return new Promise((resolve) => {
      const others = this.closing.get(key);
      this.closing.set(key, () => {
        this.closing.delete(key);
        others?.();
        resolve();
      });
      if (!this.post(worker, { type: 'unlisten', listenerId, code })) this.closing.get(key)!();
    });
  }

  private async openEverywhere(view: ListenerView): Promise<StartFailure | undefined> {
    const { bind } = view.plan;
    const listener: OpenListener = { view, port: bind.kind === 'inet' ? bind.port : 0, isOpening: true };
    // From now on a worker that starts anew binds it as well.
    this.open.set(view.id, listener);
    for (let worker = 0; worker < this.workersOf(view); worker++) {
      const answer = await this.ask(worker, listener);
      if (answer?.type === 'listening' && this.open.get(view.id) === listener) {
        listener.port = answer.port;
        continue;
      }
      await this.closeThese([view.id]);
      return bindFailure(view, listener.port, answer);
    }
    listener.isOpening = false;
    const { port } = listener;
    this.watch({
      event: 'listening',
      listener: view.plan.name,
      protocol: view.plan.protocol,
      address: bindText(view, port),
      port,
    });
    return undefined;
  }

  /** Asks a worker to listen, once. One that does not run now is asked when it has started again. */
  private ask(worker: number, { view, port }: OpenListener): Promise<Answer | undefined> {
    const key = `${worker} ${view.id}`;
    const others = this.waiting.get(key);
    if (this.told.has(key) && others === undefined) {
      return Promise.resolve({ type: 'listening', listenerId: view.id, port });
    }
    return new Promise((resolve) => {
      this.waiting.set(key, (answer) => {
        this.waiting.delete(key);
        others?.(answer);
        resolve(answer);
      });
      if (this.told.has(key)) return;
      const isFirst = ![...this.told].some((one) => one.endsWith(` ${view.id}`));
      if (this.post(worker, { type: 'listen', listenerId: view.id, port, isFirst })) this.told.add(key);
    });
  }
}

/** Whether `old` may stand in the way of `view`. Two addresses of one port are taken for one: `0.0.0.0` holds all. */
function wantsAddressOf(view: ListenerView, old: OpenListener): boolean {
  const { bind, protocol } = view.plan;
  const held = old.view.plan.bind;
  if (bind.kind === 'unix' || held.kind === 'unix') {
    return bind.kind === 'unix' && held.kind === 'unix' && bind.path === held.path;
  }
  return protocol === old.view.plan.protocol && bind.port === old.port;
}

function bindText(view: ListenerView, port: number): string {
  const { bind, protocol } = view.plan;
  if (bind.kind === 'unix') return `unix:${bind.path}`;
  return `${protocol}://${bind.ip.includes(':') ? `[${bind.ip}]` : bind.ip}:${port}`;
}

/** What to do about a bind that failed, by the kernel's code. */
export const bindHints: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has this address; stop it, or choose another port',
  EACCES:
    'ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=), files a writable folder',
  EADDRNOTAVAIL: 'this machine has no such address; bind 0.0.0.0 or [::], or set net.ipv4.ip_nonlocal_bind=1',
};

function bindFailure(view: ListenerView, port: number, answer: Answer | undefined): StartFailure {
  const where = `listener ${view.plan.name}: cannot bind ${bindText(view, port)}`;
  if (answer?.type === 'listening') return new StartFailure(`${where}: this instance is shutting down`);
  if (answer === undefined) return new StartFailure(`${where}: its worker died`);
  const { code, message } = answer.failure;
  const hint = bindHints[code];
  return new StartFailure(`${where}: ${code}${hint === undefined ? ` (${message})` : `; ${hint}`}`);
}
