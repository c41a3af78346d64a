/**
 * How the clients of a pool are spread over its backends: the buckets of the kernel's hash, the clients that are pinned elsewhere
 * (pin-maps.ts), and the targets that both lead to, each under its mark.
 */
import type { ListenerView } from '../core/snapshot.ts';
import { type Family, familiesOf, targetFamily, targetText } from './doors.ts';
import type { Collection } from './form.ts';
import { bucketOffset, markOf, masqueradeBit, safeName } from './layout.ts';
import type { TargetNumbers } from './target-numbers.ts';
import { type KernelListener, kernelKeyOf, type RulesetView } from './view.ts';

/** The listeners of a view with their pools. One whose pool is not there is left out. */
export function kernelListeners({
  listeners,
  pools,
}: Pick<RulesetView, 'listeners' | 'pools'>): KernelListener[] {
  const known = listeners.flatMap((view) => {
    const pool = pools.find(({ id }) => id === view.poolId);
    return pool === undefined
      ? []
      : [{ view, pool, key: kernelKeyOf(view), form: formOf(view, pool.backends) }];
  });
  return known.map(({ view, pool, key, form }) => {
    const isShared = known.every((other) => other.pool !== pool || other.form === form);
    const name = safeName(pool.plan.name);
    return { view, pool, key, spread: isShared ? name : `${name}/${safeName(view.plan.name)}` };
  });
}

/** Equal for listeners of a pool whose clients are hashed and led alike. */
function formOf({ id, plan }: ListenerView, backends: KernelListener['pool']['backends']): string {
  const { key, prefixV4, prefixV6 } = plan.affinity;
  const isShifted = backends.some(({ target }) => target?.kind === 'inet' && (target.portShift ?? 0) !== 0);
  return JSON.stringify([
    key,
    ...(key === 'client-subnet' ? [prefixV4, prefixV6] : []),
    ...(isShifted ? [id] : []),
  ]);
}

/** A map keeps the size it was made with, so the size is in the name. */
export function bucketsMap({ spread, pool }: KernelListener, family: Family): string {
  return `buckets/${spread}/${pool.plan.tableSize}/${family}`;
}

export function pinsMap({ spread }: KernelListener, family: Family): string {
  return `pins/${spread}/${family}`;
}

/** Of targets with a port, or of those that keep the client's. */
export function targetsMap(family: Family, keepsPort: boolean): string {
  return `targets/${keepsPort ? 'same-port/' : ''}${family}`;
}

export function hasPins({ key }: KernelListener): boolean {
  return key === 'client-ip' || key === 'client-subnet';
}

/** What is set as the mark of a listener's connections, besides the number of the target. */
export function markBase({ view }: KernelListener, table: string): number {
  const { mark } = markOf(table);
  return view.plan.source === 'masquerade' ? (mark | masqueradeBit) >>> 0 : mark;
}

const typeOf = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/** Adds the maps of one listener. Listeners with the same spread add the same, but for their own marks. */
export function addSpread(
  listener: KernelListener,
  view: RulesetView,
  numbers: TargetNumbers,
  collections: Map<string, Collection>,
  targets: Set<string>,
): void {
  const { pool } = listener;
  const byId = new Map(pool.backends.map(({ id, target }) => [id, targetText(target, listener)]));
  for (const text of byId.values()) {
    if (text === undefined) continue;
    targets.add(text);
    addTarget(text, numbers.of(text), markBase(listener, view.table), collections);
  }
  for (const family of familiesOf(listener)) {
    const numberOf = (id: number): number => {
      const text = byId.get(id);
      return text === undefined || targetFamily(text) !== family ? 0 : numbers.of(text);
    };
    addBuckets(listener, family, view, numberOf, collections);
    if (hasPins(listener)) addPins(listener, family, view, numberOf, collections);
  }
}

function addTarget(text: string, number: number, base: number, collections: Map<string, Collection>): void {
  const family = targetFamily(text);
  const keepsPort = !text.includes(' . ');
  const name = targetsMap(family, keepsPort);
  const head = `type mark : ${typeOf[family]}${keepsPort ? '' : ' . inet_service'};`;
  elementsOf(collections, name, { kind: 'map', head }).set(String(base + number), text);
}

function addBuckets(
  listener: KernelListener,
  family: Family,
  view: RulesetView,
  numberOf: (id: number) => number,
  collections: Map<string, Collection>,
): void {
  const name = bucketsMap(listener, family);
  if (collections.has(name)) return;
  const known = new Map<number, number>();
  const buckets = view.bucketsOf(listener.pool, family);
  const numbers = Uint16Array.from(buckets, (id) => {
    const number = known.get(id) ?? numberOf(id);
    known.set(id, number);
    return number;
  });
  const head = `type mark : mark; size ${Math.max(1, numbers.length)};`;
  collections.set(name, { kind: 'map', head, content: { kind: 'buckets', numbers } });
}

function addPins(
  listener: KernelListener,
  family: Family,
  view: RulesetView,
  numberOf: (id: number) => number,
  collections: Map<string, Collection>,
): void {
  const name = pinsMap(listener, family);
  if (collections.has(name)) return;
  const content = view.pinsIn({ name, listener, family, numberOf });
  collections.set(name, { kind: 'map', head: `type ${typeOf[family]} : mark;`, content });
}

/** The elements of a collection, which is made if it is not there. */
export function elementsOf(
  collections: Map<string, Collection>,
  name: string,
  { kind, head }: Pick<Collection, 'kind' | 'head'>,
  contents: 'elements' | 'verdicts' = 'elements',
): Map<string, string> {
  const known = collections.get(name);
  if (known?.content.kind === contents) return known.content.elements;
  const elements = new Map<string, string>();
  collections.set(name, { kind, head, content: { kind: contents, elements } });
  return elements;
}

/** The element of a bucket in its map. */
export function bucketKey(bucket: number): number {
  return bucket + bucketOffset;
}
