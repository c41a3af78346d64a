/**
 * What a service manager is told, as sd_notify(3) says: that this instance is ready, reads its configuration again, stops; how it is,
 * in a line; and that it makes progress (watchdog.ts). By itself, without a helper process.
 *
 *    starting --ready--> READY=1 --reloading--> RELOADING=1 --reloaded--> READY=1 --stopping--> STOPPING=1
 *
 * Messages about states are sent again while the manager's queue is full; what comes again by itself is not.
 */
import { EAGAIN, errnoName } from '../linux/errno.ts';
import { timeToFinish } from '../observe/in-words.ts';
import type { Beat } from '../worker/client.ts';
import { Watchdog } from './watchdog.ts';

export interface ServiceManagerOptions {
  /** One datagram. Bytes sent, or a negative errno. */
  readonly send: (text: string) => number;
  /** It wants to be told that often that all is well; undefined: it does not. Milliseconds. */
  readonly watchdogMs: number | undefined;
  /** A line for whoever reads the journal. */
  readonly complain: (line: string) => void;
}

/** How the instance is. */
export interface Live {
  /** One line, for `systemctl status`. */
  readonly status: () => string;
  readonly beats: () => readonly (Beat | undefined)[];
  readonly workerStuck: (worker: number, silentMs: number) => void;
}

const statusEveryMs = 2_000;
const sendAgainMs = 100;
/** States that wait to be told. More than one reload has. */
const waitingMax = 16;
/** So much longer than its drain a stop may take. */
const stopSlackMs = 10_000;
const statusCharactersMax = 1_000;

export class ServiceManager {
  private readonly options: ServiceManagerOptions;
  private readonly waiting: string[] = [];
  private isWaiting = false;
  private hasComplained = false;
  private isReady = false;
  private isStopping = false;
  private live: Live | undefined;
  private told = '';
  /** Why the last reload changed nothing. */
  private refused: string | undefined;

  /**
   * As the environment says, which does not have it any more afterwards: no program that this process starts is to speak for it.
   * Undefined: nobody asked to be told.
   */
  static async take(
    environment: NodeJS.ProcessEnv,
    complain: (line: string) => void,
  ): Promise<ServiceManager | undefined> {
    const { NOTIFY_SOCKET: path, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
    if (path === undefined || path === '') return undefined;
    if (!/^[/@]./.test(path)) {
      complain(`NOTIFY_SOCKET is ${path}: pinion tells unix sockets only (a path, or @ and a name)`);
      return undefined;
    }
    let sendToManager: (path: string, text: string) => number;
    try {
      ({ sendToManager } = await import('../linux/notify-socket.ts'));
    } catch (error) {
      complain(`${path} is not told that pinion is ready: ${(error as Error).message}`);
      return undefined;
    }
    return new ServiceManager({
      send: (text) => sendToManager(path, text),
      watchdogMs: pid === undefined || Number(pid) === process.pid ? watchdogMsOf(usec) : undefined,
      complain,
    });
  }

  constructor(options: ServiceManagerOptions) {
    this.options = options;
  }

  /** It serves. From here on the manager hears how it is, and that it lives. */
  ready(live: Live): void {
    if (this.isStopping) return;
    this.live = live;
    this.isReady = true;
    this.tell(['READY=1', ...this.statusNow()]);
    setInterval(() => this.tellStatus(), statusEveryMs).unref();
    const { watchdogMs: timeoutMs } = this.options;
    if (timeoutMs === undefined) return;
    const watchdog = new Watchdog({
      timeoutMs,
      beats: live.beats,
      feed: () => void this.options.send('WATCHDOG=1'),
      stuck: live.workerStuck,
      nowMs: () => performance.now(),
    });
    watchdog.look();
    setInterval(() => watchdog.look(), watchdog.everyMs).unref();
  }

  /** With the time, so that the manager knows which of its orders is being carried out. */
  reloading(): void {
    if (!this.isReady || this.isStopping) return;
    const usec = process.hrtime.bigint() / 1_000n;
    this.tell(['RELOADING=1', `MONOTONIC_USEC=${usec}`, 'STATUS=reading the configuration again']);
  }

  /** @param refused why nothing has changed; undefined: it has */
  reloaded(refused: string | undefined): void {
    this.refused = refused;
    if (this.isReady && !this.isStopping) this.tell(['READY=1', ...this.statusNow()]);
  }

  /** @param drainMs so long open flows may go on: the manager is asked for that time */
  stopping(drainMs: number, flows: number): void {
    if (this.isStopping) return;
    this.isStopping = true;
    const usec = (drainMs + stopSlackMs) * 1_000;
    const drain = `STATUS=stopping: ${flows} flows ${timeToFinish(drainMs)}`;
    this.tell(['STOPPING=1', `EXTEND_TIMEOUT_USEC=${usec}`, drain]);
  }

  /** It cannot start, or has a defect: the process ends next. */
  failed(message: string): void {
    this.isStopping = true;
    this.tell([statusLine(`failed: ${message}`)]);
  }

  private statusNow(): string[] {
    if (this.live === undefined) return [];
    const more = this.refused === undefined ? '' : `; the last reload was refused: ${this.refused}`;
    this.told = statusLine(`${this.live.status()}${more}`);
    return [this.told];
  }

  private tellStatus(): void {
    const before = this.told;
    const [line] = this.isStopping ? [] : this.statusNow();
    if (line === undefined || line === before || this.waiting.length > 0) return;
    // What it did not take comes again.
    if (this.options.send(line) < 0) this.told = '';
  }

  private tell(lines: readonly string[]): void {
    // The last one says what is: of too many the one before it is left out.
    if (this.waiting.length >= waitingMax) this.waiting.pop();
    this.waiting.push(lines.join('\n'));
    if (!this.isWaiting) this.flush();
  }

  private flush(): void {
    this.isWaiting = false;
    while (this.waiting.length > 0) {
      const result = this.options.send(this.waiting[0]!);
      if (result === -EAGAIN) {
        this.isWaiting = true;
        setTimeout(() => this.flush(), sendAgainMs).unref();
        return;
      }
      this.waiting.shift();
      if (result >= 0 || this.hasComplained) continue;
      this.hasComplained = true;
      this.options.complain(`the service manager cannot be told how pinion is: ${errnoName(result)}`);
    }
  }
}

/** A line feed would begin another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replaceAll(/[\n\r\0]+/g, ' ').slice(0, statusCharactersMax)}`;
}

/** Undefined: no watchdog. */
function watchdogMsOf(usec: string | undefined): number | undefined {
  const ms = Number(usec ?? 'none') / 1_000;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}
