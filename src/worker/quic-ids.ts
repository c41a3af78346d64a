/**
 * Connection ids of QUIC, as clients and servers show them, for those who know conversations by them: `rebind: quic` (rebinding.ts)
 * and `affinity.key: quic-id`.
 *
 * A client's first datagrams have an id that it chose itself, of at least eight bytes: its first pin, so that they come to one backend
 * whatever their address. The server's answers tell the one that it chose, which all later datagrams have: a further pin to that
 * backend (flow-pins.ts). A short header does not say how long its id is: it is looked for at the lengths that servers have been
 * pinned by in this table, whether their answers came by this worker, another one, or another instance.
 *
 * Ids that are given away later are sealed: who moves on purpose, with one of these, is somebody new. An id that is neither a
 * client's own nor pinned is none, so that nobody makes pins by inventing short ones.
 */
import type { Flow } from '../core/flow.ts';
import { Key } from '../core/key.ts';
import { keyBytesMax, wordsOfBytes } from '../core/key-bytes.ts';
import { pinnedPool } from '../core/pinned-pool.ts';
import type { PinTable } from '../core/pins/table.ts';
import type { PoolView } from '../core/snapshot.ts';
import {
  clientIdBytesMin,
  connectionIdBytesMax,
  type QuicHeader,
  readQuicHeader,
  readServerId,
  shortHeaderIds,
} from '../wire/quic.ts';
import type { FlowPins } from './flow-pins.ts';
import type { Rebinding } from './rebinding.ts';

export class QuicIds {
  private readonly pins: PinTable;
  private readonly flowPins: FlowPins;
  private readonly rebinding: Rebinding;
  private lengthBits = 0;
  private lengths: readonly number[] = [];

  constructor(pins: PinTable, flowPins: FlowPins, rebinding: Rebinding) {
    this.pins = pins;
    this.flowPins = flowPins;
    this.rebinding = rebinding;
  }

  /**
   * The id in a datagram by which its client is recognised; undefined: it has none that is of use.
   * @param scopeId where its pin would be
   */
  idOf(datagram: Uint8Array, scopeId: number, nowMs: number): Uint8Array | undefined {
    const header = readQuicHeader(datagram);
    const isLong = header?.form === 'long';
    return this.possibleIds(datagram, header).find(
      (id) =>
        (isLong && id.length >= clientIdBytesMin) || this.pins.lookup(scopeId, keyOfId(id), nowMs) !== 0,
    );
  }

  /**
   * The pool in which the id of a datagram is pinned that says nothing routes go by.
   * @param pools as {@link pinnedPool} has them
   */
  poolOf(datagram: Uint8Array, pools: readonly PoolView[], nowMs: number): PoolView | undefined {
    for (const id of this.possibleIds(datagram, readQuicHeader(datagram))) {
      const pool = pinnedPool(pools, keyOfId(id), this.pins, nowMs);
      if (pool !== undefined) return pool;
    }
    return undefined;
  }

  /** @param reply of the backend of a flow that learns ids */
  answered(flow: Flow, reply: Uint8Array, nowMs: number): void {
    const { affinity, rebind } = flow.listener.plan;
    const id = readServerId(reply);
    // Whoever a proxy has told of has no address of its own that could change.
    if (typeof id === 'object' && rebind === 'quic' && flow.consumed === 0) this.rebinding.learn(flow, id);
    if (affinity.key !== 'quic-id') {
      flow.learnsIds = id !== 'settled';
      return;
    }
    if (typeof id === 'object') this.flowPins.learn(flow, id, nowMs);
    const isConfirmed = this.flowPins.confirmHeard(flow, nowMs);
    // A server may go on before its client has been heard again.
    flow.learnsIds = id !== 'settled' || !isConfirmed;
  }

  /** Each of a byte or more. */
  private possibleIds(datagram: Uint8Array, header: QuicHeader | undefined): readonly Uint8Array[] {
    if (header?.form === 'short') return shortHeaderIds(datagram, this.lengthsNow());
    const isNone = header === undefined || header.version === 0 || header.destinationId.length === 0;
    return isNone ? [] : [header.destinationId];
  }

  /** The longest first: nobody else's id begins with it. */
  private lengthsNow(): readonly number[] {
    const bits = this.pins.quicIdLengths;
    if (bits === this.lengthBits) return this.lengths;
    this.lengthBits = bits;
    const all = Array.from({ length: connectionIdBytesMax }, (_, i) => connectionIdBytesMax - i);
    this.lengths = all.filter((length) => (bits & (1 << Math.min(length, keyBytesMax + 1))) !== 0);
    return this.lengths;
  }
}

function keyOfId(id: Uint8Array): Key {
  return new Key('quic-id', wordsOfBytes(id)!);
}
