/**
 * How many UDP conversations there are, and which were never answered, oldest first. A flood of forged sources
 * makes only unanswered ones, so those make room; a conversation that works is never given up for a newcomer.
 */
import type { Carried } from './context.ts';

interface Unanswered {
  oldest: Counted | undefined;
  newest: Counted | undefined;
}

/** A link of the list of unanswered conversations; the census alone writes to these. */
export interface Counted extends Carried {
  older: Counted | undefined;
  newer: Counted | undefined;
  isUnanswered: boolean;
}

export class ConversationCensus {
  readonly #max: number;
  #count = 0;
  /** By listener. Linked lists: with a Set, each look for the oldest would step over the holes the ones before it left. */
  readonly #unanswered = new Map<number, Unanswered>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Makes room for one more, by evicting if it must. @returns false if all are answered */
  makeRoom(): boolean {
    while (this.#count >= this.#max) if (!this.evict()) return false;
    return true;
  }

  /**
   * Ends the oldest unanswered conversation.
   * @param listenerId of this listener only: its limit is no business of the others
   * @returns false if there is none
   */
  evict(listenerId?: number): boolean {
    let oldest: Counted | undefined;
    if (listenerId !== undefined) oldest = this.#listOf(listenerId).oldest;
    else {
      for (const { oldest: one } of this.#unanswered.values()) {
        if (one === undefined) continue;
        if (oldest === undefined || one.flow.startedAtMs < oldest.flow.startedAtMs) oldest = one;
      }
    }
    oldest?.end('evicted');
    return oldest !== undefined;
  }

  enter(conversation: Counted): void {
    this.#count++;
    conversation.isUnanswered = true;
    const list = this.#listOf(conversation.flow.listener.id);
    conversation.older = list.newest;
    if (list.newest === undefined) list.oldest = conversation;
    else list.newest.newer = conversation;
    list.newest = conversation;
  }

  /** It has been answered: it is not evicted any more. */
  answered(conversation: Counted): void {
    if (!conversation.isUnanswered) return;
    conversation.isUnanswered = false;
    const { older, newer } = conversation;
    const list = this.#listOf(conversation.flow.listener.id);
    if (older === undefined) list.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) list.newest = older;
    else newer.older = older;
    conversation.older = undefined;
    conversation.newer = undefined;
  }

  leave(conversation: Counted): void {
    this.#count--;
    this.answered(conversation);
  }

  #listOf(listenerId: number): Unanswered {
    let list = this.#unanswered.get(listenerId);
    if (list === undefined) {
      list = { oldest: undefined, newest: undefined };
      this.#unanswered.set(listenerId, list);
    }
    return list;
  }
}
