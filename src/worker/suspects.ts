/**
 * Passive health, the worker's part: dials that fail, connections that break before the backend's first byte and ports that are
 * unreachable, in a row, make a backend suspect; one success, which is an answer, clears it. Control is told once per row of
 * failures and decides what it means. Where thousands of clients fail each second it is not told thousands of times: what fails
 * soon after it was told goes on counting, and is told with the next failure after that.
 *
 * Over UDP also the answers of conversations that are open clear it, which are looked at when a row is complete and half a second
 * has passed since its beginning: a row may be three datagrams of one client, and whoever is answered by then was answered in it.
 */
import type { FaultCause } from '../core/ejection.ts';
import type { Protocol } from '../core/plan.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';
import type { UdpReplies } from './udp-replies.ts';

type Cause = Exclude<FaultCause, 'silent'>;

/** Of one backend, protocol and cause nothing is told again before so long. Milliseconds. */
const tellAgainMs = 100;

interface Suspect {
  /** Of all of the row: of several the one that a plain connection does not show. */
  cause: Cause;
  failures: number;
  readonly firstAtMs: number;
  lastAtMs: number;
  /** UDP: replies to this worker when it began. */
  readonly replies: number;
  /** UDP: as many as it takes; to be told unless there has been an answer. */
  isComplete: boolean;
}

/** UDP: a row is not judged sooner after its first failure. */
const judgeAfterMs = 500;

export class SuspectBackends {
  private readonly post: (message: MessageFromWorker) => void;
  private readonly replies: Pick<UdpReplies, 'of'>;
  /** By backend and protocol: a port may be dead for UDP and well for TCP. */
  private readonly suspects = {
    tcp: new Map<number, Suspect>(),
    udp: new Map<number, Suspect>(),
  };
  /** When it was told last, by backend, protocol and cause. */
  private readonly toldAtMs = new Map<string, number>();

  constructor(post: (message: MessageFromWorker) => void, replies: Pick<UdpReplies, 'of'>) {
    this.post = post;
    this.replies = replies;
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
    const before = suspects.get(backendId);
    const isNewRow = before === undefined || nowMs - before.lastAtMs > passive.ejectMs;
    const suspect = isNewRow ? this.beginRow(backendId, protocol, cause, nowMs) : before;
    suspects.set(backendId, suspect);
    suspect.failures++;
    if (cause !== 'dial') suspect.cause = cause;
    suspect.lastAtMs = nowMs;
    if (suspect.failures < passive.failures) return;
    suspect.isComplete = true;
    // Over TCP every answer has been told. And who has never answered has nothing to be asked about.
    if (protocol === 'tcp' || suspect.replies === 0) this.tell(backendId, protocol, suspect, nowMs);
  }

  /** Judges the rows that have waited for it. Call it often. */
  turn(nowMs: number): void {
    if (this.suspects.udp.size === 0) return;
    for (const [backendId, suspect] of this.suspects.udp) {
      if (!suspect.isComplete || nowMs - suspect.firstAtMs < judgeAfterMs) continue;
      if (this.replies.of(backendId, nowMs) > suspect.replies) this.suspects.udp.delete(backendId);
      else this.tell(backendId, 'udp', suspect, nowMs);
    }
  }

  private beginRow(backendId: number, protocol: Protocol, cause: Cause, nowMs: number): Suspect {
    const replies = protocol === 'udp' ? this.replies.of(backendId, nowMs) : 0;
    return { cause, failures: 0, firstAtMs: nowMs, lastAtMs: nowMs, replies, isComplete: false };
  }

  /** Unless it has been told a moment ago: then with the next failure, or turn. */
  private tell(backendId: number, protocol: Protocol, { cause, failures }: Suspect, nowMs: number): void {
    const what = `${backendId} ${protocol} ${cause}`;
    if (nowMs - (this.toldAtMs.get(what) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return;
    this.toldAtMs.set(what, nowMs);
    this.suspects[protocol].delete(backendId);
    this.post({ type: 'backend-suspect', backendId, protocol, cause, failures });
  }
}
