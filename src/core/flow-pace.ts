/**
 * How fast a flow may move bytes: its own rate, that of all flows of its client, and that of all of its listener, each way. A rate
 * lets a second's worth through at once to whoever was quiet, and then as much as is paid for. Bytes are charged once they have
 * moved, and what was too much is waited for: nothing is held back in memory, the sender is just not read.
 */
import { ByteRate } from './byte-rate.ts';
import type { ClientTable } from './client-table.ts';
import type { BandwidthPlan } from './plan.ts';

/** Where the rates are that a flow shares with others. */
export interface SharedRates {
  readonly clients: ClientTable;
  readonly listenerId: number;
  /** Below 0: its client is not kept track of. */
  readonly clientSlot: number;
}

export class FlowPace {
  private readonly nowMs: () => number;
  private readonly up: readonly ByteRate[];
  private readonly down: readonly ByteRate[];

  constructor(plan: BandwidthPlan, shared: SharedRates, nowMs: () => number) {
    this.nowMs = nowMs;
    this.up = ratesOf(plan, shared, 'up');
    this.down = ratesOf(plan, shared, 'down');
  }

  /** @returns bytes that may move this way now; 0: wait, see {@link waitMs} */
  room(isUp: boolean): number {
    const nowMs = this.nowMs();
    let room = Number.POSITIVE_INFINITY;
    for (const rate of isUp ? this.up : this.down) room = Math.min(room, rate.room(nowMs));
    return room;
  }

  /** @returns milliseconds until something may move this way */
  waitMs(isUp: boolean): number {
    const nowMs = this.nowMs();
    let waitMs = 0;
    for (const rate of isUp ? this.up : this.down) waitMs = Math.max(waitMs, rate.waitMs(nowMs));
    return waitMs;
  }

  /** So many bytes moved. */
  charge(isUp: boolean, bytes: number): void {
    const nowMs = this.nowMs();
    for (const rate of isUp ? this.up : this.down) rate.charge(bytes, nowMs);
  }

  /** A datagram. @returns false: there is no room, and it is not charged */
  passes(isUp: boolean, bytes: number): boolean {
    const nowMs = this.nowMs();
    const rates = isUp ? this.up : this.down;
    for (let i = 0; i < rates.length; i++) if (!rates[i]!.hasRoomFor(bytes, nowMs)) return false;
    this.charge(isUp, bytes);
    return true;
  }
}

function ratesOf(
  { perFlow, perClient, total }: BandwidthPlan,
  { clients, listenerId, clientSlot }: SharedRates,
  way: 'up' | 'down',
): ByteRate[] {
  const rates: ByteRate[] = [];
  const ofFlow = perFlow?.[way] ?? 0;
  if (ofFlow > 0) rates.push(new ByteRate(ofFlow, new Float64Array(1), 0));
  const ofClient = perClient?.[way] ?? 0;
  if (ofClient > 0 && clientSlot >= 0) rates.push(clients.rateOfClient(clientSlot, way, ofClient));
  const ofAll = total?.[way] ?? 0;
  if (ofAll > 0) rates.push(clients.rateOfListener(listenerId, way, ofAll));
  return rates;
}
