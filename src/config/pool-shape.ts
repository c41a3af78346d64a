/**
 * The options of one entry of `pools`: what a user may write there, what it means, and what the plan has of it.
 */
import { backendsPerPoolMax, maglevTableSizeMax } from '../core/limits.ts';
import {
  as,
  built,
  choice,
  duration,
  flag,
  group,
  type OptionsOf,
  optionalGroup,
  percent,
  planOf,
  required,
  whole,
} from '../core/options.ts';
import {
  type HealthPlan,
  type PoolPlan,
  type Protocol,
  policyNames,
  retryCauses,
  type UpstreamPlan,
} from '../core/plan.ts';
import { backendShape, buildBackend } from './backend-shape.ts';
import { canonical } from './digest.ts';
import { buildDiscovery, discoveryShape } from './discovery-shape.ts';
import { described } from './fields.ts';
import { form } from './form.ts';
import { buildHealth, healthShape } from './health-shape.ts';
import { onAddressChange, onDown } from './open-flows-shape.ts';
import { sectionOf } from './option-fields.ts';
import { proxyOut } from './proxy-shape.ts';
import { upstreamOptions } from './socket-shape.ts';
import * as z from './zod.ts';

const second = 1_000;
const minute = 60 * second;

const boundError = 'must be none or a number above 1, up to 1000';
const bound = form(
  z
    .union([z.enum(['none']), z.number().gt(1, { error: boundError }).max(1_000, { error: boundError })], {
      error: boundError,
    })
    .meta(described('maglev, rendezvous, ring: no backend above this many times the average load.', 'none'))
    .optional(),
  (written) => (written === 'none' ? undefined : written),
);

/** The longest is never shorter than the first time. */
const ejectMs = 10 * second;
const ejectMsMax = 5 * minute;

export const passiveOptions = {
  failures: whole(
    'Failures in a row, seen by one worker, until a backend is left out for a while: connections that cannot be made or break before its first byte, UDP ports reported unreachable. One whose check meets the same (it speaks the protocol at the same address; tcp: connections that cannot be made) is checked at once instead. 0: never.',
    0,
    1_000,
    3,
  ),
  ejectMs: as(
    'eject',
    duration(
      'For how long it is left out the first time; two times as long the second time in a row, and so on. One time is forgotten for each such while without another. Never the last one of its pool.',
      ejectMs,
    ),
  ),
  ejectMsMax: as(
    'eject_max',
    built(
      duration('The longest it is left out.', ejectMsMax),
      (written, { siblings }) =>
        written ?? Math.max(ejectMsMax, (siblings.eject as number | undefined) ?? ejectMs),
    ),
  ),
  ejectedShareMax: as(
    'max_ejected',
    percent(
      'The share of the pool that may be left out at once; one backend always may, but with 0.',
      // What clients fail at may be theirs, or ours: then all backends look alike, and half of them have to go on.
      0.5,
    ),
  ),
  noReply: as(
    'no_reply',
    optionalGroup(
      'UDP: a backend from which nothing comes back is left out as well. Of a pool that has never replied (syslog, NetFlow) nobody is.',
      {
        datagrams: required(whole('So many from clients without one reply to any of them.', 1, 1_000_000)),
        withinMs: as(
          'within',
          required(duration('For so long, and some seconds until it is noticed.', undefined)),
        ),
        // One client may be ignored for a reason, and two may be one person's.
        clients: whole(
          'So many clients have to have sent meanwhile (IPv4 addresses, IPv6 networks of /64): one alone must not be able to take a server away.',
          1,
          1_000,
          3,
        ),
      },
    ),
    { scope: 'udp' },
  ),
} satisfies OptionsOf<PoolPlan['passive']>;

/** As the file has it: some that the plan has side by side are in a map, and how connections leave is beside the rest. */
interface Pool
  extends Omit<PoolPlan, 'name' | 'onDown' | 'onDownBecause' | 'closesBackup' | 'upstream' | 'zone'>,
    UpstreamPlan {
  readonly onDown: Pick<PoolPlan, 'onDown' | 'onDownBecause'>;
  readonly onUp: Pick<PoolPlan, 'closesBackup'>;
}

export const poolOptions = {
  policy: choice('How a new client gets its backend.', policyNames, 'maglev'),
  bound,
  tableSize: as(
    'table_size',
    // The smaller table of the Maglev paper (NSDI 2016, section 5.3), as in other proxies.
    whole('maglev: entries of the table, a prime number.', 2, maglevTableSizeMax, 65_537),
  ),
  identity: choice(
    'What maglev, rendezvous and ring hash for a backend: its name, or its address.',
    ['name', 'address'],
    'name',
  ),
  health: form(healthShape.optional(), (written, { protocols }) => buildHealth(written, protocols)),
  passive: group('Backends that fail real clients.', passiveOptions),
  onDown: as('on_down', onDown),
  onUp: as(
    'on_up',
    group('What follows when backends are up again.', {
      closesBackup: as(
        'close_backup',
        flag(
          'When a backend that is no backup takes new clients and none did before, the open flows of the backups are ended (over close_over, if it is given), so that their clients come home.',
          false,
        ),
      ),
    }),
  ),
  onAddressChange: as('on_address_change', onAddressChange),
  closeOverMs: as(
    'close_over',
    duration(
      'Open TCP connections that pinion ends together (on_down, on_address_change, a backend that a reload removes, max_connection_age, connections kill, the end of a shutdown) are ended evenly over this time, in an order drawn by lot, so that their clients do not all come back in one second; 0: at once. Those of a backend that is up again meanwhile are left alone.',
      0,
      { zero: true },
    ),
    { scope: 'tcp' },
  ),
  maxConnectionAgeMs: as(
    'max_connection_age',
    duration(
      'TCP connections older than this (a tenth more or less, and close_over) are ended; 0: none is. UDP conversations have no age.',
      0,
      { zero: true, minMs: 10_000 },
    ),
    { scope: 'tcp' },
  ),
  tries: whole('Backends tried for one flow, the first included.', 1, 64, 3),
  retryOn: as(
    'retry_on',
    choice(
      'TCP: what sends a client on to the next backend, each with all before it. dial: a dial that fails; unsaid: a connection that is reset before the first byte of its backend, while its client has said nothing; reset: the same after up to 16 KiB of the client, which are said again to the next backend; empty: likewise a connection that its backend ends in order without a word. A server may have acted on what it took before it broke: unsaid where a request that is carried out twice does harm.',
      retryCauses,
      'reset',
    ),
  ),
  failOpen: as(
    'fail_open',
    flag('When no backend is up, use them all the same. panic_below says the same and more.', false),
  ),
  panicBelow: as(
    'panic_below',
    percent(
      'When less than this, by weight, is up in every tier, those that are down are tried as well, so that the few that are left do not get everybody. 0: never. While a backup is up and nobody else, it serves.',
      0,
    ),
  ),
  spillBelow: as(
    'spill_below',
    percent(
      'How much of a tier (a priority, a zone), by weight, must take new clients for it to have them all. Below, it keeps so much of this as is there, and the rest of the new clients goes to the next tier: with 70%, half of a tier keeps five clients in seven. 0: all of them as long as one backend does.',
      // An overprovisioning factor of 1.4, as Envoy has it.
      0.7,
    ),
  ),
  slowStartMs: as(
    'slow_start',
    duration(
      'A backend that has come up gets its share of new clients by and by over this time, beginning with a tenth: not at the start, and not one that is new with its pool. 0: at once.',
      0,
      { zero: true },
    ),
  ),
  proxyProtocol: proxyOut,
  ...upstreamOptions,
  backends: form(
    z
      .array(backendShape, { error: 'must be a list of backends (- name: ...)' })
      .min(1, { error: 'needs at least one backend' })
      .max(backendsPerPoolMax, { error: `has more than ${backendsPerPoolMax} backends` })
      .meta({
        description: 'The servers of this pool. Needed where there is no discovery; with one, those besides.',
      })
      .optional(),
    (written = []) => written.map(buildBackend),
  ),
  discovery: form(discoveryShape.optional(), buildDiscovery),
} satisfies OptionsOf<Pool>;

export const poolShape = sectionOf('Backends that serve the same thing, and how one is chosen.', poolOptions);

export type PoolShape = z.output<typeof poolShape>;

/** The plan of a pool without problems, but for how connections leave. */
export function buildPool(name: string, pool: PoolShape, usedBy: readonly Protocol[] = []): PoolPlan {
  const around = { protocols: usedBy, bindKind: 'inet' } as const;
  const { onDown, onUp, sources, transparent, mark, device, ...rest } = planOf<Pool>(
    poolOptions,
    pool,
    around,
  );
  const health = { ...rest.health, ...greetingsOf(rest.proxyProtocol, usedBy) };
  return { name, ...rest, health, ...onDown, ...onUp };
}

/** What checks say where backends are told of their clients. */
function greetingsOf(
  proxyProtocol: PoolPlan['proxyProtocol'],
  usedBy: readonly Protocol[],
): Pick<HealthPlan, 'proxyVersion' | 'proxyOver'> {
  if (proxyProtocol === undefined) return {};
  const proxyVersion = proxyProtocol.version;
  const proxyOver = [...new Set(usedBy)].sort();
  return proxyOver.includes('udp') ? { proxyVersion, proxyOver } : { proxyVersion };
}

const asTheKernelLikes = canonical(planOf<UpstreamPlan>(upstreamOptions, {}));

/** How connections to the backends of a pool leave; undefined: as the kernel likes. */
export function buildUpstream(pool: PoolShape): UpstreamPlan | undefined {
  const upstream = planOf<UpstreamPlan>(upstreamOptions, pool);
  return canonical(upstream) === asTheKernelLikes ? undefined : upstream;
}
