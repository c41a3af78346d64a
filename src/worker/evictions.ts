/**
 * Room for a client when a total is reached: whose UDP conversation has to end for it. Of those that have proved nothing
 * the listener has most of makes room, which under a flood is the one that is flooded; this worker ends one of its own,
 * or takes over the place of one that another worker has (core/evictable.ts) when that one has many more.
 */
import type { Evictable } from '../core/evictable.ts';
import type { Places } from '../core/places.ts';
import type { ListenerView } from '../core/snapshot.ts';
import type { Engine } from '../engine/engine.ts';

/** Another worker's is taken when it has more than so many times as many: its oldest are older then. */
const othersFactor = 2;

export class Evictions {
  private readonly places: Places;
  private readonly evictable: Evictable;
  private udpListeners: readonly ListenerView[] = [];

  constructor(places: Places, evictable: Evictable) {
    this.places = places;
    this.evictable = evictable;
  }

  useListeners(listeners: readonly ListenerView[]): void {
    this.udpListeners = listeners.filter(({ plan }) => plan.protocol === 'udp');
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
    if (other === undefined) return engine.evict(from, from === id);
    if (!this.evictable.claim(other, from)) return false;
    this.places.giveFor(from);
    return true;
  }

  /** Ends what others have taken over. @returns whether more is to be done */
  pay(engine: Engine, most: number): boolean {
    let left = most;
    for (const { id } of this.udpListeners) {
      while (this.evictable.claimed(this.evictable.worker, id) > 0) {
        if (left-- === 0) return true;
        if (!engine.evict(id, false)) break;
      }
    }
    return false;
  }

  /** The listener with most of them, of those whose places this one can use. */
  private crowdedFor(id: number): number | undefined {
    let crowded: number | undefined;
    let most = 0;
    for (const listener of this.udpListeners) {
      if (listener.id !== id && !this.places.hasCommon(listener.id)) continue;
      let count = 0;
      for (let worker = 0; worker < this.evictable.workers; worker++) {
        count += this.evictable.count(worker, listener.id);
      }
      if (count <= most) continue;
      most = count;
      crowded = listener.id;
    }
    return crowded;
  }

  /** The worker that has many more than this one. */
  private otherWorkerFor(listenerId: number): number | undefined {
    const { evictable } = this;
    let most = evictable.count(evictable.worker, listenerId) * othersFactor;
    let other: number | undefined;
    for (let worker = 0; worker < evictable.workers; worker++) {
      const count = evictable.count(worker, listenerId);
      if (worker === evictable.worker || count <= most) continue;
      most = count;
      other = worker;
    }
    return other;
  }
}
