/** What of the API only looks: state, flows, pins, explain, events. */
import { z } from 'zod';
import type { FlowRecord } from '../../control/view.ts';
import { listedMax, pageFreshMs } from '../../core/limits.ts';
import { routeProtocols } from '../../core/plan.ts';
import type { Answer, Handle } from '../answer.ts';
import { freshFor, type SharedPage } from '../shared-page.ts';
import type { ApiSource } from './api.ts';
import { flowSorts, flowsPage } from './flows.ts';
import { type Asked, limitOf, name, type Operation, operation, refused, searchOf } from './operation.ts';
import * as shapes from './shapes.ts';

/** Of so many open flows, at most, the ones asked for are looked for. */
const flowsLookedAtMax = 10_000;

export function lookOperations(source: ApiSource): Operation[] {
  return [
    ...stateOperations(source),
    ...flowOperations(source),
    ...pinOperations(source),
    ...eventOperations(source),
  ];
}

const nothingQuery = z.object({});
const poolQuery = z.object({ pool: name });
const backendQuery = z.object({ pool: name, backend: name, state: z.enum(shapes.backendStates).optional() });

/** A page is text once for all who ask the same, and made anew after a change. */
function sharedBy({ overview }: ApiSource) {
  return <Query extends z.ZodObject>(
    render: (asked: Asked<Query>) => Promise<Answer>,
  ): SharedPage<Asked<Query>> =>
    freshFor(
      pageFreshMs,
      render,
      ({ access, query }) => `${overview.changes} ${access} ${JSON.stringify(query)}`,
    );
}

/** What is wrong with a question for backends: nobody has the name. To be in no state is an answer. */
function unknownIn(
  pools: readonly { readonly pool: string; readonly backends: readonly { readonly backend: string }[] }[],
  query: { readonly pool?: string | undefined; readonly backend?: string | undefined },
): string | undefined {
  const meant = query.pool === undefined ? pools : pools.filter(({ pool }) => pool === query.pool);
  if (query.pool !== undefined && meant.length === 0)
    return `no pool ${query.pool}; there are: ${pools.map(({ pool }) => pool).join(', ')}`;
  const known = meant.flatMap(({ pool, backends }) =>
    backends.map(({ backend }) => ({ backend, full: `${pool}/${backend}` })),
  );
  if (query.backend === undefined || known.some(({ backend }) => backend === query.backend)) return undefined;
  const place = query.pool === undefined ? query.backend : `${query.pool}/${query.backend}`;
  return `no backend ${place}; there are: ${known.map(({ full }) => full).join(', ')}`;
}

function stateOperations(source: ApiSource): Operation[] {
  const { overview } = source;
  const shared = sharedBy(source);
  return [
    operation({
      method: 'GET',
      path: '/v1/status',
      tag: 'status',
      summary:
        'Everything on one page: the instance, banners, listeners, pools with their backends, cluster.',
      query: nothingQuery,
      answer: shapes.statusShape,
      handle: shared<typeof nothingQuery>(async ({ access }) => ({
        status: 200,
        body: await overview.statusText(access),
        contentType: 'application/json',
      })),
    }),
    operation({
      method: 'GET',
      path: '/v1/pools',
      tag: 'status',
      summary: 'The pools with their backends.',
      query: poolQuery,
      answer: z.object({ pools: z.array(shapes.poolShape) }),
      handle: shared<typeof poolQuery>(async ({ query }) => {
        const { pools } = await overview.status();
        const found = pools.filter(({ pool }) => query.pool === undefined || pool === query.pool);
        if (found.length > 0 || query.pool === undefined) return { status: 200, body: { pools: found } };
        return refused(`no pool ${query.pool}; there are: ${pools.map(({ pool }) => pool).join(', ')}`, 404);
      }),
    }),
    operation({
      method: 'GET',
      path: '/v1/backends',
      tag: 'status',
      summary:
        'The backends of all pools, or those of a pool, of a name or in a state. A name nobody has: 404.',
      query: backendQuery,
      answer: z.object({ backends: z.array(shapes.backendShape) }),
      handle: shared<typeof backendQuery>(async ({ query }) => {
        const { pools } = await overview.status();
        const unknown = unknownIn(pools, query);
        if (unknown !== undefined) return refused(unknown, 404);
        const backends = pools
          .flatMap((pool) => pool.backends)
          .filter(
            ({ pool, backend, state }) =>
              (query.pool === undefined || pool === query.pool) &&
              (query.backend === undefined || backend === query.backend) &&
              (query.state === undefined || state === query.state),
          );
        return { status: 200, body: { backends } };
      }),
    }),
    operation({
      method: 'GET',
      path: '/v1/listeners',
      tag: 'status',
      summary: 'The listeners.',
      query: nothingQuery,
      answer: z.object({ listeners: z.array(shapes.listenerShape) }),
      handle: shared<typeof nothingQuery>(async () => ({
        status: 200,
        body: { listeners: (await overview.status()).listeners },
      })),
    }),
  ];
}

function flowOperations({ outside, turns, views }: ApiSource): Operation[] {
  const query = z.object({
    listener: name,
    pool: name,
    backend: name,
    client: name.describe('203.0.113.7, 203.0.113.7:4711, [2001:db8::1]:53 or a network.'),
    sort: z.enum(flowSorts).optional(),
    limit: limitOf(flowsLookedAtMax, 100),
  });
  return [
    operation({
      method: 'GET',
      path: '/v1/flows',
      tag: 'flows',
      summary: `Open flows of this instance; of more than ${flowsLookedAtMax} a part is looked at.`,
      query,
      answer: shapes.flowsShape,
      handle: async ({ query: { sort = 'newest', ...filter } }) =>
        turns.take(async () => {
          const answer = await outside.order({
            kind: 'connections',
            most: flowsLookedAtMax,
            ofCluster: false,
          });
          if (answer.status !== 200) return answer;
          const { connections } = answer.body as { connections: readonly FlowRecord[] };
          try {
            const isPartial =
              views.counters.flows() > connections.length && connections.length >= flowsLookedAtMax;
            return { status: 200, body: flowsPage(connections, { ...filter, sort }, isPartial) };
          } catch (error) {
            return refused(`client: ${(error as Error).message}`);
          }
        }),
    }),
  ];
}

const pinShape = z
  .object({
    pool: z.string().describe('Or @GROUP.'),
    kind: z.string(),
    client: z.string(),
    backend: z.string(),
    writer: z.string(),
    reason: z.string(),
    confirmed: z.boolean(),
    ttlMs: z.number(),
    expiresInMs: z.number(),
  })
  .meta({ id: 'Pin' });

/** What `explain` has beside these is described in CONFIGURATION.md's words and may grow. */
const explanationShape = z
  .looseObject({
    listener: z.string(),
    pool: z.string(),
    policy: z.string(),
    client: z.string(),
    key: z.string(),
    backend: z.string().nullable(),
    address: z.string().nullable(),
    by: z.enum(['pin', 'policy', 'none']),
    pinned: z.string().nullable(),
    pin: pinShape.nullable(),
    why: z.string(),
    without: z.object({ lost: z.string(), backend: z.string().nullable() }).optional(),
  })
  .meta({ id: 'Explanation' });

function pinOperations({ older }: ApiSource): Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/pins',
      tag: 'pins',
      summary: 'Who is pinned where.',
      query: z.object({ pool: name, backend: name, client: name, limit: limitOf(listedMax, 100) }),
      answer: z.object({ pins: z.array(pinShape) }),
      handle: ({ query: { limit, ...filter } }) =>
        asBefore(older['GET /pins'], { ...filter, most: `${limit}` }),
    }),
    operation({
      method: 'GET',
      path: '/v1/explain',
      tag: 'pins',
      summary: 'Which backend a client gets on a listener, why, and where it goes if that is lost.',
      query: z.object({
        listener: z.string(),
        client: z.string().describe('An IP address, or a key such as server-name=play.example.'),
        without: name.describe('A backend that is imagined lost.'),
        speaks: z.enum(routeProtocols).optional(),
        server_name: name,
        alpn: name.describe('Several with commas between them.'),
        first_bytes: name.describe('What it says first, for routes and keys that go by it: %xx is a byte.'),
        port: name.describe('The port it came to, for backends whose port follows it.'),
      }),
      answer: explanationShape,
      handle: ({ query: { alpn, ...asks } }) => asBefore(older['GET /explain'], asks, alpn?.split(',')),
    }),
  ];
}

function eventOperations({ events, hub }: ApiSource): Operation[] {
  const noId = refused('since: this is no id of an event');
  return [
    operation({
      method: 'GET',
      path: '/v1/events',
      tag: 'events',
      summary: 'What has happened: the newest events, or those after an id.',
      query: z.object({ since: name, limit: limitOf(1_000, 200) }),
      answer: shapes.eventsShape,
      handle: ({ query }) => {
        const page = events.page(query.since, query.limit);
        return page === undefined ? noId : { status: 200, body: page };
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/stream',
      tag: 'events',
      summary:
        'Server-sent events: state (a Status, every second), event (an Event, as it comes), gap (events are missing here). Goes on after Last-Event-ID.',
      query: z.object({ since: name }),
      answer: z.string(),
      contentType: 'text/event-stream',
      handle: ({ access, accessNow, query, lastEventId }) =>
        hub.answer(access, lastEventId ?? query.since, accessNow) ?? noId,
    }),
  ];
}

/** One of the pages there were before; what it answers is the API's. */
export function asBefore(
  handle: Handle | undefined,
  query: Readonly<Record<string, string | undefined>>,
  alpn: readonly string[] = [],
): Answer | Promise<Answer> {
  const search = searchOf(query);
  for (const one of alpn) search.append('alpn', one);
  return handle!({ params: {}, query: search });
}
