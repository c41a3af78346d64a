/**
 * Keeps what others can make happen from filling the log: whoever writes to Redis can forge instances, and a Redis that comes
 * and goes changes the state each time. Of each sort a few events are told at once; beyond that, the newest once a
 * minute, with how many there were. What instances come and go is summed up, as each line would name another one.
 */
import type { ClusterEvent, ClusterWatcher } from './events.ts';

const quietMs = 60_000;
/** Told at once before it gets quiet; one more with each minute in which nothing had to be summed up. */
const atOnceMax = 16;

/** Events of one sort take turns with each other: what is told last is how it is. */
function sortOf({ event }: ClusterEvent): string {
  if (isInstanceEvent(event)) return 'instances';
  return event === 'cluster-connected' ? 'cluster-away' : event;
}

function isInstanceEvent(event: string): boolean {
  return event.startsWith('instance-');
}

interface Sort {
  /** May still be told at once. */
  left: number;
  refilledAtMs: number;
  toldAtMs: number;
  newest: ClusterEvent | undefined;
  readonly untold: Map<ClusterEvent['event'], number>;
}

export class CalmWatch {
  private readonly watch: ClusterWatcher;
  private readonly nowMs: () => number;
  private readonly sorts = new Map<string, Sort>();

  constructor(watch: ClusterWatcher, nowMs: () => number) {
    this.watch = watch;
    this.nowMs = nowMs;
  }

  /** Tells it now, or sums it up for later. */
  tell(event: ClusterEvent): void {
    // Its own measure is a minute for each kind of fault.
    if (event.event === 'cluster-fault') {
      this.watch(event);
      return;
    }
    const sort = this.sort(sortOf(event));
    if (sort.left > 0 && sort.newest === undefined) {
      sort.left--;
      sort.toldAtMs = this.nowMs();
      this.watch(event);
      return;
    }
    sort.newest = event;
    sort.untold.set(event.event, (sort.untold.get(event.event) ?? 0) + 1);
  }

  /** Tells what was summed up for a minute; to be called every second or so. */
  flush(): void {
    for (const sort of this.sorts.values()) {
      if (sort.newest === undefined || this.nowMs() - sort.toldAtMs < quietMs) continue;
      const { newest, untold } = sort;
      sort.toldAtMs = this.nowMs();
      // Only a minute without any lets one more be told at once.
      sort.refilledAtMs = this.nowMs();
      sort.left = 0;
      sort.newest = undefined;
      const summed = { ...newest, times: sumOf(untold) } as ClusterEvent;
      this.watch(isInstanceEvent(newest.event) ? summary(untold) : summed);
      untold.clear();
    }
  }

  private sort(name: string): Sort {
    const nowMs = this.nowMs();
    let sort = this.sorts.get(name);
    if (sort === undefined) {
      sort = {
        left: atOnceMax,
        refilledAtMs: nowMs,
        toldAtMs: nowMs,
        newest: undefined,
        untold: new Map(),
      };
      this.sorts.set(name, sort);
    }
    const refills = Math.floor((nowMs - sort.refilledAtMs) / quietMs);
    sort.left = Math.min(atOnceMax, sort.left + refills);
    sort.refilledAtMs += refills * quietMs;
    return sort;
  }
}

function sumOf(untold: ReadonlyMap<string, number>): number {
  return [...untold.values()].reduce((sum, times) => sum + times, 0);
}

function summary(untold: ReadonlyMap<ClusterEvent['event'], number>): ClusterEvent {
  const count = (event: ClusterEvent['event']): number => untold.get(event) ?? 0;
  return {
    event: 'instances-changing',
    joined: count('instance-joined'),
    left: count('instance-left'),
    lost: count('instance-lost'),
    back: count('instance-back'),
    differing: count('instance-digest-differs'),
    agreeing: count('instance-digest-agrees'),
  };
}
