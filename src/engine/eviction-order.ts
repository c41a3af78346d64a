/**
 * Which UDP conversation ends first when room is needed. Sources can be forged, so a conversation has to prove that
 * somebody is there, and whoever has not makes room for whoever comes.
 *
 *    unanswered --reply--> answered --the client speaks--> proved
 *        |                                                    ^
 *        +--the client speaks--> several --reply, the client speaks
 *
 * An answer proves nothing, as the backend answers a forged source too. Those with one datagram go first: of the answered
 * and the unanswered the ones there are more of, the oldest of them. A flood makes one of the two many, so a client that came
 * a moment ago and waits for its answer is among the few, or at the end of the line. Those with several go when hardly any
 * other is left. What is proved goes for a client of the same listener only, when it was silent for half of its idle
 * time and few others are left.
 *
 * Lines are kept in the order of entering. Nothing is done when something moves: one of the unproved that is found to have
 * moved since it entered goes to the end when its turn comes, and who is silent among the proved is found by looking at a few.
 */
import type { Flow } from '../core/flow.ts';

const standings = ['unanswered', 'answered', 'several', 'proved'] as const;
export type Standing = (typeof standings)[number];

/** A conversation as a link of a line; the order alone writes to the first five. */
export interface Ordered {
  standing: Standing | undefined;
  isAnswered: boolean;
  enteredAtMs: number;
  older: Ordered | undefined;
  newer: Ordered | undefined;
  readonly flow: Flow;
  /** When a datagram moved last, in either direction. */
  readonly movedAtMs: number;
  /** Ends it with `evicted`; it leaves the order before this returns. */
  evict(): void;
}

interface Line {
  readonly standing: Standing;
  count: number;
  oldest: Ordered | undefined;
  newest: Ordered | undefined;
}

interface Lines extends Readonly<Record<Standing, Line>> {
  readonly listenerId: number;
}

/** Those with one datagram go first while they are at least the so-manieth part of the unproved. */
const fairPart = 4;
/** What moves so soon, an answer in two datagrams or the end of a dial, is no sign that the conversation goes on. */
const beginningMs = 1_000;
/** Conversations that one search looks at. */
const looksMax = 16;

export class EvictionOrder {
  /** Asked when a conversation proves itself. False: its place has been given away, and it may have to go. */
  readonly #proves: (flow: Flow) => boolean;
  readonly #listeners = new Map<number, Lines>();
  #count = 0;

  constructor(proves: (flow: Flow) => boolean) {
    this.#proves = proves;
  }

  /** Conversations that are open. */
  get count(): number {
    return this.#count;
  }

  /** Its first datagram has come. */
  enter(conversation: Ordered): void {
    this.#count++;
    append(this.#linesOf(conversation).unanswered, conversation);
  }

  /** The backend has answered for the first time. */
  answered(conversation: Ordered): void {
    conversation.isAnswered = true;
    if (conversation.standing === 'unanswered') this.#move(conversation, 'answered');
  }

  /** The client of a conversation that is not proved has sent one more datagram. */
  spoke(conversation: Ordered): void {
    if (conversation.isAnswered) this.prove(conversation);
    else if (conversation.standing === 'unanswered') this.#move(conversation, 'several');
  }

  /** Somebody is there: it makes room for nobody who is unproved. */
  prove(conversation: Ordered): void {
    const { standing, flow } = conversation;
    if (standing === undefined || standing === 'proved' || !this.#proves(flow)) return;
    this.#move(conversation, 'proved');
  }

  /** Likewise, though the backend never answers: it has sent for a while. */
  trust(conversation: Ordered): void {
    conversation.isAnswered = true;
    this.prove(conversation);
  }

  leave(conversation: Ordered): void {
    const { standing } = conversation;
    if (standing === undefined) return;
    this.#count--;
    take(this.#linesOf(conversation)[standing], conversation);
  }

  /**
   * Ends the first in line of a listener.
   * @param quietToo one that is proved may go if it has long been silent
   * @returns false: there is none
   */
  evict(listenerId: number, quietToo: boolean, nowMs: number): boolean {
    const lines = this.#listeners.get(listenerId);
    if (lines === undefined) return false;
    const unproved = unprovedOf(lines);
    const proved =
      quietToo && unproved * fairPart < lines.proved.count ? quietOf(lines.proved, nowMs) : undefined;
    const first = proved ?? firstOf(lines);
    first?.evict();
    return first !== undefined;
  }

  /**
   * For a newcomer of a listener to a table that is full: of the listener that has most who are unproved. Who is proved may have
   * to go for a client of his own listener only.
   * @returns false: there is none
   */
  evictFor(listenerId: number, nowMs: number): boolean {
    const from = this.#crowded() ?? listenerId;
    return this.evict(from, from === listenerId, nowMs);
  }

  /** Likewise, for a conversation that is in the order itself and new; only who is unproved goes. */
  evictBeside(conversation: Ordered, nowMs: number): boolean {
    this.leave(conversation);
    const from = this.#crowded();
    const isDone = from !== undefined && this.evict(from, false, nowMs);
    this.enter(conversation);
    return isDone;
  }

  /** The listener that has most who are unproved. */
  #crowded(): number | undefined {
    let crowded: number | undefined;
    let most = 0;
    for (const lines of this.#listeners.values()) {
      const unproved = unprovedOf(lines);
      if (unproved <= most) continue;
      most = unproved;
      crowded = lines.listenerId;
    }
    return crowded;
  }

  #move(conversation: Ordered, standing: Standing): void {
    const lines = this.#linesOf(conversation);
    take(lines[conversation.standing!], conversation);
    append(lines[standing], conversation);
  }

  #linesOf({ flow }: Ordered): Lines {
    const { id } = flow.listener;
    let lines = this.#listeners.get(id);
    if (lines === undefined) {
      const line = (standing: Standing): Line => ({
        standing,
        count: 0,
        oldest: undefined,
        newest: undefined,
      });
      lines = {
        listenerId: id,
        unanswered: line('unanswered'),
        answered: line('answered'),
        several: line('several'),
        proved: line('proved'),
      };
      this.#listeners.set(id, lines);
    }
    return lines;
  }
}

function unprovedOf({ unanswered, answered, several }: Lines): number {
  return unanswered.count + answered.count + several.count;
}

/** Of those with one datagram, while they are a fair part of the unproved, the ones there are more of. */
function firstOf({ unanswered, answered, several }: Lines): Ordered | undefined {
  const single = unanswered.count + answered.count;
  if (single * fairPart < single + several.count) return stalestOf(several);
  const isUnanswered =
    unanswered.count > answered.count ||
    (unanswered.count === answered.count && isOlder(unanswered.oldest, answered.oldest));
  return stalestOf(isUnanswered ? unanswered : answered);
}

function isOlder(one: Ordered | undefined, other: Ordered | undefined): boolean {
  return one !== undefined && other !== undefined && one.movedAtMs < other.movedAtMs;
}

/** The first in line that has not moved since it stands there, apart from what belongs to its beginning. */
function stalestOf(line: Line): Ordered | undefined {
  for (let i = 0; i < looksMax; i++) {
    const first = line.oldest;
    if (first === undefined || first.movedAtMs - first.enteredAtMs <= beginningMs) break;
    sendBack(line, first);
  }
  return line.oldest;
}

/** Of some, others each time, the one silent for longest; if that is half of what `timeouts.idle` allows. */
function quietOf(line: Line, nowMs: number): Ordered | undefined {
  let quietest = line.oldest;
  if (quietest === undefined) return undefined;
  for (let i = Math.min(looksMax, line.count); i > 0; i--) {
    const first = line.oldest!;
    if (first.movedAtMs < quietest.movedAtMs) quietest = first;
    sendBack(line, first);
  }
  const quietMs = quietest.flow.listener.plan.timeouts.idleMs / 2;
  return nowMs - quietest.movedAtMs >= quietMs ? quietest : undefined;
}

function sendBack(line: Line, conversation: Ordered): void {
  take(line, conversation);
  append(line, conversation);
}

function append(line: Line, conversation: Ordered): void {
  conversation.standing = line.standing;
  conversation.enteredAtMs = conversation.movedAtMs;
  conversation.older = line.newest;
  conversation.newer = undefined;
  if (line.newest === undefined) line.oldest = conversation;
  else line.newest.newer = conversation;
  line.newest = conversation;
  line.count++;
}

function take(line: Line, conversation: Ordered): void {
  const { older, newer } = conversation;
  if (older === undefined) line.oldest = newer;
  else older.newer = newer;
  if (newer === undefined) line.newest = older;
  else newer.older = older;
  conversation.standing = undefined;
  conversation.older = undefined;
  conversation.newer = undefined;
  line.count--;
}
