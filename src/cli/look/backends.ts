/** `pinion backends`: all of them in a table, or one with all that is known of it. */

import type { BackendRow } from '../../front/api/shapes.ts';
import { complainOfUsage } from '../ask.ts';
import type { BackendsOptions } from '../commands/look.ts';
import { age, bytes, count, percent, rate, took } from '../screen/amounts.ts';
import { type Line, printable, type Span, span } from '../screen/line.ts';
import { tableOf } from '../screen/table.ts';
import { look } from './look.ts';
import { backendFields, stateCell, whyText } from './rows.ts';

export interface BackendsBody {
  readonly backends: readonly BackendRow[];
}

export async function backends(which: string | undefined, options: BackendsOptions): Promise<void> {
  const [pool, backend, ...rest] = which?.split('/') ?? [];
  if (which !== undefined && (pool === '' || backend === '' || rest.length > 0))
    return complainOfUsage(`${which}: write POOL or POOL/BACKEND, for example pg/pg1`);
  const names = { ...(pool === undefined ? {} : { pool }), ...(backend === undefined ? {} : { backend }) };
  const query = pool === undefined ? '' : `?${new URLSearchParams(names)}`;
  await look<BackendsBody>(options, {
    path: `/v1/backends${query}`,
    ...(options.down === true ? { only: takingNone } : {}),
    draw: (body, width) =>
      backend === undefined || body.backends.length === 0
        ? backendsLines(body, options, options.wide === true ? Number.POSITIVE_INFINITY : width)
        : body.backends.flatMap(backendLines),
  });
}

/** `--down`: those that take no new clients. */
export function takingNone(body: BackendsBody): BackendsBody {
  return { ...body, backends: body.backends.filter(({ state }) => state !== 'up' && state !== 'coming-up') };
}

/** @param body those to show, which `down` has already chosen */
export function backendsLines(
  { backends: rows }: BackendsBody,
  { down, wide }: Pick<BackendsOptions, 'down' | 'wide'>,
  width: number,
): Line[] {
  if (rows.length === 0)
    return [[span(down === true ? 'all backends take new clients' : 'there are no backends', 'dim')]];
  return tableOf(backendFields('last10s', wide === true || width > 140), rows, width);
}

/** All that is known of one, a line for each. */
export function backendLines(row: BackendRow): Line[] {
  const { rates, check, weight, operator } = row;
  const now = rates.last10s;
  const lines: [string, Span[] | string][] = [
    ['backend', `${row.pool}/${row.backend}`],
    ['state', [stateCell(row.state), span(`  for ${age(row.sinceMs)}, since ${row.since}`)]],
    // Its address stands below.
    ['why', whyText({ ...row, at: null }) || '-'],
    ['address', row.at === null || row.at === row.address ? row.address : `${row.address}, now ${row.at}`],
    ['flows', `${count(row.flows)}${row.flowsMax === null ? '' : ` of ${count(row.flowsMax)}`}`],
    ['new', `${rate(now.newFlowsPerS)}/s, in ${bytes(now.bytesInPerS)}/s, out ${bytes(now.bytesOutPerS)}/s`],
    ['pins', row.pins === null ? 'not counted yet' : count(row.pins)],
    [
      'share',
      `${row.share === null ? 'no new flows' : percent(row.share)} of the last minute; expected ${percent(row.expectedShare)}`,
    ],
    [
      'weight',
      weight.live === weight.configured
        ? `${weight.live}`
        : `${weight.live}, configured ${weight.configured}`,
    ],
    [
      'tier',
      `${row.tier}${row.isBackup ? ', a backup' : ''}${row.zone === null ? '' : `, zone ${row.zone}`}`,
    ],
    ['failed', `dials ${count(row.failedDials)}, broke before the first byte ${count(row.earlyBreaks)}`],
    [
      'check',
      check === null
        ? 'none so far'
        : [
            span(check.ok ? 'passed' : 'failed', check.ok ? 'good' : 'bad'),
            span(
              ` ${count(check.inARow)} in a row, the last ${age(check.agoMs)} ago in ${took(check.tookMs)}: ${printable(check.message)}`,
            ),
          ],
    ],
    ...(operator === null
      ? []
      : ([
          [
            'operator',
            `${operator.state}${operator.weight === null ? '' : `, weight ${operator.weight}`}, since ${operator.at}`,
          ],
        ] as [string, string][])),
    ...(row.ejectedForMs === null
      ? []
      : ([['left out', `for ${age(row.ejectedForMs)} still`]] as [string, string][])),
    ['went down', `${count(row.flapCount)} times since the start`],
  ];
  const changes = row.flaps.map(({ at, up, code, why }): Line => {
    const reason = [code, printable(why)].filter(Boolean).join(': ');
    return [
      span('  '),
      span(`${at}  `, 'dim'),
      up ? span('UP  ', 'good') : span('DOWN', 'bad'),
      span(`  ${reason}`),
    ];
  });
  return [
    ...lines.map(
      ([label, value]): Line => [
        span(label.padEnd(11), 'dim'),
        ...(typeof value === 'string' ? [span(value)] : value),
      ],
    ),
    ...changes,
  ];
}
