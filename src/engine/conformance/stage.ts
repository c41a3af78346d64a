/**
 * The suite's side of one story: it starts the engine's process, keeps what the engine reported, and puts
 * everything away afterwards. Each story has its own, so stories cannot disturb each other; at the end every
 * descriptor must be back and no promise of engine.ts broken.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Bind, Protocol } from '../../core/plan.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { type ListenerTraits, listenerView } from './listener.ts';
import type { Behaviour, Closed, FromEngine, Opened, RouteStep, StartOptions, ToEngine } from './messages.ts';
import { loopbackScene, type Scene } from './scene.ts';

/** No wait in a story is longer. Generous: it bounds a failure, it measures nothing. */
const patienceMs = 60_000;

export interface StageOptions {
  readonly start?: StartOptions;
  /** A command the engine's process is started through: prlimit, setpriv, unshare. */
  readonly wrapper?: readonly string[];
  /** The wrapper makes a network namespace; where that is not permitted the story is skipped. */
  readonly namespace?: boolean;
}

/** What a story wants of its listener besides the routes. */
export type ListenOptions = ListenerTraits & Omit<Behaviour, 'routes'>;

export class Stage {
  readonly scene: Scene;
  readonly events: FromEngine[] = [];
  readonly #child: ChildProcess;
  /** It has played other stories. */
  readonly #isKept: boolean;
  readonly #start: StartOptions;
  readonly #cleanups: (() => void | Promise<void>)[] = [];
  #exit: string | undefined;
  #nextListenerId = 0;
  #syncRound = 0;
  #descriptorsBefore = 0;
  #stopped = false;
  #isLeft = false;

  /** @param kept the engine's process of another story of this scene that held, and has been {@link leave left} to this one */
  constructor(
    engine: string,
    processUrl: URL,
    options: StageOptions,
    scene = loopbackScene,
    kept?: ChildProcess,
  ) {
    const wrapper = [...scene.wrapper, ...(options.wrapper ?? [])];
    const command = [...wrapper, process.execPath, fileURLToPath(processUrl), engine];
    this.scene = scene;
    this.#start = { ...options.start, ...scene.start };
    this.#isKept = kept !== undefined;
    this.#child =
      kept ?? spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (event: FromEngine) => this.events.push(scene.hear(event)));
    this.#child.on('error', (error) => {
      this.#exit = error.message;
    });
    this.#child.on('exit', (code, signal) => {
      this.#exit = `exit ${code ?? signal}`;
    });
  }

  /** After {@link finish} and instead of its end in {@link close}: the engine's process, for another story. */
  leave(): ChildProcess {
    this.#isLeft = true;
    for (const event of ['message', 'error', 'exit']) this.#child.removeAllListeners(event);
    return this.#child;
  }

  /**
   * Starts the engine twice: the first one listens once and is stopped, so that what Node opens once and keeps
   * is open when descriptors are counted. The second one plays the story.
   */
  async open(): Promise<void> {
    if (this.#isKept) this.#descriptorsBefore = await this.#settledDescriptors();
    else await this.#rehearse();
    this.send({ type: 'start', options: this.#start });
    await this.event('started');
  }

  async #rehearse(): Promise<void> {
    await this.event('loaded');
    this.send({ type: 'start', options: this.#start });
    await this.event('started');
    await this.listen('tcp', []);
    await this.listen('udp', []);
    await this.stop();
    this.#descriptorsBefore = await this.#settledDescriptors();
    this.events.length = 0;
    this.#stopped = false;
  }

  /** Ends the story: stops the engine and checks what must hold after every story. */
  async finish(): Promise<void> {
    if (!this.#stopped) await this.stop();
    for (const event of this.events)
      assert.notEqual(event.type, 'violation', event.type === 'violation' ? event.text : '');
    await this.eventually(`${this.#descriptorsBefore} descriptors, as before`, () =>
      this.descriptors().length === this.#descriptorsBefore ? true : undefined,
    );
  }

  /** Puts everything away, whether the story held or not. */
  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    if (!this.#isLeft && this.#exit === undefined && this.#child.pid !== undefined)
      this.#child.kill('SIGKILL');
  }

  onClose(cleanup: () => void | Promise<void>): void {
    this.#cleanups.push(cleanup);
  }

  get pid(): number {
    assert.ok(this.#child.pid !== undefined);
    return this.#child.pid;
  }

  /** The open descriptors of the engine's process. */
  descriptors(): number[] {
    return readdirSync(`/proc/${this.pid}/fd`).map(Number);
  }

  /** Processor time the engine's process has used. /proc/pid/stat fields 14 and 15, in ticks of 10 ms. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** Keeps the engine's process from running while `act` does. */
  async whileStopped(act: () => Promise<void>): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    try {
      // The signal is under way: what is sent too soon would be read before all threads stand still.
      while (!isStopped(this.pid)) await sleep(1);
      await act();
    } finally {
      process.kill(this.pid, 'SIGCONT');
    }
  }

  /** A directory for unix sockets, removed afterwards. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'pinion-story-'));
    this.onClose(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  send(message: ToEngine): void {
    this.#child.send(this.scene.tell(message));
  }

  /** Sends, and waits until it has been done. */
  async tell(message: ToEngine): Promise<void> {
    this.send(message);
    await this.settle();
  }

  /** Waits for every report of what has happened so far; bytes may come sooner than the report about them. */
  async settle(): Promise<void> {
    const round = ++this.#syncRound;
    this.send({ type: 'sync', round });
    await this.event('synced', (event) => event.round === round);
  }

  /** Polls until `probe` gives something else than undefined or false. */
  async eventually<T>(what: string, probe: () => T | undefined | false): Promise<T> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const found = probe();
      if (found !== undefined && found !== false) return found;
      if (this.#exit !== undefined)
        throw new Error(`the engine's process is gone (${this.#exit}); ${this.#story()}`);
      if (performance.now() > deadlineMs) throw new Error(`never came: ${what}; ${this.#story()}`);
      await sleep(5);
    }
  }

  /** The first event of this type that fits, reported already or later. */
  event<T extends FromEngine['type']>(
    type: T,
    fits: (event: Extract<FromEngine, { type: T }>) => boolean = () => true,
  ): Promise<Extract<FromEngine, { type: T }>> {
    return this.eventually(`event ${type}`, () => this.all(type).find((event) => fits(event)));
  }

  /** Every event of this type so far. */
  all<T extends FromEngine['type']>(type: T): Extract<FromEngine, { type: T }>[] {
    return this.events.filter((event): event is Extract<FromEngine, { type: T }> => event.type === type);
  }

  opened(client: string): Promise<Opened> {
    return this.event('opened', (event) => event.client === client);
  }

  /** The first flow of a listener. */
  firstOf(listener: ListenerView): Promise<Opened> {
    return this.event('opened', (event) => event.listenerId === listener.id);
  }

  closed(flowId: number): Promise<Closed> {
    return this.event('closed', (event) => event.flowId === flowId);
  }

  /** Waits for the flow's end, for this reason as the scene calls it. */
  async closes(flowId: number, code: TerminationCode): Promise<Closed> {
    const closed = await this.closed(flowId);
    assert.equal(closed.code, this.scene.codeOf(code));
    return closed;
  }

  /** How the host answers from now on. */
  behave(routes: readonly RouteStep[], rest: Omit<Behaviour, 'routes'> = {}): Promise<void> {
    return this.tell({ type: 'behave', behaviour: { ...rest, routes } });
  }

  /** A new listener view; nothing is bound yet. */
  view(protocol: Protocol, traits: ListenerTraits = {}): ListenerView {
    return listenerView(this.#nextListenerId++, protocol, traits);
  }

  /** Binds a new listener whose flows are routed by `routes`. */
  async listen(
    protocol: Protocol,
    routes: readonly RouteStep[],
    options: ListenOptions = {},
  ): Promise<{ readonly port: number; readonly listener: ListenerView }> {
    const listener = this.view(protocol, options);
    const {
      name: _1,
      bind: _2,
      timeouts: _3,
      udp: _4,
      identifies: _5,
      hasPrefaces: _6,
      rebinds: _7,
      ...behaviour
    } = options;
    await this.behave(routes, behaviour);
    this.send({ type: 'listen', listener });
    const result = await this.bound(listener);
    assert.ok(result.type === 'listening', `bind failed: ${JSON.stringify(result)}`);
    return { port: result.port, listener };
  }

  /** The last answer to `listen` of this listener. */
  bound(listener: ListenerView): Promise<Extract<FromEngine, { type: 'listening' | 'bind-failed' }>> {
    return this.eventually(
      `an answer to listen on ${JSON.stringify(listener.plan.bind satisfies Bind)}`,
      () =>
        this.events.find(
          (event): event is Extract<FromEngine, { type: 'listening' | 'bind-failed' }> =>
            (event.type === 'listening' || event.type === 'bind-failed') && event.listenerId === listener.id,
        ),
    );
  }

  async stop(): Promise<void> {
    this.send({ type: 'stop' });
    await this.event('stopped');
    this.#stopped = true;
  }

  async #settledDescriptors(): Promise<number> {
    let count = -1;
    await this.eventually('a steady number of descriptors', () => {
      const now = this.descriptors().length;
      const steady = now === count;
      count = now;
      return steady ? true : undefined;
    });
    return count;
  }

  #story(): string {
    return `so far: ${this.events
      .slice(-30)
      .map((event) => JSON.stringify(event))
      .join('\n')}`;
  }
}

/** Whether all threads of a process stand still: proc(5), /proc/PID/task/TID/stat, state T. */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}
