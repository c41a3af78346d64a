/**
 * Explain: which backend does this client get on this listener, why, and where does it go if that one is lost?
 * The same chooser, policies and pin table as the workers use, asked without writing anything.
 */

import { Access, type AccessVerdict } from '../core/access.ts';
import { Address, noAddress } from '../core/address.ts';
import { type AskedClient, askedText, keyOfAsked } from '../core/asked-client.ts';
import type { BackendStates } from '../core/backend-states.ts';
import { Chooser } from '../core/choose.ts';
import { bucketSeed, isKernelKey, kernelBucket, keyOfBucket } from '../core/kernel-bucket.ts';
import { type Key, keyOf } from '../core/key.ts';
import { bytesOfText } from '../core/key-bytes.ts';
import { keyKinds } from '../core/key-kinds.ts';
import { pinnedPool } from '../core/pinned-pool.ts';
import type { PinTable } from '../core/pins/table.ts';
import {
  type AffinityPlan,
  keyKindOf,
  type ListenerPlan,
  type Protocol,
  type RefusalWay,
  type RouteProtocol,
} from '../core/plan.ts';
import { Tiered } from '../core/policy/tiered.ts';
import { mustTell } from '../core/proxy-peers.ts';
import type { ProxyInPlan } from '../core/proxy-plan.ts';
import { formatDuration } from '../core/quantities.ts';
import { poolsOf, Routes, routeText, type Said, saidNothing } from '../core/routes.ts';
import type { BackendView, ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import type { PinRow, PinsByHand } from '../pins/by-hand.ts';
import type { SharedViews } from '../rooms/shared.ts';
import { type LimitExplained, limitsOf } from './explain-limits.ts';
import { addressFor, mustHavePort, type Terms, termsOf } from './explain-terms.ts';
import type { KeptPolicies } from './policies.ts';

/** What an explanation is made from. */
export interface ExplainSource {
  readonly views: SharedViews;
  readonly policies: KeptPolicies;
  /** Undefined: there are no pins. */
  readonly hand?: PinsByHand;
  /** Milliseconds on the clock the pin table is used with. */
  readonly nowMs: () => number;
  /** Why a backend is down, in words; undefined: it is up, or nobody has said. */
  readonly whyDown?: (backendId: number) => string | undefined;
  /** Why a backend that clients fail at is not left out, in words; undefined: they do not, or nobody has said. */
  readonly spared?: (backendId: number) => string | undefined;
}

export interface Explanation extends Terms {
  readonly listener: string;
  /** Of a listener with routes: which one leads to the pool. */
  readonly route?: string;
  readonly pool: string;
  readonly policy: string;
  readonly client: string;
  /** What it is recognised by: kind and value. */
  readonly key: string;
  /** It does not say what the listener recognises clients by. */
  readonly told?: string;
  /** Whose pins are followed and made, where that is not the pool. */
  readonly group?: string;
  readonly backend: string | null;
  /** Where that is now, at the port that clients of the listener are dialled at; `10.0.1.1:+1000` where that depends on the port they came to. */
  readonly address: string | null;
  readonly by: 'pin' | 'policy' | 'none';
  /** The pin's backend, also when it is not followed. */
  readonly pinned: string | null;
  /** The pin itself: who wrote it, why, and how long it lasts without use. */
  readonly pin: PinRow | null;
  readonly why: string;
  /** Whose address counts on this listener; absent: always that of who connects. */
  readonly whoseAddress?: WhoseAddress;
  /** `rebind`: when a datagram from elsewhere belongs to this client, in words. */
  readonly moves?: string;
  /** What `allow` and `deny` say, and by which line; absent: the listener has neither. */
  readonly access?: AccessVerdict;
  /** What limits of clients and networks leave this one; absent: the listener has none. */
  readonly limits?: readonly LimitExplained[];
  /** The pool's tiers in their order, when it has more than one. */
  readonly tiers?: readonly TierExplained[];
  /** What part of their share those have that have just come up. 0 to 1. */
  readonly slowStarts?: Readonly<Record<string, number>>;
  /** Those that clients fail at and that are not left out, and why. */
  readonly spared?: Readonly<Record<string, string>>;
  /** With `without`: the backend that is imagined lost, and where the client goes then. */
  readonly without?: { readonly lost: string; readonly backend: string | null };
}

export interface WhoseAddress {
  /** It is a peer that has to begin with a PROXY header. */
  readonly isProxy: boolean;
  readonly why: string;
}

export interface TierExplained {
  /** From 1. */
  readonly tier: number;
  readonly backends: readonly string[];
  readonly backup: boolean;
  /** How much of its weight takes new clients, and which part of them it has. 0 to 1. */
  readonly ready: number;
  readonly share: number;
}

/**
 * @param without a backend imagined lost; undefined: the one the client gets
 * @param asks what the client says, where routes go by it
 * @returns undefined if there is no such listener
 * @throws Error if `without` names no backend of the pool, `client` is a key that the listener has nobody by, or the client is refused
 * (no-route), or comes to a port
 * that the listener has not
 */
export function explain(
  snapshot: Snapshot,
  { views, policies, hand, nowMs, whyDown, spared }: ExplainSource,
  listenerName: string,
  client: AskedClient,
  without: string | undefined,
  asks: Asks = {},
): Explanation | undefined {
  const listener = snapshot.listeners.find(({ plan }) => plan.name === listenerName);
  if (listener === undefined) return undefined;
  const { pool, route } = leadOf(snapshot, listener, client, asks, views.pins, nowMs());
  mustHavePort(listener.plan, asks.port);
  const { affinity } = listener.plan;
  const key = keyOfClient(client, asks, affinity);
  const kind = keyKindOf(affinity.key);
  const isFallback = key.kind !== kind;
  const chooser = new Chooser(pool, policies.of(pool), views.states, views.counters, views.pins);
  const pinnedId = affinity.key === 'none' ? 0 : views.pins.lookup(chooser.scopeId, key, nowMs());
  const pinned = chooser.pinned(pinnedId);
  const pin = pinnedId === 0 ? undefined : hand?.find(pool.scope?.name ?? pool.plan.name, key);
  const pinnedName = pinned?.name ?? (chooser.isElsewhere(pinnedId) ? pin?.backend : undefined);
  const asked = policyKey(listener, pool, client, key);
  const byPolicy = chooser.candidate(asked.key, asked.not);
  const followed = pinned !== undefined && (chooser.follows(pinned, []) || chooser.triesInPanic(pinned, []));
  const chosen = followed ? pinned : byPolicy;
  const lost = without === undefined ? chosen : pool.backends.find(({ name }) => name === without);
  if (without !== undefined && lost === undefined) {
    throw new Error(`pool ${pool.plan.name} has no backend ${without}`);
  }
  const onLoss =
    lost === undefined
      ? undefined
      : chosen?.id === lost.id
        ? chooser.candidate(asked.key, [...asked.not, lost.id])
        : chosen;
  return {
    listener: listenerName,
    ...(route === undefined ? {} : { route }),
    pool: pool.plan.name,
    policy: pool.plan.policy,
    client: askedText(client),
    key: `${key.kind} ${key.text}`,
    ...(isFallback ? { told: `no ${kind}: recognised by its address` } : {}),
    ...groupOf(pool, affinity),
    backend: chosen?.name ?? null,
    address: chosen?.target === undefined ? null : addressFor(chosen.target, listener.plan, asks.port),
    by: chosen === undefined ? 'none' : followed ? 'pin' : 'policy',
    pinned: pinnedName ?? null,
    pin: pin ?? null,
    why: inWords(
      pinnedName,
      followed,
      pool.plan.policy,
      chosen?.name,
      pinned === undefined ? ', which this pool has not' : whyNot(pinned, views.states, whyDown),
      chooser.mustPanic(),
    ),
    ...tiersOf(pool, chooser),
    ...slowStartsOf(pool, views.states),
    ...sparedOf(pool, spared),
    ...(lost === undefined ? {} : { without: { lost: lost.name, backend: onLoss?.name ?? null } }),
    ...whoseAddressOf(listener, client),
    ...termsOf(listener.plan, pool.plan),
    ...movesOf(listener.plan),
    ...limitsFor(listener, client, views, nowMs()),
    ...accessOf(listener, client),
  };
}

/** Without an instance nobody has scopes, and the file says it. */
function groupOf({ scope }: PoolView, { group }: AffinityPlan): Pick<Explanation, 'group'> {
  const name = scope?.name.slice(1) ?? group;
  return name === undefined ? {} : { group: name };
}

/** With `relay: kernel` the policy is asked for a bucket, and backends of the client's own family serve it. */
function policyKey(
  { plan }: ListenerView,
  { plan: { tableSize }, backends }: PoolView,
  client: AskedClient,
  key: Key,
): { readonly key: Key; readonly not: readonly number[] } {
  const { affinity } = plan;
  if (plan.relay !== 'kernel' || !(client instanceof Address) || !isKernelKey(affinity.key))
    return { key, not: [] };
  const how = { ...affinity, key: affinity.key, seed: bucketSeed, modulus: tableSize };
  const others = backends.filter(
    ({ target }) => target?.kind === 'inet' && target.ip.includes(':') !== (client.family === 6),
  );
  return { key: keyOfBucket(kernelBucket(client, how)), not: others.map(({ id }) => id) };
}

/** The address asked about is that of a client; one that connects with it may be a proxy, which speaks for others. */
function whoseAddressOf({ plan }: ListenerView, client: AskedClient): Pick<Explanation, 'whoseAddress'> {
  const { bind, proxyProtocol, protocol } = plan;
  if (proxyProtocol === undefined || !(client instanceof Address)) return {};
  const isProxy = bind.kind !== 'unix' && mustTell(proxyProtocol, client, false);
  const why = isProxy
    ? `who connects from ${client.ip} is a proxy (proxy_protocol.from): the client is who its PROXY header names; ${client.ip} itself only where that names nobody; ${withoutHeader(protocol, proxyProtocol)}`
    : `who connects from ${client.ip} is no proxy (proxy_protocol.from): it is the client itself, and no PROXY header is read from it`;
  return { whoseAddress: { isProxy, why } };
}

function withoutHeader(protocol: Protocol, { timeoutMs, udp }: ProxyInPlan): string {
  if (protocol === 'tcp')
    return `without a right header within ${formatDuration(timeoutMs)} the connection is reset (proxy-header)`;
  const which = udp === 'every' ? 'a datagram' : 'a first datagram';
  return `${which} without a right header is dropped (proxy-header)`;
}

/** What makes somebody else's address this client's. */
function movesOf({ rebind }: ListenerPlan): Pick<Explanation, 'moves'> {
  if (rebind === undefined) return {};
  if (rebind === 'quic')
    return { moves: 'goes on from another address with the connection id that its server chose' };
  const { offset, length } = rebind.payload;
  const piece = length === 1 ? `byte ${offset}` : `bytes ${offset} to ${offset + length - 1}`;
  return { moves: `goes on from another address with ${piece} of its first datagram, counted from 0` };
}

/** Clients and networks are counted by address. */
function limitsFor(
  listener: ListenerView,
  client: AskedClient,
  { counters }: SharedViews,
  nowMs: number,
): Pick<Explanation, 'limits'> {
  const limits = client instanceof Address ? limitsOf(listener, client, counters.clients, nowMs) : undefined;
  return limits === undefined ? {} : { limits };
}

/** Who is denied gets nobody, whatever pins and policy say. */
function accessOf({ access, plan }: ListenerView, client: AskedClient): Partial<Explanation> {
  // Of a client that is named by something else nobody knows where it comes from.
  if (access === undefined || !(client instanceof Address)) return {};
  const verdict = new Access(access).verdict(client);
  if (verdict.isAllowed) return { access: verdict };
  const why = `denied (${verdict.why}): ${refusalInWords(plan)}`;
  return { access: verdict, backend: null, address: null, by: 'none', why };
}

const refusals: Readonly<Record<RefusalWay, string>> = {
  reset: 'its connection is reset',
  close: 'its connection is closed',
  silence: 'its connection is not answered, and reset after half a minute',
};

function refusalInWords({ protocol, refuse = 'reset' }: ListenerPlan): string {
  return protocol === 'udp' ? 'its datagrams are dropped' : refusals[refuse];
}

/** What a client says that routes and its key may go by, and where it says it. */
export interface Asks {
  /** That it came to; undefined: the listener's, where it has one alone. */
  readonly port?: number | undefined;
  /** Absent: the one protocol that the listener's routes know. */
  readonly speaks?: RouteProtocol | undefined;
  readonly serverName?: string | undefined;
  readonly alpn?: readonly string[] | undefined;
  /** As {@link bytesOfText} reads them. */
  readonly firstBytes?: string | undefined;
}

/**
 * The pool a client belongs to, and why.
 * @throws Error if no route is for it and the listener has no pool for others
 */
export function leadOf(
  { pools }: Snapshot,
  { plan }: ListenerView,
  client: AskedClient,
  asks: Asks,
  pins: Pick<PinTable, 'lookup'>,
  nowMs: number,
): { readonly pool: PoolView; readonly route: string | undefined } {
  const poolCalled = (name: string | undefined): PoolView | undefined =>
    pools.find((pool) => pool.plan.name === name);
  if (plan.routes === undefined) return { pool: poolCalled(plan.pool)!, route: undefined };
  if (!(client instanceof Address) && client.kind === 'quic-id' && !saysSomething(asks)) {
    const led = new Set(poolsOf(plan));
    const candidates = pools.filter((one) => led.has(one.plan.name));
    const pinned = pinnedPool(candidates, keyOfAsked(client, plan.affinity), pins, nowMs);
    if (pinned !== undefined)
      return { pool: pinned, route: `none asked; its pin is in pool ${pinned.plan.name}` };
  }
  const found = new Routes(plan.routes).find(
    client instanceof Address ? client : noAddress,
    saidBy(plan, { ...asks, serverName: asks.serverName ?? nameIn(client) }),
  );
  if (typeof found === 'number') {
    const route = plan.routes[found]!;
    return { pool: poolCalled(route.pool)!, route: `${found + 1} (${routeText(route)})` };
  }
  const pool = poolCalled(plan.pool);
  if (pool === undefined) {
    const hint = saysSomething(asks) ? '' : `, as long as it says nothing: ${waysToSay(plan).join(', ')}`;
    throw new Error(
      `no route of listener ${plan.name} is for this client, and it has no pool: no-route${hint}`,
    );
  }
  return { pool, route: `none fits; pool ${pool.plan.name}` };
}

function saysSomething({ speaks, serverName, alpn = [], firstBytes }: Asks): boolean {
  return speaks !== undefined || serverName !== undefined || alpn.length > 0 || firstBytes !== undefined;
}

/** What its routes go by beside addresses, as one asks for it. */
function waysToSay({ routes = [] }: ListenerPlan): string[] {
  const protocols = new Set(routes.flatMap(({ protocol }) => protocol ?? []));
  return [
    ...[...protocols].map((protocol) => `--speaks ${protocol}`),
    ...(routes.some(({ firstBytesHex }) => firstBytesHex !== undefined) ? ['--first-bytes'] : []),
  ];
}

/** One that is known by the name it asks for says so. */
function nameIn(client: AskedClient): string | undefined {
  if (client instanceof Address || client.kind !== 'server-name') return undefined;
  return keyKinds[client.kind].print(client.words);
}

function keyOfClient(client: AskedClient, asks: Asks, affinity: AffinityPlan): Key {
  const { speaks = 'tls', serverName, firstBytes } = asks;
  if (!(client instanceof Address)) return keyOfAsked(client, affinity);
  const who = { peer: client, peerLocal: noAddress };
  if (serverName)
    return keyOf(client, affinity, { ...who, spoken: { protocol: speaks, name: serverName, alpn: [] } });
  const { key } = affinity;
  if (typeof key === 'string' || !('payload' in key) || !firstBytes) return keyOfAsked(client, affinity);
  const { offset, length } = key.payload;
  const bytes = readFirstBytes(firstBytes);
  if (bytes.length < offset + length) return keyOfAsked(client, affinity);
  return keyOf(client, affinity, { ...who, payload: bytes.subarray(offset, offset + length) });
}

function saidBy(plan: ListenerPlan, { firstBytes, ...asks }: Asks): Said {
  const said = spokenBy(plan, asks);
  return firstBytes === undefined ? said : { ...said, bytes: readFirstBytes(firstBytes) };
}

/** @throws Error if it is no text of bytes */
function readFirstBytes(text: string): Uint8Array {
  const bytes = bytesOfText(text);
  if (bytes !== undefined) return bytes;
  throw new Error(`first bytes ${text.slice(0, 64)}: % and two hexadecimal digits are a byte`);
}

function spokenBy({ name, routes = [] }: ListenerPlan, { speaks, serverName, alpn = [] }: Asks): Said {
  const known = new Set(routes.flatMap(({ protocol }) => protocol ?? []));
  const [only] = known.size === 1 ? known : [];
  const protocol = speaks ?? (serverName === undefined && alpn.length === 0 ? undefined : only);
  if (protocol !== undefined)
    return { ...saidNothing, spoken: [{ protocol, name: serverName || undefined, alpn }] };
  if (serverName === undefined && alpn.length === 0) return saidNothing;
  throw new Error(`say what the client speaks: the routes of listener ${name} know ${[...known].join(', ')}`);
}

/** How the pool's tiers stand; nothing where it has one. */
function tiersOf({ backends }: PoolView, chooser: Chooser): Pick<Explanation, 'tiers'> {
  if (!(chooser.policy instanceof Tiered)) return {};
  const tiers = chooser.policy.sharesNow(chooser).map(({ tier, share, ready }): TierExplained => {
    const of = backends.filter((backend) => (backend.tier ?? 0) === tier);
    const names = of.map(({ name }) => name);
    return { tier: tier + 1, backends: names, backup: of[0]?.isBackup === true, ready, share };
  });
  return { tiers };
}

function slowStartsOf(
  { backends }: PoolView,
  states: SharedViews['states'],
): Pick<Explanation, 'slowStarts'> {
  const starting = backends.filter(({ id }) => states.isUp(id) && states.ramp(id) < 1);
  if (starting.length === 0) return {};
  return { slowStarts: Object.fromEntries(starting.map(({ name, id }) => [name, states.ramp(id)])) };
}

function sparedOf({ backends }: PoolView, spared: ExplainSource['spared']): Pick<Explanation, 'spared'> {
  const rows = backends.flatMap(({ name, id }) => {
    const why = spared?.(id);
    return why === undefined ? [] : [[name, why] as const];
  });
  return rows.length === 0 ? {} : { spared: Object.fromEntries(rows) };
}

/** Why a pin is not followed. */
function whyNot(pinned: BackendView, states: BackendStates, whyDown: ExplainSource['whyDown']): string {
  if (states.movesPinned(pinned.id) && states.isUp(pinned.id)) return ', which drains, its clients too';
  const down = whyDown?.(pinned.id);
  if (down !== undefined) return `, which is down (${down})`;
  return pinned.isBackup === true ? ', a backup that is not needed now' : ', which is down';
}

function inWords(
  pinned: string | undefined,
  followed: boolean,
  policy: string,
  chosen: string | undefined,
  whyNotPinned: string | undefined,
  isPanic: boolean,
): string {
  if (chosen === undefined) return 'no backend of the pool is up and takes clients';
  const among = isPanic
    ? 'all backends that are not draining: fewer are up than panic_below says'
    : 'the backends that are up and not draining';
  const byPolicy = `${policy} chooses ${chosen} among ${among}`;
  if (pinned === undefined) return `no pin; ${byPolicy}`;
  return followed ? `pinned to ${pinned}` : `pinned to ${pinned}${whyNotPinned ?? ''}; ${byPolicy}`;
}
