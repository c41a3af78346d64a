/**
 * Room for a client when a total is reached: whose UDP conversation has to end for it. Of those that have proved nothing
 * the listener has most of makes room, which under a flood is the one that is flooded; this worker ends one of its own,
 * or takes over the place of one that another worker has (core/evictable.ts) when that one has many more.
 */
import type { Evictable } from '../core/evictable.ts';
import { crowdedLooksPerTick, crowdedUsesMax } from '../core/limits.ts';
import type { Places } from '../core/places.ts';
import type { ListenerView } from '../core/snapshot.ts';
import type { Engine } from '../engine/engine.ts';

/** Another worker's is taken when it has more than so many times as many: its oldest are older then. */
const othersFactor = 2;

export class Evictions {
  private readonly places: Places;
  private readonly evictable: Evictable;
  private udpListeners: readonly ListenerView[] = [];
  /** The listener that was found to have most of them; undefined: none had any. */
  private crowded: number | undefined;
  private usesLeft = 0;
  private looksLeft = crowdedLooksPerTick;

  constructor(places: Places, evictable: Evictable) {
    this.places = places;
    this.evictable = evictable;
  }

  useListeners(listeners: readonly ListenerView[]): void {
    this.udpListeners = listeners.filter(({ plan }) => plan.protocol === 'udp');
    this.crowded = undefined;
    this.usesLeft = 0;
  }

  /**
   * @param limit what is reached: a listener's own limit is no business of the others
   * @returns false: nobody can be made to leave for this client
   */
  makeRoomFor(forListener: ListenerView, limit: 'limit-flows' | 'limit-listener', engine: Engine): boolean {
    const { id, plan } = forListener;
    const isUdp = plan.protocol === 'udp';
    const from = limit === 'limit-listener' ? (isUdp ? id : undefined) : this.crowdedFor(id);
    // Nobody is unproved: then one that has been quiet for long, but only for a client of the same listener.
    if (from === undefined) return isUdp && engine.evict(id, true);
    const other = this.otherWorkerFor(from);
    return (other !== undefined && this.takeOver(other, from)) || this.endOwn(from, from === id, engine);
  }

  /** Once a tick: ends what others have taken over. @returns whether more is to be done */
  pay(engine: Engine, most: number): boolean {
    this.usesLeft = 0;
    this.looksLeft = crowdedLooksPerTick;
    let left = most;
    for (const { id } of this.udpListeners) {
      while (this.evictable.claimed(this.evictable.worker, id) > 0) {
        if (left-- === 0) return true;
        if (!engine.evict(id, false)) break;
      }
    }
    return false;
  }

  /** @returns false: another worker was faster, or as many have been taken over there as may be */
  private takeOver(worker: number, from: number): boolean {
    if (!this.evictable.claim(worker, from)) return false;
    this.places.giveFor(from);
    return true;
  }

  /**
   * Ends one of this worker's own. Whichever ends next pays for a place that another worker has, if there is such a debt: then
   * this worker takes one over from itself as well, or the one it ends would make no room.
   */
  private endOwn(from: number, quietToo: boolean, engine: Engine): boolean {
    const { worker } = this.evictable;
    const isTaken = this.evictable.claimed(worker, from) > 0 && this.takeOver(worker, from);
    return engine.evict(from, quietToo) || isTaken;
  }

  /** The listener with most of them, of those whose places this one can use. */
  private crowdedFor(id: number): number | undefined {
    const own = this.countOf(id);
    const other = this.crowdedAnywhere();
    if (other === undefined || other === id) return own > 0 ? id : undefined;
    const others = this.countOf(other);
    if (own === 0 && others === 0) return undefined;
    return own < others ? other : id;
  }

  /** As found a moment ago, while it has some: to ask all listeners about all workers for each client is too much. */
  private crowdedAnywhere(): number | undefined {
    const known = this.crowded;
    const isGood = known === undefined || (this.countOf(known) > 0 && this.places.hasCommon(known));
    if ((this.usesLeft-- > 0 && isGood) || this.looksLeft === 0) return isGood ? known : undefined;
    this.looksLeft--;
    this.usesLeft = crowdedUsesMax;
    this.crowded = undefined;
    let most = 0;
    for (const { id } of this.udpListeners) {
      const count = this.countOf(id);
      if (count <= most || !this.places.hasCommon(id)) continue;
      most = count;
      this.crowded = id;
    }
    return this.crowded;
  }

  /** Of all workers together. */
  private countOf(listenerId: number): number {
    let count = 0;
    for (let worker = 0; worker < this.evictable.workers; worker++) {
      count += this.evictable.count(worker, listenerId);
    }
    return count;
  }

  /** The worker that has many more than this one, and may be asked for more. */
  private otherWorkerFor(listenerId: number): number | undefined {
    const { evictable } = this;
    let most = evictable.count(evictable.worker, listenerId) * othersFactor;
    let other: number | undefined;
    for (let worker = 0; worker < evictable.workers; worker++) {
      const count = evictable.count(worker, listenerId);
      if (worker === evictable.worker || count <= most || !evictable.mayClaim(worker, listenerId)) continue;
      most = count;
      other = worker;
    }
    return other;
  }
}
