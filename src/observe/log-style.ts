/** How lines of the log are written, by where they go. */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Plan } from '../core/plan.ts';

export interface LogStyle {
  readonly format: 'text' | 'json';
  readonly hasColour: boolean;
  /** Text: each line begins with its time. journald has its own. */
  readonly hasTime: boolean;
  /** Each line begins with its priority, `<4>` (sd-daemon(3)), which journald takes off. */
  readonly hasPriority: boolean;
}

export interface OutputFacts {
  readonly isTerminal: boolean;
  readonly isJournal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function styleOf(
  format: Plan['log']['format'],
  { isTerminal, isJournal, env }: OutputFacts,
): LogStyle {
  // https://no-color.org: set, and not empty.
  const mayColour = (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  return {
    format: format === 'auto' ? (isTerminal ? 'text' : 'json') : format,
    hasColour: isTerminal && mayColour,
    hasTime: !isJournal,
    hasPriority: isJournal,
  };
}

export function factsOf(descriptor: number): OutputFacts {
  return { isTerminal: isatty(descriptor), isJournal: isJournal(descriptor), env: process.env };
}

/** Whether a descriptor is connected to journald: JOURNAL_STREAM has its device and inode (systemd.exec(5)). */
function isJournal(descriptor: number): boolean {
  const stream = process.env.JOURNAL_STREAM;
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** Of syslog(3), by pino's level. */
export function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}
