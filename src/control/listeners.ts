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
}

export class Listeners {
  private readonly watch: ControlWatcher;
  private readonly post: (worker: number, message: MessageToWorker) => void;
  private readonly workers: number;
  private readonly open = new Map<number, OpenListener>();
  private readonly waiting = new Map<string, (answer: Answer | undefined) => void>();

  constructor(
    watch: ControlWatcher,
    post: (worker: number, message: MessageToWorker) => void,
    workers: number,
  ) {
    this.watch = watch;
    this.post = post;
    this.workers = workers;
  }

  /** Opens what is new and closes what is gone. On failure what this call opened is closed again. */
  async use(views: readonly ListenerView[]): Promise<StartFailure | undefined> {
    const wanted = new Set(views.map((view) => view.id));
    const opened: number[] = [];
    // Gone first: a new listener may want the address of an old one.
    for (const id of [...this.open.keys()]) if (!wanted.has(id)) this.close(id);
    for (const view of views) {
      if (this.open.has(view.id)) continue;
      const failure = await this.openEverywhere(view);
      if (failure !== undefined) {
        for (const id of opened) this.close(id);
        return failure;
      }
      opened.push(view.id);
    }
    return undefined;
  }

  /** Opens everything on a worker that has started anew. */
  openOn(worker: number): void {
    for (const { view, port } of this.open.values()) {
      if (view.plan.bind.kind === 'unix' && worker > 0) continue;
      void this.ask(worker, view, port, false).then((answer) => {
        if (answer?.type !== 'bind-failed') return;
        this.watch({
          event: 'bind-failed',
          listener: view.plan.name,
          address: bindText(view, port),
          failure: answer.failure,
        });
      });
    }
  }

  /** Whoever waits for this worker's answer waits no longer. */
  workerDied(worker: number): void {
    for (const [key, resolve] of [...this.waiting]) {
      if (key.startsWith(`${worker} `)) resolve(undefined);
    }
  }

  answered(worker: number, answer: Answer): void {
    this.waiting.get(`${worker} ${answer.listenerId}`)?.(answer);
  }

  closeAll(): void {
    for (const id of [...this.open.keys()]) this.close(id, 'shutdown');
  }

  /** The port a listener really has. */
  port(listenerId: number): number | undefined {
    return this.open.get(listenerId)?.port;
  }

  private close(listenerId: number, code: 'listener-removed' | 'shutdown' = 'listener-removed'): void {
    this.open.delete(listenerId);
    for (let worker = 0; worker < this.workers; worker++)
      this.post(worker, { type: 'unlisten', listenerId, code });
  }

  private async openEverywhere(view: ListenerView): Promise<StartFailure | undefined> {
    let port = view.plan.bind.kind === 'inet' ? view.plan.bind.port : 0;
    // One path cannot be bound twice: on unix sockets one worker serves.
    const workers = view.plan.bind.kind === 'unix' ? 1 : this.workers;
    for (let worker = 0; worker < workers; worker++) {
      const answer = await this.ask(worker, view, port, worker === 0);
      if (answer?.type === 'listening') {
        port = answer.port;
        continue;
      }
      for (let bound = 0; bound < worker; bound++) {
        this.post(bound, { type: 'unlisten', listenerId: view.id, code: 'listener-removed' });
      }
      return bindFailure(view, port, answer);
    }
    this.open.set(view.id, { view, port });
    this.watch({
      event: 'listening',
      listener: view.plan.name,
      protocol: view.plan.protocol,
      address: bindText(view, port),
      port,
    });
    return undefined;
  }

  private ask(
    worker: number,
    view: ListenerView,
    port: number,
    isFirst: boolean,
  ): Promise<Answer | undefined> {
    const key = `${worker} ${view.id}`;
    return new Promise((resolve) => {
      this.waiting.set(key, (answer) => {
        this.waiting.delete(key);
        resolve(answer);
      });
      this.post(worker, { type: 'listen', listenerId: view.id, port, isFirst });
    });
  }
}

function bindText(view: ListenerView, port: number): string {
  const { bind, protocol } = view.plan;
  if (bind.kind === 'unix') return `unix:${bind.path}`;
  return `${protocol}://${bind.ip.includes(':') ? `[${bind.ip}]` : bind.ip}:${port}`;
}

const bindHints: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has this address; stop it, or choose another port',
  EACCES:
    'ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=), files a writable folder',
  EADDRNOTAVAIL: 'this machine has no such address; bind 0.0.0.0 or [::], or set net.ipv4.ip_nonlocal_bind=1',
};

function bindFailure(view: ListenerView, port: number, answer: Answer | undefined): StartFailure {
  const where = `listener ${view.plan.name}: cannot bind ${bindText(view, port)}`;
  if (answer?.type !== 'bind-failed') return new StartFailure(`${where}: its worker died`);
  const { code, message } = answer.failure;
  const hint = bindHints[code];
  return new StartFailure(`${where}: ${code}${hint === undefined ? ` (${message})` : `; ${hint}`}`);
}
