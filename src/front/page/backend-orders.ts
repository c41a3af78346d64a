/** What an operator may do with a backend: the choice, then what it would do, then the order. */
import type { BackendRow, Preview } from '../api/shapes.ts';
import { ask, query } from './api.ts';
import { stateWords } from './backends.ts';
import { askFirst, checkbox, openDialog, type PreviewText, type Tell } from './dialog.ts';
import { h } from './dom.ts';
import { duration, percent, plural } from './words.ts';

interface Order {
  readonly word: 'drain' | 'maintenance' | 'undrain' | 'weight';
  readonly verb: string;
  readonly does: string;
  readonly isGrave?: boolean;
}

const orders: Readonly<Record<Order['word'], Order>> = {
  drain: {
    word: 'drain',
    verb: 'Drain',
    does: 'No new clients. Open flows and pinned clients stay, and it runs empty.',
  },
  maintenance: {
    word: 'maintenance',
    verb: 'Maintenance',
    does: 'Take it out: it counts as down until you put it back.',
    isGrave: true,
  },
  undrain: {
    word: 'undrain',
    verb: 'Put back',
    does: 'The end of a drain or of a maintenance: it takes new clients again.',
  },
  weight: {
    word: 'weight',
    verb: 'Weight',
    does: 'Another part of the new clients than the file gives it.',
  },
};

export function chooseOrder(backend: BackendRow, isClustered: boolean, tell: Tell): void {
  const state = backend.operator?.state ?? 'ready';
  const offered = [
    ...(state === 'drain' ? [] : [orders.drain]),
    ...(state === 'maintenance' ? [] : [orders.maintenance]),
    ...(state === 'ready' ? [] : [orders.undrain]),
    orders.weight,
  ];
  const choices = offered.map((order) => {
    const made = h('button', { type: 'button' }, order.verb, h('span', { class: 'under' }, order.does));
    made.addEventListener('click', () => {
      dialog.close();
      giveOrder(backend, order, isClustered, tell);
    });
    return made;
  });
  const now = `${stateWords[backend.state]} for ${duration(backend.sinceMs)}`;
  const why = backend.cause === '' ? '' : `: ${backend.cause}`;
  const close = h('button', { type: 'submit' }, 'Close');
  const dialog = openDialog(
    `${backend.pool}/${backend.backend}`,
    h('p', { class: 'muted' }, now + why),
    h('div', { class: 'choices' }, ...choices),
    h('div', { class: 'ends' }, close),
  );
}

function giveOrder(backend: BackendRow, order: Order, isClustered: boolean, tell: Tell): void {
  const name = `${backend.pool}/${backend.backend}`;
  const path = ['v1/backends', backend.pool, backend.backend, order.word].map((part, i) =>
    i === 0 ? part : encodeURIComponent(part),
  );
  const moves = checkbox('Pinned clients go elsewhere with their next connection');
  const everywhere = checkbox('On all instances of the cluster');
  const force = checkbox('Although nobody else of its pool takes new clients then');
  const weight = h('input', {
    type: 'number',
    min: 0,
    max: 256,
    value: backend.operator?.weight ?? backend.weight.configured,
  });
  const hint = `Weight (the file says ${backend.weight.configured}; empty: as in the file)`;
  const choices = [
    ...(order.word === 'weight' ? [h('label', {}, hint, weight)] : []),
    ...(order.word === 'drain' ? [moves.element] : []),
    ...(isClustered ? [everywhere.element] : []),
    ...(order.word === 'undrain' ? [] : [force.element]),
  ];
  const target = (isDry: boolean): string =>
    path.join('/') +
    query({
      dry_run: isDry,
      pinned: order.word === 'drain' && moves.input.checked ? 'move' : undefined,
      to: order.word === 'weight' ? weight.value || 'configured' : undefined,
      everywhere: everywhere.input.checked,
      force: force.input.checked,
    });
  askFirst(
    {
      title: `${order.verb}: ${name}`,
      verb: order.word === 'weight' ? 'Set weight' : order.verb,
      isGrave: order.isGrave === true,
      choices,
      preview: async () => previewOf(await ask<Preview>(target(true), 'POST')),
      act: async () => {
        await ask(target(false), 'POST');
        return `Done: ${order.verb.toLowerCase()} ${name}`;
      },
    },
    tell,
  );
}

function previewOf({ refused, text, pins, flows, flowsEnd, newClients }: Preview): PreviewText {
  if (refused !== null) return { text: refused, isRefused: true };
  if (text !== '') return { text };
  const stay = flows - flowsEnd;
  const kept = [pins === null ? undefined : plural(pins, 'pin'), plural(stay, 'flow')].filter(Boolean);
  const ends = flowsEnd === 0 ? '' : ` ${plural(flowsEnd, 'flow')} end.`;
  const next = newClients
    .filter(({ after }) => after > 0)
    .map(({ backend, after }) => `${backend} ${percent(after)}`);
  return { text: `${kept.join(' and ')} stay.${ends} New clients go to ${next.join(', ') || 'nobody'}.` };
}
