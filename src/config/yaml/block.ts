/**
 * Lists and maps by indentation, and what stands in them. Behind every value the cursor is at the next thing that is
 * written, in a line of its own, or at the end of the text.
 */
import { readBlockScalar } from './block-scalar.ts';
import type { ListMarks, MapMarks, YamlMap } from './contents.ts';
import { isBlankOrEnd } from './cursor.ts';
import { readFlow } from './flow.ts';
import { refuseBareIpv6, refuseJoinedColon } from './mistakes.ts';
import {
  isProperty,
  noProperties,
  type Properties,
  type Reader,
  readAlias,
  readProperty,
  refuseTag,
  scalar,
} from './node.ts';
import { readPlain, readQuoted } from './scalar.ts';

/** An implicit key with all before its colon: YAML 1.2.2, section 7.4.2. Characters. */
const keyCharactersMax = 1024;

/**
 * Where a value stands: after `key:`, after `- `, or as the document (`own-line`; after `---` in its line, `marker`).
 */
type Where = 'after-key' | 'after-dash' | 'own-line' | 'after-marker';

/** Reads the value that begins here or in a later line. `indent` is that of the list or map it is in; -1 for none. */
export function readBlockValue(reader: Reader, indent: number, where: Where): unknown {
  const { cursor } = reader;
  const empty = cursor.at;
  let isOwnLine = where === 'own-line';
  let mayBeBlock = isOwnLine || where === 'after-dash';
  let outer = noProperties;
  // Of this line: what comes before a key belongs to the key.
  let inner = noProperties;
  let innerAt: number | undefined;
  for (;;) {
    if (cursor.skipLines()) {
      isOwnLine = true;
      mayBeBlock = true;
      outer = joined(reader, outer, inner);
      inner = noProperties;
      innerAt = undefined;
    }
    if (cursor.isEnd || (isOwnLine && endsBefore(reader, indent, where))) {
      reader.valueAt = empty;
      return scalar(reader, '', true, joined(reader, outer, inner));
    }
    if (!isProperty(cursor)) break;
    innerAt ??= cursor.at;
    inner = readProperty(cursor, inner);
  }
  if (cursor.isIndicator('-')) {
    if (!mayBeBlock || innerAt !== undefined) cursor.fail('a list with - begins in a line of its own');
    return readBlockList(reader, outer);
  }
  const start = cursor.at;
  if (isKey(reader)) {
    if (!mayBeBlock)
      cursor.fail('a second colon in this line: put the value in quotes if the colon is part of it');
    cursor.at = innerAt ?? start;
    return readBlockMap(reader, outer);
  }
  return readContent(reader, indent, joined(reader, outer, inner));
}

/** True if what stands here belongs to something around this value. */
function endsBefore({ cursor }: Reader, indent: number, where: Where): boolean {
  if (cursor.isDocumentMarker()) return true;
  if (cursor.column > indent) return false;
  return !(where === 'after-key' && cursor.column === indent && cursor.isIndicator('-'));
}

function joined({ cursor }: Reader, a: Properties, b: Properties): Properties {
  if (a.anchor !== undefined && b.anchor !== undefined) cursor.fail('a node can have at most one anchor');
  if (a.tag !== undefined && b.tag !== undefined) cursor.fail('a node can have at most one tag');
  return { ...(a.tag === undefined ? b : a), anchor: a.anchor ?? b.anchor };
}

/** Looks whether a key begins here: a text in one line, and a colon that nothing is joined to. */
function isKey(reader: Reader): boolean {
  const { cursor } = reader;
  const { at, lineStart, char } = cursor;
  if ('|>[{'.includes(char)) return false;
  if (char === '"' || char === "'") readQuoted(cursor, -2);
  else if (char === '*') while (!isBlankOrEnd(cursor.code())) cursor.at++;
  else readPlain(cursor, -1, false, true);
  const isOneLine = cursor.lineStart === lineStart;
  cursor.skipBlanks();
  const found = isOneLine && cursor.isIndicator(':');
  cursor.at = at;
  cursor.lineStart = lineStart;
  return found;
}

function readContent(reader: Reader, indent: number, properties: Properties): unknown {
  const { cursor } = reader;
  const start = cursor.at;
  const { char } = cursor;
  let value: unknown;
  if (char === '|' || char === '>') {
    value = scalar(reader, readBlockScalar(cursor, indent), false, properties);
    reader.valueAt = start;
    // Its last line is over: no comment is needed to be behind a blank.
    cursor.skipLines();
    return value;
  }
  if (char === '[' || char === '{') value = readFlow(reader, indent, properties);
  else if (char === '*') value = readAlias(reader, properties);
  else if (char === '"' || char === "'")
    value = scalar(reader, readQuoted(cursor, indent), false, properties);
  else value = scalar(reader, readPlain(cursor, indent, false), true, properties);
  reader.valueAt = start;
  endLine(reader, start);
  return value;
}

/** Nothing but a comment follows a value in its line. */
function endLine({ cursor }: Reader, start: number): void {
  if (cursor.skipLines() || cursor.isEnd) return;
  if (cursor.char === '#') cursor.fail('a comment needs a space before it');
  refuseBareIpv6(cursor, start);
  if (cursor.char === ':' && '[{'.includes(cursor.text.charAt(start)))
    cursor.fail('a key must be plain text, not a list or a map', start);
  cursor.fail('nothing may follow the value in its line');
}

function readBlockList(reader: Reader, properties: Properties): unknown {
  const { cursor, contents } = reader;
  const start = cursor.at;
  const { column } = cursor;
  cursor.refuseTabs();
  refuseTag(reader, properties, '!!seq');
  const value = contents.within([], [], start, properties.anchor, (list: unknown[], marks: ListMarks) => {
    while (!cursor.isEnd && cursor.column === column && cursor.isIndicator('-')) {
      cursor.refuseTabs();
      cursor.at++;
      contents.path.push(list.length);
      list.push(readBlockValue(reader, column, 'after-dash'));
      contents.path.pop();
      marks.push(reader.valueAt);
    }
    refuseDeeper(reader, column);
  });
  reader.valueAt = start;
  return value;
}

/** What is indented more than the items or keys before it and is not part of them. */
function refuseDeeper({ cursor }: Reader, column: number): void {
  if (cursor.isEnd || cursor.column <= column) return;
  cursor.refuseTabs();
  cursor.fail('this line is indented unlike those around it');
}

function readBlockMap(reader: Reader, properties: Properties): unknown {
  const { cursor, contents } = reader;
  const start = cursor.at;
  const { column } = cursor;
  cursor.refuseTabs();
  refuseTag(reader, properties, '!!map');
  const value = contents.within({}, new Map(), start, properties.anchor, (map: YamlMap, marks: MapMarks) => {
    while (!cursor.isEnd && cursor.column === column && !cursor.isDocumentMarker()) {
      cursor.refuseTabs();
      const { key, keyAt } = readBlockKey(reader);
      contents.path.push(key);
      const value = readBlockValue(reader, column, 'after-key');
      contents.path.pop();
      contents.put(map, marks, key, value, { key: keyAt, value: reader.valueAt });
    }
    refuseDeeper(reader, column);
  });
  reader.valueAt = start;
  return value;
}

/** A key and its colon. */
function readBlockKey(reader: Reader): { key: string; keyAt: number } {
  const { cursor, contents } = reader;
  let properties = noProperties;
  while (isProperty(cursor)) {
    properties = readProperty(cursor, properties);
    cursor.skipBlanks();
  }
  const keyAt = cursor.at;
  const { lineStart, char } = cursor;
  if (char === '[' || char === '{' || char === '*')
    cursor.fail('a key must be plain text, not a list or a map');
  const key = char === '"' || char === "'" ? readQuoted(cursor, -2) : readPlain(cursor, -1, false, true);
  if (cursor.lineStart !== lineStart) cursor.fail('a key is in one line', keyAt);
  cursor.skipBlanks();
  if (!cursor.isIndicator(':')) {
    if (cursor.char === ':') cursor.fail('a space is missing after this colon');
    refuseJoinedColon(cursor, key, keyAt);
    cursor.fail('this is neither a key with a colon nor part of the value before it', keyAt);
  }
  if (cursor.at - keyAt > keyCharactersMax)
    cursor.fail(`a key has at most ${keyCharactersMax} characters`, keyAt);
  cursor.at++;
  if (properties.tag !== undefined && properties.tag !== '!' && properties.tag !== '!!str')
    cursor.fail('a key must be plain text, without a tag', properties.tagAt);
  if (properties.anchor !== undefined) contents.scalar(key, properties.anchor);
  return { key, keyAt };
}
