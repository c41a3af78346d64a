/**
 * One running pinion: control, its log, its pages and its signals, put together from a plan. `run` and `demo`
 * differ only in who watches.
 */

import { hostname } from 'node:os';
import { diffPlans } from '../config/diff.ts';
import { formatProblem, type Loaded, loadPlan, problemLines, warningLines } from '../config/load.ts';
import { Control } from '../control/control.ts';
import type { ControlEvent, ControlWatcher } from '../control/events.ts';
import { StartFailure } from '../control/listeners.ts';
import type { PassedSockets } from '../control/passed-sockets.ts';
import { ReloadTally } from '../control/reload-tally.ts';
import { viewOf } from '../control/view.ts';
import { formatAddress } from '../core/address-text.ts';
import type { AdminPlan, Bind, Plan } from '../core/plan.ts';
import { reusePortSupported } from '../engine/portable/portable.ts';
import { decideEngine, type EngineDecision, engineWarnings } from '../engine/select.ts';
import { FrontClient, PageFailure } from '../front/client.ts';
import type { PageData } from '../front/entry.ts';
import { EventsKept } from '../front/events-kept.ts';
import type { Answer } from '../front/http.ts';
import type { FrontState, Published } from '../front/state.ts';
import { sharingWriters } from '../rooms/shared.ts';
import { exitStatus, leave } from './exit.ts';
import { warn } from './load.ts';
import { lookAtMachine, MachineFailure, type MachineFindings } from './machine.ts';
import { obey } from './orders.ts';
import { previewReload } from './preview-reload.ts';
import { Reloads } from './reloads.ts';
import type { ServiceManager } from './service-manager.ts';
import { Terminal } from './terminal.ts';
import { version } from './version.ts';

export interface InstanceOptions {
  readonly watch: ControlWatcher;
  /** Called last, before the process ends by itself. */
  readonly flush: () => Promise<void>;
  readonly logLinesDropped: () => number;
  /** A reload has put this plan in force. */
  readonly reloaded?: (plan: Plan) => void;
  /** Who is told how it is. */
  readonly manager?: ServiceManager | undefined;
  /** Sockets that are bound already. */
  readonly passed?: PassedSockets | undefined;
}

export class Instance {
  readonly control: Control;
  private readonly options: InstanceOptions;
  private readonly startedWith: Plan;
  private readonly engine: EngineDecision['engine'];
  private readonly events = new EventsKept();
  private front: FrontClient | undefined;
  private published: Published | undefined;
  private compared: { readonly plan: Plan; readonly needRestart: readonly string[] } | undefined;
  private readonly reloads = new Reloads(() => this.reloadOnce());
  private readonly terminal = new Terminal();
  private readonly reloadTally = new ReloadTally();
  private shutdownStarted = false;
  private hurry: () => void = () => {};

  /**
   * Decides on the engine and looks what this machine can do; nothing is started yet. Throws StartFailure when the
   * configured engine does not work here, MachineFailure with all that cannot be done.
   */
  static async create(loaded: Loaded, options: InstanceOptions): Promise<Instance> {
    const { plan } = loaded;
    const engine = await decideEngine(plan.engine);
    if (!engine.works)
      throw new StartFailure(
        `engine: epoll does not work here: ${engine.reason}; use engine: auto or portable`,
      );
    const { problems, warnings } = await lookAtMachine(loaded, engine.engine, undefined, options.passed);
    warn([...engineWarnings(engine), ...warnings]);
    if (problems.length > 0) throw new MachineFailure(problems);
    const instance = new Instance(plan, options, engine);
    const misfits = instance.passedProblems(loaded);
    if (misfits.length > 0) throw new MachineFailure(misfits);
    warn(instance.passedWarnings(plan));
    return instance;
  }

  private constructor(plan: Plan, options: InstanceOptions, { engine, reason }: EngineDecision) {
    this.options = options;
    this.startedWith = plan;
    this.engine = engine;
    this.control = new Control(plan, {
      watch: (event) => this.watch(event),
      engine,
      version,
      engineReason: reason,
      canReusePort: engine === 'epoll' || reusePortSupported(),
      passed: options.passed,
    });
  }

  /** At what this machine can do of a plan that is to follow on the one in use. */
  private async look(loaded: Loaded): Promise<MachineFindings> {
    const { passed } = this.options;
    const { problems, warnings } = await lookAtMachine(loaded, this.engine, this.control.plan, passed);
    return {
      problems: [...problems, ...this.passedProblems(loaded)],
      warnings: [...warnings, ...this.passedWarnings(loaded.plan)],
    };
  }

  /** What a plan cannot have with the sockets that are passed, with its place. */
  private passedProblems({ plan, problemAt }: Loaded): string[] {
    const problems = this.options.passed?.problems(plan, this.control.workerCountNow) ?? [];
    return problems.map(({ listener, message }) =>
      formatProblem(problemAt(['listeners', listener, 'bind'], message)),
    );
  }

  private passedWarnings(plan: Plan): string[] {
    return (this.options.passed?.unused(plan) ?? []).map(
      (text) => `${text} is passed, and no listener has this address: who connects there waits for ever`,
    );
  }

  /** Starts everything and takes over the process's signals. Throws StartFailure with one clear message. */
  start(): Promise<void> {
    const starting = this.startAll();
    // Until then the plan that is said to be in use is not in use yet.
    this.reloads.waitFor(starting);
    return starting;
  }

  private async startAll(): Promise<void> {
    process.on('SIGTERM', () => void this.stop());
    process.on('SIGINT', () => void this.stop());
    process.on('SIGHUP', () => void this.hangUp());
    try {
      await this.openPages();
      await this.control.start();
    } catch (error) {
      await this.front?.stop();
      throw error;
    }
    if (this.control.ready) this.tellManager();
  }

  private tellManager(): void {
    const { control } = this;
    this.options.manager?.ready({
      status: () => statusText(control.views.counters.flows(), control.backends.summary()),
      beats: () => control.workerBeats(),
      workerStuck: (worker, silentMs) => this.watch({ event: 'worker-stuck', worker, silentMs }),
    });
  }

  /** SIGHUP: to whom a terminal was given it says that it is gone now; else it is an order. */
  private async hangUp(): Promise<void> {
    if (!this.terminal.hasJustGone) await this.reload();
    // Its shell may say so as well as the kernel: once is enough.
    else if (!this.shutdownStarted) await this.stop();
  }

  private watch(event: ControlEvent): void {
    this.reloadTally.note(event);
    this.options.watch(event);
    const kept = this.events.add(event);
    if (kept !== undefined) this.front?.tell(kept);
  }

  /** The first call drains, a second one ends at once. The process leaves by itself when all is closed. */
  async stop(): Promise<void> {
    if (this.shutdownStarted) {
      this.hurry();
      return;
    }
    this.shutdownStarted = true;
    const hurry = new Promise<void>((resolve) => {
      this.hurry = resolve;
    });
    const { drainMs } = this.control.plan.shutdown;
    this.options.manager?.stopping(drainMs, this.control.views.counters.flows());
    await this.control.shutdown(drainMs, hurry);
    await this.front?.stop();
    await this.options.flush();
    // Whatever still holds the loop (an agent's kept connection, say) must not hold the service manager.
    await leave(Number(process.exitCode ?? exitStatus.good), () => this.control.rooms.hasThread);
  }

  /** Reads the configuration again, once the start is over and a reload that is under way. */
  reload(): Promise<Answer> {
    return this.reloads.ask();
  }

  private async reloadOnce(): Promise<Answer> {
    this.options.manager?.reloading();
    const answer = await this.readAgain();
    const { problems } = answer.body as { readonly problems?: readonly string[] };
    this.options.manager?.reloaded(problems?.join('; '));
    return answer;
  }

  private async readAgain(): Promise<Answer> {
    const refuse = (problems: readonly string[]): Answer => {
      this.watch({ event: 'reload-refused', problems });
      return {
        status: 422,
        body: { error: 'the new configuration was refused, the old one stays', problems },
      };
    };
    // Until control has the plan nothing has changed, whatever is thrown.
    try {
      const loaded = loadPlan(this.control.plan.source);
      if ('problems' in loaded) return refuse(problemLines(loaded));
      const machine = await this.look(loaded);
      if (machine.problems.length > 0) return refuse(machine.problems);
      await this.control.reload(loaded.plan);
      this.options.reloaded?.(loaded.plan);
      const needRestart = this.pendingRestart(loaded.plan);
      return {
        status: 200,
        body: {
          digest: loaded.plan.digest,
          warnings: [...warningLines(loaded), ...machine.warnings],
          needRestart,
        },
      };
    } catch (error) {
      return refuse([(error as Error).message]);
    }
  }

  /** What monitors and operators ask is answered in a thread of its own, if the configuration has an address for it. */
  private async openPages(): Promise<void> {
    const { control } = this;
    const { metrics, admin, cluster } = control.plan;
    const pages: PageData[] = [
      ...(metrics === undefined ? [] : [{ page: 'metrics', bind: metrics.listen } as const]),
      ...(admin === undefined
        ? []
        : [{ page: 'admin', bind: admin.listen, admin: accessOf(admin) } as const]),
    ];
    if (pages.length === 0) return;
    this.front = new FrontClient({
      shared: control.shared,
      version,
      shards: cluster?.shards,
      pages,
      state: () => this.state(),
      events: () => this.events.all(),
      run: control.startedAt.getTime().toString(36),
      obey: (order) => obey(control, this.orders, order),
      ...control.rooms.events('front', () => control.releaseLocksOf(sharingWriters.front)),
    });
    control.rooms.add(this.front.room);
    try {
      for (const { page, bind, port } of await this.front.open()) {
        const address = placeOf(bind);
        this.watch({ event: 'listening', listener: page, protocol: 'http', address, port });
      }
    } catch (error) {
      if (!(error instanceof PageFailure)) throw error;
      const { page, bind } = error.page;
      throw new StartFailure(`${page}.listen: cannot bind ${placeOf(bind)}: ${error.message}`);
    }
  }

  private readonly orders = {
    reload: () => this.reload(),
    previewReload: () =>
      previewReload(
        this.control,
        (loaded) => this.look(loaded),
        (plan) => this.pendingRestart(plan),
      ),
  };

  private state(): FrontState {
    const { control } = this;
    const { plan } = control;
    return {
      ...viewOf(control),
      logLinesDropped: this.options.logLinesDropped(),
      reloads: this.reloadTally.status,
      instance: plan.cluster?.instance ?? hostname(),
      pendingRestart: this.pendingRestart(plan),
      published: this.publishedNow(),
    };
  }

  /** Against the first plan and not the last: what a reload left for a restart still waits at the next one. */
  private pendingRestart(plan: Plan): readonly string[] {
    if (this.compared?.plan !== plan)
      this.compared = { plan, needRestart: diffPlans(this.startedWith, plan).needRestart };
    return this.compared.needRestart;
  }

  /** Made once for each: it is as large as the configuration. */
  private publishedNow(): Published {
    const { snapshot } = this.control;
    const generation = snapshot?.generation ?? 0;
    if (this.published?.generation !== generation)
      this.published = { generation, snapshot, names: this.control.names() };
    return this.published;
  }
}

/** In a line, for `systemctl status`. */
function statusText(
  flows: number,
  { all, up, poolsDown }: ReturnType<Control['backends']['summary']>,
): string {
  const down = poolsDown.length === 0 ? '' : `; pools without a backend: ${poolsDown.join(', ')}`;
  return `${flows} flows; ${up} of ${all} backends are up${down}`;
}

function accessOf({ listen: _, ...access }: AdminPlan): NonNullable<PageData['admin']> {
  return access;
}

function placeOf(bind: Bind): string {
  return `${bind.kind === 'unix' ? '' : 'http://'}${formatAddress(bind)}`;
}
