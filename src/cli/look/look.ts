/** Showing what an instance answers: once or with `--watch`, for people or with `--json`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AdminFailure } from '../admin-failure.ts';
import { answerOf, ask, complain, refusalLines } from '../ask.ts';
import type { LookOptions } from '../commands/options.ts';
import { type Line, span } from '../screen/line.ts';
import { type Terminal, terminalOf, textOf } from '../screen/terminal.ts';
import { print } from '../standard-output.ts';

export interface View<Body> {
  /** What is asked. */
  readonly path: string;
  /** What `--json` prints, where that is something else. */
  readonly jsonPath?: string;
  /** What the command's own options leave of a good answer, for people and for `--json`. */
  readonly only?: (body: Body) => Body;
  readonly draw: (body: Body, width: number) => readonly Line[];
}

const watchEveryMs = 1_000;

export async function look<Body>(options: LookOptions, view: View<Body>): Promise<void> {
  if (options.watch === true) return watch(options, view);
  const path = options.json ? (view.jsonPath ?? view.path) : view.path;
  const body = await ask<Body>(options, 'GET', path, { only: view.only });
  if (body === undefined) return;
  const { width, isColoured } = terminalOf(process.stdout, process.env);
  print(textOf(view.draw(body, width), isColoured));
}

/** Until the process is ended. An instance that goes away meanwhile may come back. */
async function watch<Body>(options: LookOptions, view: View<Body>): Promise<void> {
  const { json, every = watchEveryMs } = options;
  const path = json ? (view.jsonPath ?? view.path) : view.path;
  let first = true;
  for (;;) {
    const answer = await answerOf(options, 'GET', path).catch((error: unknown) => {
      if (first || !(error instanceof AdminFailure)) throw error;
      complain(error.message);
      return undefined;
    });
    if (answer === undefined && first) return;
    if (answer !== undefined) {
      const isGood = answer.status < 400;
      const body = isGood && view.only !== undefined ? view.only(answer.body as Body) : answer.body;
      if (json) print(`${JSON.stringify(body)}\n`);
      else {
        const terminal = terminalOf(process.stdout, process.env);
        const lines: readonly Line[] = isGood
          ? view.draw(body as Body, terminal.width)
          : refusalLines(answer).map((line) => [span(line, 'bad')]);
        print(redrawn(lines, terminal, first));
      }
    }
    first = false;
    await sleep(every);
  }
}

/** Over what was there, on a terminal; else below it, after an empty line. */
export function redrawn(lines: readonly Line[], terminal: Terminal, isFirst: boolean): string {
  const { height, isColoured } = terminal;
  if (height === Number.POSITIVE_INFINITY) return `${isFirst ? '' : '\n'}${textOf(lines, isColoured)}`;
  const most = height - 1;
  const left = lines.length - most + 1;
  const shown =
    lines.length <= most
      ? lines
      : [...lines.slice(0, most - 1), [span(`${left} more lines; this terminal is too low`, 'dim' as const)]];
  // Home; each line and the rest of its row; the rest of the screen (ECMA-48 CUP, EL, ED).
  const rows = textOf(shown, isColoured).replaceAll('\n', '\x1b[K\n');
  return `${isFirst ? '\x1b[2J' : ''}\x1b[H${rows}\x1b[J`;
}
