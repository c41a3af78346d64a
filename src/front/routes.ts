/** The pages: what a monitor may read on the metrics address, and what an operator may do on the admin socket. */
import type { Registry } from 'prom-client';
import type { Control } from '../control/control.ts';
import { explain } from '../control/explain.ts';
import { Address } from '../core/address.ts';
import { faultRoutes } from './faults.ts';
import type { Answer, Routes } from './http.ts';
import { mostRule, readMost } from './most.ts';
import { pinRoutes } from './pins.ts';
import { notReadyBecause } from './readiness.ts';

/**
 * `/healthz`: the process lives. `/readyz`: it accepts clients (503 while starting or draining); with `?in-step`, it
 * has also read the pins it shares with its cluster once.
 */
export function metricsRoutes(control: Control, metrics: Registry): Routes {
  return {
    'GET /metrics': async () => ({
      status: 200,
      body: await metrics.metrics(),
      contentType: metrics.contentType,
    }),
    'GET /healthz': () => ({ status: 200, body: 'ok\n' }),
    'GET /readyz': ({ query }) => readiness(control, query.has('in-step')),
  };
}

export function adminRoutes(control: Control, metrics: Registry, reload: () => Promise<Answer>): Routes {
  return {
    ...metricsRoutes(control, metrics),
    'GET /status': () => ({ status: 200, body: status(control) }),
    'GET /explain': ({ query }) => explained(control, query),
    'GET /connections': ({ query }) => connections(control, query),
    ...pinRoutes(control),
    'POST /reload': reload,
    'POST /pools/:pool/backends/:backend/drain': ({ params }) => drain(control, params, true),
    'POST /pools/:pool/backends/:backend/undrain': ({ params }) => drain(control, params, false),
    ...faultRoutes(control),
  };
}

function readiness(control: Control, inStep: boolean): Answer {
  const cluster = control.sharing.cluster?.status() ?? null;
  const reason = notReadyBecause({ ready: control.ready, cluster }, inStep);
  if (reason === undefined) return { status: 200, body: 'ready\n' };
  return { status: 503, body: `not ready: ${reason}\n` };
}

function status(control: Control): object {
  const { counters, pins } = control.views;
  return {
    startedAt: control.startedAt.toISOString(),
    ready: control.ready,
    config: control.plan.source,
    digest: control.plan.digest,
    workers: control.workerCountNow,
    flows: counters.flows(),
    flowsMax: control.snapshot?.flowsMax ?? 0,
    pins: pins.stats(),
    cluster: control.sharing.cluster?.status() ?? null,
    listeners: (control.snapshot?.listeners ?? []).map(({ id, plan }) => ({
      name: plan.name,
      protocol: plan.protocol,
      pool: plan.pool,
      flows: counters.listener(id, 'active'),
    })),
    backends: control.backends
      .status()
      .map((backend) => ({ ...backend, flows: counters.backend(backend.id, 'active') })),
  };
}

function explained(control: Control, query: URLSearchParams): Answer {
  const listener = query.get('listener') ?? '';
  const text = query.get('client') ?? '';
  const client = Address.parseWithPort(text) ?? Address.parse(text, 0);
  if (client === undefined) return { status: 400, body: { error: `client: ${text} is not an IP address` } };
  const { snapshot, views } = control;
  if (snapshot === undefined) return { status: 503, body: { error: 'not started yet' } };
  try {
    const answer = explain(
      snapshot,
      views,
      control.sharing.hand,
      control.now(),
      listener,
      client,
      query.get('without') ?? undefined,
    );
    if (answer !== undefined) return { status: 200, body: answer };
    const names = snapshot.listeners.map(({ plan }) => plan.name).join(', ');
    return { status: 404, body: { error: `no listener ${listener}; there are: ${names}` } };
  } catch (error) {
    return { status: 404, body: { error: (error as Error).message } };
  }
}

/** Who is connected where: of this instance, or with `cluster` of all. */
async function connections(control: Control, query: URLSearchParams): Promise<Answer> {
  const most = readMost(query.get('most'));
  if (most === undefined) return { status: 400, body: { error: `most: ${mostRule}` } };
  if (!query.has('cluster')) return { status: 200, body: { connections: await control.listFlows(most) } };
  const { cluster } = control.sharing;
  if (cluster === undefined) return { status: 409, body: { error: 'this instance has no cluster section' } };
  try {
    return { status: 200, body: { connections: await cluster.connections(most) } };
  } catch (error) {
    return { status: 503, body: { error: `Redis does not answer: ${(error as Error).message}` } };
  }
}

function drain(control: Control, params: Readonly<Record<string, string>>, draining: boolean): Answer {
  const { pool = '', backend = '' } = params;
  if (control.backends.setDraining(pool, backend, draining)) {
    return { status: 200, body: { pool, backend, draining } };
  }
  const known = control.backends.status().map((status) => `${status.pool}/${status.backend}`);
  return { status: 404, body: { error: `no backend ${pool}/${backend}; there are: ${known.join(', ')}` } };
}
