/**
 * Finished flows on their way to control, in batches: a message per flow would cost more than a short
 * connection's whole relay. Bounded; what does not fit is counted, so a log never passes for complete.
 */
import type { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import { flowRecordsMax } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { FlowRecord, MessageFromWorker } from './messages-from-worker.ts';

export class FlowReports {
  /** Share of flows that are reported, 0 to 1. */
  sample = 1;
  private readonly worker: number;
  private readonly post: (message: MessageFromWorker) => void;
  private records: FlowRecord[] = [];
  private untold = 0;

  constructor(worker: number, post: (message: MessageFromWorker) => void) {
    this.worker = worker;
    this.post = post;
  }

  ended(flow: Flow, pool: string, code: TerminationCode, nowMs: number): void {
    if (this.sample <= 0 || (this.sample < 1 && Math.random() >= this.sample)) return;
    if (this.records.length >= flowRecordsMax) {
      this.untold++;
      return;
    }
    this.records.push(this.record(flow, pool, code, nowMs));
  }

  record(flow: Flow, pool: string, code: TerminationCode | undefined, nowMs: number): FlowRecord {
    const record: FlowRecord = {
      worker: this.worker,
      flowId: flow.id,
      listener: flow.listener.plan.name,
      protocol: flow.listener.plan.protocol,
      client: clientText(flow.client),
      ...(flow.movedTo === undefined ? {} : { movedTo: clientText(flow.movedTo) }),
      ...(flow.peer === flow.client ? {} : { peer: clientText(flow.peer) }),
      pool,
      backend: flow.backend?.name,
      reason: flow.backend === undefined ? undefined : flow.reason,
      tries: flow.failed.length + (flow.backend === undefined ? 0 : 1),
      bytesIn: flow.bytesIn,
      bytesOut: flow.bytesOut,
      datagramsIn: flow.datagramsIn,
      datagramsOut: flow.datagramsOut,
      durationMs: round(nowMs - flow.startedAtMs),
      connectMs: flow.connectedAtMs === 0 ? undefined : round(flow.connectedAtMs - flow.startedAtMs),
      code,
    };
    return flow.listener.plan.routes === undefined
      ? record
      : { ...record, route: flow.routeNumber, serverName: flow.spoken?.name };
  }

  flush(): void {
    if (this.records.length === 0 && this.untold === 0) return;
    this.post({ type: 'flows-ended', records: this.records, untold: this.untold });
    this.records = [];
    this.untold = 0;
  }
}

/** As logs and pages show a client. */
export function clientText(client: Address): string {
  return client.port === 0 && client.isWildcard ? 'unix' : client.toString();
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
