/**
 * The event loop of one thread: epoll, timers and the turn that serves them.
 *
 *    sleep at most until the next timer --> events --> those with work left over --> timers --> end-of-turn work
 *
 * Work per turn is bounded: at most `eventsMax` events, and a handler that has more to do than its share asks to
 * be called again (`again`) after everybody else had a turn.
 *
 * Those who end wait for those who live. A backend that is killed ends ten thousand connections in one moment, the kernel hands its
 * events out in the order they came, and to end a flow takes some twenty microseconds: who asks then would be answered after all of them. So while a
 * turn brings as many events as it takes, ends (EPOLLRDHUP, of handlers that let theirs wait) are put in a queue, and the kernel is asked
 * again at once, for at most `siftMsMax`. From the first turn that brings fewer, the queue is served in each turn after all others, for as long as
 * they took, within bounds, until it is empty. A turn that finds neither pays one comparison.
 *
 * Timers judge by a time before which the kernel was asked, and act once all that waited at that time was read, however
 * long this thread was kept from running: a turn whose question was interrupted (SIGCONT), or that brought as many events as
 * it takes, leaves them to a later one. Such turns are a round. A round is bounded: the kernel gives events in the order they
 * came, so as many turns as it takes for everything watched bring all that was ready when it began, and it is over once what had
 * to wait of that was served. A descriptor with news of
 * many, a UDP listener's, may need more: its flows see to that (engine/read-through.ts). So a timer costs one look at the kernel that does not
 * sleep, and what is ready comes before what is late.
 *
 * Time is read before and after the sleep. An event names a slot and a generation, looked up directly before its handler runs, so an event that was fetched for a descriptor
 * closed meanwhile goes nowhere, even if the number has been given to another already. What a handler throws goes to
 * `fault` and the others go on. A thread in epoll_wait cannot be interrupted by V8 and would hold up the exit of the
 * process: sleep is bounded, and writing eight bytes to `wakeDescriptor` ends it from any thread. Whoever writes to it
 * closes it, once this thread is gone: closed here, its number could be somebody else's when the bytes are written.
 */
import { endingMsPerTurn } from '../core/limits.ts';
import { Arena, type Region } from './arena.ts';
import {
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLIN,
  EPOLLRDHUP,
} from './constants.ts';
import { EINTR, errnoName } from './errno.ts';
import {
  close,
  type Descriptor,
  drainEventfd,
  epollControl,
  epollCreate,
  epollDataWord,
  epollEventWords,
  epollWait,
  eventfd,
} from './libc.ts';
import { PostponedEvents } from './postponed-events.ts';
import { SlotTable } from './slot-table.ts';
import { type Timed, TimerWheel } from './timer-wheel.ts';

export interface Handler {
  /** `events` are EPOLL bits. */
  onEvents(events: number): void;
  /** Called in the turn after `again`, unless the handler was released meanwhile. */
  onAgain(): void;
  /**
   * Whether its end may wait for a moment while very many end at once; absent: it may not.
   * @param events with EPOLLRDHUP among them
   */
  endWaits?(events: number): boolean;
  /** True between `again` and `onAgain`; the reactor's own. */
  queued: boolean;
  /** The place `add` gave; -1 outside `add` and `remove`. The reactor's own. */
  slot: number;
}

/** Called once at the end of a turn in which it was passed to `atTurnEnd`. */
export interface TurnEnd {
  onTurnEnd(): void;
}

const eventsMax = 256;
/** Ends are put off for no longer while no turn brings fewer than `eventsMax`: ten thousand take half of it. Milliseconds. */
const siftMsMax = 20;
/** The least time for ends in a turn that serves them: little for whoever waits, much beside what a turn costs. Milliseconds. */
const endsMsMin = 1;
const tickMs = 16;
const ticksPerRotation = 4096;
/** The longest sleep: how late the exit of a process may be that forgot to wake the thread. */
const sleepMsMax = 500;

export interface ReactorOptions {
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /**
   * Called before every sleep.
   * @param isWoken somebody wrote to `wakeDescriptor` since the last call; true the first time
   * @param turnMs how long the turn took that is over: what became ready meanwhile has waited for it
   * @param nowMs the time of the call
   * @returns the longest sleep it allows, in milliseconds
   */
  readonly onWake: (isWoken: boolean, turnMs: number, nowMs: number) => number;
  readonly fault: (error: unknown, at: Handler | Timed | TurnEnd | undefined) => void;
}

export class Reactor {
  /** The time of this turn, in milliseconds. */
  nowMs: number;
  readonly wheel: TimerWheel;
  /** Made here, closed by its writers. */
  readonly wakeDescriptor: Descriptor;
  readonly #options: ReactorOptions;
  readonly #epoll: Descriptor;
  readonly #events: Region;
  readonly #slots = new SlotTable<Handler>();
  readonly #ends = new PostponedEvents(this.#slots);
  /** Until when ends are put off; undefined: none are, or the last turn brought fewer than it takes. */
  #siftUntilMs: number | undefined = undefined;
  #again: Handler[] = [];
  #againSpare: Handler[] = [];
  readonly #turnEnds: TurnEnd[] = [];
  #isWoken = true;
  #stopped = false;
  #turning = false;
  /** When the kernel was asked first in this round; undefined between rounds. */
  #roundMs: number | undefined = undefined;
  /** Turns of this round that brought all events a turn takes. */
  #fullTurns = 0;
  /** The first one in the queue of ends that this round need not wait for; undefined: the kernel has not told all yet. */
  #roundEnd: number | undefined = undefined;
  readonly #fault: (error: unknown, at: Handler | Timed | TurnEnd) => void;

  /** Throws if the kernel gives no epoll or eventfd descriptor: the engine cannot be made then. */
  constructor(options: ReactorOptions) {
    this.#options = options;
    this.#fault = options.fault;
    this.nowMs = options.nowMs();
    this.wheel = new TimerWheel(this.nowMs, tickMs, ticksPerRotation);
    this.#events = new Arena(eventsMax * epollEventWords * 4).cut(eventsMax * epollEventWords * 4);
    this.#epoll = epollCreate(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw new Error(`epoll_create1: ${errnoName(this.#epoll)}`);
    this.wakeDescriptor = eventfd(EFD_NONBLOCK | EFD_CLOEXEC);
    if (this.wakeDescriptor < 0) throw new Error(`eventfd: ${errnoName(this.wakeDescriptor)}`);
    const wakeUp: Handler = {
      slot: -1,
      queued: false,
      onEvents: () => {
        drainEventfd(this.wakeDescriptor);
        this.#isWoken = true;
      },
      onAgain: () => undefined,
    };
    const added = this.add(this.wakeDescriptor, wakeUp, EPOLLIN | EPOLLET);
    if (added < 0) throw new Error(`epoll_ctl: ${errnoName(added)}`);
  }

  /** Watches `fd` for `handler`. 0, or a negative errno and nothing has changed. */
  add(fd: Descriptor, handler: Handler, events: number): number {
    const slot = this.#slots.take(handler);
    const result = epollControl(this.#epoll, EPOLL_CTL_ADD, fd, events, slot, this.#slots.generation(slot));
    if (result < 0) this.#slots.release(slot);
    else handler.slot = slot;
    return result;
  }

  /** Changes what `fd` is watched for; also makes an edge-triggered state that holds now come (again). */
  modify(fd: Descriptor, handler: Handler, events: number): number {
    const { slot } = handler;
    return epollControl(this.#epoll, EPOLL_CTL_MOD, fd, events, slot, this.#slots.generation(slot));
  }

  /** Gives what is watched for `from` to another handler. 0, or a negative errno and nothing has changed. */
  pass(fd: Descriptor, from: Handler, to: Handler, events: number): number {
    const slot = this.#slots.take(to);
    const result = epollControl(this.#epoll, EPOLL_CTL_MOD, fd, events, slot, this.#slots.generation(slot));
    if (result < 0) {
      this.#slots.release(slot);
      return result;
    }
    to.slot = slot;
    this.remove(from);
    return 0;
  }

  /** Forgets `handler`. The caller closes the descriptor next, which takes it out of the kernel's set. */
  remove(handler: Handler): void {
    if (handler.slot < 0) return;
    this.#slots.release(handler.slot);
    handler.slot = -1;
  }

  /**
   * As {@link remove}, for a socket that others have under another number: closing `fd` would leave it in the kernel's set, with events
   * for whoever gets that number next (epoll(7), questions and answers).
   */
  removeShared(fd: Descriptor, handler: Handler): void {
    if (handler.slot >= 0) epollControl(this.#epoll, EPOLL_CTL_DEL, fd, 0, 0, 0);
    this.remove(handler);
  }

  /** Calls `handler.onAgain` in the next turn, which then does not sleep. */
  again(handler: Handler): void {
    if (handler.queued) return;
    handler.queued = true;
    this.#again.push(handler);
  }

  /** The caller sees to it that it is called once per turn. */
  atTurnEnd(work: TurnEnd): void {
    this.#turnEnds.push(work);
  }

  /** Handlers that are watched now, without the reactor's own. */
  get watched(): number {
    return this.#slots.size - 1;
  }

  /** All that is watched; made for shutdown, not for the loop. */
  handlers(): Handler[] {
    return this.#slots.all();
  }

  /** Turns until `stop`. */
  run(): void {
    while (!this.#stopped) this.turn(sleepMsMax);
    this.#release();
  }

  /** One turn; sleeps at most `mostMs`. */
  turn(mostMs: number): void {
    if (this.#stopped) return;
    this.#turning = true;
    const allowedMs = this.#allowedSleepMs(mostMs);
    if (!this.#stopped) {
      this.#roundMs ??= this.nowMs;
      const count = epollWait(this.#epoll, this.#events, allowedMs);
      this.nowMs = this.#options.nowMs();
      if (count > 0) {
        if (count < eventsMax && this.#ends.isEmpty) this.#dispatch(count);
        else this.#dispatchLiving(count);
      } else if (count < 0 && count !== -EINTR) throw new Error(`epoll_wait: ${errnoName(count)}`);
      if (this.#again.length > 0) this.#serveAgain();
      if (!this.#ends.isEmpty) this.#serveEnds(count === eventsMax);
      if (this.#isRoundOver(count)) {
        this.wheel.advance(this.#roundMs, this.#fault);
        this.#roundMs = undefined;
        this.#fullTurns = 0;
        this.#roundEnd = undefined;
      }
      if (this.#turnEnds.length > 0) this.#serveTurnEnds();
    }
    this.#turning = false;
  }

  /** @param count what epoll_wait said in this turn */
  #isRoundOver(count: number): boolean {
    if (this.#roundEnd === undefined) {
      if (count < 0) return false;
      if (count === eventsMax && ++this.#fullTurns * eventsMax < this.#slots.size) return false;
      this.#roundEnd = this.#ends.next;
    }
    return this.#ends.first >= this.#roundEnd;
  }

  /** Ends `run` after this turn; outside a turn it frees at once. The reactor is not used afterwards. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    if (!this.#turning) this.#release();
  }

  /** For a thread that dies, in whatever turn: `stop` then frees at once. */
  abandon(): void {
    this.#turning = false;
  }

  #allowedSleepMs(mostMs: number): number {
    let allowedMs = Math.min(mostMs, sleepMsMax);
    // Orders may begin something whose time counts from now.
    const beganMs = this.nowMs;
    this.nowMs = this.#options.nowMs();
    const isWoken = this.#isWoken;
    this.#isWoken = false;
    try {
      allowedMs = Math.min(allowedMs, this.#options.onWake(isWoken, this.nowMs - beganMs, this.nowMs));
    } catch (error) {
      this.#options.fault(error, undefined);
    }
    const isBusy = this.#again.length > 0 || this.#turnEnds.length > 0 || !this.#ends.isEmpty;
    if (isBusy || !(allowedMs > 0)) return 0;
    return this.wheel.untilNextMs(this.#options.nowMs(), Math.ceil(allowedMs));
  }

  #dispatch(count: number): void {
    const { words } = this.#events;
    for (let i = 0; i < count; i++) {
      const at = i * epollEventWords;
      const handler = this.#slots.find(words[at + epollDataWord]!, words[at + epollDataWord + 1]!);
      if (handler === undefined) continue;
      try {
        handler.onEvents(words[at]!);
      } catch (error) {
        this.#fault(error, handler);
      }
    }
  }

  /** Like `dispatch`, but for the ends that may wait. */
  #dispatchLiving(count: number): void {
    const { words } = this.#events;
    const ends = this.#ends;
    for (let i = 0; i < count; i++) {
      const at = i * epollEventWords;
      const slot = words[at + epollDataWord]!;
      const generation = words[at + epollDataWord + 1]!;
      const handler = this.#slots.find(slot, generation);
      if (handler === undefined) continue;
      const events = words[at]!;
      try {
        if ((events & EPOLLRDHUP) !== 0 && handler.endWaits?.(events) === true) {
          ends.add(slot, generation, events);
        } else handler.onEvents(ends.isEmpty ? events : events | ends.take(slot, generation));
      } catch (error) {
        this.#fault(error, handler);
      }
    }
  }

  /** @param isFull more than this turn took may be ready: the living among them come first */
  #serveEnds(isFull: boolean): void {
    const { nowMs } = this.#options;
    const beganMs = nowMs();
    if (isFull) {
      this.#siftUntilMs ??= beganMs + siftMsMax;
      if (beganMs < this.#siftUntilMs) return;
    } else this.#siftUntilMs = undefined;
    const ends = this.#ends;
    // As long as the living took: who ends all the time must not come off worse than who comes.
    const untilMs = beganMs + Math.min(Math.max(beganMs - this.nowMs, endsMsMin), endingMsPerTurn);
    while (!ends.isEmpty) {
      const handler = ends.shift();
      if (handler === undefined) continue;
      try {
        handler.onEvents(ends.events);
      } catch (error) {
        this.#fault(error, handler);
      }
      if (nowMs() >= untilMs) return;
    }
    this.#siftUntilMs = undefined;
  }

  #serveAgain(): void {
    const handlers = this.#again;
    this.#again = this.#againSpare;
    this.#againSpare = handlers;
    for (let i = 0; i < handlers.length; i++) {
      const handler = handlers[i]!;
      handler.queued = false;
      if (handler.slot < 0) continue;
      try {
        handler.onAgain();
      } catch (error) {
        this.#fault(error, handler);
      }
    }
    handlers.length = 0;
  }

  #serveTurnEnds(): void {
    const works = this.#turnEnds;
    const count = works.length;
    for (let i = 0; i < count; i++) {
      try {
        works[i]!.onTurnEnd();
      } catch (error) {
        this.#fault(error, works[i]!);
      }
    }
    // What was asked for meanwhile is work of the next turn.
    works.copyWithin(0, count);
    works.length -= count;
  }

  #release(): void {
    close(this.#epoll);
  }
}
