/**
 * The schema library's issues as problems: a place in the file, the key's path, and a sentence for a person.
 */
import type * as z from 'zod';
import { type Path, showValue } from './problem.ts';
import { keysAt, keysBelow } from './schema.ts';
import { didYouMean, nearest } from './suggest.ts';
import type { Remark } from './telling.ts';
import type { Tree } from './tree.ts';

type Issue = z.core.$ZodIssue;

/**
 * What is wrong where, in the order the schema library found it; and what to take out so that the rest can be judged.
 */
export function findingsOf(issues: readonly Issue[], tree: Tree): Remark[] {
  return issues.flatMap((issue) => explain(issue, [], tree));
}

function explain(issue: Issue, base: Path, tree: Tree): Remark[] {
  const path: Path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey([...path, key]));
  const value = valueAt(tree.value, path);
  if (value === undefined) return [{ path, at: 'value', message: 'is missing' }];
  if (value === null) {
    const what = typeof path.at(-1) === 'number' ? 'item' : 'key';
    return [{ path, at: 'key', message: `is empty: give it a value or remove the ${what}` }];
  }
  switch (issue.code) {
    case 'invalid_union': {
      // The alternative whose kind fits: its own issues say more than "none of these".
      const inside = issue.errors.filter(
        (errors) => errors.length > 0 && errors.every((error) => isInside(error)),
      );
      // One that knows the keys is nearer than one that does not.
      const fitting =
        inside.find((errors) => errors.every(({ code }) => code !== 'unrecognized_keys')) ?? inside[0];
      if (fitting !== undefined) return fitting.flatMap((error) => explain(error, path, tree));
      return [
        {
          path,
          at: 'value',
          message: () => withValue(issue.message, value) + suggestFrom(value, wordsOf(issue)),
        },
        ...(hasNoKind(issue) ? keysOfNoKind(path.slice(0, -1), tree) : []),
      ];
    }
    case 'invalid_key':
      return [
        { path, at: 'key', message: withValue(issue.issues[0]?.message ?? issue.message, path.at(-1)) },
      ];
    case 'invalid_value':
      return [
        {
          path,
          at: 'value',
          message: () => withValue(issue.message, value) + suggestFrom(value, issue.values),
        },
      ];
    case 'custom': // made by our own readers: complete already
      return [{ path, at: 'value', message: issue.message }];
    default:
      return [{ path, at: 'value', message: withValue(issue.message, value) }];
  }
}

/** Alternatives are told apart by a key, and what it has is none of their words. */
function hasNoKind(issue: z.core.$ZodIssueInvalidUnion): boolean {
  return 'note' in issue && issue.note !== undefined;
}

/** A map whose kind is not known, as the key that says so is wrong: the keys that no kind has are wrong all the same. */
function keysOfNoKind(path: Path, tree: Tree): Remark[] {
  const map = valueAt(tree.value, path);
  if (!isMap(map)) return [];
  const known = new Set(keysAt(path));
  return Object.keys(map).flatMap((key) => (known.has(key) ? [] : [unknownKey([...path, key])]));
}

function unknownKey(path: Path): Remark {
  return { path, at: 'key', message: () => explainKey(String(path.at(-1)), path.slice(0, -1)) };
}

function explainKey(key: string, parent: Path): string {
  const known = keysAt(parent);
  let hint = '; merge keys are not supported, aliases are';
  const joined = known.find((candidate) => key.startsWith(`${candidate}:`));
  if (joined !== undefined) hint = `; a space is missing after ${joined}:`;
  else if (key !== '<<') {
    const below = keysBelow(parent).find((candidate) => candidate.endsWith(`.${key}`));
    if (nearest(key, known) === undefined && below !== undefined) hint = `; did you mean ${below}?`;
    else hint = didYouMean(key, known) || `; known here: ${known.join(', ')}`;
  }
  return `unknown key${hint}`;
}

/** An unknown key counts as inside: it was a map, which is what that alternative wants. */
function isInside(issue: Issue): boolean {
  return issue.path.length > 0 || issue.code === 'unrecognized_keys';
}

function wordsOf(issue: z.core.$ZodIssueInvalidUnion): unknown[] {
  // Alternatives told apart by a key name their words in the message.
  if (hasNoKind(issue)) return issue.message.replace('must be one of ', '').split(', ');
  return issue.errors.flat().flatMap((error) => (error.code === 'invalid_value' ? error.values : []));
}

function suggestFrom(value: unknown, words: readonly unknown[]): string {
  if (typeof value !== 'string') return '';
  return didYouMean(
    value,
    words.filter((word) => typeof word === 'string'),
  );
}

function withValue(message: string, value: unknown): string {
  return message.startsWith('must be') ? `${message}, not ${showValue(value)}` : message;
}

/** A map of the file, as it is after reading. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Undefined if there is nothing at `path`. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
