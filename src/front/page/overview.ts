/** The first view: what there is in numbers, how they went, pools and listeners. */
import { type BackendAsked, poolCard } from './backends.ts';
import { charts } from './charts.ts';
import { h, Rows, say, type View } from './dom.ts';
import { listeners } from './listeners.ts';
import type { Look } from './look.ts';
import { bits, count, percent, rate } from './words.ts';

export function overview(ask: BackendAsked): View<Look> {
  const pools = h('div', { class: 'pools' });
  let look: Look;
  const rows = new Rows<Look['status']['pools'][number]>(
    pools,
    ({ pool }) => pool,
    (first) => {
      const card = poolCard(first.pool, ask);
      return { element: card.element, update: (pool) => card.update({ pool, look }) };
    },
  );
  const views = [figures(), charts()];
  const table = listeners();
  return {
    element: h(
      'section',
      { 'aria-label': 'Overview' },
      ...views.map(({ element }) => element),
      pools,
      table.element,
    ),
    update(now) {
      look = now;
      for (const view of views) view.update(now);
      rows.update(now.status.pools);
      table.update(now);
    },
  };
}

interface Figure {
  readonly value: string;
  readonly of: string;
}

const figureRows: readonly { readonly name: string; readonly read: (look: Look) => Figure }[] = [
  {
    name: 'Open flows',
    read: ({ status: { totals } }) => ({
      value: count(totals.flows),
      of: `${percent(part(totals.flows, totals.flowsMax))} of ${count(totals.flowsMax)}`,
    }),
  },
  {
    name: 'New flows per second',
    read: ({ status: { totals } }) => ({
      value: rate(totals.rates.last10s.newFlowsPerS),
      of:
        totals.rates.last10s.refusedPerS > 0
          ? `${rate(totals.rates.last10s.refusedPerS)} turned away`
          : 'nobody turned away',
    }),
  },
  {
    name: 'From clients',
    read: ({ status: { totals } }) => ({ value: bits(totals.rates.last10s.bytesInPerS), of: 'last 10 s' }),
  },
  {
    name: 'To clients',
    read: ({ status: { totals } }) => ({ value: bits(totals.rates.last10s.bytesOutPerS), of: 'last 10 s' }),
  },
  {
    name: 'Pins',
    read: ({ status: { totals } }) => ({
      value: count(totals.pins),
      of: `${percent(part(totals.pins, totals.pinsMax))} of ${count(totals.pinsMax)}`,
    }),
  },
  {
    name: 'Backends up',
    read: ({ status: { pools } }) => {
      const all = pools.flatMap(({ backends }) => backends);
      const up = all.filter(({ state }) => state === 'up' || state === 'coming-up');
      const others = all.length - up.length;
      return {
        value: `${count(up.length)} of ${count(all.length)}`,
        of: others === 0 ? 'all of them' : `${count(others)} not taking new clients`,
      };
    },
  },
];

function part(value: number, most: number): number {
  return most === 0 ? 0 : value / most;
}

function figures(): View<Look> {
  const views = figureRows.map(({ name, read }) => {
    const value = h('dd', { class: 'value' });
    const of = h('dd', { class: 'of' });
    return { element: h('div', { class: 'figure' }, h('dt', {}, name), value, of), value, of, read };
  });
  return {
    element: h('dl', { class: 'card figures' }, ...views.map(({ element }) => element)),
    update(look) {
      for (const view of views) {
        const figure = view.read(look);
        say(view.value, figure.value);
        say(view.of, figure.of);
      }
    },
  };
}
