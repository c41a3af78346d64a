/**
 * Flows that go back to where they came from: the client has the address of the host its backend is on, or client and backend
 * are both instances of the cluster. One alone is ordinary (a program beside the server it uses). But two balancers that are
 * each other's backends hand a client to and fro like that, and then nobody ever answers:
 *
 *    client --> A --> B --> A --> B --> ...       seen at A: flows from B, to B, all of them mute
 *
 * So mute ones (connected, and nothing came back yet) are counted for each listener and backend. Above a bound the next one is
 * not dialled until one of that way is answered, or its place is free; in a loop that holds up the whole chain. When nothing
 * was answered for a while it is refused with `loop`, and with it the chain falls. From then on a single mute one is
 * enough, until the backend answers somebody.
 *
 * Pure: time and the engine are the director's. Each worker counts its own.
 */
import type { Flow, ReturningWay } from '../core/flow.ts';
import { loopRememberedMs, returningFlowsMax, returningPatienceMs, waitingFlowsMax } from '../core/limits.ts';
import type { BackendView } from '../core/snapshot.ts';
import { type KnownMembers, Neighbours } from './neighbours.ts';

export type Verdict = 'go' | 'wait' | 'loop';

interface Held {
  readonly sinceMs: number;
  readonly way: ReturningWay;
  readonly most: number;
}

export class ReturningFlows {
  private readonly neighbours = new Neighbours();
  private readonly ways = new Map<number, ReturningWay>();
  private readonly held = new Map<Flow, Held>();
  private readonly workers: number;
  private readonly onLoop: (flow: Flow, backend: BackendView) => void;

  /** @param onLoop a way has been found to be a loop */
  constructor(workers: number, onLoop: (flow: Flow, backend: BackendView) => void) {
    this.workers = workers;
    this.onLoop = onLoop;
  }

  learn(members: KnownMembers): void {
    this.neighbours.learn(members);
  }

  /** Whether the flow may be dialled now. 'wait': {@link due} says when to ask again. */
  admit(flow: Flow, backend: BackendView, nowMs: number): Verdict {
    const relation = this.neighbours.relation(flow, backend);
    if (relation === 'none') return 'go';
    const before = this.held.get(flow);
    this.held.delete(flow);
    const way = this.wayOf(flow, backend, nowMs);
    const most = way.loopAtMs === 0 ? this.mostMute(flow, relation) : 1;
    if (way.mute < most || nowMs - way.answeredAtMs < returningPatienceMs) {
      way.mute++;
      flow.returningWay = way;
      return 'go';
    }
    if (way.loopAtMs !== 0 || this.held.size >= waitingFlowsMax) return 'loop';
    const sinceMs = before?.sinceMs ?? nowMs;
    if (nowMs - sinceMs < returningPatienceMs) {
      this.held.set(flow, { sinceMs, way, most });
      return 'wait';
    }
    // Those that are open count no more: the backend may prove itself by the next one.
    way.after = { mute: 0, answeredAtMs: way.answeredAtMs, loopAtMs: nowMs, after: undefined };
    this.ways.set(keyOf(flow, backend), way.after);
    this.onLoop(flow, backend);
    return 'loop';
  }

  /**
   * The flow has left its backend: its dial failed, or it is over. A chain that falls may take longer than its loop is
   * remembered, so the loop is remembered from its last flow on.
   */
  left(flow: Flow, nowMs: () => number): void {
    if (this.held.size > 0) this.held.delete(flow);
    const way = flow.returningWay;
    if (way === undefined) return;
    way.mute--;
    for (let { after } = way; after !== undefined; { after } = after)
      if (after.loopAtMs !== 0) after.loopAtMs = nowMs();
    flow.returningWay = undefined;
  }

  /** The backend has sent its first byte or datagram. The clock is asked only where something is counted. */
  answered(flow: Flow, backend: BackendView, nowMs: () => number): void {
    if (this.ways.size === 0) return;
    const way = flow.returningWay ?? this.ways.get(keyOf(flow, backend));
    if (way === undefined) return;
    // Of those counted before a verdict too: it was none.
    const answeredAtMs = nowMs();
    for (let each: ReturningWay | undefined = way; each !== undefined; each = each.after) {
      each.answeredAtMs = answeredAtMs;
      each.loopAtMs = 0;
    }
    this.left(flow, nowMs);
  }

  /** Held flows that may go by now, or have waited long enough. */
  due(nowMs: number): Flow[] {
    const flows: Flow[] = [];
    for (const [flow, { sinceMs, way, most }] of this.held) {
      const isFree = way.mute < most || way.answeredAtMs > sinceMs;
      if (isFree || nowMs - sinceMs >= returningPatienceMs) flows.push(flow);
    }
    return flows;
  }

  private mostMute({ listener }: Flow, relation: 'same-host' | 'members'): number {
    const most = returningFlowsMax[relation === 'members' ? relation : listener.plan.protocol];
    return Math.ceil(most / this.workers);
  }

  private wayOf(flow: Flow, backend: BackendView, nowMs: number): ReturningWay {
    const key = keyOf(flow, backend);
    let way = this.ways.get(key);
    if (way === undefined) {
      way = { mute: 0, answeredAtMs: Number.NEGATIVE_INFINITY, loopAtMs: 0, after: undefined };
      this.ways.set(key, way);
    }
    if (way.loopAtMs !== 0 && nowMs - way.loopAtMs > loopRememberedMs) way.loopAtMs = 0;
    return way;
  }
}

/** Ids have 16 bits each. */
function keyOf(flow: Flow, backend: BackendView): number {
  return flow.listener.id * 65_536 + backend.id;
}
