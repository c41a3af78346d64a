/**
 * The file's shape: every key of the instance, what it may hold and what it means (listeners and pools are in files of their own).
 * The one definition behind the check, the JSON Schema and the plan; rules that need more than one key are in check*.ts.
 */
import { backendIdsMax, listenersMax, pinsMax, workersMax } from '../core/limits.ts';
import {
  as,
  autoOrWhole,
  choice,
  duration,
  fraction,
  group,
  name,
  type OptionsOf,
  optionalGroup,
  own,
  type Reading,
  required,
  whole,
} from '../core/options.ts';
import type { Plan } from '../core/plan.ts';
import { adminShape, buildAdmin } from './admin-shape.ts';
import { readListen } from './bind.ts';
import { buildCluster, clusterShape } from './cluster-shape.ts';
import { byName, flowsMax, readBy, section } from './fields.ts';
import { form } from './form.ts';
import { listenerShape } from './listener-shape.ts';
import { fieldsOf } from './option-fields.ts';
import { poolShape } from './pool-shape.ts';
import * as z from './zod.ts';

function readPath(value: unknown): Reading<string> {
  if (typeof value !== 'string' || !value.startsWith('/') || value.includes('\0'))
    return { refused: 'must be an absolute path like /var/log/pinion/access.log' };
  return { value };
}

const where = 'Where it listens: 127.0.0.1:9464, [::1]:9464 or unix:/path. Port 0: any free one.';
const listen = readBy(readListen, where, { type: 'string' });

export const metricsShape = section('Metrics for Prometheus. Left out: none.', { listen }).optional();

export const instanceLimits = {
  // What the descriptor limit carries: a fixed number would be refused on one machine and waste another.
  flows: autoOrWhole(
    'Open flows. auto: what the descriptor limit (ulimit -n, LimitNOFILE= in systemd) carries: two for each flow, what listeners, workers, pages and checks need, and up to an eighth of the rest for pipes (epoll); at most 1,000,000.',
    1,
    flowsMax,
    'auto',
  ),
  udpShare: as(
    'udp_share',
    fraction(
      'What UDP listeners may have of limits.flows together, above 0 to 1, where there are TCP listeners as well: the sources of datagrams can be forged.',
      // Leaves TCP a quarter whatever UDP sources, which can be forged, do.
      0.75,
      { zero: false },
    ),
  ),
  pins: {
    ...whole(
      'Clients remembered, at most. Full: of those not connected now, the one unused for longest is forgotten.',
      1,
      pinsMax,
      // They outlive their flows.
      262_144,
    ),
    waits: true,
  },
} satisfies OptionsOf<Plan['limits']>;

export interface Instance extends Omit<Plan, 'source' | 'digest' | 'listeners' | 'pools'> {
  readonly zone?: string;
}

/** What is this instance's. A change of what `waits` is for the next start. */
export const instanceOptions = {
  engine: {
    ...choice('What moves the bytes. auto: epoll where it works.', ['auto', 'epoll', 'portable'], 'auto'),
    waits: true,
  },
  workers: {
    ...autoOrWhole('Threads that serve clients. auto: one per core.', 1, workersMax, 'auto'),
    waits: true,
  },
  zone: name(
    'Where this instance stands: inside a priority, backends of the same zone come first. Left out: zones make no difference.',
  ),
  log: group('What is logged.', {
    level: choice(
      'The least severe level that is logged.',
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      'info',
    ),
    format: {
      ...choice(
        'How a line is written. auto: text on a terminal, else json. Under systemd each line begins with its priority (<4>).',
        ['auto', 'text', 'json'],
        'auto',
      ),
      waits: true,
    },
    flows: group(
      'The line logged when a flow has ended. One whose client was not served is a warning, whatever stands here.',
      {
        level: choice(
          'The level of that line; off: none, of failed flows neither.',
          ['trace', 'debug', 'info', 'off'],
          'info',
        ),
        sample: fraction(
          'The share of flows that is logged, 0 to 1. Failed ones are as well, up to 100 a second of each worker.',
          1,
        ),
      },
    ),
    access: {
      ...optionalGroup(
        'A file of their own for the lines of finished flows; those that failed are in the log as well.',
        {
          file: required(
            own<string>(
              'Its path. Lines are added to what is there; SIGUSR1 opens it again (after logrotate has moved it).',
              readPath,
              { type: 'string', pattern: '^/' },
            ),
          ),
        },
      ),
      waits: true,
    },
  }),
  metrics: { ...form(metricsShape, (written) => written), waits: true },
  admin: { ...form(adminShape, buildAdmin), waits: true },
  cluster: { ...form(clusterShape, buildCluster), waits: true },
  shutdown: group('Stopping.', {
    drainMs: as(
      'drain',
      duration(
        'How long open flows may go on after a stop was asked for. UDP conversations are over sooner, after some seconds of silence.',
        30_000,
        { zero: true },
      ),
    ),
  }),
  limits: group('How much the whole instance carries.', instanceLimits),
} satisfies OptionsOf<Instance>;

export const fileShape = section('The configuration of pinion.', {
  ...fieldsOf(instanceOptions),
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
