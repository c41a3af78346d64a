/**
 * YAML text (1.2, core schema) as plain values, in one pass over the text and with nothing in between.
 *
 *     read.ts: the document -> block.ts: by indentation -> flow.ts: in brackets
 *                                  |                          |
 *                                  +---> scalar.ts, block-scalar.ts: texts -> core-schema.ts: what they mean
 *     cursor.ts: where we are        contents.ts: what there is, and where it is written
 *
 * Every character is looked at a bounded number of times, and nesting, values and the length of a text have limits
 * that hold while it reads: a library that keeps a tree of tokens took 4 s and 500 MB for a file of the size that is
 * allowed, 15 minutes for a hostile one. What a configuration has no use for is refused: documents after the first,
 * keys with `?` or that are no text, tags but those of the core schema, directives but `%YAML 1.2`.
 */
import { readBlockValue } from './block.ts';
import { Contents, type Fault, type ListMarks, type MapMarks } from './contents.ts';
import { Cursor, YamlFailure } from './cursor.ts';
import type { Reader } from './node.ts';

export type { Fault, ListMarks, MapMarks } from './contents.ts';

export interface YamlDocument {
  readonly value: unknown;
  /** Where it begins. Offsets are into the text. */
  readonly offset: number;
  readonly faults: readonly Fault[];
  /** How many more faults there are than those that are told. */
  readonly faultsLeftOut: number;
  /** Where the parts of each list and map in `value` are written. */
  readonly marks: ReadonlyMap<object, ListMarks | MapMarks>;
}

/** The document in `text`, or the first thing that stops it from being read: what comes after it is mostly noise. */
export function readYaml(text: string): YamlDocument | { readonly offset: number; readonly message: string } {
  const cursor = new Cursor(text);
  const contents = new Contents(cursor);
  try {
    refuseStrangeCharacters(cursor);
    return readDocument({ cursor, contents, valueAt: 0 });
  } catch (error) {
    if (error instanceof YamlFailure) return { offset: error.offset, message: error.message };
    throw error;
  }
}

/** YAML 1.2.2, section 5.1, without the byte order mark inside and with every line end in one of two forms. */
const strange = /\r(?!\n)|[^\t\n\r\x20-\x7e\x85\xa0-\ufffd]/;

function refuseStrangeCharacters(cursor: Cursor): void {
  const found = strange.exec(cursor.text);
  if (found === null) return;
  if (found[0] === '\r') {
    cursor.fail('a line ends in a carriage return alone; save the file with line feeds', found.index);
  }
  const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  cursor.fail(`the character U+${code} is not allowed`, found.index);
}

function readDocument(reader: Reader): YamlDocument {
  const { cursor, contents } = reader;
  if (cursor.char === '\ufeff') cursor.lineStart = ++cursor.at;
  const hasDirective = skipDirectives(reader);
  const isMarked = cursor.isDocumentMarker() && cursor.char === '-';
  if (isMarked) cursor.at += 3;
  else if (hasDirective) cursor.fail('after %YAML a line with --- is needed');
  const value = readBlockValue(reader, -1, isMarked ? 'after-marker' : 'own-line');
  const offset = reader.valueAt;
  while (cursor.isDocumentMarker() && cursor.char === '.') {
    cursor.at += 3;
    if (!cursor.skipLines() && !cursor.isEnd) cursor.fail('nothing may follow ... in its line');
    if (!cursor.isEnd && !cursor.isDocumentMarker()) refuseSecond(reader);
  }
  if (!cursor.isEnd) {
    if (cursor.isDocumentMarker()) refuseSecond(reader);
    cursor.refuseTabs();
    cursor.fail('this is neither a key with a colon nor part of the value before it');
  }
  return {
    value,
    offset,
    faults: contents.faults,
    faultsLeftOut: contents.faultsLeftOut,
    marks: contents.marks,
  };
}

function skipDirectives({ cursor }: Reader): boolean {
  let found = false;
  cursor.skipLines();
  while (cursor.char === '%' && cursor.column === 0) {
    const end = cursor.text.indexOf('\n', cursor.at);
    const line = cursor.text.slice(cursor.at, end < 0 ? undefined : end);
    if (found || line.length > 80 || !/^%YAML[ \t]+1\.2(?:[ \t]+#[^\n]*|[ \t]*)\r?$/.test(line))
      cursor.fail('no directive but one %YAML 1.2 is supported');
    found = true;
    cursor.at += line.length;
    cursor.skipLines();
  }
  return found;
}

function refuseSecond({ cursor }: Reader): never {
  return cursor.refuse('a second YAML document starts here; a configuration is one document');
}
