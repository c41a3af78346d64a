/**
 * YAML text as plain values that remember where they were written.
 *
 *     text -> yaml.ts: compose, inspect -> values + places
 *
 * It knows nothing of what the keys mean.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, type YAMLMap } from 'yaml';
import { formatPath, type Path, type Problem } from './problem.ts';
import { composeOne, inspect, keyText, type Targets, tooManyValues, valuesMax } from './yaml.ts';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Tree {
  readonly source: string;
  readonly value: unknown;
  /** What is wrong with the keys as YAML; the first of two equal keys is in `value`. */
  readonly problems: readonly Problem[];
  /**
   * Where `path` is written: its value, or its key. What is not there has the place of the nearest thing above it
   * that is (the key of that, when it has one).
   */
  place(path: Path, at: 'key' | 'value'): Place;
}

/** Reads the one document in `text`; the problems are those of YAML itself. Never throws. */
export function readTree(text: string, source: string): Tree | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const at = (offset: number | undefined): Place => {
    if (offset === undefined) return { line: 0, column: 0 };
    const position = lines.linePos(offset);
    return { line: position.line, column: position.col };
  };
  const problemAt = (offset: number | undefined, message: string, path = ''): Problem => ({
    file: source,
    ...at(offset),
    path,
    message,
  });
  const composed = composeOne(text, lines);
  if ('message' in composed) return { problems: [problemAt(composed.offset, composed.message)] };
  const { document } = composed;
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    return { problems: [problemAt(undefined, 'is empty: it needs listeners and pools')] };
  }
  const { targets, faults } = inspect(document);
  const problems = faults.map((fault) => {
    const first = fault.firstOffset === undefined ? '' : ` (first in line ${at(fault.firstOffset).line})`;
    return problemAt(fault.offset, fault.message + first, formatPath(fault.path));
  });
  if (faults.some((fault) => fault.fatal)) return { problems };
  const values = new Values(targets);
  const value = values.of(document.contents);
  if (values.count > valuesMax) return { problems: [problemAt(undefined, tooManyValues)] };
  const places = new Places(document.contents, targets);
  return {
    source,
    value,
    problems,
    place: (path, what) => at(places.find(path, what)),
  };
}

/** Plain values; what several aliases share is made once and counted each time. */
class Values {
  count = 0;
  readonly #targets: Targets;
  readonly #made = new Map<Node, { readonly value: unknown; readonly count: number }>();

  constructor(targets: Targets) {
    this.#targets = targets;
  }

  of(node: unknown): unknown {
    const before = this.count;
    if (isAlias(node)) {
      const made = this.#made.get(this.#targets.get(node)!)!;
      this.count += made.count;
      return made.value;
    }
    this.count += 1;
    if (isScalar(node)) return this.#keep(node, node.value, before);
    if (isSeq(node))
      return this.#keep(
        node,
        node.items.map((item) => this.of(item)),
        before,
      );
    if (!isMap(node)) return null;
    const value: Record<string, unknown> = {};
    for (const pair of node.items) {
      const key = keyText(pair);
      const made = this.of(pair.value);
      if (key !== '__proto__' && !Object.hasOwn(value, key)) value[key] = made;
    }
    return this.#keep(node, value, before);
  }

  #keep(node: Node, value: unknown, before: number): unknown {
    if (node.anchor !== undefined) this.#made.set(node, { value, count: this.count - before });
    return value;
  }
}

/** Finds where paths are written. Pairs are indexed by key: a large map with many problems is searched for each. */
class Places {
  readonly #root: Node;
  readonly #targets: Targets;
  readonly #pairs = new Map<YAMLMap, Map<string, Pair>>();

  constructor(root: Node, targets: Targets) {
    this.#root = root;
    this.#targets = targets;
  }

  /** An offset into the text, as {@link Tree.place} describes. */
  find(path: Path, at: 'key' | 'value'): number | undefined {
    let node: unknown = this.#root;
    let valueOffset = this.#root.range?.[0];
    let keyOffset: number | undefined;
    for (const [depth, step] of path.entries()) {
      if (isAlias(node)) node = this.#targets.get(node);
      const pair = isMap(node) ? this.#pairsOf(node).get(String(step)) : undefined;
      const next: unknown = pair?.value ?? (isSeq(node) ? node.items[Number(step)] : undefined);
      if (pair === undefined && next === undefined) return keyOffset ?? valueOffset;
      keyOffset = (pair?.key as Node | null | undefined)?.range?.[0];
      // An empty value is written nowhere: its key is the place to look.
      const isEmpty = isScalar(next) && next.value === null;
      const ownOffset = (next as Node | undefined)?.range?.[0];
      valueOffset = isEmpty ? (keyOffset ?? ownOffset) : (ownOffset ?? keyOffset);
      if (depth === path.length - 1 && at === 'value') return valueOffset;
      node = next;
    }
    return keyOffset ?? valueOffset;
  }

  #pairsOf(map: YAMLMap): Map<string, Pair> {
    let pairs = this.#pairs.get(map);
    if (pairs === undefined) {
      // Backwards: of two equal keys the first one counts.
      pairs = new Map([...map.items].reverse().map((pair) => [keyText(pair), pair]));
      this.#pairs.set(map, pairs);
    }
    return pairs;
  }
}
