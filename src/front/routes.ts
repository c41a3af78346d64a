/** The pages: what a monitor may read on the metrics address, and what an operator may do on the admin socket. */
import { noAddress } from '../core/address.ts';
import { type AskedClient, readAskedClient } from '../core/asked-client.ts';
import { bindsOf, bindsText } from '../core/binds.ts';
import { pageFreshMs } from '../core/limits.ts';
import { isInPanic } from '../core/panic.ts';
import { routeProtocols } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';
import type { PoolView, Snapshot } from '../core/snapshot.ts';
import type { MetricsPage } from '../observe/metrics.ts';
import type { PinsByHand } from '../pins/by-hand.ts';
import type { SharedViews } from '../rooms/shared.ts';
import type { AllRoutes, Answer, Handle, Routes, StreamHandle } from './answer.ts';
import { apiRoutes } from './api/api.ts';
import type { EventLog } from './api/events.ts';
import type { Overview } from './api/overview.ts';
import type { StreamHub } from './api/stream.ts';
import { type Asks, type ExplainSource, explain, leadOf } from './explain.ts';
import { faultRoutes } from './faults.ts';
import { killRoutes } from './kill.ts';
import { mostRule, readMost } from './most.ts';
import { operatorRoutes } from './operator.ts';
import type { Outside } from './outside.ts';
import { pageRoutes } from './page-files.ts';
import { pinRoutes } from './pins.ts';
import { notReadyBecause } from './readiness.ts';
import { freshFor, type SharedPage } from './shared-page.ts';
import type { FrontState } from './state.ts';
import type { Turns } from './turns.ts';

/** What pages are made from. */
export interface PageSource extends ExplainSource {
  readonly outside: Outside;
  readonly hand: PinsByHand;
  /** For pages that cost more than a moment. */
  readonly turns: Turns;
  readonly metrics: MetricsPage;
  readonly version: string;
  readonly overview: Overview;
  readonly events: EventLog;
  readonly hub: StreamHub;
}

/** The pages that are rendered, one for all addresses. */
export interface RenderedPages {
  readonly metrics: SharedPage;
  readonly status: SharedPage;
}

export function renderedPages({ outside, views, metrics }: PageSource): RenderedPages {
  return {
    metrics: freshFor(pageFreshMs, async () => {
      await outside.state();
      const headers = asOf(outside);
      return { status: 200, body: await metrics.metrics(), contentType: metrics.contentType, headers };
    }),
    status: freshFor(pageFreshMs, async () => {
      const state = await outside.state();
      return { status: 200, body: status(state, views), headers: asOf(outside) };
    }),
  };
}

/** As a page is shared, its reader cannot know otherwise whether what he waits for may be missing in it. */
function asOf(outside: Outside): Readonly<Record<string, string>> {
  return { 'pinion-as-of': outside.asOf.toISOString() };
}

/**
 * `/healthz`: control lives. `/readyz`: it accepts clients (503 while starting or draining); with `?in-step`, it
 * has also read the pins it shares with its cluster once.
 */
export function metricsRoutes({ outside }: PageSource, rendered: RenderedPages): Routes {
  return {
    'GET /metrics': rendered.metrics,
    'GET /healthz': async () => {
      await outside.state();
      return { status: 200, body: 'ok\n' };
    },
    'GET /readyz': async ({ query }) => readiness(await outside.state(), query.has('in-step')),
  };
}

export function adminRoutes(source: PageSource, rendered: RenderedPages): AllRoutes {
  const { outside, version } = source;
  const older: Routes = {
    ...pageRoutes(),
    ...metricsRoutes(source, rendered),
    'GET /status': rendered.status,
    'GET /explain': explainPage(source),
    'GET /connections': ({ query }) => connections(source, query),
    ...pinRoutes(source),
    'POST /reload': () => outside.order({ kind: 'reload' }),
    ...operatorRoutes(outside),
    ...killRoutes(outside),
    ...faultRoutes(outside),
  };
  const api = apiRoutes({ ...source, older }, version);
  return forgettingAfterChange({ ...refusingDryRuns(older), ...api }, source, rendered);
}

/** The paths without a version know no `dry_run`, and would carry out what was only asked about. */
function refusingDryRuns(routes: Routes): Routes {
  const refusing = Object.entries(routes).map(([pattern, handle]): [string, Handle] => [
    pattern,
    pattern.startsWith('GET ')
      ? handle
      : (request) => (request.query.has('dry_run') ? noDryRun : handle(request)),
  ]);
  return Object.fromEntries(refusing);
}

const noDryRun: Answer = {
  status: 400,
  body: { error: 'dry_run is for the paths under /v1 (docs/API.md); nothing was changed' },
};

/** Who has changed something and then looks sees what it has changed. */
function forgettingAfterChange(
  routes: AllRoutes,
  { overview }: PageSource,
  rendered: RenderedPages,
): AllRoutes {
  const forgetting = Object.entries(routes).map(([pattern, handle]): [string, StreamHandle] => {
    if (pattern.startsWith('GET ')) return [pattern, handle];
    const changing: StreamHandle = async (request) => {
      try {
        return await handle(request);
      } finally {
        rendered.metrics.forget();
        rendered.status.forget();
        overview.forget();
      }
    };
    return [pattern, changing];
  });
  return Object.fromEntries(forgetting);
}

function readiness({ ready, cluster }: FrontState, inStep: boolean): Answer {
  const reason = notReadyBecause({ ready, cluster: cluster ?? null }, inStep);
  if (reason === undefined) return { status: 200, body: 'ready\n' };
  return { status: 503, body: `not ready: ${reason}\n` };
}

function status(state: FrontState, { counters, pins, states }: SharedViews): object {
  const { startedAt, ready, source, digest, workers, cluster, rooms, published } = state;
  return {
    startedAt,
    ready,
    config: source,
    digest,
    workers,
    flows: counters.flows(),
    flowsMax: published.snapshot?.flowsMax ?? 0,
    pins: pins.stats(),
    cluster: cluster ?? null,
    rooms,
    listeners: (published.snapshot?.listeners ?? []).map(({ id, plan }) => ({
      name: plan.name,
      protocol: plan.protocol,
      address: bindsText(plan.protocol, bindsOf(plan)),
      pool: plan.pool ?? null,
      ...(plan.routes === undefined ? {} : { pools: poolsOf(plan) }),
      flows: counters.listener(id, 'active'),
    })),
    pools: (published.snapshot?.pools ?? []).map((pool) => ({
      name: pool.plan.name,
      panic: isInPanic(pool, states),
    })),
    backends: state.backends.map(({ flips: _, ...backend }) => ({
      ...backend,
      flows: counters.backend(backend.id, 'active'),
    })),
    discovery: state.discovery,
    accessLists: state.accessLists,
    files: state.files.unusable,
  };
}

/** To make a policy takes a turn, once for all who ask about its pool meanwhile. With it at hand the answer is. */
function explainPage(source: PageSource): Handle {
  const { outside, policies, turns } = source;
  const making = new Map<number, Promise<Answer>>();
  const make = (pool: PoolView): Promise<Answer> =>
    turns
      .take(() => {
        policies.of(pool);
        return { status: 200, body: '' };
      })
      .finally(() => making.delete(pool.id));
  return async ({ query }) => {
    const { snapshot } = (await outside.state()).published;
    const pool = snapshot === undefined ? undefined : poolOf(snapshot, query, source);
    if (pool !== undefined && !policies.isAtHand(pool)) {
      const made = making.get(pool.id) ?? make(pool);
      making.set(pool.id, made);
      const answer = await made;
      if (answer.status !== 200) return answer;
    }
    return explained(source, query);
  };
}

/** Whose policy is needed; undefined: there is none, which {@link explained} says. */
function poolOf(
  snapshot: Snapshot,
  query: URLSearchParams,
  { views, nowMs }: PageSource,
): PoolView | undefined {
  const listener = snapshot.listeners.find(({ plan }) => plan.name === query.get('listener'));
  if (listener === undefined) return undefined;
  try {
    return leadOf(snapshot, listener, clientOf(query), asksOf(query), views.pins, nowMs()).pool;
  } catch {
    return undefined;
  }
}

/** One that is known by something else has no address. */
function clientOf(query: URLSearchParams): AskedClient {
  try {
    return readAskedClient(query.get('client') ?? '');
  } catch {
    return noAddress;
  }
}

function asksOf(query: URLSearchParams): Asks {
  const speaks = routeProtocols.find((protocol) => protocol === query.get('speaks'));
  return {
    speaks,
    serverName: query.get('server_name') ?? undefined,
    alpn: query.getAll('alpn'),
    firstBytes: query.get('first_bytes') ?? undefined,
    port: query.has('port') ? Number(query.get('port')) : undefined,
  };
}

function explained(source: PageSource, query: URLSearchParams): Answer {
  const listener = query.get('listener') ?? '';
  let client: AskedClient;
  try {
    client = readAskedClient(query.get('client') ?? '');
  } catch (error) {
    return { status: 400, body: { error: (error as Error).message } };
  }
  const speaks = query.get('speaks');
  if (speaks !== null && asksOf(query).speaks === undefined)
    return { status: 400, body: { error: `speaks: ${speaks} is none of ${routeProtocols.join(', ')}` } };
  const port = query.get('port');
  if (port !== null && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
    return { status: 400, body: { error: `port: ${port} is none: 1 to 65535` } };
  const { snapshot } = source.outside.known.published;
  if (snapshot === undefined) return { status: 503, body: { error: 'not started yet' } };
  try {
    const without = query.get('without') ?? undefined;
    const whyDown = whyDownOf(source.outside.known);
    const spared = sparedOf(source.outside.known);
    const answer = explain(
      snapshot,
      { ...source, whyDown, spared },
      listener,
      client,
      without,
      asksOf(query),
    );
    if (answer !== undefined) return { status: 200, body: answer };
    const names = snapshot.listeners.map(({ plan }) => plan.name).join(', ');
    return { status: 404, body: { error: `no listener ${listener}; there are: ${names}` } };
  } catch (error) {
    return { status: 404, body: { error: (error as Error).message } };
  }
}

function sparedOf({ backends }: Pick<FrontState, 'backends'>): (id: number) => string | undefined {
  return (id) => {
    const spared = backends.find((backend) => backend.id === id)?.spared ?? undefined;
    if (spared === undefined) return undefined;
    const because =
      spared.for === 'last' ? 'nobody else takes new clients' : 'enough of the pool are left out';
    return `${spared.why}; not left out, as ${because}`;
  };
}

function whyDownOf({ backends }: Pick<FrontState, 'backends'>): (id: number) => string | undefined {
  return (id) => {
    const status = backends.find((backend) => backend.id === id);
    if (status === undefined || status.reason === null) return undefined;
    const left = status.ejection === null ? '' : `, ${Math.ceil(status.ejection.leftMs / 1_000)} s to go`;
    return `${status.reason}: ${status.why}${left}`;
  };
}

/** Who is connected where: of this instance, or with `cluster` of all. */
async function connections({ outside, turns }: PageSource, query: URLSearchParams): Promise<Answer> {
  const most = readMost(query.get('most'));
  if (most === undefined) return { status: 400, body: { error: `most: ${mostRule}` } };
  return turns.take(() => outside.order({ kind: 'connections', most, ofCluster: query.has('cluster') }));
}
