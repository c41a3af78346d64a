/**
 * The log: pino's JSON lines on standard output, one per life-cycle event and one per finished flow.
 *
 * Written asynchronously from a bounded buffer: a stuck journal must not stop the balancer, so lines that do not
 * fit are dropped and counted (`pinion_log_lines_dropped_total`).
 */
import pino, { type DestinationStream, type Logger } from 'pino';
import type { ControlEvent, ControlWatcher } from '../control/events.ts';
import type { Plan } from '../core/plan.ts';

/** Bytes of log held while standard output does not take any. */
const bufferedBytesMax = 4 * 1024 * 1024;

export interface Log {
  readonly logger: Logger;
  /** Lines dropped so far. */
  dropped(): number;
  /** Writes out what is buffered, for at most about a second; nothing can be logged afterwards. */
  flush(): Promise<void>;
}

export function createLog(level: Plan['log']['level'], destination?: DestinationStream): Log {
  let dropped = 0;
  const base = { pid: process.pid };
  if (destination !== undefined) {
    return { logger: pino({ level, base }, destination), dropped: () => 0, flush: async () => {} };
  }
  const stream = pino.destination({
    dest: 1,
    sync: false,
    minLength: 0,
    maxLength: bufferedBytesMax,
    retryEAGAIN: patience(),
  });
  stream.on('drop', () => dropped++);
  // A closed pipe (EPIPE) or a full disk (ENOSPC) costs the line, never the process.
  stream.on('error', () => dropped++);
  return {
    logger: pino({ level, base }, stream),
    dropped: () => dropped,
    flush: () =>
      new Promise((resolve) => {
        const finish = (): void => {
          clearTimeout(timer);
          // Or the stream's own hook would wait at exit, without end, for whoever does not read.
          stream.destroy();
          resolve();
        };
        const timer = setTimeout(finish, 1_000);
        stream.flush(finish);
      }),
  };
}

/**
 * Whether to try again when a non-blocking output takes nothing (EAGAIN): while the event loop turns, always. A
 * synchronous flush (pino does one after a fatal line) tries every 100 ms and would hold the loop without end.
 */
function patience(): () => boolean {
  let triesInThisTurn = 0;
  return () => {
    if (triesInThisTurn === 0) {
      setImmediate(() => {
        triesInThisTurn = 0;
      });
    }
    return ++triesInThisTurn <= 10;
  };
}

type Level = 'debug' | 'info' | 'warn' | 'error';

const eventLevels: Readonly<Record<Exclude<ControlEvent['event'], 'flow-ended'>, Level>> = {
  starting: 'info',
  listening: 'info',
  ready: 'info',
  'backend-up': 'info',
  'backend-down': 'warn',
  'backend-draining': 'info',
  'backend-resolved': 'info',
  'pool-down': 'error',
  'flows-untold': 'warn',
  'accept-paused': 'warn',
  'flow-fault': 'error',
  'worker-died': 'error',
  'worker-restarted': 'info',
  'bind-failed': 'error',
  reloaded: 'info',
  'reload-refused': 'error',
  shutdown: 'info',
  stopped: 'info',
};

/**
 * Logs events as they come. Fields are the event's own; `msg` is the same said in words.
 * @param flowLevel where a finished flow's line goes
 */
export function logEvents(logger: Logger, flowLevel: Plan['log']['flows']['level']): ControlWatcher {
  return (event) => {
    if (event.event === 'flow-ended') {
      if (flowLevel === 'off') return;
      const { flow } = event;
      logger[flowLevel](
        { event: 'flow', ...flow },
        `${flow.listener}: ${flow.client} -> ${flow.backend ?? 'none'}`,
      );
    } else {
      logger[eventLevels[event.event]](event, inWords(event));
    }
  };
}

/** An event as a person would say it. */
export function inWords(event: ControlEvent): string {
  switch (event.event) {
    case 'starting':
      return `starting with ${event.config}: engine ${event.engine} (${event.why}), workers ${event.workers}`;
    case 'listening':
      return `${event.listener} listens on ${event.address}`;
    case 'backend-up':
    case 'backend-down':
      return `${event.pool}/${event.backend} is ${event.event.slice('backend-'.length)}: ${event.why}`;
    case 'backend-draining':
      return `${event.pool}/${event.backend} ${event.draining ? 'drains: no new clients, pinned ones stay' : 'takes new clients again'}`;
    case 'backend-resolved':
      return `${event.pool}/${event.backend} is at ${event.address} now`;
    case 'pool-down':
      return `${event.pool} has no backend that is up`;
    case 'flow-ended':
      return `${event.flow.listener}: ${event.flow.client} -> ${event.flow.backend ?? 'none'}: ${event.flow.code}`;
    case 'flows-untold':
      return `${event.count} flows ended faster than they could be logged`;
    case 'accept-paused':
      return `${event.listener} ${event.paused ? 'accepts nobody: out of descriptors' : 'accepts again'}`;
    case 'flow-fault':
      return `defect while serving ${event.flow || 'no flow'}: ${event.message}`;
    case 'worker-died':
      return `worker ${event.worker} died (${event.message}); again in ${event.restartInMs} ms`;
    case 'worker-restarted':
      return `worker ${event.worker} serves again`;
    case 'bind-failed':
      return `${event.listener}: cannot bind ${event.address}: ${event.failure.code}`;
    case 'reloaded':
      return (
        `new configuration in use: listeners ${event.listeners}, pools ${event.pools}` +
        (event.needRestart.length === 0 ? '' : `; restart to change ${event.needRestart.join(', ')}`)
      );
    case 'reload-refused':
      return `the new configuration was refused, the old one stays: ${event.problems.join('; ')}`;
    case 'shutdown':
      return `shutting down: ${event.flows} flows have ${event.drainMs} ms to finish`;
    case 'ready':
    case 'stopped':
      return event.event;
  }
}
