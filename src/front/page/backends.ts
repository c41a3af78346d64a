/** A pool and its backends: the state each is in, why and since when, what it carries and what it should. */
import type { BackendRow, PoolRow } from '../api/shapes.ts';
import { button, h, Rows, s, say, set, type View } from './dom.ts';
import type { Look } from './look.ts';
import { flapStrip, shareBar, shareWords } from './strips.ts';
import { actionsHead, type Column, cells, heads, table } from './table.ts';
import { ago, bits, count, duration, plural, rate } from './words.ts';

/** Somebody wants to do something with a backend. */
export type BackendAsked = (backend: BackendRow) => void;

interface PoolLook {
  readonly pool: PoolRow;
  readonly look: Look;
}

const columns = [
  { id: 'flows', name: 'Flows', isNumber: true },
  { id: 'news', name: 'New per s', isNumber: true },
  { id: 'traffic', name: 'In / out', isNumber: true },
  { id: 'share', name: 'Share' },
  { id: 'pins', name: 'Pins', isNumber: true },
  { id: 'check', name: 'Last check' },
  { id: 'hour', name: 'Last hour' },
] as const satisfies readonly Column<string>[];
const named = [
  { id: 'backend', name: 'Backend' },
  { id: 'state', name: 'State' },
] as const;

export const stateWords: Readonly<Record<BackendRow['state'], string>> = {
  up: 'up',
  'coming-up': 'coming up',
  draining: 'draining',
  drained: 'drained',
  maintenance: 'maintenance',
  down: 'down',
};

export function poolCard(name: string, ask: BackendAsked): View<PoolLook> {
  const about = h('span', { class: 'muted small' });
  const sums = h('span', { class: 'muted small push' });
  const body = h('tbody');
  let look: Look;
  const rows = new Rows<BackendRow>(
    body,
    ({ backend }) => backend,
    (first) => {
      const row = backendRow(first, ask);
      return { element: row.element, update: (backend) => row.update({ backend, look }) };
    },
  );
  const element = h(
    'section',
    { class: 'card', 'aria-label': `Pool ${name}` },
    h('header', {}, h('h2', {}, name), about, sums),
    table('backends', [...heads([...named, ...columns]), actionsHead()], body),
  );
  return {
    element,
    update(now) {
      look = now.look;
      const { pool } = now;
      const up = pool.backends.filter(({ state }) => state === 'up' || state === 'coming-up').length;
      const panic = pool.isInPanic ? ' · so few are up that all are tried' : '';
      say(about, `${up} of ${pool.backends.length} up · ${pool.policy}${panic}`);
      const pins = pool.pins === null ? '' : ` · ${plural(pool.pins, 'pin')}`;
      say(sums, `${plural(pool.flows, 'flow')} · ${rate(pool.rates.last10s.newFlowsPerS)} new per s${pins}`);
      rows.update(pool.backends);
    },
  };
}

function backendRow(first: BackendRow, ask: BackendAsked): View<{ backend: BackendRow; look: Look }> {
  let latest = first;
  const address = h('span', { class: 'under address' });
  const more = h('span', { class: 'under address' });
  const chip = h('span', { class: 'chip' });
  const since = h('span', { class: 'muted small' });
  const cause = h('span', { class: 'cause' });
  const cell = cells<(typeof columns)[number]['id']>(columns);
  const bar = shareBar();
  const strip = flapStrip();
  const shareText = h('span', { class: 'line small' });
  const into = h('span', { class: 'line small' });
  const out = h('span', { class: 'line small' });
  cell.share.append(shareText, bar.element);
  cell.traffic.append(into, out);
  cell.hour.append(strip.element);
  const open = button('', () => ask(latest), {
    class: 'quiet',
    'aria-haspopup': 'dialog',
    'aria-label': `What to do with ${first.backend}`,
  });
  open.append(dots());
  const element = h(
    'tr',
    {},
    h('th', { scope: 'row', class: 'full' }, first.backend, address, more),
    h('td', { class: 'full' }, chip, ' ', since, cause),
    ...Object.values(cell),
    h('td', { class: 'does' }, open),
  );
  const checked = checkCell(cell.check);
  return {
    element,
    update({ backend, look }) {
      latest = backend;
      set(element, { 'data-state': backend.state });
      set(chip, { 'data-state': backend.state });
      say(chip, stateWords[backend.state]);
      say(since, duration(backend.sinceMs));
      say(cause, causeOf(backend));
      say(address, backend.address);
      say(more, moreOf(backend));
      say(cell.flows, flowsOf(backend));
      say(cell.news, rate(backend.rates.last10s.newFlowsPerS));
      say(into, `in ${bits(backend.rates.last10s.bytesInPerS)}`);
      say(out, `out ${bits(backend.rates.last10s.bytesOutPerS)}`);
      say(shareText, shareWords(backend));
      bar.update(backend);
      set(bar.element, { hidden: shareText.textContent === '–' });
      say(cell.pins, backend.pins === null ? '–' : count(backend.pins));
      checked(backend);
      strip.update({ backend, nowMs: Date.parse(look.status.at) });
      open.hidden = !look.canAct;
    },
  };
}

function dots(): Element {
  const circles = [3, 8, 13].map((cx) => s('circle', { cx, cy: 8, r: 1.6 }));
  return s('svg', { class: 'dots', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, ...circles);
}

function checkCell(cell: Element): (backend: BackendRow) => void {
  const outcome = h('span', { class: 'line small' });
  const when = h('span', { class: 'under' });
  cell.append(outcome, when);
  return ({ check, failedDials }) => {
    outcome.classList.toggle('bad', check?.ok === false);
    const dials = failedDials === 0 ? '' : `${plural(failedDials, 'dial')} failed`;
    if (check === null) {
      say(outcome, 'none');
      say(when, dials);
      return;
    }
    say(outcome, check.ok ? `good in ${duration(check.tookMs)}` : `failed ${count(check.inARow)}×`);
    say(when, [ago(check.agoMs), dials].filter((text) => text !== '').join(' · '));
  };
}

/** Also what explains a row that is up: it is spare, it is still warming, an operator has given it a weight. */
function causeOf({ cause, tier, isBackup, slowStart, operator, weight }: BackendRow): string {
  const notes = [cause];
  if (isBackup) notes.push('backup');
  else if (tier > 1) notes.push(`tier ${tier}`);
  if (slowStart !== null) notes.push(`warming up: ${Math.round(slowStart * 100)} % of its share`);
  if (typeof operator?.weight === 'number')
    notes.push(`weight ${operator.weight} by an operator, ${weight.configured} in the file`);
  return notes.filter((note) => note !== '').join(' · ');
}

/** Where its name leads, and a weight that is not the ordinary one. */
function moreOf({ address, at, weight }: BackendRow): string {
  const notes: string[] = [];
  if (at === null) notes.push('its name does not resolve');
  else if (at !== address) notes.push(at);
  if (weight.configured !== 1 || weight.live !== 1) notes.push(`weight ${+weight.live.toFixed(2)}`);
  return notes.join(' · ');
}

function flowsOf({ flows, flowsMax }: BackendRow): string {
  return flowsMax === null ? count(flows) : `${count(flows)} of ${count(flowsMax)}`;
}
