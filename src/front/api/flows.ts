/** Who is connected where now: a part of the open flows, filtered and sorted. */

import type { FlowRecord } from '../../control/view.ts';
import { Address } from '../../core/address.ts';
import { clientMatcher } from '../../core/client-matcher.ts';
import type { FlowRow, FlowsPage } from './shapes.ts';

export const flowSorts = ['newest', 'oldest', 'bytes', 'client'] as const;

export interface FlowQuery {
  readonly listener?: string | undefined;
  readonly pool?: string | undefined;
  readonly backend?: string | undefined;
  /** An address, an address with its port, or a network. */
  readonly client?: string | undefined;
  readonly sort: (typeof flowSorts)[number];
  readonly limit: number;
}

const sorters: Readonly<Record<FlowQuery['sort'], (a: FlowRecord, b: FlowRecord) => number>> = {
  newest: (a, b) => a.durationMs - b.durationMs,
  oldest: (a, b) => b.durationMs - a.durationMs,
  bytes: (a, b) => b.bytesIn + b.bytesOut - (a.bytesIn + a.bytesOut),
  client: (a, b) => (a.client < b.client ? -1 : a.client > b.client ? 1 : 0),
};

/**
 * @param isPartial more are open than `records`
 * @throws RangeError if `client` is neither an address nor a network
 */
export function flowsPage(records: readonly FlowRecord[], query: FlowQuery, isPartial: boolean): FlowsPage {
  const isClient = query.client === undefined ? undefined : clientMatcher(query.client);
  const found = records.filter(
    ({ listener, pool, backend, client, movedTo }) =>
      (query.listener === undefined || listener === query.listener) &&
      (query.pool === undefined || pool === query.pool) &&
      (query.backend === undefined || backend === query.backend) &&
      (isClient === undefined || matches(isClient, movedTo ?? client)),
  );
  found.sort(sorters[query.sort]);
  return { flows: found.slice(0, query.limit).map(flowRow), matching: found.length, isPartial };
}

function matches(isClient: (address: Address) => boolean, text: string): boolean {
  // Who comes over a unix socket has no address, and none is asked for.
  const address = Address.parseWithPort(text);
  return address !== undefined && isClient(address);
}

function flowRow(record: FlowRecord): FlowRow {
  const { worker, flowId, listener, protocol, client, movedTo, pool, backend, reason, address } = record;
  return {
    id: `${worker}-${flowId}`,
    listener,
    protocol,
    client: movedTo ?? client,
    pool,
    backend: backend ?? null,
    address: address ?? null,
    why: reason ?? null,
    serverName: record.serverName ?? null,
    ageMs: Math.max(0, Math.round(record.durationMs)),
    connectMs: record.connectMs ?? null,
    bytesIn: record.bytesIn,
    bytesOut: record.bytesOut,
    datagramsIn: record.datagramsIn,
    datagramsOut: record.datagramsOut,
  };
}
