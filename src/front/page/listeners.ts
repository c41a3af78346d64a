/** The listeners: where clients come in, how many, and how it ends with them. */
import type { ListenerRow } from '../api/shapes.ts';
import { h, Rows, say, type View } from './dom.ts';
import { type Look, series } from './look.ts';
import { sparkline } from './strips.ts';
import { type Column, cells, heads, table } from './table.ts';
import { bits, count, plural, rate } from './words.ts';

const columns = [
  { id: 'leads', name: 'Leads to' },
  { id: 'flows', name: 'Flows', isNumber: true },
  { id: 'news', name: 'New per s', isNumber: true },
  { id: 'minute', name: 'The last minute' },
  { id: 'traffic', name: 'In / out', isNumber: true },
  { id: 'refused', name: 'Turned away', isNumber: true },
  { id: 'ends', name: 'How flows ended' },
] as const satisfies readonly Column<string>[];

const codesShown = 4;

export function listeners(): View<Look> {
  const body = h('tbody');
  let look: Look;
  const rows = new Rows<ListenerRow>(
    body,
    ({ listener }) => listener,
    (first) => {
      const row = listenerRow(first);
      return { element: row.element, update: (listener) => row.update({ listener, look }) };
    },
  );
  const element = h(
    'section',
    { class: 'card', 'aria-label': 'Listeners' },
    h('header', {}, h('h2', {}, 'Listeners')),
    table('listeners', heads([{ id: 'listener', name: 'Listener' }, ...columns]), body),
  );
  return {
    element,
    update(now) {
      look = now;
      rows.update(now.status.listeners);
    },
  };
}

function listenerRow(first: ListenerRow): View<{ listener: ListenerRow; look: Look }> {
  const address = h('span', { class: 'under address' });
  const cell = cells<(typeof columns)[number]['id']>(columns);
  const spark = sparkline();
  cell.minute.append(spark.element);
  const codes = h('span', { class: 'codes' });
  const into = h('span', { class: 'line small' });
  const out = h('span', { class: 'line small' });
  cell.traffic.append(into, out);
  const refused = h('span');
  const drops = h('span', { class: 'under' });
  cell.refused.append(refused, drops);
  cell.ends.append(codes);
  cell.ends.classList.add('full');
  const element = h(
    'tr',
    {},
    h('th', { scope: 'row', class: 'full' }, first.listener, address),
    ...Object.values(cell),
  );
  return {
    element,
    update({ listener, look }) {
      const { last10s } = listener.rates;
      say(address, listener.address);
      say(cell.leads, listener.pools.join(', '));
      say(
        cell.flows,
        listener.flowsMax === null
          ? count(listener.flows)
          : `${count(listener.flows)} of ${count(listener.flowsMax)}`,
      );
      say(cell.news, rate(last10s.newFlowsPerS));
      say(into, `in ${bits(last10s.bytesInPerS)}`);
      say(out, `out ${bits(last10s.bytesOutPerS)}`);
      say(refused, count(listener.refused));
      say(drops, dropsOf(listener));
      say(codes, codesOf(listener));
      spark.update({
        samples: look.history.of(series.newFlowsOf(listener.listener)),
        label: `New flows of the last minute; now ${rate(listener.rates.last1s.newFlowsPerS)} per second`,
      });
    },
  };
}

function dropsOf({ dropped }: ListenerRow): string {
  const drops = Object.values(dropped).reduce((sum, value) => sum + value, 0);
  return drops === 0 ? '' : `${plural(drops, 'datagram')} dropped`;
}

function codesOf({ ended }: ListenerRow): string {
  const codes = Object.entries(ended).sort(([, a], [, b]) => b - a);
  const more = codes.length > codesShown ? ` · ${codes.length - codesShown} more` : '';
  const shown = codes.slice(0, codesShown).map(([code, value]) => `${code} ${count(value)}`);
  return shown.length === 0 ? 'none yet' : shown.join(' · ') + more;
}
