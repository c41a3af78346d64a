/**
 * UDP clients whose address changed (a NAT that forgot them, another network): which open conversation a datagram of an unknown
 * address belongs to, by the token in it, or by the QUIC connection id that the conversation's server chose.
 *
 * Of QUIC only ids are known that a server has shown in a long header; those it gives away later are encrypted. A client that moves
 * on purpose takes one of these (RFC 9000 section 9.5), one whose NAT forgot it goes on with the first. Their length is not in a short
 * header: it is that of the ids which the listener's servers have shown.
 *
 * What this decides for a forged source: its datagram reaches the backend that its token belongs to, as any first datagram reaches
 * some backend. So many a second for each listener, and none of them opens anything.
 */
import type { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import {
  quicIdsPerFlowMax,
  rebindTokenBytesMin,
  rebindTokensMax,
  rebindTriesPerSecondMax,
} from '../core/limits.ts';
import type { ListenerView } from '../core/snapshot.ts';
import { readQuicHeader, shortHeaderIds } from '../wire/quic.ts';

const idLengthsMax = 4;

interface Tries {
  sinceMs: number;
  count: number;
}

export class Rebinding {
  private readonly flows = new Map<string, Flow>();
  private readonly idLengths = new Map<number, number[]>();
  private readonly tries = new Map<number, Tries>();

  /** @param first the datagram that has opened the flow, without what is not its own */
  opened(flow: Flow, first: Uint8Array): void {
    const { rebind } = flow.listener.plan;
    if (rebind === 'quic') flow.learnsIds = true;
    else if (rebind !== undefined && first.length >= rebind.payload.offset + rebind.payload.length)
      this.add(flow, pieceOf(first, rebind.payload));
  }

  /** @param id that the flow's server has chosen */
  learn(flow: Flow, id: Uint8Array): void {
    if (id.length < rebindTokenBytesMin) return;
    this.learnLength(flow.listener.id, id.length);
    this.add(flow, id);
  }

  closed(flow: Flow): void {
    for (const name of flow.tokens ?? []) if (this.flows.get(name) === flow) this.flows.delete(name);
    flow.tokens = undefined;
  }

  /**
   * The open flow, answered before, whose token this datagram has.
   * @param local where the datagram came to
   */
  find(listener: ListenerView, local: Address, datagram: Uint8Array): Flow | undefined {
    const { id } = listener;
    const { rebind } = listener.plan;
    if (rebind === undefined) return undefined;
    const place = placeOf(listener, local);
    if (rebind !== 'quic') {
      if (datagram.length < rebind.payload.offset + rebind.payload.length) return undefined;
      return this.of(place, pieceOf(datagram, rebind.payload));
    }
    const header = readQuicHeader(datagram);
    if (header?.form === 'long') return this.of(place, header.destinationId);
    for (const token of header === undefined ? [] : shortHeaderIds(datagram, this.idLengths.get(id) ?? [])) {
      const flow = this.of(place, token);
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  /** Whether one more datagram of an unknown address may be given to an open flow of this listener now. */
  mayTry({ id }: ListenerView, nowMs: number): boolean {
    let tries = this.tries.get(id);
    if (tries === undefined || nowMs - tries.sinceMs >= 1_000) {
      tries = { sinceMs: nowMs, count: 0 };
      this.tries.set(id, tries);
    }
    return tries.count++ < rebindTriesPerSecondMax;
  }

  private of(place: string, token: Uint8Array): Flow | undefined {
    const flow = this.flows.get(nameOf(place, token));
    return flow?.hasReplied === true ? flow : undefined;
  }

  /** A token that another flow has stays that one's: the newcomer knows it, and is judged as that one's client. */
  private add(flow: Flow, token: Uint8Array): void {
    const name = nameOf(placeOf(flow.listener, flow.local), token);
    const isFull = this.flows.size >= rebindTokensMax || (flow.tokens?.length ?? 0) >= quicIdsPerFlowMax;
    if (isFull || this.flows.has(name)) return;
    this.flows.set(name, flow);
    flow.tokens = [...(flow.tokens ?? []), name];
  }

  private learnLength(listenerId: number, length: number): void {
    const known = this.idLengths.get(listenerId) ?? [];
    if (known.includes(length) || known.length >= idLengthsMax) return;
    this.idLengths.set(listenerId, [...known, length]);
  }
}

function pieceOf(
  bytes: Uint8Array,
  { offset, length }: { readonly offset: number; readonly length: number },
): Uint8Array {
  return bytes.subarray(offset, offset + length);
}

/** A client may talk to several addresses of one listener: it has a conversation at each, and is answered from each. */
function placeOf({ id, plan }: ListenerView, local: Address): string {
  return plan.binds === undefined ? String(id) : `${id} ${local}`;
}

function nameOf(place: string, token: Uint8Array): string {
  return `${place} ${String.fromCharCode(...token)}`;
}
