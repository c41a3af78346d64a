/**
 * Finished flows on their way to control, in batches: a message per flow would cost more than a short
 * connection's whole relay. Bounded; what does not fit is counted, so a log never passes for complete. Of a flow that nobody
 * will log there is no record at all.
 */
import type { Flow } from '../core/flow.ts';
import { type FlowLog, isFailed } from '../core/flow-log.ts';
import { flowRecordsMax } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';
import { clientText, FlowRecordWriter, roundedMs } from './flow-records.ts';
import type { FlowRecord, MessageFromWorker } from './messages-from-worker.ts';

export class FlowReports {
  /** Which flows are told. */
  log: FlowLog = { which: 'all', sample: 1 };
  private readonly worker: number;
  private readonly post: (message: MessageFromWorker, transfer?: ArrayBuffer[]) => void;
  private readonly records = new FlowRecordWriter();
  private untold = 0;

  constructor(worker: number, post: (message: MessageFromWorker, transfer?: ArrayBuffer[]) => void) {
    this.worker = worker;
    this.post = post;
  }

  ended(flow: Flow, code: TerminationCode, nowMs: number): void {
    if (!this.isTold(flow, code)) return;
    if (this.records.count >= flowRecordsMax) {
      this.untold++;
      return;
    }
    this.records.add(flow, code, nowMs);
  }

  private isTold({ bytesOut, datagramsOut }: Flow, code: TerminationCode): boolean {
    const { which, sample } = this.log;
    if (which === 'none') return false;
    if (which === 'all' && (sample >= 1 || (sample > 0 && Math.random() < sample))) return true;
    return isFailed({ code, bytesOut, datagramsOut });
  }

  /** Of a flow that is open. */
  record(flow: Flow, pool: string, nowMs: number): FlowRecord {
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
      durationMs: roundedMs(nowMs - flow.startedAtMs),
      connectMs: flow.connectedAtMs === 0 ? undefined : roundedMs(flow.connectedAtMs - flow.startedAtMs),
      code: undefined,
    };
    return flow.listener.plan.routes === undefined
      ? record
      : { ...record, route: flow.routeNumber, serverName: flow.spoken?.name };
  }

  flush(): void {
    if (this.records.count === 0 && this.untold === 0) return;
    const records = this.records.take();
    this.post({ type: 'flows-ended', records, untold: this.untold }, [records]);
    this.untold = 0;
  }
}
