/**
 * The log: a line on standard output for each life-cycle event and each finished flow (these may have a file of their own, where
 * `log.access` names one). pino's JSON, or on a terminal text for people; under systemd with its priority.
 *
 * Written asynchronously from a bounded buffer (line-output.ts): a stuck journal must not stop the balancer, so lines that do not
 * fit are dropped and counted (`pinion_log_lines_dropped_total`).
 */
import pino, { type DestinationStream, type Logger } from 'pino';
import type { ControlWatcher } from '../control/events.ts';
import { isFailed } from '../core/flow-log.ts';
import type { Plan } from '../core/plan.ts';
import { AccessFile } from './access-file.ts';
import { flowInWords } from './flow-words.ts';
import { eventLevels, inWords, type Level } from './in-words.ts';
import { LineOutput } from './line-output.ts';
import { factsOf, type LogStyle, priorityOf, styleOf } from './log-style.ts';
import { type LogLine, textLine } from './text-line.ts';

const endWithinMs = 1_000;

export interface Log {
  readonly logger: Logger;
  /** Finished flows, where they have a file of their own. */
  readonly access: Logger | undefined;
  /** Lines dropped so far. */
  dropped(): number;
  /** What of it a reload changes: its level, and that of finished flows. */
  change(plan: Pick<Plan['log'], 'level' | 'flows'>): void;
  readonly flowLevel: Plan['log']['flows']['level'];
  /** Opens the file of finished flows again, and says so in the log; does nothing without one. */
  reopen(): void;
  /** Writes out what is buffered, for at most about a second; nothing can be logged afterwards. */
  flush(): Promise<void>;
}

/** @throws what opening the file of `log.access` throws */
export function createLog(plan: Plan['log'], output = new LineOutput(1), facts = factsOf(1)): Log {
  const logger = loggerInto(output, plan.level, styleOf(plan.format, facts));
  const file = plan.access === undefined ? undefined : new AccessFile(plan.access.file);
  const access =
    file &&
    loggerInto(
      file.output,
      'trace',
      styleOf(plan.format, { ...factsOf(file.descriptor), env: { TERM: 'dumb' } }),
    );
  const outputs = file === undefined ? [output] : [output, file.output];
  let flowLevel = plan.flows.level;
  let isOver = false;
  return {
    logger,
    access,
    dropped: () => outputs.reduce((sum, { dropped }) => sum + dropped, 0),
    get flowLevel() {
      return flowLevel;
    },
    change: ({ level, flows }) => {
      flowLevel = flows.level;
      if (!isOver) logger.level = level;
    },
    reopen: () => {
      file?.reopen((error) => {
        if (error === undefined)
          logger[ownEventLevels['access-log-reopened']](
            { event: 'access-log-reopened', file: file.path },
            `${file.path} was opened again`,
          );
        else
          logger.warn(
            { event: 'access-log-failed', file: file.path, message: error.message },
            `${file.path} cannot be opened again, and lines go where they went: ${error.message}`,
          );
      });
    },
    flush: async () => {
      // Workers go on telling.
      isOver = true;
      logger.level = 'silent';
      await Promise.all(outputs.map((one) => one.end(endWithinMs)));
    },
  };
}

/** pino makes the line and says what it is made of; here it gets its form. */
function loggerInto(output: LineOutput, level: Plan['log']['level'], style: LogStyle): Logger {
  const stream = {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    lastTime: '',
    lastMsg: '',
    lastObj: {} as LogLine['fields'],
    write(json: string): void {
      const text =
        style.format === 'json'
          ? json
          : `${textLine({ level: this.lastLevel, timeMs: Number(this.lastTime), message: this.lastMsg, fields: this.lastObj }, style)}\n`;
      output.write(style.hasPriority ? withPriority(text, priorityOf(this.lastLevel)) : text);
    },
  };
  return pino({ level, base: { pid: process.pid } }, stream as DestinationStream);
}

/** Before each line of it: journald takes every line for a message. (`^` and `.` would take U+2028 for the end of one.) */
function withPriority(text: string, priority: number): string {
  return text.replace(/(?<![^\n])(?=[^\n])/g, `<${priority}>`);
}

/** The line that tells of a failed start on standard error. */
export function lastWords(text: string): string {
  return factsOf(2).isJournal ? withPriority(text, priorityOf(50)) : text;
}

/** Events of the log itself. */
export const ownEventLevels = {
  'access-log-reopened': 'info',
  'access-log-failed': 'warn',
} as const satisfies Readonly<Record<string, Level>>;

/**
 * Logs events as they come. Fields are the event's own; `msg` is the same said in words. The line of a finished flow whose client was
 * served goes to the log's `flowLevel`, as it is then; other ones are warnings.
 */
export function logEvents(log: Pick<Log, 'logger' | 'access' | 'flowLevel'>): ControlWatcher {
  const { logger, access } = log;
  return (event) => {
    const { flowLevel } = log;
    if (event.event === 'flows-untold' && flowLevel === 'off' && access === undefined) return;
    if (event.event !== 'flow-ended') {
      logger[eventLevels[event.event]](event, inWords(event));
      return;
    }
    const { flow } = event;
    const hasFailed = isFailed(flow);
    const line = { event: 'flow', ...flow };
    const text = flowInWords(flow);
    access?.[hasFailed ? 'warn' : 'info'](line, text);
    if (flowLevel === 'off') return;
    if (hasFailed) logger.warn(line, text);
    else if (access === undefined) logger[flowLevel](line, text);
  };
}
