/**
 * One line of the log as a person reads it:
 *
 *    2026-11-29T00:10:11.123Z info  web  192.0.2.7:50614 -> servers/a  by pin  client-closed  12 ms, 5 B in, 7 B out
 *    2026-11-29T00:10:12.004Z WARN  web  192.0.2.7:50615 -> servers  backend-refused: the backend refused the connection  3.1 ms, 0 B in, 0 B out
 *    2026-11-29T00:10:12.100Z WARN  backend-down  servers/a is down: refused 10.0.0.12:5432
 *
 * What strangers had a hand in (a server name, what Redis said) cannot steer the terminal: control characters are shown as `\x1b`.
 */
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import { amountsOf, endOf, flowPath, whyOf } from './flow-words.ts';
import type { LogStyle } from './log-style.ts';

export interface LogLine {
  /** pino's: 30 is info. */
  readonly level: number;
  /** Unix time, milliseconds. */
  readonly timeMs: number;
  readonly message: string;
  /** What the line is about: its event, and a flow's record. */
  readonly fields: { readonly event?: string; readonly err?: unknown; readonly stack?: unknown };
}

const names: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info ',
  40: 'WARN ',
  50: 'ERROR',
  60: 'FATAL',
};

/** SGR of ECMA-48: dim, red, green, yellow, bold red. */
const colours = { dim: '2', red: '31', green: '32', yellow: '33', alarm: '1;31' } as const;
type Colour = keyof typeof colours;

function paint(text: string, colour: Colour, style: LogStyle): string {
  return style.hasColour ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text;
}

/** @returns without its end; more lines only for the stack of a defect */
export function textLine({ level, timeMs, message, fields }: LogLine, style: LogStyle): string {
  const colour = colourOf(level);
  const time = style.hasTime ? `${paint(new Date(timeMs).toISOString(), 'dim', style)} ` : '';
  const head = `${time}${paint(names[level] ?? String(level), colour, style)} `;
  if (fields.event === 'flow') return head + flowLine(fields as unknown as FlowRecord, colour, style);
  const { event: name } = fields;
  // `ready` says it all.
  const event = name === undefined || name === message ? '' : `${paint(name, 'dim', style)}  `;
  return `${head}${event}${printable(message)}${stackOf(fields)}`;
}

function colourOf(level: number): Colour {
  if (level >= 50) return level >= 60 ? 'alarm' : 'red';
  if (level >= 40) return 'yellow';
  return level >= 30 ? 'green' : 'dim';
}

function flowLine(flow: FlowRecord, colour: Colour, style: LogStyle): string {
  const parts = [
    printable(flow.listener),
    printable(flowPath(flow)),
    whyOf(flow),
    paint(endOf(flow), colour, style),
    paint(amountsOf(flow), 'dim', style),
  ];
  return parts.filter((part) => part !== '').join('  ');
}

/** Where a defect was; a start that failed has no use for it. */
function stackOf({ err, stack }: LogLine['fields']): string {
  const text = err instanceof Error ? err.stack : stack;
  if (typeof text !== 'string') return '';
  const frames = text.split('\n').filter((line) => /^\s+at /.test(line));
  return frames.map((line) => `\n    ${printable(line.trim())}`).join('');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for, and what turns text around
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

function printable(text: string): string {
  return text.replace(unprintable, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}
