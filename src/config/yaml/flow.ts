/**
 * Lists and maps in brackets: `[a, b]`, `{ key: value }`. They may go over lines that are indented more than what is
 * around them; the closing bracket may stand under it.
 */
import type { ListMarks, MapMarks, YamlMap } from './contents.ts';
import { type Cursor, endOfSpaces } from './cursor.ts';
import { refuseBareIpv6, refuseVariable } from './mistakes.ts';
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

/** The brackets being read: where they open, and the indentation of what is around them. */
interface Brackets {
  readonly open: number;
  readonly indent: number;
}

/** Reads from the opening bracket to behind the closing one. `indent` is that of the list or map around it. */
export function readFlow(reader: Reader, indent: number, properties: Properties): unknown {
  const { cursor, contents } = reader;
  const open = cursor.at;
  const isList = cursor.char === '[';
  refuseTag(reader, properties, isList ? '!!seq' : '!!map');
  cursor.at++;
  const brackets = { open, indent };
  const value = isList
    ? contents.within([], [], open, properties.anchor, (list: unknown[], marks: ListMarks) =>
        readItems(reader, brackets, list, marks),
      )
    : contents.within({}, new Map(), open, properties.anchor, (map: YamlMap, marks: MapMarks) =>
        readEntries(reader, brackets, map, marks),
      );
  reader.valueAt = open;
  return value;
}

function readItems(reader: Reader, brackets: Brackets, list: unknown[], marks: ListMarks): void {
  const { cursor, contents } = reader;
  while (isMore(cursor, brackets, ']')) {
    contents.path.push(list.length);
    const start = cursor.at;
    const line = cursor.lineStart;
    const value = readFlowValue(reader, brackets);
    const valueAt = reader.valueAt;
    const { at: end } = cursor;
    const text = cursor.text.slice(start, end);
    cursor.skipBlanks();
    if (cursor.char === ':') {
      if (cursor.text.charAt(start) === '[') refuseBareIpv6(cursor, start);
      if (cursor.lineStart !== line) cursor.fail('a key is in one line', start);
      list.push(readPair(reader, brackets, start));
      marks.push(start);
    } else {
      if (text === '')
        cursor.fail(cursor.char === ',' ? 'there is no value before this comma' : 'a comma or ] is missing');
      list.push(value);
      marks.push(valueAt);
      // Back to before the blanks: without them what follows would not be a comment.
      cursor.at = end;
    }
    contents.path.pop();
    skipComma(cursor, brackets, ']', start);
  }
}

/** `[a: 1]`: a map of one entry. The cursor is at the colon; the key begins at `start` and has been read as a value. */
function readPair(reader: Reader, brackets: Brackets, start: number): unknown {
  const { cursor, contents } = reader;
  cursor.at = start;
  return contents.within({}, new Map(), start, undefined, (map: YamlMap, marks: MapMarks) =>
    readEntry(reader, brackets, map, marks),
  );
}

function readEntries(reader: Reader, brackets: Brackets, map: YamlMap, marks: MapMarks): void {
  while (isMore(reader.cursor, brackets, '}')) {
    readEntry(reader, brackets, map, marks);
    skipComma(reader.cursor, brackets, '}', reader.valueAt);
  }
}

function readEntry(reader: Reader, brackets: Brackets, map: YamlMap, marks: MapMarks): void {
  const { cursor, contents } = reader;
  const { keyAt, key } = readFlowKey(reader, brackets);
  skip(cursor, brackets);
  let value: unknown;
  if (cursor.char === ':') {
    cursor.at++;
    skip(cursor, brackets);
    contents.path.push(key);
    value = readFlowValue(reader, brackets);
    contents.path.pop();
  } else {
    value = contents.scalar(null, undefined);
    reader.valueAt = cursor.at;
  }
  contents.put(map, marks, key, value, { key: keyAt, value: reader.valueAt });
}

function readFlowKey(reader: Reader, brackets: Brackets): { keyAt: number; key: string } {
  const { cursor, contents } = reader;
  let properties = noProperties;
  while (isProperty(cursor)) {
    properties = readProperty(cursor, properties);
    skip(cursor, brackets);
  }
  const keyAt = cursor.at;
  const { char } = cursor;
  if (char === '[' || char === '{' || char === '*')
    cursor.fail('a key must be plain text, not a list or a map');
  if (char === ',') cursor.fail('there is no key before this comma');
  const isQuoted = char === '"' || char === "'";
  const key = isQuoted ? readQuoted(cursor, brackets.indent) : readPlain(cursor, brackets.indent, true);
  if (properties.tag !== undefined && properties.tag !== '!' && properties.tag !== '!!str')
    cursor.fail('a key must be plain text, without a tag', properties.tagAt);
  if (properties.anchor !== undefined) contents.scalar(key, properties.anchor);
  return { keyAt, key };
}

function readFlowValue(reader: Reader, brackets: Brackets): unknown {
  const { cursor } = reader;
  let properties = noProperties;
  while (isProperty(cursor)) {
    properties = readProperty(cursor, properties);
    skip(cursor, brackets);
  }
  const start = cursor.at;
  const { char } = cursor;
  if (char === '[' || char === '{') return readFlow(reader, brackets.indent, properties);
  reader.valueAt = start;
  if (char === '*') return readAlias(reader, properties);
  if (char === '"' || char === "'")
    return scalar(reader, readQuoted(cursor, brackets.indent), false, properties);
  const isEmpty = char === ',' || char === ']' || char === '}';
  return scalar(reader, isEmpty ? '' : readPlain(cursor, brackets.indent, true), true, properties);
}

/** True if something stands before the closing bracket; else the cursor is behind it. */
function isMore(cursor: Cursor, brackets: Brackets, close: string): boolean {
  skip(cursor, brackets);
  if (cursor.char !== close) return true;
  cursor.at++;
  return false;
}

/** To behind the comma, or to the closing bracket. `start` is where the item or value before it begins. */
function skipComma(cursor: Cursor, brackets: Brackets, close: string, start: number): void {
  skip(cursor, brackets);
  if (cursor.char === ',') cursor.at++;
  else if (cursor.char !== close) {
    refuseBareIpv6(cursor, start);
    refuseVariable(cursor);
    cursor.fail(`a comma or ${close} is missing`);
  }
}

/** Blanks, comments and line ends, as long as they are between the brackets. */
function skip(cursor: Cursor, { open, indent }: Brackets): void {
  const isNewLine = cursor.skipLines();
  const bracket = cursor.text.charAt(open);
  if (cursor.isEnd) cursor.fail(`the ${bracket} that opens here is not closed`, open);
  if (!isNewLine) return;
  const column = endOfSpaces(cursor.text, cursor.lineStart) - cursor.lineStart;
  const isClosing = (cursor.char === ']' || cursor.char === '}') && column === indent;
  if ((column <= indent && !isClosing) || cursor.isDocumentMarker()) {
    cursor.refuseTabs();
    cursor.fail(`the ${bracket} that opens here is not closed before a line that is not indented more`, open);
  }
}
