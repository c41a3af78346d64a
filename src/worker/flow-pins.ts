/**
 * The pins of one worker's flows after a backend was chosen: confirmed when it has served, counted as in use and kept
 * alive for as long as the flow is open. Choosing itself reads and claims pins in core/choose.ts.
 *
 * A flow has the pin of its key, and may have a further one, of a key that its backend has told: the connection id of QUIC that it
 * chose. Both are kept alike, and confirmed when the client has been heard again: the source of a first datagram may be forged, and one
 * host can invent as many ids as it likes.
 */
import { pinIdOf } from '../core/choose.ts';
import type { Flow } from '../core/flow.ts';
import { isSameKey, Key } from '../core/key.ts';
import { wordsOfBytes } from '../core/key-bytes.ts';
import { quicIdsPerFlowMax, unconfirmedPinTtlMs } from '../core/limits.ts';
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
    // By such a key it is confirmed later: {@link confirmHeard}.
    if (plan.affinity.key === 'none' || flow.key.kind === 'quic-id') return;
    this.pins.confirm(pinScope, flow.key, pinIdOf(flow.backend!), plan.affinity.ttlMs, nowMs);
  }

  /**
   * UDP: the flow's backend has told the connection id that it chose. The one before is not used any more, and its pin runs out.
   * @param id 1 byte or more; valid during the call only
   */
  learn(flow: Flow, id: Uint8Array, nowMs: number): void {
    const { pinScope, serverPin } = flow;
    const key = new Key('quic-id', wordsOfBytes(id)!);
    const number = (serverPin?.number ?? 0) + 1;
    const isKnown = isSameKey(key, flow.key) || (serverPin !== undefined && isSameKey(key, serverPin.key));
    if (isKnown || number > quicIdsPerFlowMax || !this.claimLearned(flow, key, nowMs)) return;
    if (serverPin?.holdsPin === true)
      this.pins.leave(pinScope, serverPin.key, flow.listener.plan.affinity.ttlMs, nowMs);
    const datagramsBefore = serverPin?.datagramsBefore ?? flow.datagramsIn;
    flow.serverPin = { key, holdsPin: false, number, datagramsBefore };
  }

  /** @returns whether the client is known to be there, and its pins by ids are such that others are told of */
  confirmHeard(flow: Flow, nowMs: number): boolean {
    const { pinScope, serverPin } = flow;
    if (!isConnected(flow)) return false;
    const { ttlMs } = flow.listener.plan.affinity;
    const id = pinIdOf(flow.backend!);
    if (flow.key.kind === 'quic-id') this.pins.confirm(pinScope, flow.key, id, ttlMs, nowMs);
    if (serverPin !== undefined) this.pins.confirm(pinScope, serverPin.key, id, ttlMs, nowMs);
    return true;
  }

  /**
   * The client is connected: as long as it is, its pin is not evicted. A flow that a fault of our own or `fail_open` has
   * brought where it is makes no pin.
   */
  arrive(flow: Flow, nowMs: number): void {
    if (flow.listener.plan.affinity.key === 'none') return;
    const mayPin = !flow.hadLocalFault && flow.reason !== 'fail-open';
    flow.holdsPin = this.arriveBy(flow, flow.key, mayPin, nowMs);
  }

  /** Now and then while it is open: a pin lives while its flows do, whatever its ttl. */
  keep(flow: Flow, nowMs: number): void {
    const { pinScope, serverPin } = flow;
    const { plan } = flow.listener;
    if (!usesPin(flow)) return;
    if (flow.holdsPin) this.pins.stay(pinScope, flow.key, plan.affinity.ttlMs, nowMs);
    else if (isConnected(flow)) this.arrive(flow, nowMs);
    else this.pins.prolong(pinScope, flow.key, lastsMs(flow), nowMs);
    if (serverPin === undefined) return;
    if (serverPin.holdsPin) this.pins.stay(pinScope, serverPin.key, plan.affinity.ttlMs, nowMs);
    // Whatever brought the flow there, nobody else knows this id.
    else if (isConnected(flow) && this.claimLearned(flow, serverPin.key, nowMs))
      serverPin.holdsPin = this.arriveBy(flow, serverPin.key, true, nowMs);
  }

  /** It leaves the backend it has arrived at, for another one. */
  retreat(flow: Flow, nowMs: number): void {
    const { pinScope, serverPin } = flow;
    const { ttlMs } = flow.listener.plan.affinity;
    if (flow.holdsPin) this.pins.leave(pinScope, flow.key, ttlMs, nowMs);
    flow.holdsPin = false;
    if (serverPin?.holdsPin !== true) return;
    this.pins.leave(pinScope, serverPin.key, ttlMs, nowMs);
    serverPin.holdsPin = false;
  }

  /** It is closed. */
  leave(flow: Flow, nowMs: number): void {
    const { pinScope, serverPin } = flow;
    const { plan } = flow.listener;
    if (!usesPin(flow)) return;
    const { ttlMs } = plan.affinity;
    const isThere = this.confirmHeard(flow, nowMs);
    if (flow.holdsPin) this.pins.leave(pinScope, flow.key, ttlMs, nowMs);
    else this.pins.prolong(pinScope, flow.key, lastsMs(flow), nowMs);
    if (serverPin === undefined) return;
    if (serverPin.holdsPin) this.pins.leave(pinScope, serverPin.key, ttlMs, nowMs);
    else if (isThere) this.pins.prolong(pinScope, serverPin.key, ttlMs, nowMs);
  }

  private arriveBy({ listener, pinScope, backend }: Flow, key: Key, mayPin: boolean, nowMs: number): boolean {
    const { ttlMs } = listener.plan.affinity;
    return this.pins.arrive(pinScope, key, pinIdOf(backend!), ttlMs, nowMs, mayPin);
  }

  /** @returns false: another backend has a client by this key, who was there first */
  private claimLearned({ listener, pinScope, backend }: Flow, key: Key, nowMs: number): boolean {
    const id = pinIdOf(backend!);
    const ttlMs = Math.min(listener.plan.affinity.ttlMs, unconfirmedPinTtlMs);
    return this.pins.claim(pinScope, key, id, ttlMs, nowMs, 'learned') === id;
  }
}

/** Who forges a source may send several datagrams at once: they are before the answer, which he does not see. */
function isConnected({ listener, datagramsIn, serverPin }: Flow): boolean {
  if (listener.plan.protocol === 'tcp') return true;
  return serverPin === undefined
    ? datagramsIn >= datagramsOfConnected
    : datagramsIn > serverPin.datagramsBefore;
}

/** So long the pin of its key lasts after its last use. */
function lastsMs(flow: Flow): number {
  const { ttlMs } = flow.listener.plan.affinity;
  const isSure = flow.key.kind !== 'quic-id' || isConnected(flow);
  return isSure ? ttlMs : Math.min(ttlMs, unconfirmedPinTtlMs);
}

function usesPin(flow: Flow): boolean {
  const { plan } = flow.listener;
  if (plan.affinity.key === 'none' || flow.connectedAtMs === 0) return false;
  return plan.protocol === 'tcp' || flow.hasReplied || flow.isOneWay;
}
