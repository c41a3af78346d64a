/**
 * Passive health, the worker's part: dials that fail, connections that break before the backend's first byte and ports that are
 * unreachable, in a row, make a backend suspect; one success, which is an answer, clears it. Control is told once per row of
 * failures and decides what it means. Where thousands of clients fail each second it is not told thousands of times: what fails
 * soon after it was told goes on counting, and is told with the next failure after that.
 */
import type { FaultCause } from '../core/ejection.ts';
import type { Protocol } from '../core/plan.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';

type Cause = Exclude<FaultCause, 'silent'>;

/** Of one backend, protocol and cause nothing is told again before so long. Milliseconds. */
const tellAgainMs = 100;

interface Suspect {
  /** Of all of the row: of several the one that a plain connection does not show. */
  cause: Cause;
  failures: number;
  lastAtMs: number;
}

export class SuspectBackends {
  private readonly post: (message: MessageFromWorker) => void;
  /** By backend and protocol: a port may be dead for UDP and well for TCP. */
  private readonly suspects = {
    tcp: new Map<number, Suspect>(),
    udp: new Map<number, Suspect>(),
  };
  /** When it was told last, by backend, protocol and cause. */
  private readonly toldAtMs = new Map<string, number>();

  constructor(post: (message: MessageFromWorker) => void) {
    this.post = post;
  }

  succeeded(backendId: number, protocol: Protocol): void {
    const suspects = this.suspects[protocol];
    if (suspects.size > 0) suspects.delete(backendId);
  }

  /** It is at another address now: what failed at the old one says nothing about it. */
  moved(backendId: number): void {
    this.suspects.tcp.delete(backendId);
    this.suspects.udp.delete(backendId);
  }

  /** @param passive failures in a row that make a suspect; failures further apart than `ejectMs` are not "in a row" */
  failed(
    backendId: number,
    protocol: Protocol,
    cause: Cause,
    passive: { readonly failures: number; readonly ejectMs: number },
    nowMs: number,
  ): void {
    const suspects = this.suspects[protocol];
    const suspect = suspects.get(backendId) ?? { cause, failures: 0, lastAtMs: nowMs };
    const isNewRow = nowMs - suspect.lastAtMs > passive.ejectMs;
    suspect.failures = isNewRow ? 1 : suspect.failures + 1;
    if (isNewRow || cause !== 'dial') suspect.cause = cause;
    suspect.lastAtMs = nowMs;
    suspects.set(backendId, suspect);
    if (suspect.failures < passive.failures) return;
    const what = `${backendId} ${protocol} ${suspect.cause}`;
    if (nowMs - (this.toldAtMs.get(what) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return;
    this.toldAtMs.set(what, nowMs);
    suspects.delete(backendId);
    this.post({
      type: 'backend-suspect',
      backendId,
      protocol,
      cause: suspect.cause,
      failures: suspect.failures,
    });
  }
}
