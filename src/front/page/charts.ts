/** The last five minutes of the whole instance, drawn by uPlot. */
import { h, say, set, type View } from './dom.ts';
import { type Look, series } from './look.ts';
import uPlot from './uplot.js';
import { bits, rate } from './words.ts';

interface Curve {
  readonly series: string;
  readonly name: string;
  /** A variable of the style sheet. */
  readonly colour: string;
}

interface ChartOptions {
  readonly title: string;
  readonly curves: readonly Curve[];
  readonly print: (value: number) => string;
  /** Of the numbers at its side, in pixels. */
  readonly sidePx: number;
}

const heightPx = 170;
/** So much is shown; less at first, where there is no more. */
const spanS = { least: 60, most: 300 } as const;

export function charts(): View<Look> {
  const views = [
    chart({
      title: 'New flows per second',
      curves: [{ series: series.newFlows, name: 'new flows', colour: '--series-1' }],
      print: rate,
      sidePx: 52,
    }),
    chart({
      title: 'Traffic',
      curves: [
        { series: series.bytesIn, name: 'from clients', colour: '--series-1' },
        { series: series.bytesOut, name: 'to clients', colour: '--series-2' },
      ],
      print: bits,
      sidePx: 80,
    }),
  ];
  return {
    element: h('div', { class: 'charts' }, ...views.map(({ element }) => element)),
    update: (look) => {
      for (const view of views) view.update(look);
    },
  };
}

function chart(shown: ChartOptions): View<Look> {
  const { title, curves, print } = shown;
  const keys = curves.map((_, i) => h('span', { class: i === 0 ? 'key' : 'key second' }));
  const place = h('div', { class: 'chart', role: 'img' });
  const element = h(
    'section',
    { class: 'card' },
    h('header', {}, h('h2', {}, title), ...(curves.length > 1 ? keys : [])),
    place,
  );
  let plot: uPlot | undefined;
  let data: uPlot.AlignedData = [[], ...curves.map(() => [])];
  const draw = (): void => {
    plot?.destroy();
    plot = place.clientWidth === 0 ? undefined : new uPlot(options(place, shown), data, place);
  };
  new ResizeObserver(() => {
    if (plot === undefined) draw();
    else if (place.clientWidth > 0) plot.setSize({ width: widthOf(place), height: heightPx });
  }).observe(place);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  return {
    element,
    update({ history }) {
      data = [[...history.of(series.atS)], ...curves.map((curve) => [...history.of(curve.series)])];
      plot?.setData(data);
      const now = curves.map((curve) => `${curve.name} ${print(history.of(curve.series).at(-1) ?? 0)}`);
      for (const [i, key] of keys.entries()) say(key, now[i]!);
      set(place, { 'aria-label': `${title}, the last five minutes. Now: ${now.join(', ')}` });
    },
  };
}

/** Its padding is not the plot's. */
function widthOf(place: HTMLElement): number {
  return Math.max(100, place.clientWidth - 12);
}

function options(place: HTMLElement, { curves, print, sidePx }: ChartOptions): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = {
    stroke: colour('--muted'),
    font,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  const span = ({ data: [times] }: uPlot): [number, number] => {
    const last = times.at(-1) ?? Date.now() / 1_000;
    const known = last - (times[0] ?? last);
    return [last - Math.min(spanS.most, Math.max(spanS.least, known)), last];
  };
  return {
    width: widthOf(place),
    height: heightPx,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: span },
      y: { range: (_self, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      { ...axis, size: 28, space: 70, values: (_self, times) => times.map(timeOfDay) },
      { ...axis, size: sidePx, space: 34, values: (_self, values) => values.map(print) },
    ],
    series: [
      {},
      ...curves.map((curve) => ({
        label: curve.name,
        stroke: colour(curve.colour),
        width: 1.75,
        fill: `color-mix(in srgb, ${colour(curve.colour)} 10%, transparent)`,
        points: { show: false },
      })),
    ],
  };
}

function timeOfDay(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    ...(seconds % 60 === 0 ? {} : { second: '2-digit' }),
  });
}
