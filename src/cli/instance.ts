/**
 * One running pinion: control, its log, its pages and its signals, put together from a plan. `run` and `demo`
 * differ only in who watches.
 */

import { formatAddress } from '../config/bind.ts';
import { diffPlans, liveKeys } from '../config/diff.ts';
import { formatProblem, loadPlan } from '../config/load.ts';
import { Control } from '../control/control.ts';
import type { ControlWatcher } from '../control/events.ts';
import { StartFailure } from '../control/listeners.ts';
import type { Bind, Plan } from '../core/plan.ts';
import { reusePortSupported } from '../engine/portable/portable.ts';
import { decideEngine, type EngineDecision } from '../engine/select.ts';
import { type Answer, type HttpService, type Routes, serveHttp } from '../front/http.ts';
import { adminRoutes, metricsRoutes } from '../front/routes.ts';
import { createMetrics } from '../observe/metrics.ts';
import { exitStatus } from './exit.ts';
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
  private readonly pages: HttpService[] = [];
  private readonly reloads = new Reloads(() => this.reloadOnce());
  private shutdownStarted = false;
  private hurry: () => void = () => {};

  /** Decides on the engine; nothing is started yet. Throws StartFailure when the configured one does not work here. */
  static async create(plan: Plan, options: InstanceOptions): Promise<Instance> {
    const engine = await decideEngine(plan.engine);
    if (engine.works) return new Instance(plan, options, engine);
    throw new StartFailure(
      `engine: epoll does not work here: ${engine.reason}; use engine: auto or portable`,
    );
  }

  private constructor(plan: Plan, options: InstanceOptions, { engine, reason }: EngineDecision) {
    this.options = options;
    this.startedWith = plan;
    this.control = new Control(plan, {
      watch: options.watch,
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
    const { plan } = this.control;
    const metrics = createMetrics({
      control: this.control,
      version,
      logLinesDropped: this.options.logLinesDropped,
    });
    process.on('SIGTERM', () => void this.stop());
    process.on('SIGINT', () => void this.stop());
    process.on('SIGHUP', () => void this.reload());
    try {
      if (plan.metrics !== undefined) {
        await this.serve('metrics', plan.metrics.listen, metricsRoutes(this.control, metrics));
      }
      if (plan.admin !== undefined) {
        const routes = adminRoutes(this.control, metrics, () => this.reload());
        await this.serve('admin', plan.admin.listen, routes);
      }
      await this.control.start();
    } catch (error) {
      this.closePages();
      throw error;
    }
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
    this.closePages();
    await this.options.flush();
    // Whatever still holds the loop (an agent's kept connection, say) must not hold the service manager.
    process.exit(process.exitCode ?? exitStatus.good);
  }

  /** Reads the configuration again, once the start is over and a reload that is under way. */
  reload(): Promise<Answer> {
    return this.reloads.ask();
  }

  private async reloadOnce(): Promise<Answer> {
    const refuse = (problems: readonly string[]): Answer => {
      this.options.watch({ event: 'reload-refused', problems });
      return {
        status: 422,
        body: { error: 'the new configuration was refused, the old one stays', problems },
      };
    };
    const loaded = loadPlan(this.control.plan.source);
    if ('problems' in loaded) return refuse(loaded.problems.map(formatProblem));
    try {
      await this.control.reload(loaded.plan);
      // Against the first plan and not the last: what a reload left for a restart still waits at the next one.
      const { instance } = diffPlans(this.startedWith, loaded.plan);
      return {
        status: 200,
        body: {
          digest: loaded.plan.digest,
          warnings: loaded.warnings.map(formatProblem),
          needRestart: instance.filter((key) => !liveKeys.includes(key)),
        },
      };
    } catch (error) {
      return refuse([(error as Error).message]);
    }
  }

  private async serve(what: string, bind: Bind, routes: Routes): Promise<void> {
    const place = `${bind.kind === 'unix' ? '' : 'http://'}${formatAddress(bind)}`;
    try {
      const page = await serveHttp(bind, routes);
      this.pages.push(page);
      const { port } = page;
      this.options.watch({ event: 'listening', listener: what, protocol: 'http', address: place, port });
    } catch (error) {
      throw new StartFailure(`${what}.listen: cannot bind ${place}: ${(error as Error).message}`);
    }
  }

  private closePages(): void {
    for (const page of this.pages) page.close();
  }
}
