/**
 * Finished flows on their way to control, in batches: a message per flow would cost more than a short
 * connection's whole relay. Bounded; what does not fit is counted, so a log never passes for complete. Of a flow that nobody
 * will log there is no record at all.
 *
 * Where not all flows are logged those that failed are, up to some each second: what makes flows fail may be a stranger, and whoever
 * keeps a sample has no room for all.
 */
import type { Flow } from '../core/flow.ts';
import { type FlowLog, isFailed } from '../core/flow-log.ts';
import { failedFlowsLoggedPerS, flowRecordsMax } from '../core/limits.ts';
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
  private secondAtMs = Number.NEGATIVE_INFINITY;
  private failedInSecond = 0;

  constructor(worker: number, post: (message: MessageFromWorker, transfer?: ArrayBuffer[]) => void) {
    this.worker = worker;
    this.post = post;
  }

  ended(flow: Flow, code: TerminationCode, nowMs: number): void {
    const { which } = this.log;
    if (which === 'none') return;
    const isOfSample = which === 'all' && this.isInSample();
    if (!isOfSample && !isFailed({ code, bytesOut: flow.bytesOut, datagramsOut: flow.datagramsOut })) return;
    if (this.records.count >= flowRecordsMax || (!isOfSample && !this.mayTellFailed(nowMs))) {
      this.untold++;
      return;
    }
    this.records.add(flow, code, nowMs);
  }

  private isInSample(): boolean {
    const { sample } = this.log;
    return sample >= 1 || (sample > 0 && Math.random() < sample);
  }

  private mayTellFailed(nowMs: number): boolean {
    if (nowMs - this.secondAtMs >= 1_000) {
      this.secondAtMs = nowMs;
      this.failedInSecond = 0;
    }
    return ++this.failedInSecond <= failedFlowsLoggedPerS;
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
