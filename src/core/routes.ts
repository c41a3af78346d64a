/**
 * Where a client of a listener belongs, by what it has said before anything was said to it: the first route wins of which all
 * holds. Pure; what a client says is read elsewhere (worker/identify/).
 *
 * While a client may still say more, a route is taken as soon as none before it can be. A thousand routes by name cost a look-up
 * for each label of the name and no more.
 */
import type { Address } from './address.ts';
import { clientMatcher } from './client-matcher.ts';
import type { RoutePlan, RouteProtocol } from './plan.ts';
import { NameTable } from './server-name.ts';

/** A protocol in which a client has said what it has to say. */
export interface Spoken {
  readonly protocol: RouteProtocol;
  /** The server it asks for; undefined: none. */
  readonly name: string | undefined;
  readonly alpn: readonly string[];
}

/** Where a client belongs. */
export interface RouteFound {
  /** From 1, by its place in the file; 0: none is for it. */
  readonly number: number;
  /** Undefined: none is for it, and the listener has no pool for such clients. */
  readonly pool: string | undefined;
}

/** What is known of a client. */
export interface Said {
  /** TLS with ALPN `postgresql` is TLS and PostgreSQL. */
  readonly spoken: readonly Spoken[];
  /** Protocols that it may yet turn out to speak, while it is waited for. */
  readonly possible: readonly RouteProtocol[];
  /** PostgreSQL is possible and certain: it asks for encryption before it names a server. */
  readonly asksFirst: boolean;
  /** Its first ones. */
  readonly bytes: Uint8Array;
  /** No more of them come, or nobody waits for them any longer. */
  readonly isAll: boolean;
}

/** What is known of who has said nothing, and is not waited for. */
export const saidNothing: Said = {
  spoken: [],
  possible: [],
  asksFirst: false,
  bytes: new Uint8Array(0),
  isAll: true,
};

interface Route {
  readonly index: number;
  readonly plan: RoutePlan;
  readonly firstBytes: Uint8Array | undefined;
  isOfClient(client: Address): boolean;
}

type Fit = 'yes' | 'no' | 'unknown';

/** The routes by one protocol. */
interface ProtocolRoutes {
  readonly all: Route[];
  readonly named: NameTable<Route>;
  readonly nameless: Route[];
  /** Whatever name is asked for, or none. */
  readonly anyName: Route[];
}

export class Routes {
  /** Those that have to be read. */
  readonly protocols: readonly RouteProtocol[];
  /** As many bytes decide every route by first bytes. */
  readonly firstBytesMax: number;
  private readonly pools: readonly string[];
  private readonly all: readonly Route[];
  private readonly byProtocol = new Map<RouteProtocol, ProtocolRoutes>();
  /** Those that name no protocol. */
  private readonly others: Route[] = [];

  constructor(plans: readonly RoutePlan[]) {
    this.all = plans.map(routeOf);
    for (const route of this.all) this.add(route);
    this.pools = plans.map(({ pool }) => pool);
    this.protocols = [...this.byProtocol.keys()];
    this.firstBytesMax = Math.max(0, ...this.others.map(({ firstBytes }) => firstBytes?.length ?? 0));
  }

  /** Something has to be read of a client before it is known where it belongs. */
  get needsBytes(): boolean {
    return this.protocols.length > 0 || this.firstBytesMax > 0;
  }

  private add(route: Route): void {
    const { protocol, names } = route.plan;
    if (protocol === undefined) {
      this.others.push(route);
      return;
    }
    let routes = this.byProtocol.get(protocol);
    if (routes === undefined) {
      routes = { all: [], named: new NameTable(), nameless: [], anyName: [] };
      this.byProtocol.set(protocol, routes);
    }
    routes.all.push(route);
    if (names === undefined) routes.anyName.push(route);
    else if (names === 'none') routes.nameless.push(route);
    else for (const name of names) routes.named.add(name, route);
  }

  /** @returns the number of the route, from 0; 'wait': more has to be known. Undefined: none is meant */
  find(client: Address, said: Said): number | 'wait' | undefined {
    const search = new Search(client);
    for (const route of this.others) search.try(route, () => fitOfBytes(route, said));
    for (const spoken of said.spoken) this.tryNames(search, spoken);
    for (const protocol of said.possible) this.tryPossible(search, protocol, said);
    return search.result;
  }

  /** @param found as {@link find} returns it. @param pool of the listener, for clients whom no route is for */
  leads(found: number | undefined, pool: string | undefined): RouteFound {
    return found === undefined ? { number: 0, pool } : { number: found + 1, pool: this.pools[found] };
  }

  /**
   * Whether a client of this address might have been led to a pool, had it said something else.
   * @param number of the route it is led by as it is, 0: by none
   */
  mayLead(client: Address, number: number, pool: string): boolean {
    return this.all.some(
      (route) =>
        route.plan.pool === pool && (number === 0 || route.index < number) && route.isOfClient(client),
    );
  }

  private tryNames(search: Search, { protocol, name, alpn }: Spoken): void {
    const routes = this.byProtocol.get(protocol);
    if (routes === undefined) return;
    const visit = (route: Route): void => search.try(route, () => fitOfAlpn(route, alpn));
    for (const route of routes.anyName) visit(route);
    if (name === undefined) for (const route of routes.nameless) visit(route);
    else routes.named.each(name, visit);
  }

  private tryPossible(search: Search, protocol: RouteProtocol, { asksFirst }: Said): void {
    for (const route of this.byProtocol.get(protocol)?.all ?? []) {
      const isKnown = protocol === 'postgres' && asksFirst && route.plan.names === undefined;
      search.try(route, () => (isKnown ? 'yes' : 'unknown'));
      if (search.isSettledBefore(route.index)) return;
    }
  }
}

/** Looks for the first route that fits, in whatever order they are tried. */
class Search {
  private readonly client: Address;
  private found = Number.POSITIVE_INFINITY;
  private unknown = Number.POSITIVE_INFINITY;

  constructor(client: Address) {
    this.client = client;
  }

  try(route: Route, fitOf: () => Fit): void {
    if (this.isSettledBefore(route.index)) return;
    const fit = fitOf();
    if (fit === 'no' || !route.isOfClient(this.client)) return;
    if (fit === 'yes') this.found = route.index;
    else this.unknown = route.index;
  }

  /** Routes from `index` on make no difference. */
  isSettledBefore(index: number): boolean {
    return Math.min(this.found, this.unknown) <= index;
  }

  get result(): number | 'wait' | undefined {
    if (this.unknown < this.found) return 'wait';
    return this.found === Number.POSITIVE_INFINITY ? undefined : this.found;
  }
}

function fitOfBytes({ firstBytes }: Route, { bytes, isAll }: Said): Fit {
  if (firstBytes === undefined) return 'yes';
  const length = Math.min(firstBytes.length, bytes.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== firstBytes[i]) return 'no';
  if (length === firstBytes.length) return 'yes';
  return isAll ? 'no' : 'unknown';
}

function fitOfAlpn({ plan: { alpn } }: Route, spoken: readonly string[]): Fit {
  return alpn === undefined || alpn.some((protocol) => spoken.includes(protocol)) ? 'yes' : 'no';
}

function routeOf(plan: RoutePlan, index: number): Route {
  const matchers = plan.clients?.map(clientMatcher);
  return {
    index,
    plan,
    firstBytes: plan.firstBytesHex === undefined ? undefined : bytesOf(plan.firstBytesHex),
    isOfClient: (client) => matchers === undefined || matchers.some((matches) => matches(client)),
  };
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

/** A route in a few words: `tls a.example, *.b.example; alpn postgresql; client 192.0.2.0/24`. */
export function routeText({ protocol, names, alpn, firstBytesHex, clients }: RoutePlan): string {
  const parts: string[] = [];
  const named = names === 'none' ? ' without a name' : names === undefined ? '' : ` ${names.join(', ')}`;
  if (protocol !== undefined) parts.push(`${protocol}${named}`);
  if (alpn !== undefined) parts.push(`alpn ${alpn.join(', ')}`);
  if (firstBytesHex !== undefined) parts.push(`first bytes ${bytesText(firstBytesHex)}`);
  if (clients !== undefined) parts.push(`client ${clients.join(', ')}`);
  return parts.join('; ');
}

/** As text where all of it is some, else in hexadecimal as it is kept. */
function bytesText(hex: string): string {
  const text = String.fromCharCode(...(hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16)));
  return /^[\x20-\x7e]+$/.test(text) ? text : `0x${hex}`;
}

/** The pools that serve a listener: its own, and those its routes lead to. Each once. */
export function poolsOf({
  pool,
  routes = [],
}: {
  readonly pool?: string | undefined;
  readonly routes?: readonly { readonly pool?: string | undefined }[] | undefined;
}): readonly string[] {
  const pools = [pool, ...routes.map((route) => route.pool)];
  return [...new Set(pools.filter((name) => name !== undefined))];
}
