/**
 * Clients that found a limit reached get a second look a moment later: a client that has seen its connection end may be back
 * before this process has read that end from the kernel, and must not be refused for what it has given up already.
 *
 *    limit reached --> no place yet, unread --(a place is free)-------> it is theirs -----> come in
 *                                           --(the loop has turned)--> looked at again --> come in | refused
 *
 * A place that is given up goes to who waits longest: a newcomer that took it might well be the one who has just given it
 * up, and the one who waits would be refused at a limit that nobody exceeds.
 *
 * TCP only: nobody can tell when a UDP client has given up. Beyond a bound clients are refused at the first look, so that a crowd
 * at a limit costs no more than that many descriptors.
 */
import type { Flow } from '../core/flow.ts';
import { secondLookAfterTurns } from '../core/limits.ts';
import type { Protocol } from '../core/plan.ts';
import type { TerminationCode } from '../core/termination.ts';

/** In which rates it has been counted: none; its client's; that of its client, of its network and of its listener. */
export type Counted = 0 | 1 | 2;

interface Look {
  /** What the client was to be refused with. */
  refusal: TerminationCode;
  counted: Counted;
  turns: number;
}

/** Takes a place for a flow if one is free by now. @returns the limit that is reached; undefined: it has its place */
export type TakeFreed = (flow: Flow, counted: Counted) => TerminationCode | undefined;

export class SecondLooks {
  /** How many may wait. */
  most = 0;
  private readonly looks = new Map<Flow, Look>();
  /** Those that have been given a place since the last turn, and are to be told. */
  private readonly seated = new Set<Flow>();

  /** Whether a client that would be refused with this code is to be looked at again. */
  isWorthOne(protocol: Protocol, refusal: TerminationCode): boolean {
    const isPlace = isOfClient(refusal) || refusal === 'limit-listener' || refusal === 'limit-flows';
    return isPlace && protocol === 'tcp' && this.looks.size < this.most;
  }

  add(flow: Flow, refusal: TerminationCode): void {
    this.looks.set(flow, { refusal, counted: countedAt(refusal), turns: 0 });
  }

  /** @returns in which rates it has been counted, and whether it is time to look again; undefined: it has its place */
  of(flow: Flow): { counted: Counted; isDue: boolean } | undefined {
    if (this.seated.size > 0) this.seated.delete(flow);
    const look = this.looks.size === 0 ? undefined : this.looks.get(flow);
    return look && { counted: look.counted, isDue: look.turns >= secondLookAfterTurns };
  }

  /** It has its place by now, or it is over. @returns whether it had none */
  remove(flow: Flow): boolean {
    if (this.seated.size > 0) this.seated.delete(flow);
    return this.looks.size > 0 && this.looks.delete(flow);
  }

  /** `left` has given up its place, which goes to the first that waits for one like it. */
  seatOne(left: Flow, take: TakeFreed): void {
    if (this.looks.size > 0) this.seat(take, 1, left);
  }

  /** The loop has turned once more. @returns those that have a place now, and those that have waited long enough */
  turn(take: TakeFreed): Flow[] {
    if (this.looks.size > 0) this.seat(take, this.looks.size);
    const due = [...this.seated];
    this.seated.clear();
    for (const [flow, look] of this.looks) if (++look.turns >= secondLookAfterTurns) due.push(flow);
    return due;
  }

  private seat(take: TakeFreed, most: number, left?: Flow): void {
    let seated = 0;
    // Where one found no place the others of its listener find none either: a crowd that waits must not slow every close.
    let full: Set<number> | undefined;
    for (const [flow, look] of this.looks) {
      if (seated === most) return;
      if (full?.has(flow.listener.id) === true || look.turns >= secondLookAfterTurns) continue;
      if (left !== undefined && !isHelped(flow, look.refusal, left)) continue;
      const refusal = take(flow, look.counted);
      if (refusal === undefined) {
        this.looks.delete(flow);
        this.seated.add(flow);
        seated++;
      } else {
        look.refusal = refusal;
        // Its rate is judged once more, when it is looked at for the last time.
        if (refusal === 'limit-rate') look.turns = secondLookAfterTurns;
        else if (countedAt(refusal) > look.counted) look.counted = countedAt(refusal);
        if (refusal !== 'limit-listener' && refusal !== 'limit-flows') continue;
        full ??= new Set();
        full.add(flow.listener.id);
      }
    }
  }
}

function isOfClient(refusal: TerminationCode): boolean {
  return refusal === 'limit-client' || refusal === 'limit-subnet';
}

/** Who is refused with this code came so far: its client is judged first, and places last. */
function countedAt(refusal: TerminationCode): Counted {
  return refusal === 'limit-client' ? 0 : refusal === 'limit-subnet' ? 1 : 2;
}

/** Whether one that was refused with this code may come in now that `left` has left. */
function isHelped({ listener, client }: Flow, refusal: TerminationCode, left: Flow): boolean {
  if (refusal === 'limit-flows') return true;
  if (listener.id !== left.listener.id) return false;
  if (refusal === 'limit-listener') return true;
  // Who left may have been of the same network: asking tells.
  return refusal === 'limit-subnet' || client.hasIpOf(left.client);
}
