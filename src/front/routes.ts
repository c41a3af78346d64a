/** The pages: what a monitor may read on the metrics address, and what an operator may do on the admin socket. */
import type { Registry } from 'prom-client';
import { Address } from '../core/address.ts';
import type { PinsByHand } from '../pins/by-hand.ts';
import type { SharedViews } from '../rooms/shared.ts';
import { explain } from './explain.ts';
import { faultRoutes } from './faults.ts';
import type { Answer, Routes } from './http.ts';
import { mostRule, readMost } from './most.ts';
import type { Outside } from './outside.ts';
import { pinRoutes } from './pins.ts';
import { notReadyBecause } from './readiness.ts';
import type { FrontState } from './state.ts';
import type { Turns } from './turns.ts';

/** What pages are made from. */
export interface PageSource {
  readonly outside: Outside;
  readonly views: SharedViews;
  readonly hand: PinsByHand;
  /** For pages that cost more than a moment. */
  readonly turns: Turns;
  readonly metrics: Registry;
  /** Milliseconds on the clock the pin table is used with. */
  readonly nowMs: () => number;
}

/**
 * `/healthz`: control lives. `/readyz`: it accepts clients (503 while starting or draining); with `?in-step`, it
 * has also read the pins it shares with its cluster once.
 */
export function metricsRoutes({ outside, metrics }: PageSource): Routes {
  return {
    'GET /metrics': async () => {
      await outside.state();
      return { status: 200, body: await metrics.metrics(), contentType: metrics.contentType };
    },
    'GET /healthz': async () => {
      await outside.state();
      return { status: 200, body: 'ok\n' };
    },
    'GET /readyz': async ({ query }) => readiness(await outside.state(), query.has('in-step')),
  };
}

export function adminRoutes(source: PageSource): Routes {
  const { outside } = source;
  return {
    ...metricsRoutes(source),
    'GET /status': async () => ({ status: 200, body: status(await outside.state(), source.views) }),
    'GET /explain': async ({ query }) => {
      await outside.state();
      return explained(source, query);
    },
    'GET /connections': ({ query }) => connections(source, query),
    ...pinRoutes(source),
    'POST /reload': () => outside.order({ kind: 'reload' }),
    'POST /pools/:pool/backends/:backend/drain': ({ params }) => drain(outside, params, true),
    'POST /pools/:pool/backends/:backend/undrain': ({ params }) => drain(outside, params, false),
    ...faultRoutes(outside),
  };
}

function readiness({ ready, cluster }: FrontState, inStep: boolean): Answer {
  const reason = notReadyBecause({ ready, cluster: cluster ?? null }, inStep);
  if (reason === undefined) return { status: 200, body: 'ready\n' };
  return { status: 503, body: `not ready: ${reason}\n` };
}

function status(state: FrontState, { counters, pins }: SharedViews): object {
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
      pool: plan.pool,
      flows: counters.listener(id, 'active'),
    })),
    backends: state.backends.map((backend) => ({
      ...backend,
      flows: counters.backend(backend.id, 'active'),
    })),
  };
}

function explained({ outside, views, hand, nowMs }: PageSource, query: URLSearchParams): Answer {
  const listener = query.get('listener') ?? '';
  const text = query.get('client') ?? '';
  const client = Address.parseWithPort(text) ?? Address.parse(text, 0);
  if (client === undefined) return { status: 400, body: { error: `client: ${text} is not an IP address` } };
  const { snapshot } = outside.known.published;
  if (snapshot === undefined) return { status: 503, body: { error: 'not started yet' } };
  try {
    const without = query.get('without') ?? undefined;
    const answer = explain(snapshot, views, hand, nowMs(), listener, client, without);
    if (answer !== undefined) return { status: 200, body: answer };
    const names = snapshot.listeners.map(({ plan }) => plan.name).join(', ');
    return { status: 404, body: { error: `no listener ${listener}; there are: ${names}` } };
  } catch (error) {
    return { status: 404, body: { error: (error as Error).message } };
  }
}

/** Who is connected where: of this instance, or with `cluster` of all. */
async function connections({ outside, turns }: PageSource, query: URLSearchParams): Promise<Answer> {
  const most = readMost(query.get('most'));
  if (most === undefined) return { status: 400, body: { error: `most: ${mostRule}` } };
  return turns.take(() => outside.order({ kind: 'connections', most, ofCluster: query.has('cluster') }));
}

function drain(
  outside: Outside,
  { pool = '', backend = '' }: Readonly<Record<string, string>>,
  draining: boolean,
): Promise<Answer> {
  return outside.order({ kind: 'drain', pool, backend, draining });
}
