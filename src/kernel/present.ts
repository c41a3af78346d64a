/**
 * The table as it is, read from what nft says of it (libnftables-json(5)): what a started instance finds of its predecessor. Rules are
 * not compared: their text is not what was written, so a successor writes them anew, in the same transaction with the rest.
 * What is not understood, or more than is read, is written anew as well.
 *
 * To list a table, a chain or a counter, nft 1.0.6 reads every element of every table; a set or a map it lists by itself. So the names are
 * read from the catalogue, a set of the table, and then each map that matters.
 */
import type { NftResult } from '../linux/nft.ts';
import type { Chain, Collection, Content, Ruleset } from './form.ts';
import { bucketOffset, layoutMarker } from './layout.ts';

/** Maps and sets that are compared. */
const compared = /^(layout|targets|buckets|pins|doors|datagrams|servers|strays)\//;

/**
 * @param list a command of nft, answered in JSON
 * @returns undefined: there is no table; without collections: it is of another layout. Rejects with what nft said if it lists nothing
 */
export async function readPresent(
  list: (command: string) => Promise<NftResult>,
  table: string,
): Promise<Ruleset | undefined> {
  const all = await list('list chains');
  if (!all.ok) throw new Error(all.error);
  const found = presentOf(JSON.parse(all.output), table);
  const catalogue = await list(`list set inet ${table} ${layoutMarker}`);
  if (!catalogue.ok) {
    // A table without a chain is listed nowhere above.
    return found.chains.size > 0 || (await list(`list counters table inet ${table}`)).ok ? found : undefined;
  }
  const { collections, counters, timeouts } = found;
  addCatalogued(JSON.parse(catalogue.output), table, found);
  for (const [name, { kind }] of collections) {
    if (!compared.test(name)) continue;
    const answer = await list(`list ${kind} inet ${table} ${name}`);
    const read = answer.ok ? presentOf(JSON.parse(answer.output), table).collections.get(name) : undefined;
    if (read !== undefined) collections.set(name, read);
  }
  return { table, chains: found.chains, collections, counters, timeouts };
}

interface Found extends Ruleset {
  readonly timeouts: Map<string, string>;
  readonly counters: Set<string>;
  readonly collections: Map<string, Collection>;
  readonly chains: Map<string, Chain>;
}

function addCatalogued(json: unknown, table: string, { collections, counters, timeouts }: Found): void {
  const content = presentOf(json, table).collections.get(layoutMarker)?.content;
  collections.set(layoutMarker, { kind: 'set', head: '', content: { kind: 'unknown' } });
  if (content?.kind !== 'elements') return;
  for (const text of content.elements.keys()) {
    const [, what, name] = /"(\S+) (\S+)"$/.exec(text) ?? [];
    if (name === undefined) continue;
    if (what === 'set' || what === 'map')
      collections.set(name, { kind: what, head: '', content: { kind: 'unknown' } });
    else if (what === 'counter') counters.add(name);
    else if (what === 'timeout') timeouts.set(name, '');
  }
}

/** What one answer says of a table. @param json parsed */
export function presentOf(json: unknown, table: string): Found {
  const found: Found = {
    table,
    timeouts: new Map(),
    counters: new Set(),
    collections: new Map(),
    chains: new Map(),
  };
  for (const [what, object] of objectsOf(json)) {
    const { family, name } = object;
    if (family !== 'inet' || object.table !== table || typeof name !== 'string') continue;
    if (what === 'ct timeout') found.timeouts.set(name, '');
    else if (what === 'counter') found.counters.add(name);
    else if (what === 'set' || what === 'map')
      found.collections.set(name, { kind: what, head: '', content: contentOf(name, what, object) });
    else if (what === 'chain') {
      const base = typeof object.hook === 'string' ? object.hook : undefined;
      found.chains.set(name, { base, rules: undefined });
    }
  }
  return found;
}

/** Packets that were counted by each named counter of a table. */
export function countersOf(json: unknown, table: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [what, { family, table: of, name, packets }] of objectsOf(json)) {
    if (what !== 'counter' || family !== 'inet' || of !== table) continue;
    if (typeof name === 'string' && typeof packets === 'number') counts.set(name, packets);
  }
  return counts;
}

function* objectsOf(json: unknown): Generator<[string, Record<string, unknown>]> {
  const list = isMap(json) ? json.nftables : undefined;
  if (!Array.isArray(list)) return;
  for (const item of list as unknown[]) {
    if (!isMap(item)) continue;
    for (const [what, object] of Object.entries(item)) if (isMap(object)) yield [what, object];
  }
}

function contentOf(name: string, kind: 'set' | 'map', object: Record<string, unknown>): Content {
  const items = object.elem === undefined ? [] : object.elem;
  if (!Array.isArray(items)) return { kind: 'unknown' };
  // Networks may have been merged, and what has flags lives by itself.
  if (object.flags !== undefined) return { kind: 'unknown' };
  const elements = new Map<string, string>();
  for (const item of items as unknown[]) {
    const [key, value] = kind === 'set' ? [textOf(item), ''] : pairOf(item);
    if (key === undefined || value === undefined) return { kind: 'unknown' };
    elements.set(key, value);
  }
  if (name.startsWith('buckets/')) return bucketsOf(elements, object.size);
  return { kind: object.map === 'verdict' ? 'verdicts' : 'elements', elements };
}

function pairOf(item: unknown): [string | undefined, string | undefined] {
  return Array.isArray(item) && item.length === 2
    ? [textOf(item[0] as unknown), textOf(item[1] as unknown)]
    : [undefined, undefined];
}

/** A value in the notation of form.ts; undefined: of another kind. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (!isMap(value)) return undefined;
  const { elem, concat, goto } = value;
  if (isMap(elem)) {
    const text = textOf(elem.val);
    return typeof elem.comment === 'string' && text !== undefined
      ? `${text} comment "${elem.comment}"`
      : text;
  }
  if (isMap(goto)) return typeof goto.target === 'string' ? `goto ${goto.target}` : undefined;
  if ('drop' in value) return 'drop';
  if (!Array.isArray(concat)) return undefined;
  const parts = (concat as unknown[]).map(textOf);
  return parts.includes(undefined) ? undefined : parts.join(' . ');
}

function bucketsOf(elements: ReadonlyMap<string, string>, size: unknown): Content {
  if (typeof size !== 'number') return { kind: 'unknown' };
  const numbers = new Uint16Array(size);
  for (const [key, value] of elements) {
    const bucket = Number(key) - bucketOffset;
    if (!(bucket >= 0 && bucket < size)) return { kind: 'unknown' };
    numbers[bucket] = Number(value);
  }
  return { kind: 'buckets', numbers };
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
