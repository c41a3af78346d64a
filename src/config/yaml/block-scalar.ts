/**
 * Texts after `|` (line by line) and `>` (folded): YAML 1.2.2, section 8.1. The cursor begins at the indicator and
 * ends at the start of the first line that does not belong to the text.
 */
import { yamlTextCharactersMax } from '../../core/limits.ts';
import { afterLineEnd, type Cursor, endOfSpaces, isBlankOrEnd, isMarkerAt } from './cursor.ts';

interface Header {
  readonly isFolded: boolean;
  readonly chomp: '' | '-' | '+';
  /** Undefined: as the first line is. */
  readonly indent: number | undefined;
}

/** `indent` is that of the list or map the text is in. */
export function readBlockScalar(cursor: Cursor, indent: number): string {
  const start = cursor.at;
  const header = readHeader(cursor, indent);
  const lines: string[] = [];
  let own = header.indent;
  let blankIndent = 0;
  while (!cursor.isEnd && !isMarkerAt(cursor.text, cursor.at)) {
    const spacesEnd = endOfSpaces(cursor.text, cursor.at);
    const spaces = spacesEnd - cursor.at;
    const end = endOfLine(cursor.text, spacesEnd);
    const isBlank = end === spacesEnd;
    if (isBlank) {
      blankIndent = Math.max(blankIndent, spaces);
      // Blanks at the end of the text are no line, unless they are more than its indentation.
      if (end === cursor.text.length && spaces <= (own ?? spaces)) {
        cursor.at = end;
        break;
      }
    } else {
      if (own === undefined && spaces > indent) {
        if (blankIndent > spaces) cursor.fail('the blank lines before this one are indented more', spacesEnd);
        own = spaces;
      }
      if (own === undefined || spaces < own) break;
    }
    lines.push(cursor.text.slice(Math.min(cursor.at + (own ?? spaces), end), end));
    cursor.at = afterLineEnd(cursor.text, end) ?? end;
    cursor.lineStart = cursor.at;
    if (cursor.at - start > yamlTextCharactersMax)
      cursor.refuse(`is a text of more than ${yamlTextCharactersMax} characters`, start);
  }
  return chomped(lines, header);
}

function readHeader(cursor: Cursor, indent: number): Header {
  const isFolded = cursor.char === '>';
  cursor.at++;
  let chomp: Header['chomp'] = '';
  let explicit: number | undefined;
  for (; !isBlankOrEnd(cursor.code()); cursor.at++) {
    const { char } = cursor;
    if (chomp === '' && (char === '-' || char === '+')) chomp = char;
    else if (explicit === undefined && char >= '1' && char <= '9')
      explicit = Math.max(indent, 0) + Number(char);
    else cursor.fail('after | or > only + or - and a digit may stand');
  }
  const line = cursor.lineStart;
  if (!cursor.isEnd) {
    const from = cursor.at;
    cursor.skipBlanks();
    if (cursor.char === '#' && cursor.at > from) cursor.at = endOfLine(cursor.text, cursor.at);
    const next = afterLineEnd(cursor.text, cursor.at);
    if (next === undefined && !cursor.isEnd) cursor.fail('the text of | or > begins in the next line');
    cursor.at = next ?? cursor.at;
    cursor.lineStart = next ?? line;
  }
  return { isFolded, chomp, indent: explicit };
}

function endOfLine(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  if (end < 0) return text.length;
  return text.charAt(end - 1) === '\r' && end > offset ? end - 1 : end;
}

function chomped(lines: readonly string[], header: Header): string {
  let count = lines.length;
  while (count > 0 && lines[count - 1] === '') count--;
  const content = lines.slice(0, count);
  const text = header.isFolded ? folded(content) : content.join('\n');
  if (header.chomp === '-') return text;
  const trailing = lines.length - count;
  if (header.chomp === '+') return text + '\n'.repeat(trailing + (count > 0 ? 1 : 0));
  return count === 0 ? text : `${text}\n`;
}

/** Lines of one indentation are joined by spaces, n blank lines between them are n line ends; the others stay. */
function folded(lines: readonly string[]): string {
  let text = '';
  let blanks = 0;
  let wasMore = true;
  let isFirst = true;
  for (const line of lines) {
    if (line === '') {
      blanks++;
      continue;
    }
    const isMore = line.startsWith(' ') || line.startsWith('\t');
    if (isFirst) text += '\n'.repeat(blanks);
    else if (isMore || wasMore) text += '\n'.repeat(blanks + 1);
    else text += blanks === 0 ? ' ' : '\n'.repeat(blanks);
    text += line;
    wasMore = isMore;
    isFirst = false;
    blanks = 0;
  }
  return text;
}
