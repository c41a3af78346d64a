/**
 * Clients that found a limit reached get a second look a moment later: a client that has seen its connection end may be back
 * before this process has read that end from the kernel, and must not be refused for what it has given up already.
 *
 *    limit reached --> no place yet, unread --(the loop has turned)--> looked at again --> come in | refused
 *
 * TCP only: nobody can tell when a UDP client has given up. Beyond a bound clients are refused at the first look, so that a crowd
 * at a limit costs no more than that many descriptors.
 */
import type { Flow } from '../core/flow.ts';
import { secondLookAfterTurns } from '../core/limits.ts';
import type { Protocol } from '../core/plan.ts';
import type { TerminationCode } from '../core/termination.ts';

interface Look {
  /** What the client was to be refused with. */
  readonly refusal: TerminationCode;
  turns: number;
}

export class SecondLooks {
  /** How many may wait. */
  most = 0;
  private readonly looks = new Map<Flow, Look>();

  /** Whether a client that would be refused with this code is to be looked at again. */
  isWorthOne(protocol: Protocol, refusal: TerminationCode): boolean {
    const isPlace = refusal === 'limit-client' || refusal === 'limit-listener' || refusal === 'limit-flows';
    return isPlace && protocol === 'tcp' && this.looks.size < this.most;
  }

  add(flow: Flow, refusal: TerminationCode): void {
    this.looks.set(flow, { refusal, turns: 0 });
  }

  /** @returns what it was to be refused with, and whether it is time to look again; undefined: it has its place */
  of(flow: Flow): { refusal: TerminationCode; isDue: boolean } | undefined {
    const look = this.looks.size === 0 ? undefined : this.looks.get(flow);
    return look && { refusal: look.refusal, isDue: look.turns >= secondLookAfterTurns };
  }

  /** It has its place by now, or it is over. @returns whether it had none */
  remove(flow: Flow): boolean {
    return this.looks.size > 0 && this.looks.delete(flow);
  }

  /** The loop has turned once more. @returns those that have waited long enough */
  turn(): Flow[] {
    const due: Flow[] = [];
    for (const [flow, look] of this.looks) if (++look.turns >= secondLookAfterTurns) due.push(flow);
    return due;
  }
}
