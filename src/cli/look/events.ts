/** `pinion events`: what has happened, and with `--follow` what happens. */
import type { EventRow, EventsPage } from '../../front/api/shapes.ts';
import { adminAddress } from '../admin-address.ts';
import { AdminStream } from '../admin-stream.ts';
import { ask } from '../ask.ts';
import type { EventsOptions } from '../commands/look.ts';
import { count } from '../screen/amounts.ts';
import { type Line, printable, type Style, span } from '../screen/line.ts';
import { terminalOf, textOf } from '../screen/terminal.ts';
import { print } from '../standard-output.ts';

export async function events(options: EventsOptions): Promise<void> {
  const { since, json, follow } = options;
  const query = since === undefined ? '' : `?${new URLSearchParams({ since })}`;
  const path = `/v1/events${query}`;
  if (follow !== true) {
    const page = await ask<EventsPage>(options, 'GET', path);
    if (page !== undefined) print(textOf(eventsLines(page), colours()));
    return;
  }
  const page = await ask<EventsPage>({ ...options, json: false }, 'GET', path);
  const bind = page === undefined ? undefined : await adminAddress(options);
  if (page === undefined || bind === undefined) return;
  const tell = (row: EventRow): void =>
    print(json === true ? `${JSON.stringify(row)}\n` : textOf([eventLine(row)], colours()));
  for (const row of since === undefined ? page.events.slice(-toldBefore) : page.events) tell(row);
  // Until the process is ended.
  new AdminStream(bind, {
    since: page.last,
    event: tell,
    lost: (why) => process.stderr.write(`${why}; trying again\n`),
  }).start();
}

/** As `tail -f` does. */
const toldBefore = 10;

function colours(): boolean {
  return terminalOf(process.stdout, process.env).isColoured;
}

export function eventsLines({ events: rows, isGap }: EventsPage): Line[] {
  const gap: Line[] = isGap ? [[span('earlier events are not kept any more', 'warning')]] : [];
  if (rows.length === 0) return [...gap, [span('nothing has happened', 'dim')]];
  return [...gap, ...rows.map(eventLine)];
}

const levelStyles: Readonly<Partial<Record<EventRow['level'], Style>>> = { error: 'bad', warning: 'warning' };

/** Time, what it is and what it says; the level is told by a sign too. */
function eventLine({ at, level, event, message, times = 1 }: EventRow): Line {
  const sign = { error: '!!', warning: '! ', info: '  ' }[level];
  const style = levelStyles[level];
  return [
    span(`${at}  `, 'dim'),
    span(`${sign} `, style),
    span(`${event.padEnd(18)}  `, style),
    span(printable(message), style),
    ...(times > 1 ? [span(`  (${count(times)} times)`, 'dim')] : []),
  ];
}
