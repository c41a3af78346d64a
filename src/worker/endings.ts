/**
 * Open flows that are to be ended by a decision of pinion: at once, for some milliseconds a turn, so that the rest are not kept
 * waiting; or evenly over a time (`close_over`), so that their clients do not all come back in the same second.
 *
 *    order --(its turn)--> at once: everybody, as many as a turn's time allows
 *                     \--> paced:   n TCP flows, in an order drawn by lot, the i-th within [i, i + 1) n-ths of the time
 *
 * Each worker paces its own flows over the same time. Time in which this process stands still does not count, or all that were
 * due meanwhile would be ended together. UDP conversations and dials under way are never paced: their clients notice nothing.
 *
 * A flow has one place in time, however many orders mean it: a later one keeps the place and may change the code. Not promised:
 * that a later order with a shorter time is sooner done with flows that have a place already.
 */
import type { Flow } from '../core/flow.ts';
import { endingMsPerTurn, paceStepMsMax } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';
import { isSameWay, type Way } from '../core/way.ts';
import type { FlowRegistry } from './flow-registry.ts';
import { wayOf } from './flow-selector.ts';
import type { FlowSelector } from './messages-to-worker.ts';

export interface EndingsOptions {
  readonly registry: FlowRegistry;
  /** Ends one flow now. */
  readonly end: (flow: Flow, code: TerminationCode) => void;
  /** Now, monotonic: how long a turn has taken is measured with it. */
  readonly nowMs: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

interface Order {
  readonly select: FlowSelector | undefined;
  readonly matches: (flow: Flow) => boolean;
  /** Asked besides, once: when the order begins. */
  readonly among: (flow: Flow) => boolean;
  readonly code: TerminationCode;
  readonly overMs: number;
}

interface Batch {
  /** Whoever may be meant: each is asked when its turn comes. */
  readonly flows: readonly Flow[];
  readonly order: Pick<Order, 'matches' | 'code'>;
  next: number;
}

interface Place {
  readonly flow: Flow;
  readonly pace: Pace;
  /** Among the places of its pace. */
  index: number;
  /** It may have gone to another backend meanwhile: whom an order for its former one does not mean any more is left alone. */
  matches: (flow: Flow) => boolean;
  code: TerminationCode;
}

interface Pace {
  /** Undefined: that one is over, or is to stay. */
  readonly places: (Place | undefined)[];
  /** Of those that are still to be ended. */
  left: number;
  readonly overMs: number;
  next: number;
  /** When the next one is due, on the clock of `ranMs`. */
  nextAtMs: number;
  /** For how long it has run. */
  ranMs: number;
  seenAtMs: number;
}

/** After so many flows that are not meant the clock is looked at. */
const askedPerLook = 64;

/** Orders that may be taken back. Each is outdone by the next one, and all of them by those that may not. */
const takenBack: readonly TerminationCode[] = [
  'backup-closed',
  'backend-down',
  'address-changed',
  'backend-removed',
];

export class Endings {
  private readonly options: EndingsOptions;
  /** Nobody has looked yet which flows they mean: one after the other, as each asks all flows. */
  private orders: Order[] = [];
  private readonly batches: Batch[] = [];
  private paces: Pace[] = [];
  private arePacesFirst = false;
  private readonly places = new Map<Flow, Place>();

  constructor(options: EndingsOptions) {
    this.options = options;
  }

  /**
   * @param select whose flows; undefined where `matches` alone says it
   * @param matches asked when the order begins, and of each flow again before it is ended
   * @param overMs 0: at once
   * @param among asked once only: what a flow is when the order begins
   */
  add(
    select: FlowSelector | undefined,
    matches: (flow: Flow) => boolean,
    code: TerminationCode,
    overMs: number,
    among: (flow: Flow) => boolean = () => true,
  ): void {
    this.orders.push({ select, matches, among, code, overMs });
  }

  /** At once, whom `matches` means when it is asked: an order that still waits its turn will do (a listener on a thousand ports gives a thousand). */
  addOnce(matches: (flow: Flow) => boolean, code: TerminationCode): void {
    if (!this.orders.some((order) => order.matches === matches)) this.add(undefined, matches, code, 0);
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
    const pace: Pace = { places: [], left: 0, overMs, next: 0, nextAtMs: 0, ranMs: 0, seenAtMs: nowMs };
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
      const place = { flow, pace, index: 0, matches, code };
      this.places.set(flow, place);
      pace.places.push(place);
    }
    pace.left = pace.places.length;
    if (pace.left === 0) return;
    this.shuffle(pace.places);
    for (const [index, place] of pace.places.entries()) place!.index = index;
    this.draw(pace);
    this.paces.push(pace);
  }

  /** The backend can be used again by this way: whoever still has a place in time for one of these codes is left alone. */
  keep(backendId: number, way: Way, codes: readonly TerminationCode[]): void {
    this.orders = this.orders.flatMap((order) => {
      const { select, code, overMs, matches } = order;
      if (overMs === 0 || !codes.includes(code)) return [order];
      if (select?.by !== 'backend' || select.backendId !== backendId) return [order];
      if (select.way !== undefined) return isSameWay(select.way, way) ? [] : [order];
      // It means those on any way: they stay meant on the others.
      return [{ ...order, matches: (flow: Flow) => matches(flow) && !isSameWay(wayOf(flow), way) }];
    });
    for (const [flow, place] of this.places) {
      if (flow.backend?.id !== backendId || !codes.includes(place.code)) continue;
      if (isSameWay(wayOf(flow), way)) this.forget(flow);
    }
  }

  /** It is over, or is to stay. Nothing is kept of it, and nothing of a pace that has nobody left: its time may be hours. */
  forget(flow: Flow): void {
    if (this.places.size === 0) return;
    const place = this.places.get(flow);
    if (place === undefined) return;
    this.places.delete(flow);
    const { pace, index } = place;
    pace.places[index] = undefined;
    pace.left--;
  }

  /** @returns whether more is to be done at once, after the others have had their turn */
  turn(nowMs: number): boolean {
    // Each at-once order looks at all flows in its own time, so the next one waits for it.
    const order = this.batches.length === 0 ? this.orders.shift() : undefined;
    if (order !== undefined) this.begin(order, nowMs);
    if (this.batches.length === 0 && this.paces.length === 0) return this.orders.length > 0;
    const untilMs = this.options.nowMs() + endingMsPerTurn;
    for (const pace of this.paces) run(pace, nowMs);
    // By turns: neither those that are due nor a crowd that is to end at once keeps the other waiting.
    this.arePacesFirst = !this.arePacesFirst;
    if (this.arePacesFirst) {
      if (this.endAllDue(untilMs)) this.endBatches(untilMs);
    } else if (this.endBatches(untilMs)) this.endAllDue(untilMs);
    const isBehind = this.paces.some(isDue);
    if (this.paces.length > 0) this.paces = this.paces.filter(({ left }) => left > 0);
    return this.orders.length > 0 || this.batches.length > 0 || isBehind;
  }

  /** @returns whether there is time for more in this turn */
  private endBatches(untilMs: number): boolean {
    let hasTime = true;
    while (hasTime && this.batches.length > 0) hasTime = this.endBatch(this.batches[0]!, untilMs);
    return hasTime;
  }

  /** @returns whether there is time for more in this turn */
  private endAllDue(untilMs: number): boolean {
    return this.paces.every((pace) => this.endDue(pace, untilMs));
  }

  private begin(order: Order, nowMs: number): void {
    const { registry } = this.options;
    const { matches, among, overMs } = order;
    const isMeant = (flow: Flow): boolean => among(flow) && matches(flow);
    if (overMs === 0) {
      this.batches.push({ flows: registry.all(), order: { matches: isMeant, code: order.code }, next: 0 });
      return;
    }
    const flows = registry.select(isMeant, Number.POSITIVE_INFINITY);
    const paced = flows.filter(isPaced);
    const rest = flows.filter((flow) => !isPaced(flow));
    if (rest.length > 0) this.batches.push({ flows: rest, order, next: 0 });
    if (paced.length > 0) this.spread(paced, order, overMs, nowMs);
  }

  /** @returns whether there is time for more in this turn */
  private endBatch(batch: Batch, untilMs: number): boolean {
    const { flows, order } = batch;
    let hasTime = true;
    while (hasTime && batch.next < flows.length) {
      const flow = flows[batch.next++]!;
      // Some have ended meanwhile, and a dial may have gone elsewhere.
      const isMeant = this.options.registry.has(flow) && order.matches(flow);
      if (isMeant) this.options.end(flow, order.code);
      if (isMeant || batch.next % askedPerLook === 0) hasTime = this.options.nowMs() < untilMs;
    }
    if (batch.next === flows.length) this.batches.shift();
    return hasTime;
  }

  /** @returns whether there is time for more in this turn */
  private endDue(pace: Pace, untilMs: number): boolean {
    let hasTime = true;
    while (hasTime && isDue(pace)) {
      const place = pace.places[pace.next++];
      this.draw(pace);
      if (place === undefined) continue;
      const { flow, matches, code } = place;
      this.forget(flow);
      if (!matches(flow)) continue;
      this.options.end(flow, code);
      hasTime = this.options.nowMs() < untilMs;
    }
    return hasTime;
  }

  private draw(pace: Pace): void {
    pace.nextAtMs = ((pace.next + this.options.random()) / pace.places.length) * pace.overMs;
  }

  /** Fisher and Yates: connections that one client opened together do not end together. */
  private shuffle(places: (Place | undefined)[]): void {
    for (let i = places.length - 1; i > 0; i--) {
      const j = Math.floor(this.options.random() * (i + 1));
      [places[i], places[j]] = [places[j], places[i]];
    }
  }
}

/** Its time goes on, by no more than a step at once. */
function run(pace: Pace, nowMs: number): void {
  pace.ranMs += Math.min(nowMs - pace.seenAtMs, paceStepMsMax);
  pace.seenAtMs = nowMs;
}

function isDue({ next, places, nextAtMs, ranMs }: Pace): boolean {
  return next < places.length && nextAtMs <= ranMs;
}

function isPaced(flow: Flow): boolean {
  return flow.listener.plan.protocol === 'tcp' && flow.connectedAtMs !== 0;
}

function rank(code: TerminationCode): number {
  const place = takenBack.indexOf(code);
  return place < 0 ? takenBack.length : place;
}
