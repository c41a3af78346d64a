/**
 * One running pinion: control, its log, its pages and its signals, put together from a plan. `run` and `demo`
 * differ only in who watches.
 */

import { hostname } from 'node:os';
import { diffPlans } from '../config/diff.ts';
import { type Loaded, loadPlan, problemLines, warningLines } from '../config/load.ts';
import { Control } from '../control/control.ts';
import type { ControlEvent, ControlWatcher } from '../control/events.ts';
import { StartFailure } from '../control/listeners.ts';
import { viewOf } from '../control/view.ts';
import { formatAddress } from '../core/address-text.ts';
import type { Bind, Plan } from '../core/plan.ts';
import { reusePortSupported } from '../engine/portable/portable.ts';
import { decideEngine, type EngineDecision } from '../engine/select.ts';
import { FrontClient, PageFailure } from '../front/client.ts';
import type { PageData } from '../front/entry.ts';
import { EventsKept } from '../front/events-kept.ts';
import type { Answer } from '../front/http.ts';
import type { FrontState, Published } from '../front/state.ts';
import { sharingWriters } from '../rooms/shared.ts';
import { exitStatus, leave } from './exit.ts';
import { warn } from './load.ts';
import { lookAtMachine, MachineFailure } from './machine.ts';
import { obey } from './orders.ts';
import { previewReload } from './preview-reload.ts';
import { Reloads } from './reloads.ts';
import { version } from './version.ts';

export interface InstanceOptions {
  readonly watch: ControlWatcher;
  /** Called last, before the process ends by itself. */
  readonly flush: () => Promise<void>;
  readonly logLinesDropped: () => number;
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
    const { problems, warnings } = await lookAtMachine(loaded, engine.engine);
    warn(warnings);
    if (problems.length > 0) throw new MachineFailure(problems);
    return new Instance(plan, options, engine);
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
    });
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
    process.on('SIGHUP', () => void this.reload());
    try {
      await this.openPages();
      await this.control.start();
    } catch (error) {
      await this.front?.stop();
      throw error;
    }
  }

  private watch(event: ControlEvent): void {
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
    await this.control.shutdown(this.control.plan.shutdown.drainMs, hurry);
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
    const refuse = (problems: readonly string[]): Answer => {
      this.watch({ event: 'reload-refused', problems });
      return {
        status: 422,
        body: { error: 'the new configuration was refused, the old one stays', problems },
      };
    };
    const loaded = loadPlan(this.control.plan.source);
    if ('problems' in loaded) return refuse(problemLines(loaded));
    const machine = await lookAtMachine(loaded, this.engine, this.control.plan);
    if (machine.problems.length > 0) return refuse(machine.problems);
    try {
      await this.control.reload(loaded.plan);
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
      ...(admin === undefined ? [] : [{ page: 'admin', bind: admin.listen } as const]),
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
    previewReload: () => previewReload(this.control, this.engine, (plan) => this.pendingRestart(plan)),
  };

  private state(): FrontState {
    const { control } = this;
    const { plan } = control;
    return {
      ...viewOf(control),
      logLinesDropped: this.options.logLinesDropped(),
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

function placeOf(bind: Bind): string {
  return `${bind.kind === 'unix' ? '' : 'http://'}${formatAddress(bind)}`;
}
