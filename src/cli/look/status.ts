/** `pinion status`: what a running instance is doing, on one screen. */
import type { BackendRow, Banner, ClusterRow, StatusPage } from '../../front/api/shapes.ts';
import type { LookOptions } from '../commands/options.ts';
import { age, bytes, count, rate } from '../screen/amounts.ts';
import { cutLine, type Line, printable, type Span, type Style, span } from '../screen/line.ts';
import { tableOf } from '../screen/table.ts';
import { look } from './look.ts';
import { backendFields, listenerFields, type RateWindow, urgency } from './rows.ts';

/** More backends than fit a screen: those that are up are only counted. */
const backendsMax = 40;

export async function status(options: LookOptions): Promise<void> {
  await look<StatusPage>(options, { path: '/v1/status', jsonPath: '/status', draw: statusLines });
}

export function statusLines(page: StatusPage, width: number): Line[] {
  const { banners, listeners, pools } = page;
  const backends = pools.flatMap((pool) => pool.backends);
  const shown = backends.length <= backendsMax ? backends : mostUrgent(backends);
  const left = backends.length - shown.length;
  const more = `and ${count(left)} more backends: pinion backends`;
  return [
    ...headerLines(page, 'last10s'),
    ...banners.map(bannerLine),
    [],
    ...tableOf(listenerFields('last10s'), listeners, width),
    [],
    ...tableOf(backendFields('last10s'), shown, width),
    ...(left === 0 ? [] : [[span(more, 'dim')]]),
  ].map((line) => (width === Number.POSITIVE_INFINITY ? line : cutLine(line, width)));
}

function mostUrgent(backends: readonly BackendRow[]): BackendRow[] {
  return [...backends].sort((a, b) => urgency(a.state) - urgency(b.state)).slice(0, backendsMax);
}

const stateStyles: Readonly<Record<StatusPage['instance']['state'], Style>> = {
  ready: 'good',
  starting: 'warning',
  draining: 'warning',
};

/** Enough to tell two configurations apart by eye; --json has all of it. */
const digestCharacters = 12;

/** Who it is and how much there is to do. */
export function headerLines({ instance, totals, cluster }: StatusPage, window: RateWindow): Line[] {
  const { newFlowsPerS, bytesInPerS, bytesOutPerS, refusedPerS } = totals.rates[window];
  const refused: Span[] = refusedPerS > 0 ? [span(`   refused ${rate(refusedPerS)}/s`, 'warning')] : [];
  return [
    [
      span(`pinion ${instance.version}`, 'strong'),
      span(`  ${instance.name}  `),
      span(instance.state.toUpperCase(), stateStyles[instance.state]),
      span(`  up ${age(instance.uptimeMs)}`),
      span(`  (pid ${instance.pid}, engine ${instance.engine}, workers ${instance.workers})`, 'dim'),
    ],
    labelled('config', [
      span(instance.config),
      span(`  digest ${instance.digest.slice(0, digestCharacters)}`, 'dim'),
    ]),
    labelled('flows', [
      span(`${count(totals.flows)} of ${count(totals.flowsMax)}`),
      span(`   new ${rate(newFlowsPerS)}/s   in ${bytes(bytesInPerS)}/s   out ${bytes(bytesOutPerS)}/s`),
      ...refused,
    ]),
    labelled('pins', [span(`${count(totals.pins)} of ${count(totals.pinsMax)}`)]),
    ...(cluster === null ? [] : [labelled('cluster', clusterSpans(cluster))]),
  ];
}

function labelled(label: string, spans: readonly Span[]): Line {
  return [span(label.padEnd(9), 'dim'), ...spans];
}

function clusterSpans({ name, state, members, journal, lastFault, differingDigests }: ClusterRow): Span[] {
  const here = members.filter(({ left }) => !left).length;
  return [
    span(`${name}  `),
    span(state.toUpperCase(), state === 'in-step' ? 'good' : 'warning'),
    span(`  ${count(here)} ${here === 1 ? 'member' : 'members'}`),
    ...(differingDigests > 0 ? [span(`  ${differingDigests} with another configuration`, 'warning')] : []),
    ...(journal.waiting > 0 ? [span(`  ${count(journal.waiting)} changes wait`, 'warning')] : []),
    ...(lastFault !== null && state !== 'in-step'
      ? [span(`  ${lastFault.code}: ${printable(lastFault.message)}`, 'warning')]
      : []),
  ];
}

const bannerStyles: Readonly<Record<Banner['level'], Style>> = {
  error: 'bad',
  warning: 'warning',
  info: 'accent',
};

export function bannerLine({ level, text }: Banner): Line {
  return [span(`${level === 'info' ? 'i' : '!'} ${printable(text)}`, bannerStyles[level])];
}
