/**
 * The table as it is, read from what `nft -j list table` says (libnftables-json(5)): what a started instance finds of its predecessor.
 * Rules are not compared: their text is not what was written, so a successor writes them anew, in the same transaction with the
 * rest. Anything that is not understood is left out, or of unknown contents, and then written anew as well.
 */
import type { Chain, Collection, Content, Ruleset } from './form.ts';
import { bucketOffset } from './layout.ts';

/** @param json parsed. @returns undefined: there is no table in it */
export function presentOf(json: unknown, table: string): Ruleset | undefined {
  const timeouts = new Map<string, string>();
  const counters = new Set<string>();
  const collections = new Map<string, Collection>();
  const chains = new Map<string, Chain>();
  let isThere = false;
  for (const [what, object] of objectsOf(json)) {
    if (object.family !== 'inet') continue;
    if (what === 'table' && object.name === table) isThere = true;
    const { name } = object;
    if (object.table !== table || typeof name !== 'string') continue;
    if (what === 'ct timeout') timeouts.set(name, '');
    else if (what === 'counter') counters.add(name);
    else if (what === 'set' || what === 'map')
      collections.set(name, { kind: what, head: '', content: contentOf(name, what, object) });
    else if (what === 'chain')
      chains.set(name, { base: typeof object.hook === 'string' ? object.hook : undefined, rules: undefined });
  }
  return isThere ? { table, timeouts, counters, collections, chains } : undefined;
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
  if (isMap(elem)) return textOf(elem.val);
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
