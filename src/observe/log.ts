/**
 * The log: pino's JSON lines on standard output, one per life-cycle event and one per finished flow.
 *
 * Written asynchronously from a bounded buffer: a stuck journal must not stop the balancer, so lines that do not
 * fit are dropped and counted (`pinion_log_lines_dropped_total`).
 */
import pino, { type DestinationStream, type Logger } from 'pino';
import type { ControlWatcher } from '../control/events.ts';
import type { Plan } from '../core/plan.ts';
import { eventLevels, inWords, whoIs } from './in-words.ts';

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
  const logger = pino({ level, base }, stream);
  return {
    logger,
    dropped: () => dropped,
    flush: () =>
      new Promise((resolve) => {
        // Workers go on telling, and a stream that has been ended throws at whoever writes.
        logger.level = 'silent';
        const finish = (): void => {
          clearTimeout(timer);
          // Or the stream's own hook would wait at exit, without end, for whoever does not read.
          stream.destroy();
          resolve();
        };
        const timer = setTimeout(finish, 1_000);
        // Not `flush`: with minLength 0 it answers at once, whatever is still to be written.
        stream.once('close', finish);
        stream.end();
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
        `${flow.listener}: ${whoIs(flow)} -> ${flow.backend ?? 'none'}`,
      );
    } else {
      logger[eventLevels[event.event]](event, inWords(event));
    }
  };
}
