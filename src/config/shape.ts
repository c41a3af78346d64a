/**
 * The file's shape: every key, what it may hold and what it means (listeners and pools are in files of their own).
 * The one definition behind the check and the JSON Schema; rules that need more than one key are in check*.ts,
 * defaults in defaults.ts. A new section is one more constant, one line in `fileShape`, and its part in build.ts.
 */
import * as z from 'zod';
import { backendIdsMax, listenersMax, pinsMax, workersMax } from '../core/limits.ts';
import { readListen } from './bind.ts';
import { clusterShape } from './cluster-shape.ts';
import { instanceDefaults } from './defaults.ts';
import {
  autoOr,
  byName,
  choice,
  described,
  duration,
  flowsMax,
  name,
  readBy,
  section,
  whole,
} from './fields.ts';
import { listenerShape } from './listener-shape.ts';
import { poolShape } from './pool-shape.ts';

const where = 'Where it listens: 127.0.0.1:9464, [::1]:9464 or unix:/path. Port 0: any free one.';
const listen = readBy(readListen, where, { type: 'string' });
const adminListen = readBy(
  readListen,
  `${where} Nobody is asked who they are, and drains, pins and reloads are theirs: use a unix socket (its mode is 0600) or loopback only.`,
  { type: 'string' },
);

/** Above 0 to 1. */
function share(description: string, fallback: number) {
  const error = 'must be a number above 0, at most 1';
  return z
    .number({ error })
    .gt(0, { error })
    .max(1, { error })
    .meta(described(description, fallback))
    .optional();
}

const log = section('What is logged.', {
  level: choice(
    'The least severe level that is logged.',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    instanceDefaults.log.level,
  ),
  flows: section('The line logged when a flow has ended.', {
    level: choice(
      'The level of that line; off: none.',
      ['trace', 'debug', 'info', 'off'],
      instanceDefaults.log.flows.level,
    ),
    sample: z
      .number({ error: 'must be a number from 0 to 1' })
      .min(0, { error: 'must be a number from 0 to 1' })
      .max(1, { error: 'must be a number from 0 to 1' })
      .meta(described('The share of flows that is logged, 0 to 1.', instanceDefaults.log.flows.sample))
      .optional(),
  }).optional(),
}).optional();

export const metricsShape = section('Metrics for Prometheus. Left out: none.', { listen }).optional();
export const adminShape = section('The admin API. Left out: none.', { listen: adminListen }).optional();

export const instanceLimitsShape = section('How much the whole instance carries.', {
  flows: autoOr(
    'Open flows. auto: what the descriptor limit (ulimit -n, LimitNOFILE= in systemd) carries: two for each flow, what listeners, workers, pages and checks need, and up to an eighth of the rest for pipes (epoll); at most 1,000,000.',
    flowsMax,
    instanceDefaults.limits.flows,
  ),
  udp_share: share(
    'What UDP listeners may have of limits.flows together, above 0 to 1, where there are TCP listeners as well: the sources of datagrams can be forged.',
    instanceDefaults.limits.udpShare,
  ),
  pins: whole(
    'Clients remembered, at most. Full: of those not connected now, the one unused for longest is forgotten.',
    1,
    pinsMax,
    instanceDefaults.limits.pins,
  ),
}).optional();

export const fileShape = section('The configuration of pinion.', {
  engine: choice(
    'What moves the bytes. auto: epoll where it works.',
    ['auto', 'epoll', 'portable'],
    instanceDefaults.engine,
  ),
  workers: autoOr('Threads that serve clients. auto: one per core.', workersMax, instanceDefaults.workers),
  zone: name(
    'Where this instance stands: inside a priority, backends of the same zone come first. Left out: zones make no difference.',
  ).optional(),
  log,
  metrics: metricsShape,
  admin: adminShape,
  cluster: clusterShape,
  shutdown: section('Stopping.', {
    drain: duration(
      'How long open flows may go on after a stop was asked for. UDP conversations are over sooner, after some seconds of silence.',
      {
        zero: true,
        defaultMs: instanceDefaults.shutdown.drainMs,
      },
    ),
  }).optional(),
  limits: instanceLimitsShape,
  listeners: z
    .array(listenerShape, { error: 'must be a list of listeners (- name: ...)' })
    .min(1, { error: 'needs at least one listener' })
    .max(listenersMax, { error: `has more than ${listenersMax} listeners` })
    .meta({ description: 'The addresses that clients reach.' }),
  pools: byName(
    `Pools by name. All together have at most ${backendIdsMax} backends.`,
    poolShape,
    'must be a map of pools (name: { backends: ... })',
  ),
});

export type FileShape = z.output<typeof fileShape>;
