/**
 * The front room: a thread that speaks HTTP with operators and monitors. It reads shared memory by itself, asks control
 * for the rest, and may die of what it is sent.
 */

import type { AdminPlan, Bind } from '../core/plan.ts';
import { createMetrics } from '../observe/metrics.ts';
import { type HandOutcome, PinsByHand } from '../pins/by-hand.ts';
import { PinNames } from '../pins/names.ts';
import { TableNames } from '../pins/names-table.ts';
import { leaveRoom, type RoomPost, serveRoom } from '../rooms/serve.ts';
import { attachSharedMemory, type SharedMemory, sharedClock, sharingWriters } from '../rooms/shared.ts';
import { EventLog } from './api/events.ts';
import { Overview } from './api/overview.ts';
import { PinCounter } from './api/pin-counts.ts';
import { RateWatch } from './api/rates.ts';
import { StreamHub } from './api/stream.ts';
import { type Gate, openGate, tokenGate } from './gate.ts';
import { type HttpService, serveHttp } from './http.ts';
import type { MessageFromFront, PageName } from './messages-from-front.ts';
import type { MessageToFront } from './messages-to-front.ts';
import { Outside } from './outside.ts';
import { KeptPolicies } from './policies.ts';
import { adminRoutes, metricsRoutes, type PageSource, renderedPages } from './routes.ts';
import { TokenFiles } from './token-files.ts';
import { Turns } from './turns.ts';

/** What control makes the room with. */
export interface FrontRoomData {
  readonly shared: SharedMemory;
  readonly version: string;
  /** Parts the pins of the cluster are divided into; undefined without a cluster. */
  readonly shards: number | undefined;
  /** Tells this process from its predecessors. */
  readonly run: string;
  readonly pages: readonly PageData[];
  /** It follows on one that has died. */
  readonly isAgain: boolean;
}

export interface PageData {
  readonly page: PageName;
  readonly bind: Bind;
  /** Who may do what on it; undefined: metrics, which everybody may see. */
  readonly admin?: Omit<AdminPlan, 'listen'>;
}

/** Pins by hand follow the names and writers that control knew when it was asked last. */
function pinsByHand(
  { shared, shards }: FrontRoomData,
  outside: Outside,
  views: PageSource['views'],
): PinsByHand {
  const table = new TableNames();
  const names = new PinNames(table, views.pins, shards ?? 1);
  outside.onState = ({ published, writers }, isOther) => {
    if (isOther) table.use(published.names);
    names.useWriters(writers);
  };
  return new PinsByHand({
    pins: views.pins,
    names,
    instance: () => outside.known.instance,
    nowMs: sharedClock(shared.clockOriginMs),
    share: async (change): Promise<HandOutcome> => {
      if (shards === undefined) return 'here-only';
      const { status, body } = await outside.order({ kind: 'tell', change });
      return status === 200 ? (body as { outcome: HandOutcome }).outcome : 'here-only';
    },
  });
}

async function serve(
  data: FrontRoomData,
  post: RoomPost<MessageFromFront>,
): Promise<(message: MessageToFront) => void> {
  const outside = new Outside(post);
  const views = attachSharedMemory(data.shared, sharingWriters.front);
  const { version, shards } = data;
  const nowMs = sharedClock(data.shared.clockOriginMs);
  const events = new EventLog(data.run);
  const overview = new Overview({
    outside,
    views,
    version,
    rates: new RateWatch(views.counters, nowMs),
    pins: new PinCounter(views.pins, nowMs),
  });
  const services: HttpService[] = [];
  const source: PageSource = {
    outside,
    views,
    hand: pinsByHand(data, outside, views),
    policies: new KeptPolicies(),
    turns: new Turns(),
    metrics: createMetrics({
      views,
      version,
      state: () => outside.known,
      httpRefusals: () => sum(services),
      isShared: shards !== undefined,
    }),
    nowMs,
    version,
    overview,
    events,
    hub: new StreamHub({ events, state: (access) => overview.statusText(access) }),
  };
  overview.watch();
  const rendered = renderedPages(source);
  for (const { page, bind, admin } of data.pages) {
    try {
      const routes = page === 'admin' ? adminRoutes(source, rendered) : metricsRoutes(source, rendered);
      const gate = gateOf(bind, admin, data.isAgain);
      const service = await serveHttp(bind, routes, { gate, group: admin?.group, origins: admin?.origins });
      services.push(service);
      post({ type: 'listening', page, port: service.port });
    } catch (error) {
      post({ type: 'not-listening', page, message: (error as Error).message });
    }
  }
  return (message) => {
    if (message.type === 'events') return events.take(message.events);
    if (message.type !== 'stop') return outside.hear(message);
    for (const service of services) service.close();
    leaveRoom();
  };
}

/**
 * @param isAgain a file that cannot be used gives nobody access then, and must not take metrics and readiness with it
 * @throws Error if a file of tokens cannot be used
 */
function gateOf(bind: Bind, admin: PageData['admin'], isAgain: boolean): Gate {
  if (admin === undefined || bind.kind === 'unix') return openGate;
  const files = new TokenFiles(admin.tokens ?? {});
  if (files.problem !== undefined && !isAgain) throw new Error(files.problem);
  files.watch();
  return tokenGate(() => files.now, admin.tokens?.readFile !== undefined);
}

/** Refusals of all pages, by reason. */
function sum(services: readonly HttpService[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const service of services) {
    for (const [reason, count] of Object.entries(service.counts()))
      total[reason] = (total[reason] ?? 0) + count;
  }
  return total;
}

await serveRoom<FrontRoomData, MessageToFront, MessageFromFront>(serve);
