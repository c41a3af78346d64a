/** What happened: the last 200 events, the newest first, and failed flows counted by their code. */
import type { EventRow, EventsPage } from '../api/shapes.ts';
import { ask } from './api.ts';
import { h, Rows, say, set, type View } from './dom.ts';
import { clock, count } from './words.ts';

export interface EventsView {
  readonly element: Element;
  /** The events there were before anybody looked. */
  load(): Promise<void>;
  add(event: EventRow): void;
}

const eventsMax = 200;

export function eventsView(): EventsView {
  const list = h('ul', { 'aria-label': 'Events, the newest first', role: 'list' });
  const nothing = h('p', { class: 'nothing' }, 'Nothing has happened yet.');
  const groups = h('div', { class: 'groups', role: 'group', 'aria-label': 'Failed flows by code' });
  const level = h(
    'select',
    {},
    h('option', { value: '' }, 'all'),
    h('option', { value: 'warning' }, 'warnings and errors'),
    h('option', { value: 'error' }, 'errors'),
  );
  const search = h('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
  let events: EventRow[] = [];
  let code: string | undefined;
  const rows = new Rows<EventRow>(list, ({ id }) => id, eventRow);
  const codes = new Rows<readonly [string, number]>(
    groups,
    ([name]) => name,
    codeButton(
      () => code,
      (name) => {
        code = code === name ? undefined : name;
        show();
      },
    ),
  );
  let frame: number | undefined;
  const show = (): void => {
    frame = undefined;
    const text = search.value.trim().toLowerCase();
    const isShown = (event: EventRow): boolean =>
      (level.value === '' || event.level === 'error' || event.level === level.value) &&
      (code === undefined || event.code === code) &&
      (text === '' || JSON.stringify(event).toLowerCase().includes(text));
    const shown = events.filter(isShown).reverse();
    rows.update(shown);
    nothing.hidden = shown.length > 0;
    say(nothing, events.length === 0 ? 'Nothing has happened yet.' : 'No event is like that.');
    codes.update(codesOf(events));
  };
  const form = h(
    'form',
    { class: 'line', role: 'search' },
    h('label', {}, 'How grave', level),
    h('label', {}, 'Containing', search),
  );
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', show);
  return {
    element: card(form, groups, list, nothing),
    async load() {
      events = (await ask<EventsPage>('v1/events')).events.slice(-eventsMax);
      show();
    },
    add(event) {
      if (events.some(({ id }) => id === event.id)) return;
      events = [...events, event].slice(-eventsMax);
      // Many come at once when many clients fail; nothing is drawn where nobody looks.
      if (frame === undefined) frame = requestAnimationFrame(show);
    },
  };
}

function card(form: Element, groups: Element, list: Element, nothing: Element): Element {
  const much = h('span', { class: 'muted small push' }, `the last ${eventsMax}`);
  const made = h(
    'div',
    { class: 'card' },
    h('header', {}, h('h2', {}, 'Events'), much),
    h('div', { class: 'inside' }, form),
    h('div', { class: 'inside' }, groups),
    list,
    nothing,
  );
  return h('section', { 'aria-label': 'Events' }, made);
}

function eventRow(first: EventRow): View<EventRow> {
  const times = h('span', { class: 'muted' });
  const where = [
    first.listener,
    first.pool === undefined || first.backend === undefined ? first.pool : `${first.pool}/${first.backend}`,
  ].filter((part) => part !== undefined);
  const message = `${first.message}${first.code === undefined || first.message.includes(first.code) ? '' : ` (${first.code})`}`;
  const element = h(
    'li',
    { class: 'event', 'data-level': first.level },
    h('time', { class: 'muted', datetime: first.at, title: first.at }, clock(first.at)),
    h('span', { class: 'level' }, first.level),
    h(
      'span',
      { class: 'what' },
      message,
      times,
      h('span', { class: 'muted small' }, `  ${[first.event, ...where].join(' · ')}`),
    ),
  );
  return {
    element,
    update: (event) => say(times, (event.times ?? 1) > 1 ? `  × ${count(event.times ?? 1)}` : ''),
  };
}

/** How often each code was told of, the most frequent first. */
function codesOf(events: readonly EventRow[]): (readonly [string, number])[] {
  const sums = new Map<string, number>();
  for (const { code, times = 1 } of events)
    if (code !== undefined) sums.set(code, (sums.get(code) ?? 0) + times);
  return [...sums].sort(([, a], [, b]) => b - a);
}

function codeButton(
  chosen: () => string | undefined,
  choose: (code: string) => void,
): (row: readonly [string, number]) => View<readonly [string, number]> {
  return ([code]) => {
    const element = h('button', { type: 'button' });
    element.addEventListener('click', () => choose(code));
    return {
      element,
      update([, value]) {
        say(element, `${code} ${count(value)}`);
        set(element, { 'aria-pressed': String(chosen() === code) });
      },
    };
  };
}
