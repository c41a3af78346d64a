/**
 * Rules for routes: each says something, in one protocol, that its listener carries, leads to a pool there is, and is not behind
 * one that takes all its clients.
 */
import type { Protocol, RoutePlan, RouteProtocol } from '../core/plan.ts';
import { NameTable } from '../core/server-name.ts';
import type { Draft, ListenerDraft } from './draft.ts';
import type { Path } from './problem.ts';
import type { Report } from './report.ts';
import { buildRoute, protocolsOf, type RouteShape } from './route-shape.ts';

/** What speaks what. */
const carriers: Readonly<Record<RouteProtocol, 'tcp' | 'udp'>> = {
  tls: 'tcp',
  postgres: 'tcp',
  minecraft: 'tcp',
  quic: 'udp',
};

/** @param checkPool reports a pool that there is not */
export function checkRoutes(
  { path, value }: ListenerDraft,
  draft: Draft,
  report: Report,
  checkPool: (pool: string | undefined, path: Path) => void,
): void {
  const { routes, bind, timeouts } = value;
  if (routes === undefined) {
    if (draft.isWritten([...path, 'routes'])) return;
    if (!draft.isWritten([...path, 'pool'])) report.problem([...path, 'pool'], 'is missing');
    if (timeouts?.identify !== undefined)
      report.warning([...path, 'timeouts', 'identify'], 'has no effect without routes', 'key');
    return;
  }
  const before = new Before();
  for (const [i, route] of routes.entries()) {
    const at = [...path, 'routes', i];
    checkPool(route.pool, [...at, 'pool']);
    const isOneThing = checkProtocol(route, at, bind?.protocol, report);
    if (!isOneThing || !draft.isSound(at) || !checkConditions(route, at, report)) continue;
    if (bind?.bind.kind === 'unix' && route.client !== undefined)
      report.warning([...at, 'client'], 'nobody comes here: clients of a unix socket have no address', 'key');
    const plan = buildRoute({ ...route, pool: '' });
    const first = before.covering(plan);
    if (first !== undefined)
      report.warning(at, () => {
        const earlier = report.pointTo([...path, 'routes', first]);
        return `no client comes here: ${earlier} takes all of them`;
      });
    before.add(plan, i);
  }
}

type RouteDraft = Omit<RouteShape, 'pool'> & { readonly pool?: string | undefined };

const conditions = ['tls', 'postgres', 'minecraft', 'quic', 'first_bytes', 'client'] as const;

/** @returns false: it is about two protocols */
function checkProtocol(route: RouteDraft, at: Path, carrier: Protocol | undefined, report: Report): boolean {
  const [protocol] = protocolsOf(route);
  if (protocol !== undefined && carrier !== undefined && carriers[protocol] !== carrier)
    report.problem([...at, protocol], `does not come in by ${carrier.toUpperCase()}`, 'key');
  const [first, second] = conditions.filter((key) => key !== 'client' && route[key] !== undefined);
  if (first === undefined || second === undefined) return true;
  const why = `is another protocol than ${first}: two conditions that cannot both hold are two routes`;
  report.problem([...at, second], why, 'key');
  return false;
}

/** @returns false: it says nothing, or too much */
function checkConditions(route: RouteDraft, at: Path, report: Report): boolean {
  const bytes = route.first_bytes;
  if (typeof bytes === 'object' && (bytes.prefix === undefined) === (bytes.hex === undefined)) {
    report.problem([...at, 'first_bytes'], 'must have either prefix or hex');
    return false;
  }
  if (conditions.some((key) => route[key] !== undefined)) return true;
  report.problem(at, `needs a condition: one of ${conditions.join(', ')}`);
  return false;
}

/** The routes so far, as far as they take every client of some names. */
class Before {
  private all: number | undefined = undefined;
  private readonly any = new Map<RouteProtocol, number>();
  private readonly nameless = new Map<RouteProtocol, number>();
  private readonly named = new Map<RouteProtocol, NameTable<number>>();
  private readonly patterns = new Map<string, number>();
  private readonly firstBytes: { readonly hex: string; readonly index: number }[] = [];

  add({ protocol, names, alpn, firstBytesHex, clients }: RoutePlan, index: number): void {
    if (alpn !== undefined) return;
    const everywhere = ['0.0.0.0/0', '::/0'].every((all) => clients?.includes(all));
    if (clients !== undefined && !everywhere) return;
    if (firstBytesHex !== undefined) this.firstBytes.push({ hex: firstBytesHex, index });
    else if (protocol === undefined) this.all ??= index;
    else if (names === undefined) keepFirst(this.any, protocol, index);
    else if (names === 'none') keepFirst(this.nameless, protocol, index);
    else {
      const table = this.named.get(protocol) ?? new NameTable<number>();
      this.named.set(protocol, table);
      for (const name of names) {
        table.add(name, index);
        keepFirst(this.patterns, `${protocol} ${name}`, index);
      }
    }
  }

  /** @returns the first route that leaves nobody for this one */
  covering({ protocol, names, firstBytesHex }: RoutePlan): number | undefined {
    if (this.all !== undefined) return this.all;
    if (firstBytesHex !== undefined)
      return this.firstBytes.find(({ hex }) => firstBytesHex.startsWith(hex))?.index;
    if (protocol === undefined) return undefined;
    const any = this.any.get(protocol);
    if (any !== undefined || names === undefined) return any;
    if (names === 'none') return this.nameless.get(protocol);
    const covers = names.map((name) => this.coveringName(protocol, name));
    return covers.includes(undefined) ? undefined : covers[0];
  }

  private coveringName(protocol: RouteProtocol, pattern: string): number | undefined {
    if (pattern.startsWith('*')) return this.coveringWild(protocol, pattern);
    let first: number | undefined;
    this.named.get(protocol)?.each(pattern, (index) => {
      first = Math.min(first ?? index, index);
    });
    return first;
  }

  /** A pattern with a star is covered by the same, and by one with fewer labels behind its star. */
  private coveringWild(protocol: RouteProtocol, pattern: string): number | undefined {
    for (let at = pattern.indexOf('.'); at >= 0; at = pattern.indexOf('.', at + 1)) {
      const wider = this.patterns.get(`${protocol} *${pattern.slice(at)}`);
      if (wider !== undefined) return wider;
    }
    return this.patterns.get(`${protocol} *`);
  }
}

function keepFirst<K>(map: Map<K, number>, key: K, index: number): void {
  if (!map.has(key)) map.set(key, index);
}
