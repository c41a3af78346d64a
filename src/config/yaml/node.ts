/**
 * What a list, a map and a document have in common: a value with its anchor and tag, and where it is written.
 */

import { shorten } from '../problem.ts';
import type { Contents } from './contents.ts';
import { resolvePlain, resolveTagged } from './core-schema.ts';
import { type Cursor, isBlankOrEnd } from './cursor.ts';

/** What may stand before a value. */
export interface Properties {
  readonly anchor: string | undefined;
  readonly tag: string | undefined;
  /** Where the tag is written. */
  readonly tagAt: number;
}

export const noProperties: Properties = { anchor: undefined, tag: undefined, tagAt: 0 };

/** What is read and where it is kept. */
export interface Reader {
  readonly cursor: Cursor;
  readonly contents: Contents;
  /** Where the value that was read last begins. */
  valueAt: number;
}

const endsName = new Set([',', '[', ']', '{', '}']);

/** True if an anchor or a tag stands here. */
export function isProperty(cursor: Cursor): boolean {
  return cursor.char === '&' || cursor.char === '!';
}

/** Reads one anchor or tag and adds it to those before it. */
export function readProperty(cursor: Cursor, before: Properties): Properties {
  const start = cursor.at;
  const word = readWord(cursor);
  if (!isBlankOrEnd(cursor.code()) && !endsName.has(cursor.char))
    cursor.fail(`a space is missing after ${word.charAt(0)}`);
  if (word.startsWith('!')) {
    if (before.tag !== undefined) cursor.fail('a node can have at most one tag', start);
    return { ...before, tag: word, tagAt: start };
  }
  if (before.anchor !== undefined) cursor.fail('a node can have at most one anchor', start);
  return { ...before, anchor: word.slice(1) };
}

/** What stands at an alias. It is followed by no other part of the same value. */
export function readAlias({ cursor, contents }: Reader, properties: Properties): unknown {
  const start = cursor.at;
  const name = readWord(cursor).slice(1);
  if (properties.anchor !== undefined || properties.tag !== undefined)
    cursor.fail('an alias has neither an anchor nor a tag', start);
  return contents.alias(name, start);
}

function readWord(cursor: Cursor): string {
  const start = cursor.at;
  cursor.at++;
  while (!isBlankOrEnd(cursor.code()) && !endsName.has(cursor.char)) cursor.at++;
  const word = cursor.text.slice(start, cursor.at);
  if (word.length === 1 && word !== '!') cursor.fail(`a name is missing after ${word}`, start);
  if (word.length > 256) cursor.fail(`the name after ${word.charAt(0)} is longer than 256 characters`, start);
  return word;
}

/** Keeps the scalar whose text is `text`. */
export function scalar(
  { cursor, contents }: Reader,
  text: string,
  isPlain: boolean,
  { anchor, tag, tagAt }: Properties,
): unknown {
  if (tag === undefined) return contents.scalar(isPlain ? resolvePlain(text) : text, anchor);
  const resolved = resolveTagged(text, tag);
  if ('refused' in resolved) return cursor.fail(resolved.refused, tagAt);
  return contents.scalar(resolved.value, anchor);
}

/** @throws YamlFailure unless lists (or maps) may have this tag */
export function refuseTag({ cursor }: Reader, { tag, tagAt }: Properties, fitting: '!!seq' | '!!map'): void {
  if (tag === undefined || tag === '!' || tag === fitting) return;
  const noun = fitting === '!!seq' ? 'a list' : 'a map';
  cursor.fail(
    tag.startsWith('!!') ? `this is ${noun}, not ${tag}` : `unresolved tag: ${shorten(tag)}`,
    tagAt,
  );
}
