/**
 * Choosing a backend for a flow: the pin first, then the policy's candidates in order, with one loop that
 * applies health, drains, limits and what this flow has tried already. Pure: sockets and clocks are elsewhere.
 *
 *    pin? -- up ------------------------------------------> that backend            reason: pin
 *      |  \- down, removed, or its dial failed -> candidate, pin moved to it         reason: policy | retry
 *      |  \- full ----------------------------> candidate, pin left where it is      reason: policy
 *      no pin --------------------------------> candidate, pin claimed               reason: policy | retry
 *      pin to a backup, and another can serve -> candidate, pin moved to it          reason: policy | retry
 *    no candidate ----------------------------> fail-open, or `no-backend`
 *
 * In a panic (core/panic.ts) those that are down count as candidates, the pinned one first, and no pin is made to them.
 *
 * A claim can lose to another thread that pinned the same key a moment ago: the winner is followed, so two
 * first connections of one client do not part.
 *
 * Whoever is chosen has had one of its places taken (core/places.ts): looking first and taking afterwards, two workers
 * would both find the last one of `max_connections`.
 */
import type { BackendStates } from './backend-states.ts';
import type { Counters } from './counters.ts';
import type { ChoiceReason } from './flow.ts';
import type { Key } from './key.ts';
import { Panic } from './panic.ts';
import type { PinTable } from './pins/table.ts';
import type { Loads, Policy } from './policy/policy.ts';
import type { BackendView, PoolView } from './snapshot.ts';

export interface Choice {
  readonly backend: BackendView;
  readonly reason: ChoiceReason;
}

/** What choosing needs to know of the flow. `pinTtlMs` 0: no pin is read or written. */
export interface ChooseRequest {
  readonly key: Key;
  readonly pinTtlMs: number;
  /** How long a fresh pin lasts until it is confirmed. */
  readonly claimTtlMs: number;
  /** Ids of backends whose dial failed, or that broke early, for this flow. */
  readonly failed: readonly number[];
  /** The policy's word for this flow if it has been asked before; 0: it has not. */
  readonly candidateId: number;
}

export class Chooser implements Loads {
  readonly pool: PoolView;
  readonly policy: Policy;
  /** All its backends lead back to listeners of this instance. */
  readonly leadsBack: boolean;
  private readonly states: BackendStates;
  private readonly counters: Counters;
  private readonly pins: PinTable;
  private readonly byId: ReadonlyMap<number, BackendView>;
  /** Where its pins are. */
  readonly scopeId: number;
  /** By what pins hold. */
  private readonly byPinId: ReadonlyMap<number, BackendView>;
  private readonly elsewhere: ReadonlySet<number> | undefined;
  private readonly hasBackups: boolean;
  private readonly panic: Panic | undefined;
  /** So few are up that all are tried; looked at anew for each choice. */
  private isPanic = false;

  constructor(pool: PoolView, policy: Policy, states: BackendStates, counters: Counters, pins: PinTable) {
    this.pool = pool;
    this.policy = policy;
    const { backends } = pool;
    this.leadsBack = backends.length > 0 && backends.every(({ loop }) => loop === 'leads-back');
    this.states = states;
    this.counters = counters;
    this.pins = pins;
    this.byId = new Map(backends.map((backend) => [backend.id, backend]));
    const { scope } = pool;
    this.scopeId = scope?.id ?? pool.id;
    this.byPinId =
      scope === undefined ? this.byId : new Map(backends.map((backend) => [pinIdOf(backend), backend]));
    this.elsewhere =
      scope === undefined || scope.elsewhere.length === 0 ? undefined : new Set(scope.elsewhere);
    this.hasBackups = backends.some(({ isBackup }) => isBackup === true);
    const { panicBelow } = pool.plan;
    this.panic = panicBelow > 0 ? new Panic(backends, panicBelow, states) : undefined;
  }

  /**
   * @returns a backend and a place at it, which the caller gives back; undefined when no backend may be used.
   * Allocates only its answer
   */
  choose(request: ChooseRequest, nowMs: number): Choice | undefined {
    const { key, pinTtlMs, failed } = request;
    this.isPanic = false;
    // Being chosen proves nothing: only a client that was served (confirm) has the whole ttl from now.
    const usedForMs = Math.min(pinTtlMs, request.claimTtlMs);
    const pinnedId = pinTtlMs === 0 ? 0 : this.pins.touch(this.scopeId, key, usedForMs, nowMs);
    const pinned = this.pinned(pinnedId);
    const pinServes = pinned !== undefined && this.follows(pinned, failed);
    if (pinServes && this.take(pinned)) return { backend: pinned, reason: 'pin' };

    this.isPanic = this.mustPanic();
    if (pinned !== undefined && this.triesInPanic(pinned, failed) && this.take(pinned)) {
      return { backend: pinned, reason: 'fail-open' };
    }
    const candidate = this.takeEarlier(request) ?? this.takeCandidate(key, failed);
    if (candidate === undefined) return this.failOpen(request, pinned);
    // It is no home until it is seen to be well.
    if (this.isPanic && !this.isUp(candidate)) return { backend: candidate, reason: 'fail-open' };
    const reason: ChoiceReason = failed.length > 0 ? 'retry' : 'policy';
    if (pinTtlMs === 0 || pinServes || this.isElsewhere(pinnedId)) return { backend: candidate, reason };

    const candidateId = pinIdOf(candidate);
    const winnerId =
      pinnedId === 0
        ? this.pins.claim(this.scopeId, key, candidateId, request.claimTtlMs, nowMs, 'policy')
        : this.pins.move(this.scopeId, key, pinnedId, candidateId, request.claimTtlMs, nowMs, reason);
    const winner = winnerId === candidateId ? undefined : this.byPinId.get(winnerId);
    if (winner === undefined || !this.serves(winner, failed) || !this.take(winner)) {
      return { backend: candidate, reason };
    }
    this.counters.places.giveBackend(candidate.id);
    return { backend: winner, reason: 'pin' };
  }

  /**
   * A pin to a backend that other pools of the group have and this one has not: it stays where it is, or the other pools' clients
   * would be moved for it, and here the policy alone decides.
   */
  isElsewhere(pinnedId: number): boolean {
    return this.elsewhere?.has(pinnedId) === true;
  }

  /** The backend that a pin means here. */
  pinned(pinnedId: number): BackendView | undefined {
    return pinnedId === 0 ? undefined : this.byPinId.get(pinnedId);
  }

  /** Whether anybody could be chosen now. False: asking {@link choose} is of no use. */
  mayServe(): boolean {
    if (this.pool.plan.failOpen || this.pool.plan.panicBelow > 0) return true;
    for (const backend of this.pool.backends) {
      if (this.states.isUp(backend.id) && backend.target !== undefined && !this.isFull(backend)) return true;
    }
    return false;
  }

  /** Whether there is somebody else for a flow that has tried these, as far as can be told without choosing. */
  hasOther(tried: readonly number[]): boolean {
    const mayBeDown = this.pool.plan.failOpen || this.mustPanic();
    return this.pool.backends.some((backend) => {
      if (tried.includes(backend.id) || backend.target === undefined || this.isFull(backend)) return false;
      return mayBeDown || this.states.servesNew(backend.id);
    });
  }

  /** What the snapshot says of a backend; undefined if the pool has none of this id. */
  backend(id: number): BackendView | undefined {
    return this.byId.get(id);
  }

  /** The policy's word alone, as `explain` asks for it: pins are neither read nor written, and no place is taken. */
  candidate(key: Key, failed: readonly number[]): BackendView | undefined {
    this.isPanic = this.mustPanic();
    this.policy.start(key, this);
    for (let position = this.policy.next(); position >= 0; position = this.policy.next()) {
      const backend = this.pool.backends[position]!;
      if (this.servesNew(backend, failed) && !this.isFull(backend)) return backend;
    }
    return undefined;
  }

  private takeCandidate(key: Key, failed: readonly number[]): BackendView | undefined {
    this.policy.start(key, this);
    for (let position = this.policy.next(); position >= 0; position = this.policy.next()) {
      const backend = this.pool.backends[position]!;
      if (this.servesNew(backend, failed) && this.take(backend)) return backend;
    }
    return undefined;
  }

  /** A policy that takes turns must be asked once for a flow. */
  private takeEarlier({ candidateId, failed }: ChooseRequest): BackendView | undefined {
    const backend = candidateId === 0 ? undefined : this.byId.get(candidateId);
    return backend !== undefined && this.servesNew(backend, failed) && this.take(backend)
      ? backend
      : undefined;
  }

  private servesNew(backend: BackendView, failed: readonly number[]): boolean {
    return this.takesNew(backend.id) && backend.target !== undefined && !failed.includes(backend.id);
  }

  active(position: number): number {
    const id = this.pool.backends[position]!.id;
    return this.counters.backend(id, 'active') + this.states.peerFlows(id);
  }

  /** Of a backend that takes no new clients it is 0: it has no share that others should leave to it. */
  weight(position: number): number {
    const { id } = this.pool.backends[position]!;
    return this.takesNew(id) ? this.states.weight(id) : 0;
  }

  ready(position: number): number {
    const { id } = this.pool.backends[position]!;
    if (!this.takesNew(id)) return 0;
    return this.isPanic ? 1 : this.states.ramp(id);
  }

  /** In a panic nobody is left out for what checks say. */
  private takesNew(id: number): boolean {
    return this.isPanic
      ? !this.states.isDraining(id) && this.states.weight(id) > 0
      : this.states.servesNew(id);
  }

  private serves(backend: BackendView, failed: readonly number[]): boolean {
    return (
      this.states.servesPinned(backend.id) && backend.target !== undefined && !failed.includes(backend.id)
    );
  }

  /** Whether a pin to a backend that is down is followed, as of the last choice or candidate. */
  triesInPanic(pinned: BackendView, failed: readonly number[]): boolean {
    return this.isPanic && !this.isUp(pinned) && this.servesNew(pinned, failed);
  }

  isUp({ id }: BackendView): boolean {
    return this.states.isUp(id);
  }

  /** Whether those that are down are tried as well now. */
  mustPanic(): boolean {
    return this.panic?.isOn() === true;
  }

  /** Whether a pin to this backend is followed, room or not. */
  follows(pinned: BackendView, failed: readonly number[]): boolean {
    return this.serves(pinned, failed) && !this.isRelieved(pinned, failed);
  }

  /** A backup that is not needed any more: a refuge is nobody's home, even of those who are pinned to it. */
  private isRelieved(pinned: BackendView, failed: readonly number[]): boolean {
    if (!this.hasBackups || pinned.isBackup !== true) return false;
    for (const backend of this.pool.backends) {
      if (backend.isBackup !== true && this.servesNew(backend, failed) && !this.isFull(backend)) return true;
    }
    return false;
  }

  private isFull(backend: BackendView): boolean {
    return this.counters.places.backend(backend.id) >= this.placesOf(backend);
  }

  private take(backend: BackendView): boolean {
    return this.counters.places.takeBackend(backend.id, this.placesOf(backend));
  }

  /** What other instances leave of `max_connections`, by what they have told. */
  private placesOf({ id, maxConnections }: BackendView): number {
    return maxConnections === 0 ? Number.POSITIVE_INFINITY : maxConnections - this.states.peerFlows(id);
  }

  /** Nobody is up: with `fail_open` the pinned backend, else the policy's first that was not tried. */
  private failOpen(request: ChooseRequest, pinned: BackendView | undefined): Choice | undefined {
    if (!this.pool.plan.failOpen) return undefined;
    const mayStay = pinned?.target !== undefined && !this.states.movesPinned(pinned.id);
    if (mayStay && !request.failed.includes(pinned.id) && this.take(pinned)) {
      return { backend: pinned, reason: 'fail-open' };
    }
    this.policy.start(request.key, this);
    for (let position = this.policy.next(); position >= 0; position = this.policy.next()) {
      const backend = this.pool.backends[position]!;
      // Up, yet not chosen: draining or full. Draining: an operator's word holds, up or down.
      if (this.states.isUp(backend.id) || this.states.isDraining(backend.id)) continue;
      if (backend.target !== undefined && !request.failed.includes(backend.id) && this.take(backend)) {
        return { backend, reason: 'fail-open' };
      }
    }
    return undefined;
  }
}

/** What pins to a backend hold. */
export function pinIdOf({ id, pinId }: BackendView): number {
  return pinId ?? id;
}
