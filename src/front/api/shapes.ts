/**
 * What the admin API answers (`/v1/...`): the shapes from which its types, its description (OpenAPI) and the tests of its answers
 * come. The command line and the page draw these and nothing else; they need the types alone (`import type`).
 *
 * Names and units: `...Ms` milliseconds, `...PerS` per second, `at` and `since` ISO 8601 by this machine's clock, shares 0 to 1, null
 * where there is nothing to say. `in` is client to backend. Fields are added, never renamed within `/v1`.
 */
import { z } from 'zod';

const count = z.int().nonnegative();
const ms = z.int().nonnegative();
const time = z.string().describe('ISO 8601');
const share = z.number().min(0).max(1);

/** Everything that is refused says so. */
export const problemShape = z
  .object({
    error: z.string().describe('What is wrong and what to do, for people.'),
    problems: z
      .array(z.string())
      .optional()
      .describe('Of a configuration that is refused: each with its place.'),
  })
  .meta({ id: 'Problem' });

const rateShape = z
  .object({
    newFlowsPerS: z.number(),
    bytesInPerS: z.number(),
    bytesOutPerS: z.number(),
    datagramsInPerS: z.number(),
    datagramsOutPerS: z.number(),
    refusedPerS: z.number().describe('Clients turned away; of a backend: dials that failed.'),
  })
  .meta({ id: 'Rate' });

const ratesShape = z
  .object({
    last1s: rateShape,
    last10s: rateShape.describe('Over the time there is, where the instance is younger.'),
  })
  .meta({ id: 'Rates' });

export const backendStates = ['up', 'coming-up', 'draining', 'drained', 'maintenance', 'down'] as const;

const checkShape = z
  .object({
    at: time,
    agoMs: ms,
    tookMs: ms,
    ok: z.boolean(),
    message: z.string(),
    inARow: count.describe('Checks in a row with this outcome.'),
  })
  .meta({ id: 'Check' });

const flapShape = z
  .object({ at: time, up: z.boolean(), code: z.string().nullable(), why: z.string() })
  .meta({ id: 'Flap' });

export const backendShape = z
  .object({
    pool: z.string(),
    backend: z.string(),
    address: z.string().describe('As configured.'),
    at: z.string().nullable().describe('Where that is now; null: its name does not resolve.'),
    state: z.enum(backendStates),
    code: z.string().nullable().describe('Why it is not up, in one word (MONITORING.md); null: it is.'),
    cause: z
      .string()
      .describe(
        "Why it is in this state, in a sentence without its subject; '' where there is nothing to say.",
      ),
    since: time.describe('Since when it has been in this state.'),
    sinceMs: ms,
    flows: count,
    flowsMax: count.nullable().describe('max_connections; null: no limit.'),
    rates: ratesShape,
    share: share
      .nullable()
      .describe("Its part of the pool's new flows of the last minute; null: there were none."),
    expectedShare: share.describe('The part of new clients it gets by weight, tier and state.'),
    failedDials: count.describe('Since the start.'),
    earlyBreaks: count.describe('Connections that broke before its first byte, since the start.'),
    pins: count
      .nullable()
      .describe('Clients pinned to it, as counted a few seconds ago; null: not counted yet.'),
    check: checkShape.nullable().describe('The last health check; null: none so far.'),
    flapCount: count.describe('How often it went down, since the start.'),
    flaps: z.array(flapShape).describe('The last 20 changes between up and down, the oldest first.'),
    weight: z.object({
      configured: z.number(),
      live: z.number().describe("In force: an operator's, and what a slow start leaves of it."),
    }),
    tier: count.describe('From 1: the first gets clients first.'),
    isBackup: z.boolean(),
    zone: z.string().nullable(),
    slowStart: share.nullable().describe('What it has of its share since it came up; null: all of it.'),
    operator: z
      .object({
        state: z.enum(['ready', 'drain', 'maintenance']),
        weight: z.number().nullable(),
        movesPinned: z.boolean(),
        at: time,
      })
      .nullable()
      .describe('What an operator has said of it; null: nothing.'),
    ejectedForMs: ms
      .nullable()
      .describe('It is left out for so long still because clients failed there; null: it is not.'),
  })
  .meta({ id: 'Backend' });

export const poolShape = z
  .object({
    pool: z.string(),
    state: z
      .enum(['up', 'degraded', 'down'])
      .describe('degraded: some take no new clients; down: none does.'),
    policy: z.string(),
    listeners: z.array(z.string()).describe('That lead here.'),
    isInPanic: z.boolean().describe('So few are up that all are tried (panic_below).'),
    flows: count,
    pins: count.nullable(),
    rates: ratesShape,
    backends: z.array(backendShape),
  })
  .meta({ id: 'Pool' });

export const listenerShape = z
  .object({
    listener: z.string(),
    protocol: z.enum(['tcp', 'udp']),
    address: z.string(),
    pools: z.array(z.string()),
    affinity: z.string().describe('What a client is recognised by; none: it is not.'),
    flows: count,
    flowsMax: count
      .nullable()
      .describe('limits.flows of the listener; null: the limit of the instance alone.'),
    arriving: count.describe('TCP clients that are being identified.'),
    rates: ratesShape,
    opened: count.describe('Flows since the start.'),
    refused: count.describe('Clients turned away since the start.'),
    dropped: z
      .record(z.string(), count)
      .describe('Datagrams dropped since the start, by reason; those that are 0 are left out.'),
    ended: z
      .record(z.string(), count)
      .describe('Flows by why they ended, since the start; those that are 0 are left out.'),
  })
  .meta({ id: 'Listener' });

const bannerShape = z
  .object({
    level: z.enum(['error', 'warning', 'info']),
    code: z
      .string()
      .describe(
        'One word: pool-down, redis, restart-pending, room, worker, discovery, access-list, file, panic, draining.',
      ),
    about: z.string().nullable().describe('The pool, file or key it is about.'),
    text: z.string().describe('For people, whole.'),
    since: time.nullable(),
  })
  .meta({ id: 'Banner' });

const memberShape = z
  .object({
    instance: z.string(),
    host: z.string(),
    version: z.string(),
    digest: z.string(),
    hasOurDigest: z.boolean(),
    startedAt: time,
    listeners: z.array(z.string()),
    flows: count,
    pins: count,
    left: z.boolean(),
    isSelf: z.boolean(),
  })
  .meta({ id: 'Member' });

const clusterShape = z
  .object({
    name: z.string(),
    instance: z.string(),
    state: z.string().describe('in-step: pins are shared.'),
    caughtUp: z.boolean().describe('All shared pins have been read once since the start.'),
    shards: z.object({ live: count, all: count }),
    members: z.array(memberShape),
    differingDigests: count.describe('Members with another configuration.'),
    peerFlows: count,
    journal: z
      .object({ waiting: count, dropped: count })
      .describe('Changes of pins that Redis has not taken yet.'),
    faults: z
      .record(z.string(), count)
      .describe('Faults of Redis since the start; those that are 0 are left out.'),
    lastFault: z.object({ code: z.string(), message: z.string() }).nullable(),
  })
  .meta({ id: 'Cluster' });

export const statusShape = z
  .object({
    access: z.enum(['read', 'write']).describe('What whoever asks may do here.'),
    at: time.describe('When this was made.'),
    instance: z.object({
      name: z.string(),
      version: z.string(),
      node: z.string(),
      pid: count,
      state: z.enum(['starting', 'ready', 'draining']),
      startedAt: time,
      uptimeMs: ms,
      config: z.string().describe('The configuration file.'),
      digest: z.string(),
      engine: z.string(),
      engineWhy: z.string(),
      workers: count,
      workerRestarts: count,
    }),
    totals: z.object({
      flows: count,
      flowsMax: count,
      pins: count,
      pinsMax: count,
      rates: ratesShape,
    }),
    banners: z.array(bannerShape).describe('What somebody should know now, the worst first.'),
    pendingRestart: z.array(z.string()).describe('Keys of the configuration that wait for a restart.'),
    listeners: z.array(listenerShape),
    pools: z.array(poolShape),
    cluster: clusterShape.nullable(),
    rooms: z.array(
      z.object({
        room: z.string(),
        state: z.string(),
        restarts: count,
        dropped: count.describe('Messages it was not given, as too many waited.'),
        lastDeath: z.string().nullable(),
      }),
    ),
    discovery: z.array(
      z.object({
        pool: z.string(),
        type: z.string(),
        place: z.string(),
        found: count,
        lastSuccessAt: time.nullable(),
        failures: count,
        fault: z.string().nullable(),
      }),
    ),
    accessLists: z.array(
      z.object({
        file: z.string(),
        entries: count,
        readAt: time,
        failures: count,
        fault: z.string().nullable(),
      }),
    ),
    files: z
      .array(
        z.object({
          room: z.string().describe('Who reads it: front (tokens), cluster (Redis), checks.'),
          file: z.string(),
          fault: z.string(),
          since: time,
          isKept: z.boolean().describe('What was read from it before stays in use.'),
        }),
      )
      .describe('Files of tokens, passwords and certificates that cannot be used as they are now.'),
  })
  .meta({ id: 'Status' });

const flowShape = z
  .object({
    id: z.string().describe('Unique while it is open: its worker and its number there.'),
    listener: z.string(),
    protocol: z.enum(['tcp', 'udp']),
    client: z.string(),
    pool: z.string(),
    backend: z.string().nullable().describe('null: none was found.'),
    address: z.string().nullable().describe('Where it is connected to.'),
    why: z.string().nullable().describe('pin, policy: why it got this backend.'),
    serverName: z.string().nullable(),
    ageMs: ms,
    connectMs: z.number().nullable(),
    bytesIn: count,
    bytesOut: count,
    datagramsIn: count,
    datagramsOut: count,
  })
  .meta({ id: 'Flow' });

export const flowsShape = z
  .object({
    flows: z.array(flowShape),
    matching: count.describe('As many were found; more than are listed where limit cut them off.'),
    isPartial: z.boolean().describe('More are open than were looked at.'),
  })
  .meta({ id: 'Flows' });

const eventShape = z
  .object({
    id: z.string().describe('In the order of events; for `since` and Last-Event-ID.'),
    at: time,
    level: z.enum(['error', 'warning', 'info']),
    event: z.string().describe('One word (MONITORING.md).'),
    message: z.string().describe('For people, whole.'),
    code: z.string().optional(),
    listener: z.string().optional(),
    pool: z.string().optional(),
    backend: z.string().optional(),
    client: z.string().optional(),
    times: count.optional().describe('So many like it, of which this is the first.'),
  })
  .meta({ id: 'Event' });

export const eventsShape = z
  .object({
    events: z.array(eventShape).describe('The oldest first.'),
    last: z.string().describe('The id to go on from.'),
    isGap: z.boolean().describe('Events between `since` and the first of these are not kept any more.'),
  })
  .meta({ id: 'Events' });

const nextShareShape = z.object({ backend: z.string(), before: share, after: share });

/** What an order would do (`dry_run`), before anybody gives it. */
export const previewShape = z
  .object({
    dryRun: z.literal(true),
    pool: z.string(),
    backend: z.string(),
    order: z.string().describe('drain, undrain, maintenance, weight'),
    refused: z.string().nullable().describe('Why it would be refused; null: it would not.'),
    pins: count.nullable().describe('Clients pinned to it.'),
    flows: count.describe('Open now.'),
    flowsEnd: count.describe('Of these so many would be ended.'),
    flowsEndOverMs: ms,
    newClients: z
      .array(nextShareShape)
      .describe('The expected shares of new clients in its pool, before and after.'),
    text: z.string().describe('The same for people.'),
  })
  .meta({ id: 'Preview' });

/** What the file would change, were it read now. */
export const reloadPreviewShape = z
  .object({
    dryRun: z.literal(true),
    errors: z
      .array(z.string())
      .describe('Why it would be refused, each with its place; empty: it would not.'),
    warnings: z.array(z.string()),
    digest: z.string().nullable(),
    changes: z.array(
      z.object({
        what: z.enum(['added', 'changed', 'removed']),
        kind: z.enum(['listener', 'pool', 'backend']),
        name: z.string(),
      }),
    ),
    settings: z.array(z.string()).describe('Keys of the instance itself that would change at once.'),
    pendingRestart: z.array(z.string()).describe('Keys that would wait for a restart.'),
    flowsEnd: count.describe('Open flows of listeners and backends that would be removed.'),
    text: z.string(),
  })
  .meta({ id: 'ReloadPreview' });

export type Rate = z.infer<typeof rateShape>;
export type Rates = z.infer<typeof ratesShape>;
export type BackendState = (typeof backendStates)[number];
export type BackendRow = z.infer<typeof backendShape>;
export type PoolRow = z.infer<typeof poolShape>;
export type ListenerRow = z.infer<typeof listenerShape>;
export type Banner = z.infer<typeof bannerShape>;
export type ClusterRow = z.infer<typeof clusterShape>;
export type StatusPage = z.infer<typeof statusShape>;
export type FlowRow = z.infer<typeof flowShape>;
export type FlowsPage = z.infer<typeof flowsShape>;
export type EventRow = z.infer<typeof eventShape>;
export type EventsPage = z.infer<typeof eventsShape>;
export type ReloadPreview = z.infer<typeof reloadPreviewShape>;
export type Preview = z.infer<typeof previewShape>;
