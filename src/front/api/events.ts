/**
 * The events of an instance as the front room has them: what control kept, then one by one. An id names the run of the process and the
 * event's number in it, so that nobody goes on from an id of another run as if nothing had happened between.
 */
import type { ControlEvent } from '../../control/events.ts';
import { eventsKeptMax } from '../../core/limits.ts';
import { eventLevels, inWords } from '../../observe/in-words.ts';
import type { KeptEvent } from '../events-kept.ts';
import type { EventRow, EventsPage } from './shapes.ts';

interface Entry {
  readonly number: number;
  readonly row: EventRow;
}

export class EventLog {
  /** Called after each that comes. */
  onNews: () => void = () => {};
  private readonly run: string;
  /** By number, without gaps: what was lost between control and here is a gap before the oldest. */
  private entries: Entry[] = [];

  /** @param run what tells this process from its predecessors: digits and letters */
  constructor(run: string) {
    this.run = run;
  }

  take(events: readonly KeptEvent[]): void {
    for (const kept of events) {
      // All are sent to a new thread, and one of them may be under way by itself.
      if (kept.number <= this.last) continue;
      if (kept.number !== this.last + 1) this.entries = [];
      this.entries.push({ number: kept.number, row: rowOf(this.idOf(kept.number), kept) });
      if (this.entries.length > eventsKeptMax) this.entries.shift();
    }
    this.onNews();
  }

  /** The number of the newest; 0: there is none. */
  get last(): number {
    return this.entries.at(-1)?.number ?? 0;
  }

  /**
   * @param since an id; undefined: the newest ones
   * @returns undefined if `since` is no id
   */
  page(since: string | undefined, most: number): EventsPage | undefined {
    const from =
      since === undefined ? { after: Math.max(0, this.last - most), isGap: false } : this.place(since);
    if (from === undefined) return undefined;
    const events = this.after(from.after, most);
    const last = events.at(-1)?.id ?? this.idOf(Math.min(this.last, Math.max(from.after, this.first - 1)));
    return { events, last, isGap: from.isGap };
  }

  /** At most `most` events after this number, the oldest first. */
  after(number: number, most: number): EventRow[] {
    const from = Math.max(0, number + 1 - this.first);
    return this.entries.slice(from, from + most).map(({ row }) => row);
  }

  /** Where to go on from for somebody who has read up to `id`, and whether something between is missing; undefined: it is no id. */
  place(id: string): { readonly after: number; readonly isGap: boolean } | undefined {
    const [, run, digits] = /^([a-z0-9]{1,16})-(\d{1,15})$/.exec(id) ?? [];
    if (run === undefined) return undefined;
    const after = Number(digits);
    // Another run's, or one that is still to come: all there is, after a gap.
    if (run !== this.run || after > this.last) return { after: this.first - 1, isGap: true };
    return after + 1 < this.first ? { after: this.first - 1, isGap: true } : { after, isGap: false };
  }

  numberOf(row: EventRow): number {
    return Number(row.id.slice(row.id.indexOf('-') + 1));
  }

  private get first(): number {
    return this.entries[0]?.number ?? 1;
  }

  private idOf(number: number): string {
    return `${this.run}-${number}`;
  }
}

const levelNames = { debug: 'info', info: 'info', warn: 'warning', error: 'error' } as const;

function rowOf(id: string, { atMs, event, untold }: KeptEvent): EventRow {
  const level = event.event === 'flow-ended' ? 'warning' : levelNames[eventLevels[event.event]];
  return {
    id,
    at: new Date(atMs).toISOString(),
    level,
    event: event.event === 'flow-ended' ? 'flow' : event.event,
    message: inWords(event),
    ...placesOf(event),
    ...(untold > 0 ? { times: untold + 1 } : {}),
  };
}

type Told = Pick<EventRow, 'code' | 'listener' | 'pool' | 'backend' | 'client' | 'times'>;

/** What it is about, where it says so. */
function placesOf(event: ControlEvent): Told {
  const about: Readonly<Record<string, unknown>> =
    event.event === 'flow-ended' ? { ...event.flow } : { ...event };
  const told: { -readonly [K in keyof Told]: Told[K] } = {};
  for (const key of ['listener', 'pool', 'backend', 'client', 'code'] as const) {
    const value = about[key];
    if (typeof value === 'string') told[key] = value;
  }
  const code = about.code ?? about.reason ?? about.fault;
  if (typeof code === 'string' && event.event !== 'flow-ended') told.code = code;
  const times = about.count ?? about.times;
  if (typeof times === 'number') told.times = times;
  return told;
}
