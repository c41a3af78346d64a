/**
 * The shape of one entry of `pools` and of its backends: what a user may write there, and what it means.
 */
import * as z from 'zod';
import { type DownReason, downReasons } from '../core/down-reason.ts';
import {
  backendsPerPoolMax,
  maglevTableSizeMax,
  priorityMax,
  ringPointsMax,
  weightMax,
} from '../core/limits.ts';
import { policyNames, retryCauses } from '../core/plan.ts';
import { pointsPerWeight } from '../core/policy/ring.ts';
import { readBackendAddress } from './bind.ts';
import { backendDefaults, noReplyClients, poolDefaults } from './defaults.ts';
import { discoveryShape } from './discovery-shape.ts';
import {
  choice,
  described,
  duration,
  flag,
  flowsMax,
  name,
  percent,
  readBy,
  section,
  whole,
} from './fields.ts';
import { healthShape } from './health-shape.ts';
import { upstreamShape } from './socket-shape.ts';

export const backendShape = section('One server.', {
  name: name(
    'Its stable name: what clients are pinned to. Another address under the same name is the same server.',
  ),
  address: readBy(
    readBackendAddress,
    '10.0.0.1:5432, [::1]:5432, db1.example.org:5432 or unix:/path. A name is resolved every 30 s (a start or reload waits 7 s for it); of several addresses the lowest counts (IPv4 before IPv6), and the last one is kept while it does not resolve.',
    { type: 'string' },
  ),
  weight: whole(
    `Its share of new clients against the others; 0: no new ones. ring: those of a pool are at most ${ringPointsMax / pointsPerWeight} together.`,
    0,
    weightMax,
    backendDefaults.weight,
  ),
  max_connections: whole('Open flows it takes; 0: no limit.', 0, flowsMax, backendDefaults.maxConnections),
  priority: whole(
    'Its tier: new clients go to the lowest number, and past it when too few of its backends take new clients (spill_below). Gaps are no matter.',
    1,
    priorityMax,
    backendDefaults.priority,
  ),
  backup: flag(
    'Only for when none of the others can take a client. A client is not pinned to it for good: once another one can, its next connection goes there.',
    false,
  ),
  zone: name(
    'Where it stands. Inside a priority those in the zone of this instance (zone at the top of the file) come first; without one of its own it is elsewhere.',
  ).optional(),
});

const boundError = 'must be none or a number above 1, up to 1000';
const fateError = 'must be close, keep or { grace: 30s }';

/** What becomes of open flows: they end, now or after a while, or they stay. */
function fate(grace: string, ends: string) {
  return z.union(
    [z.enum(['close', 'keep']), section(ends, { grace: duration(grace, { zero: true }).nonoptional() })],
    { error: fateError },
  );
}

const downGrace = 'How long they may go on, if the backend stays down.';
const ends = 'Ends them after a while.';
const downFate = fate(downGrace, ends);
/** The reasons a check, flows or the resolver can give. */
const fatefulReasons = downReasons.filter((reason) => reason !== 'unchecked' && reason !== 'operator');

const onDown = z
  .union(
    [
      z.enum(['close', 'keep']),
      section(ends, { grace: duration(downGrace, { zero: true }).nonoptional() }),
      section('By the reason why it is down.', {
        ...Object.fromEntries(
          fatefulReasons.map((reason) => [
            reason,
            downFate.meta(described(`Down because: ${reason}.`, keptDefault(reason))).optional(),
          ]),
        ),
        default: downFate
          .meta(described('Every reason that is not named.', poolDefaults.onDown.action))
          .optional(),
      } as Record<DownReason | 'default', z.ZodOptional<typeof downFate>>),
    ],
    { error: 'must be close, keep, { grace: 30s } or a map of reasons' },
  )
  .meta(
    described(
      'What becomes of the open flows of a backend that goes down. close: they are ended at once, and a client that connects again gets another backend; keep: they go on until they end by themselves; { grace: 30s }: they are ended after that time, unless the backend is up again. Or a map from the reason it is down for to one of these.',
      poolDefaults.onDown.action,
    ),
  )
  .optional();

function keptDefault(reason: string): string | undefined {
  return Object.hasOwn(poolDefaults.onDownBecause, reason) ? 'keep' : undefined;
}

export const poolShape = section('Backends that serve the same thing, and how one is chosen.', {
  policy: choice('How a new client gets its backend.', policyNames, poolDefaults.policy),
  bound: z
    .union([z.enum(['none']), z.number().gt(1, { error: boundError }).max(1_000, { error: boundError })], {
      error: boundError,
    })
    .meta(described('maglev, rendezvous, ring: no backend above this many times the average load.', 'none'))
    .optional(),
  table_size: whole(
    'maglev: entries of the table, a prime number.',
    2,
    maglevTableSizeMax,
    poolDefaults.tableSize,
  ),
  identity: choice(
    'What maglev, rendezvous and ring hash for a backend: its name, or its address.',
    ['name', 'address'],
    poolDefaults.identity,
  ),
  health: healthShape.optional(),
  passive: section('Backends that fail real clients.', {
    failures: whole(
      'Failures in a row, seen by one worker, until a backend is left out for a while: connections that cannot be made or break before its first byte, UDP ports reported unreachable. One whose check meets the same (it speaks the protocol at the same address; tcp: connections that cannot be made) is checked at once instead. 0: never.',
      0,
      1_000,
      poolDefaults.passive.failures,
    ),
    eject: duration(
      'For how long it is left out the first time; two times as long the second time in a row, and so on. One time is forgotten for each such while without another. Never the last one of its pool.',
      { defaultMs: poolDefaults.passive.ejectMs },
    ),
    eject_max: duration('The longest it is left out.', { defaultMs: poolDefaults.passive.ejectMsMax }),
    max_ejected: percent(
      'The share of the pool that may be left out at once; one backend always may, but with 0.',
      poolDefaults.passive.ejectedShareMax,
    ),
    no_reply: section(
      'UDP: a backend from which nothing comes back is left out as well. Of a pool that has never replied (syslog, NetFlow) nobody is.',
      {
        datagrams: whole(
          'So many from clients without one reply to any of them.',
          1,
          1_000_000,
        ).nonoptional(),
        within: duration('For so long, and some seconds until it is noticed.', {}).nonoptional(),
        clients: whole(
          'So many clients have to have sent meanwhile (IPv4 addresses, IPv6 networks of /64): one alone must not be able to take a server away.',
          1,
          1_000,
          noReplyClients,
        ),
      },
    ).optional(),
  }).optional(),
  on_down: onDown,
  on_up: section('What follows when backends are up again.', {
    close_backup: flag(
      'When a backend that is no backup takes new clients and none did before, the open flows of the backups are ended (over close_over, if it is given), so that their clients come home.',
      poolDefaults.closesBackup,
    ),
  }).optional(),
  on_address_change: fate('How long they may go on.', ends)
    .meta(
      described(
        'What becomes of open TCP connections when their backend is at another address (its name resolves to another one, a reload gives another one), or when a reload changes source, transparent, mark or device. keep: they go on where they are, and that address is checked as long as they do: when it goes down, on_down has the word; close: they are ended at once; { grace: 30s }: they are ended after that time. UDP goes on by the new way with its next datagram, whatever is said here.',
        poolDefaults.onAddressChange.action,
      ),
    )
    .optional(),
  close_over: duration(
    'Open TCP connections that pinion ends together (on_down, on_address_change, a backend that a reload removes, max_connection_age, connections kill, the end of a shutdown) are ended evenly over this time, in an order drawn by lot, so that their clients do not all come back in one second; 0: at once. Those of a backend that is up again meanwhile are left alone.',
    { zero: true, defaultMs: poolDefaults.closeOverMs },
  ),
  max_connection_age: duration(
    'TCP connections older than this (a tenth more or less, and close_over) are ended; 0: none is. UDP conversations have no age.',
    { zero: true, minMs: 10_000, defaultMs: poolDefaults.maxConnectionAgeMs },
  ),
  tries: whole('Backends tried for one flow, the first included.', 1, 64, poolDefaults.tries),
  retry_on: choice(
    'TCP: what sends a client on to the next backend, each with all before it. dial: a dial that fails; unsaid: a connection that is reset before the first byte of its backend, while its client has said nothing; reset: the same after up to 16 KiB of the client, which are said again to the next backend; empty: likewise a connection that its backend ends in order without a word. A server may have acted on what it took before it broke: unsaid where a request that is carried out twice does harm.',
    retryCauses,
    poolDefaults.retryOn,
  ),
  fail_open: flag(
    'When no backend is up, use them all the same. panic_below says the same and more.',
    poolDefaults.failOpen,
  ),
  panic_below: percent(
    'When less than this, by weight, is up in every tier, those that are down are tried as well, so that the few that are left do not get everybody. 0: never. While a backup is up and nobody else, it serves.',
    poolDefaults.panicBelow,
  ),
  spill_below: percent(
    'How much of a tier (a priority, a zone), by weight, must take new clients for it to have them all. Below, it keeps so much of this as is there, and the rest of the new clients goes to the next tier: with 70%, half of a tier keeps five clients in seven. 0: all of them as long as one backend does.',
    poolDefaults.spillBelow,
  ),
  slow_start: duration(
    'A backend that has come up gets its share of new clients by and by over this time, beginning with a tenth: not at the start, and not one that is new with its pool. 0: at once.',
    { zero: true, defaultMs: poolDefaults.slowStartMs },
  ),
  ...upstreamShape,
  backends: z
    .array(backendShape, { error: 'must be a list of backends (- name: ...)' })
    .min(1, { error: 'needs at least one backend' })
    .max(backendsPerPoolMax, { error: `has more than ${backendsPerPoolMax} backends` })
    .meta({
      description: 'The servers of this pool. Needed where there is no discovery; with one, those besides.',
    })
    .optional(),
  discovery: discoveryShape.optional(),
});

export type PoolShape = z.output<typeof poolShape>;
export type BackendShape = z.output<typeof backendShape>;
