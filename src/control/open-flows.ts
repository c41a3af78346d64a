/**
 * What becomes of the flows that are open to a backend when it is down, removed, or not needed any more: as its pool says, at once
 * or over a time; and what was ordered and not done yet is taken back when it is up again.
 */
import type { Protocol } from '../core/plan.ts';
import { isSameWay, type Way } from '../core/way.ts';
import { type Backend, onDownOf, wayOf } from './backend.ts';

/** Workers end the last flows of an order that much later where the machine stands still. */
const paceSlackMs = 60_000;

/** What is ordered of all workers. */
export interface FlowOrders {
  /** Ends the open flows of a backend. */
  readonly endFlows: (
    backendId: number,
    code: 'backend-down' | 'backend-removed' | 'address-changed' | 'backup-closed',
    which?: {
      /** Default: both. */
      readonly protocol?: Protocol;
      /** TCP: only flows that are open by this way. Default: by any. */
      readonly way?: Way;
      /** On the shared clock. Default: all that are open now. */
      readonly connectedBeforeMs?: number;
      /** TCP: evenly over so long. Default: at once. */
      readonly overMs?: number;
    },
  ) => void;
  /** Takes back what is left of orders to end flows over a time. */
  readonly keepFlows: (
    backendId: number,
    way: Way,
    codes: readonly ('backend-down' | 'backend-removed' | 'address-changed' | 'backup-closed')[],
  ) => void;
}

export interface OpenFlowsOptions extends FlowOrders {
  /** Milliseconds on the clock that flows are stamped with. */
  readonly nowMs: () => number;
  readonly find: (backendId: number) => Backend | undefined;
}

export class OpenFlows {
  private readonly options: OpenFlowsOptions;
  /** Those whose flows are being ended over a time because they were removed, and until when. */
  private readonly leaving = new Map<number, number>();

  constructor(options: OpenFlowsOptions) {
    this.options = options;
  }

  /** At once, or over the time that its pool gives. */
  end(...[id, code, which]: Parameters<FlowOrders['endFlows']>): void {
    const overMs = this.options.find(id)?.pool.closeOverMs ?? 0;
    if (overMs > 0) this.options.endFlows(id, code, { ...which, overMs });
    else if (which === undefined) this.options.endFlows(id, code);
    else this.options.endFlows(id, code, which);
  }

  /** Of a backend that its pool has no more. */
  removed({ id, pool }: Backend): void {
    this.end(id, 'backend-removed');
    if (pool.closeOverMs > 0) this.leaving.set(id, this.options.nowMs() + pool.closeOverMs);
  }

  /** It is up. */
  cameUp(backend: Backend): void {
    clearTimeout(backend.graceTimer);
    this.keep(backend);
    this.keepReturned(backend);
  }

  /** As `on_down` says, now or after its grace. Flows that `fail_open` sends there meanwhile go on. */
  wentDown(backend: Backend): void {
    backend.onDown = onDownOf(backend);
    const { action, graceMs } = backend.onDown;
    clearTimeout(backend.graceTimer);
    this.keep(backend);
    if (action === 'keep') return;
    const connectedBeforeMs = backend.downSinceMs;
    const leftMs = connectedBeforeMs + graceMs - this.options.nowMs();
    // As it is now: by then it may be elsewhere, where nobody is to be ended for this.
    const [way, isLost] = [wayOf(backend), backend.verdict.isLost];
    const end = (): void => {
      if (isLost && backend.pool.closeOverMs > 0) backend.pacedWay = way;
      this.end(
        backend.id,
        'backend-down',
        isLost ? { connectedBeforeMs, way } : { connectedBeforeMs, protocol: 'udp' },
      );
    };
    if (leftMs <= 0) end();
    else backend.graceTimer = setTimeout(end, leftMs);
  }

  /** Those that have not been ended yet; elsewhere than where the backend is now another has the word. */
  private keep(backend: Backend): void {
    const { pacedWay: way, id } = backend;
    backend.pacedWay = undefined;
    if (way !== undefined && isSameWay(way, wayOf(backend)))
      this.options.keepFlows(id, way, ['backend-down']);
  }

  /** It was removed, and is there again and up before all its flows were ended: a list that is found missed it once. */
  private keepReturned(backend: Backend): void {
    const { id } = backend;
    const nowMs = this.options.nowMs();
    const untilMs = this.leaving.get(id);
    if (untilMs === undefined) return;
    if (nowMs < untilMs + paceSlackMs) this.options.keepFlows(id, wayOf(backend), ['backend-removed']);
    else this.leaving.delete(id);
  }

  /** At other ways than its present one flows of a backup go on being ended. */
  keepOnBackup(id: number): void {
    const backend = this.options.find(id);
    if (backend !== undefined && backend.pool.closeOverMs > 0)
      this.options.keepFlows(id, wayOf(backend), ['backup-closed']);
  }
}
