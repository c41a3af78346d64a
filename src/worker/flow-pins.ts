/**
 * The pins of one worker's flows after a backend was chosen: confirmed when it has served, counted as in use and kept
 * alive for as long as the flow is open. Choosing itself reads and claims pins in core/choose.ts.
 */
import { pinIdOf } from '../core/choose.ts';
import type { Flow } from '../core/flow.ts';
import type { PinTable } from '../core/pins/table.ts';

/** UDP: who has sent again after an answer is there; of others nobody knows, as a source can be forged. */
const datagramsOfConnected = 2;

export class FlowPins {
  private readonly pins: PinTable;

  constructor(pins: PinTable) {
    this.pins = pins;
  }

  /** A backend has served the client once. */
  confirm(flow: Flow, nowMs: number): void {
    const { pinScope } = flow;
    const { plan } = flow.listener;
    if (plan.affinity.key === 'none') return;
    this.pins.confirm(pinScope, flow.key, pinIdOf(flow.backend!), plan.affinity.ttlMs, nowMs);
  }

  /**
   * The client is connected: as long as it is, its pin is not evicted. A flow that a fault of our own or `fail_open` has
   * brought where it is makes no pin.
   */
  arrive(flow: Flow, nowMs: number): void {
    const { pinScope } = flow;
    const { plan } = flow.listener;
    if (plan.affinity.key === 'none') return;
    const { ttlMs } = plan.affinity;
    const mayPin = !flow.hadLocalFault && flow.reason !== 'fail-open';
    flow.holdsPin = this.pins.arrive(pinScope, flow.key, pinIdOf(flow.backend!), ttlMs, nowMs, mayPin);
  }

  /** Now and then while it is open: a pin lives while its flows do, whatever its ttl. */
  keep(flow: Flow, nowMs: number): void {
    const { pinScope } = flow;
    const { plan } = flow.listener;
    if (!usesPin(flow)) return;
    const isConnected = plan.protocol === 'tcp' || flow.datagramsIn >= datagramsOfConnected;
    if (flow.holdsPin) this.pins.stay(pinScope, flow.key, plan.affinity.ttlMs, nowMs);
    else if (isConnected) this.arrive(flow, nowMs);
    else this.pins.prolong(pinScope, flow.key, plan.affinity.ttlMs, nowMs);
  }

  /** It leaves the backend it has arrived at, for another one. */
  retreat(flow: Flow, nowMs: number): void {
    const { pinScope } = flow;
    const { plan } = flow.listener;
    if (!flow.holdsPin) return;
    flow.holdsPin = false;
    this.pins.leave(pinScope, flow.key, plan.affinity.ttlMs, nowMs);
  }

  /** It is closed. */
  leave(flow: Flow, nowMs: number): void {
    const { pinScope } = flow;
    const { plan } = flow.listener;
    if (!usesPin(flow)) return;
    if (flow.holdsPin) this.pins.leave(pinScope, flow.key, plan.affinity.ttlMs, nowMs);
    else this.pins.prolong(pinScope, flow.key, plan.affinity.ttlMs, nowMs);
  }
}

function usesPin(flow: Flow): boolean {
  const { plan } = flow.listener;
  if (plan.affinity.key === 'none' || flow.connectedAtMs === 0) return false;
  return plan.protocol === 'tcp' || flow.hasReplied || flow.isOneWay;
}
