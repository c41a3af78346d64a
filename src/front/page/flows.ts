/** The open flows: found by where they are and whose they are, sorted by what is looked for; one of them can be ended. */
import type { FlowRow, FlowsPage } from '../api/shapes.ts';
import { ask, query, words } from './api.ts';
import { askFirst, latest, type Tell } from './dialog.ts';
import { button, h, Rows, say, set, type View } from './dom.ts';
import type { Look } from './look.ts';
import { actionsHead, type Column, cells, table } from './table.ts';
import { bytes, count, duration, plural } from './words.ts';

export interface FlowsOptions {
  readonly tell: Tell;
  readonly explain: (listener: string, client: string) => void;
}

export interface FlowsView extends View<Look> {
  /** Somebody looks at it now, or not any more. */
  look(isSeen: boolean): void;
}

const limit = 200;
const refreshMs = 3_000;

const columns = [
  { id: 'listener', name: 'Listener' },
  { id: 'backend', name: 'Backend' },
  { id: 'why', name: 'Why' },
  { id: 'age', name: 'Age', isNumber: true },
  { id: 'bytes_in', name: 'From client', isNumber: true },
  { id: 'bytes_out', name: 'To client', isNumber: true },
] as const satisfies readonly Column<string>[];

/** A bounded list is asked for: by these it is the right end of it. */
const asked: Readonly<Record<string, string>> = { client: 'client', bytes_in: 'bytes', bytes_out: 'bytes' };

/** How each column is ordered. */
const order: Readonly<Record<string, (a: FlowRow, b: FlowRow) => number>> = {
  client: (a, b) => a.client.localeCompare(b.client, 'en', { numeric: true }),
  listener: (a, b) => a.listener.localeCompare(b.listener),
  backend: (a, b) => `${a.pool}/${a.backend}`.localeCompare(`${b.pool}/${b.backend}`),
  age: (a, b) => a.ageMs - b.ageMs,
  bytes_in: (a, b) => a.bytesIn - b.bytesIn,
  bytes_out: (a, b) => a.bytesOut - b.bytesOut,
};

export function flowsView({ tell, explain }: FlowsOptions): FlowsView {
  const body = h('tbody');
  const about = h('span', { class: 'muted small push', role: 'status' });
  const nothing = h('p', { class: 'nothing' });
  const filter = filterForm();
  const sort = sortHeads(() => {
    show();
    refresh();
  });
  let page: FlowsPage = { flows: [], matching: 0, isPartial: false };
  let canAct = false;
  const rows = new Rows<FlowRow>(
    body,
    ({ id, client }) => `${id} ${client}`,
    (first) => flowRow(first, { explain, end: (flow) => endFlow(flow, tell, refresh), canAct: () => canAct }),
  );
  const show = (): void => {
    rows.update([...page.flows].sort(sort.compare));
    const partial = page.isPartial ? ', among those that were looked at' : '';
    const cut = page.matching > page.flows.length ? `${count(page.flows.length)} of ` : '';
    say(about, `${cut}${plural(page.matching, 'flow')}${partial}`);
    say(nothing, page.flows.length === 0 ? 'No open flow is like that.' : '');
    nothing.hidden = page.flows.length > 0;
  };
  const refresh = latest(
    () => ask<FlowsPage>(`v1/flows${query({ ...filter.values(), limit, sort: sort.key() })}`),
    (answer) => {
      page = answer;
      show();
    },
    (error) => say(about, words(error)),
  );
  filter.onChange(refresh);
  let timer: number | undefined;
  return {
    element: h(
      'section',
      { 'aria-label': 'Flows' },
      h(
        'div',
        { class: 'card' },
        h('header', {}, h('h2', {}, 'Open flows'), about),
        h('div', { class: 'inside' }, filter.element),
        table('flows', [...sort.heads, actionsHead()], body),
        nothing,
      ),
    ),
    update(look) {
      canAct = look.canAct;
      filter.offer(look);
    },
    look(isSeen) {
      clearInterval(timer);
      if (!isSeen) return;
      refresh();
      timer = setInterval(refresh, refreshMs);
    },
  };
}

interface FlowDoings {
  readonly explain: FlowsOptions['explain'];
  readonly end: (flow: FlowRow) => void;
  readonly canAct: () => boolean;
}

function flowRow(first: FlowRow, { explain, end, canAct }: FlowDoings): View<FlowRow> {
  let latestFlow = first;
  const cell = cells<(typeof columns)[number]['id']>(columns);
  const ends = button('End', () => end(latestFlow), {
    class: 'quiet',
    'aria-label': `End the flow of ${first.client}`,
  });
  const why = button('Why there?', () => explain(latestFlow.listener, hostOf(latestFlow.client)), {
    class: 'quiet',
    'aria-label': `Why there? ${first.client}`,
  });
  const element = h(
    'tr',
    {},
    h('th', { scope: 'row', class: 'address full' }, first.client),
    ...Object.values(cell),
    h('td', { class: 'number full' }, why, ends),
  );
  return {
    element,
    update(flow) {
      latestFlow = flow;
      say(cell.listener, `${flow.listener} (${flow.protocol})`);
      say(cell.backend, flow.backend === null ? 'none yet' : `${flow.pool}/${flow.backend}`);
      say(cell.why, flow.why ?? '–');
      say(cell.age, duration(flow.ageMs));
      say(cell.bytes_in, bytes(flow.bytesIn));
      say(cell.bytes_out, bytes(flow.bytesOut));
      ends.hidden = !canAct();
    },
  };
}

/** An address without its port: `203.0.113.7:4711`, `[2001:db8::1]:53`. */
function hostOf(client: string): string {
  return /^\[(.+)\]:\d+$/.exec(client)?.[1] ?? client.replace(/:\d+$/, '');
}

function endFlow(flow: FlowRow, tell: Tell, refresh: () => void): void {
  askFirst(
    {
      title: `End the flow of ${flow.client}?`,
      verb: 'End it',
      isGrave: true,
      preview: async () => ({
        text:
          flow.protocol === 'tcp'
            ? `The connection to ${flow.backend ?? 'its backend'} is broken off for both sides at once. The pin of the client stays.`
            : 'The conversation is forgotten; its next datagram begins a new one. The pin of the client stays.',
      }),
      act: async () => {
        await ask(`v1/flows${query({ listener: flow.listener, client: flow.client })}`, 'DELETE');
        return `The flow of ${flow.client} has ended`;
      },
    },
    (text) => {
      tell(text);
      refresh();
    },
  );
}

function filterForm(): {
  readonly element: Element;
  values(): Record<string, string>;
  offer(look: Look): void;
  onChange(changed: () => void): void;
} {
  const selects = ['listener', 'pool', 'backend'].map((name) => ({
    name,
    select: h('select', { name }, h('option', { value: '' }, 'all')),
    known: '',
  }));
  const client = h('input', {
    name: 'client',
    type: 'search',
    placeholder: '203.0.113.7 or 203.0.113.0/24',
    spellcheck: 'false',
    autocomplete: 'off',
  });
  const element = h(
    'form',
    { class: 'line', role: 'search' },
    ...selects.map(({ name, select }) =>
      h(
        'label',
        {},
        name.replace(/^./, (letter) => letter.toUpperCase()),
        select,
      ),
    ),
    h('label', {}, 'Client', client),
  );
  element.addEventListener('submit', (event) => event.preventDefault());
  return {
    element,
    values: () => ({
      ...Object.fromEntries(selects.map(({ name, select }) => [name, select.value])),
      client: client.value.trim(),
    }),
    offer({ status: { listeners, pools } }) {
      const names: Readonly<Record<string, readonly string[]>> = {
        listener: listeners.map(({ listener }) => listener),
        pool: pools.map(({ pool }) => pool),
        backend: pools.flatMap(({ backends }) => backends.map(({ backend }) => backend)),
      };
      for (const row of selects) {
        const options = [...new Set(names[row.name])].sort();
        const known = options.join('\n');
        if (known === row.known) continue;
        row.known = known;
        const { value } = row.select;
        const made = options.map((name) => h('option', { value: name }, name));
        row.select.replaceChildren(h('option', { value: '' }, 'all'), ...made);
        row.select.value = options.includes(value) ? value : '';
      }
    },
    onChange(changed) {
      let timer: number | undefined;
      element.addEventListener('input', () => {
        clearTimeout(timer);
        timer = setTimeout(changed, 250);
      });
    },
  };
}

function sortHeads(changed: () => void): {
  readonly heads: readonly HTMLElement[];
  key(): string;
  compare(a: FlowRow, b: FlowRow): number;
} {
  let by = 'age';
  let isDown = true;
  const heads = [{ id: 'client', name: 'Client' }, ...columns].map((column) => {
    const isNumber = 'isNumber' in column;
    const name = isNumber ? 'number' : undefined;
    if (order[column.id] === undefined) return h('th', { scope: 'col', class: name }, column.name);
    const press = button(column.name, () => {
      isDown = by === column.id ? !isDown : isNumber;
      by = column.id;
      mark();
      changed();
    });
    press.className = 'sort';
    return h('th', { scope: 'col', class: name, 'data-sort': column.id }, press);
  });
  const mark = (): void => {
    for (const head of heads) {
      const is = head.dataset.sort === by;
      set(head, { 'aria-sort': is ? (isDown ? 'descending' : 'ascending') : undefined });
    }
  };
  mark();
  return {
    heads,
    key: () => (by === 'age' ? (isDown ? 'oldest' : 'newest') : (asked[by] ?? 'newest')),
    compare: (a, b) => (order[by]?.(a, b) ?? 0) * (isDown ? -1 : 1),
  };
}
