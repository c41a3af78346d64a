/** Small drawings that stand in a line of a table: a curve, a part against what is expected, ups and downs over time. */
import type { BackendRow } from '../api/shapes.ts';
import { s, set, type View } from './dom.ts';
import { ago, duration, percent, plural } from './words.ts';

const sparkWidth = 120;
const sparkHeight = 28;
const sparkSamples = 60;

/** The last minute of a number. */
export function sparkline(): View<{ readonly samples: readonly number[]; readonly label: string }> {
  const area = s('path', { class: 'area' });
  const stroke = s('path', { class: 'stroke' });
  const element = s(
    'svg',
    {
      class: 'spark',
      role: 'img',
      viewBox: `0 0 ${sparkWidth} ${sparkHeight}`,
      preserveAspectRatio: 'none',
    },
    area,
    stroke,
  );
  return {
    element,
    update({ samples, label }) {
      const last = samples.slice(-sparkSamples);
      const top = Math.max(1, ...last);
      const step = sparkWidth / (sparkSamples - 1);
      const left = sparkWidth - (last.length - 1) * step;
      const points = last.map((value, i) => {
        const y = sparkHeight - 1 - (value / top) * (sparkHeight - 3);
        return `${(left + i * step).toFixed(1)},${y.toFixed(1)}`;
      });
      const line = points.length < 2 ? '' : `M${points.join('L')}`;
      set(stroke, { d: line });
      set(area, { d: line === '' ? '' : `${line}V${sparkHeight}H${left.toFixed(1)}Z` });
      set(element, { 'aria-label': label });
    },
  };
}

/** A bar of the share there is, with a mark where it is expected to end. */
export function shareBar(): View<Pick<BackendRow, 'share' | 'expectedShare'>> {
  const part = s('rect', { class: 'part', y: 2, height: 4, rx: 2 });
  const expected = s('rect', { class: 'expected', width: 2, height: 8, rx: 1 });
  const element = s(
    'svg',
    { class: 'share', viewBox: '0 0 84 8', 'aria-hidden': 'true' },
    s('rect', { class: 'track', y: 2, width: 84, height: 4, rx: 2 }),
    part,
    expected,
  );
  return {
    element,
    update({ share, expectedShare }) {
      set(part, { width: (share ?? 0) * 84 });
      set(expected, { x: Math.min(82, expectedShare * 84) });
    },
  };
}

export function shareWords({ share, expectedShare }: Pick<BackendRow, 'share' | 'expectedShare'>): string {
  if (expectedShare === 0 && (share ?? 0) === 0) return '–';
  return share === null ? `– of ${percent(expectedShare)}` : `${percent(share)} of ${percent(expectedShare)}`;
}

const stripWidth = 108;
const stripHeight = 16;
const stripMs = 3_600_000;

interface Span {
  readonly state: string;
  /** Milliseconds before now. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** The states of the last hour, the oldest first; what was before the first change that is known has no state. Pure. */
function spansOf({ flaps, state }: Pick<BackendRow, 'flaps' | 'state'>, nowMs: number): Span[] {
  const changes = flaps.map(({ at, up }) => ({ agoMs: Math.max(0, nowMs - Date.parse(at)), up }));
  const first = changes[0];
  if (first === undefined) return [{ state, fromMs: stripMs, toMs: 0 }];
  const before: Span = { state: first.up ? 'down' : 'up', fromMs: stripMs, toMs: first.agoMs };
  const spans = changes.map(({ agoMs, up }, i): Span => {
    const isLast = i === changes.length - 1;
    const was = up ? 'up' : 'down';
    return { state: isLast ? state : was, fromMs: agoMs, toMs: changes[i + 1]?.agoMs ?? 0 };
  });
  return [before, ...spans]
    .filter(({ toMs }) => toMs < stripMs)
    .map((span) => ({ ...span, fromMs: Math.min(span.fromMs, stripMs) }));
}

/** Ups and downs of the last hour; a short one is still a line to be seen. */
export function flapStrip(): View<{ readonly backend: BackendRow; readonly nowMs: number }> {
  const element = s('svg', {
    class: 'strip',
    role: 'img',
    viewBox: `0 0 ${stripWidth} ${stripHeight}`,
    preserveAspectRatio: 'none',
  });
  let drawn = '';
  return {
    element,
    update({ backend, nowMs }) {
      const xOf = (agoMs: number): number => Math.round((1 - agoMs / stripMs) * stripWidth * 2) / 2;
      const rects = spansOf(backend, nowMs).map(({ state, fromMs, toMs }) => {
        const x = Math.min(xOf(fromMs), stripWidth - 2);
        return { state, x, width: Math.max(2, xOf(toMs) - x) };
      });
      const now = JSON.stringify(rects);
      set(element, { 'aria-label': stripWords(backend, nowMs) });
      if (now === drawn) return;
      drawn = now;
      element.replaceChildren(
        ...rects.map(({ state, x, width }) =>
          s('rect', { x, y: 0, width, height: stripHeight, rx: 2, 'data-state': state }),
        ),
      );
    },
  };
}

function stripWords({ flaps, flapCount, sinceMs, state }: BackendRow, nowMs: number): string {
  const last = flaps.findLast(({ up }) => !up);
  if (last === undefined) return `${state} for ${duration(sinceMs)}, never down since the start`;
  return `down ${plural(flapCount, 'time')}, last ${ago(nowMs - Date.parse(last.at))}`;
}
