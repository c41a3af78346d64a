/** `pinion top`: the terminal, the instance and the state between them. What is drawn and what keys do is in render.ts and press.ts. */
import type { Bind } from '../../core/plan.ts';
import type { EventsPage, FlowsPage } from '../../front/api/shapes.ts';
import { adminAddress } from '../admin-address.ts';
import { AdminFailure } from '../admin-failure.ts';
import { AdminStream } from '../admin-stream.ts';
import { answerOf, complainOfUsage } from '../ask.ts';
import type { TopOptions } from '../commands/look.ts';
import { exitStatus } from '../exit.ts';
import { paint } from '../screen/line.ts';
import { terminalOf } from '../screen/terminal.ts';
import { fulfil, heardOf } from './fulfil.ts';
import { hear } from './hear.ts';
import { keysIn } from './keys.ts';
import { press } from './press.ts';
import { render } from './render.ts';
import { eventsKeptMax, firstState, type Heard, type TopState, type ViewName, type Wish } from './state.ts';

const flowsEveryMs = 1_000;
const flowsMax = 1_000;

// The other screen without a cursor, and back (xterm's private modes 1049 and 25).
const enter = '\x1b[?1049h\x1b[?25l\x1b[2J';
const leave = '\x1b[?25h\x1b[?1049l';

export async function top(options: TopOptions): Promise<void> {
  if (!process.stdout.isTTY || !process.stdin.isTTY)
    return complainOfUsage('top needs a terminal; pinion status --watch needs none');
  const answer = await answerOf(options, 'GET', '/v1/events');
  if (answer === undefined) return;
  const bind = await adminAddress(options);
  if (bind === undefined) return;
  const { events, last } =
    answer.status === 200 ? (answer.body as EventsPage) : { events: [], last: undefined };
  const state = {
    ...firstState(options.view as ViewName),
    events: [...events].reverse().slice(0, eventsKeptMax),
  };
  new Screen(bind, state).start(last);
}

class Screen {
  readonly #bind: Bind;
  #state: TopState;
  #drawn: readonly string[] = [];
  #isDue = false;

  constructor(bind: Bind, state: TopState) {
    this.#bind = bind;
    this.#state = state;
  }

  start(since: string | undefined): void {
    const { stdin, stdout } = process;
    stdout.write(enter);
    // Also after a defect: whoever reads its trace reads it on a terminal as it was.
    process.on('exit', () => stdout.write(leave));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, quit);
    stdin.setRawMode(true).setEncoding('utf8');
    stdin.on('data', (text) => this.#press(String(text)));
    stdin.on('end', quit);
    stdout.on('resize', () => this.#redraw());
    stdout.on('error', quit);
    new AdminStream(this.#bind, {
      since,
      state: (page) => this.#hear({ kind: 'state', page }),
      event: (row) => this.#hear({ kind: 'event', row }),
      lost: (why) => this.#hear({ kind: 'lost', why }),
    }).start();
    void this.#askFlows();
    this.#draw();
  }

  #press(text: string): void {
    const { width, height } = terminalOf(process.stdout, process.env);
    for (const key of keysIn(text)) {
      const before = this.#state.view;
      const { state, wish } = press(this.#state, key, { width, height });
      this.#state = state;
      if (state.view === 'flows' && before !== 'flows') void this.#askFlowsOnce();
      if (wish !== undefined) this.#grant(wish);
    }
    this.#draw();
  }

  #grant(wish: Wish): void {
    if (wish.kind === 'quit') quit();
    else if (wish.kind === 'redraw') this.#redraw();
    else
      void fulfil(this.#bind, wish).then(
        (heard) => this.#hear(heard),
        (error: Error) => this.#hear({ kind: 'refused', text: error.message }),
      );
  }

  #hear(heard: Heard): void {
    this.#state = hear(this.#state, heard);
    this.#draw();
  }

  /** Connections are many: they are asked for while somebody looks at them. */
  async #askFlows(): Promise<void> {
    if (this.#state.view === 'flows' && !this.#state.isPaused) await this.#askFlowsOnce();
    setTimeout(() => void this.#askFlows(), flowsEveryMs);
  }

  async #askFlowsOnce(): Promise<void> {
    try {
      const heard = await heardOf<FlowsPage>(this.#bind, 'GET', `/v1/flows?limit=${flowsMax}`, (flows) => ({
        kind: 'flows',
        flows,
      }));
      if (heard.kind === 'flows') this.#hear(heard);
    } catch (error) {
      // It went away, or is late: the stream says so.
      if (!(error instanceof AdminFailure)) throw error;
    }
  }

  #redraw(): void {
    this.#drawn = [];
    process.stdout.write('\x1b[2J');
    this.#draw();
  }

  /** Once for all that happens in one turn of the loop. */
  #draw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#write();
    });
  }

  /** Only the rows that are others than before: over a slow line the rest would flicker. */
  #write(): void {
    const { width, height, isColoured } = terminalOf(process.stdout, process.env);
    const lines = render(this.#state, { width, height }).map((line) => paint(line, isColoured));
    const changed = lines.flatMap((text, row) =>
      text === this.#drawn[row] ? [] : [`\x1b[${row + 1};1H${text}\x1b[K`],
    );
    this.#drawn = lines;
    if (changed.length > 0) process.stdout.write(changed.join(''));
  }
}

function quit(): void {
  process.exit(exitStatus.good);
}
