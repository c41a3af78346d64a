/**
 * How many UDP conversations there are, and which were never answered, oldest first. A flood of forged sources
 * makes only unanswered ones, so those make room; a conversation that works is never given up for a newcomer.
 */
import type { Carried } from './context.ts';

/** A link of the list of unanswered conversations; the census alone writes to these. */
export interface Counted extends Carried {
  older: Counted | undefined;
  newer: Counted | undefined;
  isUnanswered: boolean;
}

export class ConversationCensus {
  readonly #max: number;
  #count = 0;
  // A linked list: with a Set, each look for the oldest would step over the holes the ones before it left.
  #oldest: Counted | undefined;
  #newest: Counted | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** Makes room for one more, by evicting if it must. @returns false if all are answered */
  makeRoom(): boolean {
    while (this.#count >= this.#max) if (!this.evict()) return false;
    return true;
  }

  /** Ends the oldest unanswered conversation. @returns false if there is none */
  evict(): boolean {
    if (this.#oldest === undefined) return false;
    this.#oldest.end('evicted');
    return true;
  }

  enter(conversation: Counted): void {
    this.#count++;
    conversation.isUnanswered = true;
    conversation.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = conversation;
    else this.#newest.newer = conversation;
    this.#newest = conversation;
  }

  /** It has been answered: it is not evicted any more. */
  answered(conversation: Counted): void {
    if (!conversation.isUnanswered) return;
    conversation.isUnanswered = false;
    const { older, newer } = conversation;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    conversation.older = undefined;
    conversation.newer = undefined;
  }

  leave(conversation: Counted): void {
    this.#count--;
    this.answered(conversation);
  }
}
