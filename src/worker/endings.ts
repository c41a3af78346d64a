/**
 * Open flows that are to be ended by a decision of pinion: at once, in batches, so that the rest are not kept waiting; or evenly
 * over a time (`close_over`), so that their clients do not all come back in the same second.
 *
 *    order --(its turn)--> at once: everybody, a batch a turn
 *                     \--> paced:   n TCP flows, in an order drawn by lot, the i-th within [i, i + 1) n-ths of the time
 *
 * Each worker paces its own flows over the same time. Time in which this process stands still does not count, or all that were
 * due meanwhile would be ended together. UDP conversations and dials under way are never paced: their clients notice nothing.
 *
 * A flow has one place in time, however many orders mean it: a later one keeps the place and may change the code. Not promised:
 * that a later order with a shorter time is sooner done with flows that have a place already.
 */
import type { Flow } from '../core/flow.ts';
import { paceStepMsMax, terminationsPerTurnMax } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';
import { isSameWay, type Way } from '../core/way.ts';
import type { FlowRegistry } from './flow-registry.ts';
import { wayOf } from './flow-selector.ts';
import type { FlowSelector } from './messages-to-worker.ts';

export interface EndingsOptions {
  readonly registry: FlowRegistry;
  /** Ends one flow now. */
  readonly end: (flow: Flow, code: TerminationCode) => void;
  /** From 0 to below 1. */
  readonly random: () => number;
}

interface Order {
  readonly select: FlowSelector | undefined;
  readonly matches: (flow: Flow) => boolean;
  readonly code: TerminationCode;
  readonly overMs: number;
}

interface Batch {
  readonly flows: readonly Flow[];
  readonly order: Pick<Order, 'matches' | 'code'>;
  next: number;
}

interface Place {
  /** Undefined: it is over, or is to stay. */
  flow: Flow | undefined;
  /** It may have gone to another backend meanwhile: whom an order for its former one does not mean any more is left alone. */
  matches: (flow: Flow) => boolean;
  code: TerminationCode;
}

interface Pace {
  readonly places: readonly Place[];
  readonly overMs: number;
  next: number;
  /** When the next one is due, on the clock of `ranMs`. */
  nextAtMs: number;
  /** For how long it has run. */
  ranMs: number;
  seenAtMs: number;
}

/** Orders that may be taken back. Each is outdone by the next one, and all of them by those that may not. */
const takenBack: readonly TerminationCode[] = ['backup-closed', 'backend-down', 'address-changed'];

export class Endings {
  private readonly options: EndingsOptions;
  /** Nobody has looked yet which flows they mean: one order a turn, as each asks all flows. */
  private orders: Order[] = [];
  private readonly batches: Batch[] = [];
  private paces: Pace[] = [];
  private readonly places = new Map<Flow, Place>();

  constructor(options: EndingsOptions) {
    this.options = options;
  }

  /**
   * @param select whose flows; undefined where `matches` alone says it
   * @param overMs 0: at once
   */
  add(
    select: FlowSelector | undefined,
    matches: (flow: Flow) => boolean,
    code: TerminationCode,
    overMs: number,
  ): void {
    this.orders.push({ select, matches, code, overMs });
  }

  /** Ends these flows, evenly over the time. Those that have a place already keep it. */
  spread(
    flows: readonly Flow[],
    order: Pick<Order, 'matches' | 'code'>,
    overMs: number,
    nowMs: number,
  ): void {
    const { matches, code } = order;
    if (overMs === 0) {
      if (flows.length > 0) this.batches.push({ flows, order, next: 0 });
      return;
    }
    const places: Place[] = [];
    for (const flow of flows) {
      const known = this.places.get(flow);
      if (known !== undefined) {
        // What it has may be about a backend that it has left.
        if (rank(code) > rank(known.code) || !known.matches(flow)) {
          known.code = code;
          known.matches = matches;
        }
        continue;
      }
      const place = { flow, matches, code };
      this.places.set(flow, place);
      places.push(place);
    }
    if (places.length === 0) return;
    this.shuffle(places);
    const pace = { places, overMs, next: 0, nextAtMs: 0, ranMs: 0, seenAtMs: nowMs };
    this.draw(pace);
    this.paces.push(pace);
  }

  /** The backend can be used again by this way: whoever still has a place in time for one of these codes is left alone. */
  keep(backendId: number, way: Way, codes: readonly TerminationCode[]): void {
    this.orders = this.orders.filter(
      ({ select, code, overMs }) =>
        overMs === 0 ||
        !codes.includes(code) ||
        select?.by !== 'backend' ||
        select.backendId !== backendId ||
        (select.way !== undefined && !isSameWay(select.way, way)),
    );
    for (const [flow, place] of this.places) {
      if (flow.backend?.id !== backendId || !codes.includes(place.code)) continue;
      if (isSameWay(wayOf(flow), way)) this.forget(flow);
    }
  }

  /** It is over. */
  forget(flow: Flow): void {
    if (this.places.size === 0) return;
    const place = this.places.get(flow);
    if (place === undefined) return;
    place.flow = undefined;
    this.places.delete(flow);
  }

  /** @returns whether more is to be done at once, after the others have had their turn */
  turn(nowMs: number): boolean {
    const order = this.orders.shift();
    if (order !== undefined) this.begin(order, nowMs);
    let left = terminationsPerTurnMax;
    while (left > 0 && this.batches.length > 0) left = this.endBatch(this.batches[0]!, left);
    let isBehind = false;
    for (const pace of this.paces) {
      left = this.endDue(pace, nowMs, left);
      isBehind ||= pace.next < pace.places.length && pace.nextAtMs <= pace.ranMs;
    }
    if (this.paces.length > 0) this.paces = this.paces.filter(({ next, places }) => next < places.length);
    return this.orders.length > 0 || this.batches.length > 0 || isBehind;
  }

  private begin(order: Order, nowMs: number): void {
    const { matches, overMs } = order;
    const flows = this.options.registry.select(matches, Number.POSITIVE_INFINITY);
    const paced = overMs === 0 ? [] : flows.filter(isPaced);
    const rest = overMs === 0 ? flows : flows.filter((flow) => !isPaced(flow));
    if (rest.length > 0) this.batches.push({ flows: rest, order, next: 0 });
    if (paced.length > 0) this.spread(paced, order, overMs, nowMs);
  }

  /** @returns how many more may be ended in this turn */
  private endBatch(batch: Batch, most: number): number {
    const { flows, order } = batch;
    let left = most;
    while (left > 0 && batch.next < flows.length) {
      const flow = flows[batch.next++]!;
      // Some have ended meanwhile, and a dial may have gone elsewhere.
      if (!this.options.registry.has(flow) || !order.matches(flow)) continue;
      this.options.end(flow, order.code);
      left--;
    }
    if (batch.next === flows.length) this.batches.shift();
    return left;
  }

  private endDue(pace: Pace, nowMs: number, most: number): number {
    pace.ranMs += Math.min(nowMs - pace.seenAtMs, paceStepMsMax);
    pace.seenAtMs = nowMs;
    let left = most;
    while (left > 0 && pace.next < pace.places.length && pace.nextAtMs <= pace.ranMs) {
      const { flow, matches, code } = pace.places[pace.next++]!;
      this.draw(pace);
      if (flow === undefined) continue;
      this.forget(flow);
      if (!matches(flow)) continue;
      this.options.end(flow, code);
      left--;
    }
    return left;
  }

  private draw(pace: Pace): void {
    pace.nextAtMs = ((pace.next + this.options.random()) / pace.places.length) * pace.overMs;
  }

  /** Fisher and Yates: connections that one client opened together do not end together. */
  private shuffle(places: Place[]): void {
    for (let i = places.length - 1; i > 0; i--) {
      const j = Math.floor(this.options.random() * (i + 1));
      [places[i], places[j]] = [places[j]!, places[i]!];
    }
  }
}

function isPaced(flow: Flow): boolean {
  return flow.listener.plan.protocol === 'tcp' && flow.connectedAtMs !== 0;
}

function rank(code: TerminationCode): number {
  const place = takenBack.indexOf(code);
  return place < 0 ? takenBack.length : place;
}
