/**
 * Text for nft(8) that makes one form of the table out of another, in one transaction: the kernel takes all of it or nothing, and every
 * packet meets the whole of the old or the whole of the new. Only what differs is said.
 *
 * The order is what the kernel asks for: what is referred to exists before, and goes after. nft 1.0.6 needs a `;` or a new
 * line before each closing brace.
 */
import type { Chain, Collection, Content, Elements, Ruleset } from './form.ts';
import { layoutMarker } from './layout.ts';
import { bucketKey } from './spread.ts';

/** Elements in one command: nft reads a command at a time, and its memory grows with it. */
const elementsPerCommand = 16_384;

/**
 * @param is undefined: there is no table
 * @returns empty: there is nothing to do
 */
export function transaction(is: Ruleset | undefined, want: Ruleset): string {
  const { table } = want;
  if (is !== undefined && !is.collections.has(layoutMarker))
    return `${removal(table)}${transaction(undefined, want)}`;
  const lines = [
    ...added(is, want),
    ...elementLines(is, want, false),
    ...chainLines(is, want),
    ...elementLines(is, want, true),
    ...removed(is, want),
  ];
  if (is === undefined) lines.unshift(`add table inet ${table}`);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Of maps and sets whose elements alone are others: what {@link Elements.changed} says. @returns empty: there is nothing to do */
export function elementsTransaction(
  table: string,
  collections: Iterable<readonly [string, Elements]>,
): string {
  const lines: string[] = [];
  for (const [name, content] of collections) {
    const { gone, come } = changedElements(content);
    lines.push(...elementCommands(`inet ${table} ${name}`, gone, come));
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Takes the table away, if there is one. */
export function removal(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}

function added(
  is: Ruleset | undefined,
  { table, timeouts, counters, collections, chains }: Ruleset,
): string[] {
  const lines: string[] = [];
  for (const [name, body] of timeouts)
    if (is?.timeouts.has(name) !== true) lines.push(`add ct timeout inet ${table} ${name} { ${body} }`);
  for (const name of counters)
    if (is?.counters.has(name) !== true) lines.push(`add counter inet ${table} ${name}`);
  for (const [name, { kind, head }] of collections)
    if (is?.collections.has(name) !== true) lines.push(`add ${kind} inet ${table} ${name} { ${head} }`);
  for (const [name, { base }] of chains) {
    if (is?.chains.has(name) === true) continue;
    lines.push(`add chain inet ${table} ${name}${base === undefined ? '' : ` { ${base} }`}`);
  }
  return lines;
}

function chainLines(is: Ruleset | undefined, { table, chains }: Ruleset): string[] {
  const lines: string[] = [];
  for (const [name, { rules }] of chains) {
    const known = is?.chains.get(name);
    if (known !== undefined && isSame(known.rules, rules)) continue;
    if (known !== undefined) lines.push(`flush chain inet ${table} ${name}`);
    for (const rule of rules ?? []) lines.push(`add rule inet ${table} ${name} ${rule}`);
  }
  return lines;
}

function isSame(one: Chain['rules'], other: Chain['rules']): boolean {
  if (one === undefined || other === undefined) return false;
  return one === other || (one.length === other.length && one.every((rule, i) => rule === other[i]));
}

/** @param verdicts of the maps that lead to chains, or of all others */
function elementLines(is: Ruleset | undefined, { table, collections }: Ruleset, verdicts: boolean): string[] {
  const lines: string[] = [];
  for (const [name, { content }] of collections) {
    if ((content.kind === 'verdicts') !== verdicts) continue;
    const before = is?.collections.get(name)?.content;
    const { gone, come, flushes } = changes(before, content);
    const place = `inet ${table} ${name}`;
    if (flushes) lines.push(`flush ${kindOf(collections, name)} ${place}`);
    lines.push(...elementCommands(place, gone, come));
  }
  return lines;
}

function elementCommands(place: string, gone: readonly string[], come: readonly string[]): string[] {
  return [...commands('delete', place, gone), ...commands('add', place, come)];
}

function kindOf(collections: ReadonlyMap<string, Collection>, name: string): string {
  return collections.get(name)!.kind;
}

function commands(word: 'add' | 'delete', place: string, elements: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < elements.length; at += elementsPerCommand)
    lines.push(`${word} element ${place} { ${elements.slice(at, at + elementsPerCommand).join(', ')} }`);
  return lines;
}

interface Changes {
  readonly gone: readonly string[];
  readonly come: readonly string[];
  readonly flushes: boolean;
}

const nothing: Changes = { gone: [], come: [], flushes: false };

function changes(is: Content | undefined, want: Content): Changes {
  switch (want.kind) {
    case 'alive':
    case 'unknown':
      return nothing;
    case 'networks':
      if (is?.kind === 'networks' && is.version === want.version) return nothing;
      return { gone: [], come: [...want.networks], flushes: is !== undefined };
    case 'buckets':
      return is?.kind === 'buckets'
        ? bucketChanges(is.numbers, want.numbers)
        : { ...bucketChanges(undefined, want.numbers), flushes: is !== undefined };
    case 'elements':
      // The same map is changed in place: pin-maps.ts.
      return is?.kind === 'elements' && is.elements === want.elements
        ? changedElements(want)
        : elementsInstead(is, want.elements);
    case 'verdicts':
      return elementsInstead(is, want.elements);
  }
}

function elementsInstead(is: Content | undefined, want: ReadonlyMap<string, string>): Changes {
  return is !== undefined && 'elements' in is
    ? elementChanges(is.elements, want)
    : { ...elementChanges(undefined, want), flushes: is !== undefined };
}

function changedElements({ elements, changed = new Map() }: Elements): Changes {
  const gone: string[] = [];
  const come: string[] = [];
  for (const [key, before] of changed) {
    const now = elements.get(key);
    if (now === before) continue;
    if (before !== undefined) gone.push(key);
    if (now !== undefined) come.push(`${key} : ${now}`);
  }
  return { gone, come, flushes: false };
}

function bucketChanges(is: Uint16Array | undefined, want: Uint16Array): Changes {
  const gone: string[] = [];
  const come: string[] = [];
  for (let bucket = 0; bucket < Math.max(want.length, is?.length ?? 0); bucket++) {
    const before = is?.[bucket] ?? 0;
    const now = want[bucket] ?? 0;
    if (before === now) continue;
    if (before !== 0) gone.push(String(bucketKey(bucket)));
    if (now !== 0) come.push(`${bucketKey(bucket)} : ${now}`);
  }
  return { gone, come, flushes: false };
}

function elementChanges(
  is: ReadonlyMap<string, string> | undefined,
  want: ReadonlyMap<string, string>,
): Changes {
  const gone: string[] = [];
  const come: string[] = [];
  for (const [key, value] of is ?? []) if (want.get(key) !== value) gone.push(key.replace(/ comment .*/, ''));
  for (const [key, value] of want)
    if (is?.get(key) !== value) come.push(value === '' ? key : `${key} : ${value}`);
  return { gone, come, flushes: false };
}

/** Of those that stay nothing refers to these any more: their rules and elements have just been changed. */
function removed(is: Ruleset | undefined, want: Ruleset): string[] {
  if (is === undefined) return [];
  const { table } = want;
  const chains = [...is.chains.keys()].filter((name) => !want.chains.has(name));
  const collections = [...is.collections].filter(([name]) => !want.collections.has(name));
  return [
    ...chains.map((name) => `flush chain inet ${table} ${name}`),
    ...collections.map(([name, { kind }]) => `flush ${kind} inet ${table} ${name}`),
    ...chains.map((name) => `delete chain inet ${table} ${name}`),
    ...collections.map(([name, { kind }]) => `delete ${kind} inet ${table} ${name}`),
    ...[...is.counters]
      .filter((name) => !want.counters.has(name))
      .map((name) => `delete counter inet ${table} ${name}`),
    ...[...is.timeouts.keys()]
      .filter((name) => !want.timeouts.has(name))
      .map((name) => `delete ct timeout inet ${table} ${name}`),
  ];
}
