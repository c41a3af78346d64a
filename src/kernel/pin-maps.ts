/**
 * The maps of clients who are pinned elsewhere than their bucket says, kept as pins change: who is in them is decided anew for the slots
 * of the pin table that were touched, and for all of them only where buckets, backends or their numbers are others than before.
 *
 *    pin table -- touched slots, pins that are due to expire --> look() --> changed elements --> one transaction of these
 *    states, pools, numbers ------ another rule of a map ------> finish() --> all of the map --> the transaction of the table
 *
 * A map is one object for as long as the table has it. What is changed in it is written down with what was there before, until a
 * transaction is made of it. So the text of a transaction is as long as the change, whatever has happened between. One that
 * fails ends this: the table is read, and compared as a whole.
 *
 * Of the pins in the maps it is known in which slot each is: in a slot that is touched may be another by then. A pin that went
 * from one slot to another is taken out for the one first and put in for the other then; see core/pins/touches.ts.
 */
import { Address } from '../core/address.ts';
import { pinIdOf } from '../core/choose.ts';
import { bucketSeed, type KernelBuckets, kernelBucket } from '../core/kernel-bucket.ts';
import { maskAddress } from '../core/key.ts';
import type { Pin, PinTable } from '../core/pins/table.ts';
import type { BackendView, PoolView } from '../core/snapshot.ts';
import { DueSlots } from './due-slots.ts';
import type { Elements } from './form.ts';
import type { PinMapAsked } from './view.ts';

export interface PinMapsOptions {
  readonly pins: Pick<PinTable, 'slotCount' | 'follow' | 'areTouched' | 'takeTouched' | 'pinIn'>;
  /** Backends of a pool to which clients of a family are led who are pinned to them. */
  readonly homesOf: (pool: PoolView, family: 4 | 6) => readonly BackendView[];
  /** The buckets of a pool for clients of a family: ids of backends. The same array is the same for ever. */
  readonly bucketsOf: (pool: PoolView, family: 4 | 6) => Int32Array;
  readonly nowMs: () => number;
}

/** Changes that come one by one are a transaction together: a look at least so long after the one before. */
const lookEveryMs = 500;
/** Slots that are read in one look. What is left is read in the next turn. */
const slotsPerLookMax = 10_000;
/** A pin that has expired stays while its client is connected: it is looked at again after so long. */
const connectedEveryMs = 10_000;

/** Who is in a map, and under which number: made with the table, and the same until the table is made anew. */
interface Rule {
  readonly family: 4 | 6;
  readonly how: KernelBuckets;
  readonly buckets: Int32Array;
  /** By what pins call it: a backend to which pinned clients are led, and its number. */
  readonly homes: ReadonlyMap<number, { readonly id: number; readonly number: string }>;
}

class PinMap {
  readonly elements = new Map<string, string>();
  /** What was there when the last transaction was made, of what was changed since. */
  changed = new Map<string, string | undefined>();
  rule: Rule | undefined;
  scope: Scope | undefined;

  set(client: string, number: string | undefined): void {
    const before = this.elements.get(client);
    if (number === before) return;
    if (!this.changed.has(client)) this.changed.set(client, before);
    if (number === undefined) this.elements.delete(client);
    else this.elements.set(client, number);
  }
}

/** Maps that are made of the same pins. */
interface Scope {
  /** From 1. */
  readonly number: number;
  readonly maps: PinMap[];
}

export class PinMaps {
  private readonly options: PinMapsOptions;
  /** By their names. */
  private readonly maps = new Map<string, PinMap>();
  /** By the kind of a pin's key, and where it belongs. */
  private scopes = new Map<string, Map<number, Scope>>();
  private readonly byNumber = new Map<number, Scope>();
  private asked = new Map<PinMap, { readonly map: PinMapAsked; readonly rule: Rule }>();
  /** By slot: the number of the scope whose maps have its pin; 0: none has it. */
  private readonly scopeOf: Uint16Array;
  /** By slot: the client, as it stands in the maps. */
  private readonly clients = new Map<number, string>();
  private readonly due: DueSlots;
  private lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PinMapsOptions) {
    this.options = options;
    const { pins, nowMs } = options;
    this.scopeOf = new Uint16Array(pins.slotCount);
    this.due = new DueSlots(pins.slotCount, nowMs());
  }

  /** A table is made: which maps it has is asked with {@link ask}, and what is in them is there after {@link finish}. */
  begin(): void {
    this.asked = new Map();
  }

  /** @returns what is complete after {@link finish}, and then says what changes between that table and this one */
  ask(map: PinMapAsked): Elements {
    const known = this.maps.get(map.name) ?? new PinMap();
    this.maps.set(map.name, known);
    this.asked.set(known, { map, rule: this.ruleOf(map) });
    return { kind: 'elements', elements: known.elements, changed: known.changed };
  }

  finish(): void {
    const { pins, nowMs } = this.options;
    this.arrange();
    const stale: PinMap[] = [];
    for (const [map, { rule }] of this.asked) {
      if (map.rule === undefined || !isSameRule(map.rule, rule)) stale.push(map);
      map.rule = rule;
    }
    if (stale.length > 0) pins.follow();
    // First, so that what is known of slots is as of now.
    this.read(nowMs(), Number.POSITIVE_INFINITY);
    if (stale.length > 0) this.readAll(stale, nowMs());
    for (const map of this.maps.values()) map.changed = new Map();
  }

  /**
   * Call it often: what has become of pins is seen here.
   * @param isUrgent all of it, and now
   * @returns whether {@link takeChanges} has something
   */
  look(isUrgent = false): boolean {
    const { pins, nowMs } = this.options;
    const now = nowMs();
    if (this.maps.size === 0 || (!isUrgent && now - this.lookedAtMs < lookEveryMs)) return false;
    if (!pins.areTouched && !this.due.areAny(now)) return false;
    const max = isUrgent ? Number.POSITIVE_INFINITY : slotsPerLookMax;
    // Where there is more, the next turn goes on.
    if (this.read(now, max) < max) this.lookedAtMs = now;
    return [...this.maps.values()].some(({ changed }) => changed.size > 0);
  }

  /** What was changed in the maps since the last transaction, which from here on is that of this. By their names. */
  takeChanges(): [string, Elements][] {
    const changes: [string, Elements][] = [];
    for (const [name, map] of this.maps) {
      const { elements, changed } = map;
      if (changed.size === 0) continue;
      changes.push([name, { kind: 'elements', elements, changed }]);
      map.changed = new Map();
    }
    return changes;
  }

  // ---- maps and their scopes -----------------------------------------------------------------------------------

  private ruleOf({ listener, family, numberOf }: PinMapAsked): Rule {
    const { homesOf, bucketsOf } = this.options;
    const { pool, key, view } = listener;
    const { prefixV4, prefixV6 } = view.plan.affinity;
    const homes = homesOf(pool, family).flatMap((backend) => {
      const number = numberOf(backend.id);
      return number === 0 ? [] : [[pinIdOf(backend), { id: backend.id, number: String(number) }] as const];
    });
    return {
      family,
      how: { key, prefixV4, prefixV6, seed: bucketSeed, modulus: pool.plan.tableSize },
      buckets: bucketsOf(pool, family),
      homes: new Map(homes),
    };
  }

  /** Each map to the scope whose pins are in it now. */
  private arrange(): void {
    const before = this.scopes;
    this.scopes = new Map();
    for (const [name, map] of this.maps) if (!this.asked.has(map)) this.maps.delete(name);
    for (const [map, { map: asked }] of this.asked) {
      const { pool, key } = asked.listener;
      const id = pool.scope?.id ?? pool.id;
      const scope = this.scopes.get(key)?.get(id) ?? this.scopeAnew(before.get(key)?.get(id));
      this.scopes.set(key, (this.scopes.get(key) ?? new Map<number, Scope>()).set(id, scope));
      scope.maps.push(map);
      // What it has are pins of another scope.
      if (map.scope?.number !== scope.number) {
        for (const client of [...map.elements.keys()]) map.set(client, undefined);
        map.rule = undefined;
      }
      map.scope = scope;
    }
    this.forgetScopes();
  }

  private scopeAnew(before: Scope | undefined): Scope {
    let number = before?.number ?? 1;
    while (before === undefined && this.byNumber.has(number)) number++;
    const scope = { number, maps: [] };
    this.byNumber.set(number, scope);
    return scope;
  }

  private forgetScopes(): void {
    const used = new Set([...this.asked.keys()].map(({ scope }) => scope!.number));
    const gone = [...this.byNumber.keys()].filter((number) => !used.has(number));
    if (gone.length === 0) return;
    for (const number of gone) this.byNumber.delete(number);
    for (const slot of [...this.clients.keys()])
      if (!this.byNumber.has(this.scopeOf[slot]!)) this.forget(slot);
  }

  // ---- slots -------------------------------------------------------------------------------------------------

  /** Reads the slots that were touched or are due. @returns how many */
  private read(nowMs: number, max: number): number {
    const count = this.options.pins.takeTouched(max, (slots) => this.readSlots(slots, nowMs));
    const due = this.due.take(nowMs, max - count);
    this.readSlots(
      due.filter((slot) => this.scopeOf[slot] !== 0),
      nowMs,
    );
    return count + due.length;
  }

  private readSlots(slots: readonly number[], nowMs: number): void {
    const pins = slots.map((slot) => this.options.pins.pinIn(slot, nowMs));
    for (const [i, slot] of slots.entries()) this.takeOut(slot, pins[i]);
    for (const [i, slot] of slots.entries()) {
      const pin = pins[i];
      const scope = this.scopeFor(pin);
      if (scope !== undefined) this.putIn(slot, pin as Pin, scope, scope.maps, nowMs);
    }
  }

  private readAll(maps: readonly PinMap[], nowMs: number): void {
    const { pins } = this.options;
    const byScope = new Map<Scope, PinMap[]>();
    for (const map of maps) byScope.set(map.scope!, [...(byScope.get(map.scope!) ?? []), map]);
    for (let slot = 0; slot < pins.slotCount; slot++) {
      const pin = pins.pinIn(slot, nowMs);
      this.takeOut(slot, pin);
      const scope = this.scopeFor(pin);
      const some = scope && byScope.get(scope);
      if (some !== undefined) this.putIn(slot, pin as Pin, scope!, some, nowMs);
    }
  }

  private scopeFor(pin: Pin | undefined | 'blocked'): Scope | undefined {
    return typeof pin === 'object' ? this.scopes.get(pin.kind)?.get(pin.poolId) : undefined;
  }

  /** The client that was known to be in the slot, if another one is there now, or nobody. */
  private takeOut(slot: number, pin: Pin | undefined | 'blocked'): void {
    const number = this.scopeOf[slot]!;
    if (number === 0 || pin === 'blocked') return;
    const client = this.clients.get(slot)!;
    if (this.scopeFor(pin)?.number === number && addressOf(pin!).ip === client) return;
    for (const map of this.byNumber.get(number)!.maps) map.set(client, undefined);
    this.forget(slot);
  }

  /** @param maps of the scope */
  private putIn(slot: number, pin: Pin, scope: Scope, maps: readonly PinMap[], nowMs: number): void {
    const address = addressOf(pin);
    let client = this.clients.get(slot);
    for (const map of maps) {
      const number = numberIn(map.rule!, address, pin.backendId);
      if (number === undefined && client === undefined) continue;
      client ??= address.ip;
      map.set(client, number);
    }
    if (client === undefined) return;
    const text = client;
    if (scope.maps.some(({ elements }) => elements.has(text))) {
      this.scopeOf[slot] = scope.number;
      this.clients.set(slot, client);
      this.due.file(slot, pin.expiresAtMs > nowMs ? pin.expiresAtMs : nowMs + connectedEveryMs);
    } else this.forget(slot);
  }

  private forget(slot: number): void {
    this.scopeOf[slot] = 0;
    this.clients.delete(slot);
  }
}

/** @returns undefined: it is not in the map, as it is led there without, or not led there */
function numberIn({ family, how, buckets, homes }: Rule, client: Address, pinId: number): string | undefined {
  if (client.family !== family) return undefined;
  const home = homes.get(pinId);
  if (home === undefined || buckets[kernelBucket(client, how)] === home.id) return undefined;
  return isOwnKey(client, how) ? home.number : undefined;
}

/** Listeners of a pool may know clients by networks of several sizes. */
function isOwnKey(client: Address, { key, prefixV4, prefixV6 }: KernelBuckets): boolean {
  return key !== 'client-subnet' || maskAddress(client, prefixV4, prefixV6).hasIpOf(client);
}

function addressOf({ w0, w1, w2, w3, port }: Pin): Address {
  return new Address(w0, w1, w2, w3, port);
}

function isSameRule(one: Rule, other: Rule): boolean {
  return (
    one.family === other.family &&
    one.how.key === other.how.key &&
    one.how.prefixV4 === other.how.prefixV4 &&
    one.how.prefixV6 === other.how.prefixV6 &&
    one.how.modulus === other.how.modulus &&
    isSameHomes(one.homes, other.homes) &&
    isSameBuckets(one.buckets, other.buckets)
  );
}

function isSameHomes(one: Rule['homes'], other: Rule['homes']): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([pinId, { id, number }]) => {
    const home = other.get(pinId);
    return home?.id === id && home.number === number;
  });
}

function isSameBuckets(one: Int32Array, other: Int32Array): boolean {
  return one === other || (one.length === other.length && one.every((id, bucket) => id === other[bucket]));
}
