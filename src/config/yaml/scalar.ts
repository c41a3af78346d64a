/**
 * Texts as YAML writes them: plain, in quotes, as a block. Each function begins where the text begins, leaves the
 * cursor behind its end, and gives the text without what YAML put around it. `indent` is that of the list or map the
 * text is in: its further lines are indented more.
 */
import { yamlTextCharactersMax } from '../../core/limits.ts';
import { afterLineEnd, type Cursor, endOfBlanks, endOfSpaces, isBlankOrEnd, isMarkerAt } from './cursor.ts';
import { refuseJoinedColon } from './mistakes.ts';

const flowIndicators = new Set([',', '[', ']', '{', '}']);

/** A plain text. `isOneLine`: it may be a key, and does not go on in the next line. */
export function readPlain(cursor: Cursor, indent: number, inFlow: boolean, isOneLine = false): string {
  const start = cursor.at;
  refuseStart(cursor, inFlow);
  let end = endOfPlain(cursor.text, start, inFlow);
  let text = cursor.text.slice(start, end);
  cursor.at = end;
  if (isOneLine) return text;
  for (let fold = nextLine(cursor.text, end); fold !== undefined; fold = nextLine(cursor.text, end)) {
    if (
      fold.indent <= indent ||
      cursor.text.charAt(fold.at) === '#' ||
      isMarkerAt(cursor.text, fold.lineStart)
    )
      break;
    end = endOfPlain(cursor.text, fold.at, inFlow);
    if (end === fold.at) break;
    cursor.at = end;
    cursor.lineStart = fold.lineStart;
    if (!inFlow && cursor.text.charAt(endOfBlanks(cursor.text, end)) === ':') {
      refuseJoinedColon(cursor, text, start);
      cursor.fail(
        'this continues the text of the line before: a colon is missing there, or this line is indented too far',
        fold.at,
      );
    }
    text += folded(fold.lineEnds) + cursor.text.slice(fold.at, end);
    refuseLong(cursor, start, end);
  }
  refuseLong(cursor, start, end);
  return text;
}

function refuseStart(cursor: Cursor, inFlow: boolean): void {
  const { char } = cursor;
  const next = cursor.text.charAt(cursor.at + 1);
  if (char === '#') cursor.fail('a comment needs a space before it');
  if (',]}%@`|>'.includes(char)) cursor.fail(`a text that starts with ${char} needs quotes`);
  const isJoined = !isBlankOrEnd(cursor.code(1)) && !(inFlow && flowIndicators.has(next));
  if (isJoined) return;
  if (char === '-') cursor.fail('a list with - cannot stand here');
  if (char === '?') cursor.fail('keys with ? are not supported: write key: value');
  if (char === ':') cursor.fail('there is no key before this colon');
}

/** The end of what is plain text in this line, without blanks behind it. */
function endOfPlain(text: string, start: number, inFlow: boolean): number {
  let end = start;
  for (let i = start; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === '\n' || char === '\r') break;
    if (char === ' ' || char === '\t') continue;
    if (char === '#' && i > start && end < i) break;
    if (char === ':') {
      if (isBlankOrEnd(text.charCodeAt(i + 1)) || (inFlow && flowIndicators.has(text.charAt(i + 1)))) break;
    } else if (inFlow && flowIndicators.has(char)) break;
    end = i + 1;
  }
  return end;
}

/** The line after the one that ends at `offset` (blank lines are passed over); undefined if it does not end there. */
function nextLine(
  text: string,
  offset: number,
): { at: number; lineStart: number; indent: number; lineEnds: number } | undefined {
  let next = afterLineEnd(text, endOfBlanks(text, offset));
  if (next === undefined) return undefined;
  for (let lineEnds = 1; ; lineEnds++) {
    const lineStart: number = next;
    const at = endOfBlanks(text, lineStart);
    if (at >= text.length) return undefined;
    next = afterLineEnd(text, at);
    if (next === undefined)
      return { at, lineStart, indent: endOfSpaces(text, lineStart) - lineStart, lineEnds };
  }
}

/** One line end is a space; each further one is one. */
function folded(lineEnds: number): string {
  return lineEnds === 1 ? ' ' : '\n'.repeat(lineEnds - 1);
}

function refuseLong(cursor: Cursor, start: number, end: number): void {
  if (end - start > yamlTextCharactersMax)
    cursor.refuse(`is a text of more than ${yamlTextCharactersMax} characters`, start);
}

/** A text in quotes of either kind. */
export function readQuoted(cursor: Cursor, indent: number): string {
  const { text } = cursor;
  const start = cursor.at;
  const quote = cursor.char;
  let value = '';
  let from = start + 1;
  for (let i = from; ; ) {
    if (i >= text.length) cursor.fail('the quotes that open here are not closed', start);
    const char = text.charAt(i);
    if (char === quote && quote === "'" && text.charAt(i + 1) === quote) {
      value += text.slice(from, i + 1);
      i += 2;
      from = i;
    } else if (char === quote) {
      cursor.at = i + 1;
      refuseLong(cursor, start, i);
      return value + text.slice(from, i);
    } else if (char === '\\' && quote === '"') {
      value += text.slice(from, i);
      const escaped = readEscape(cursor, start, i, indent);
      value += escaped.text;
      i = escaped.end;
      from = i;
    } else if (char === '\n' || char === '\r') {
      const lines = foldQuoted(cursor, start, i, indent);
      value += trimmedEnd(text, from, i) + folded(lines.lineEnds);
      i = lines.at;
      from = i;
    } else i++;
    refuseLong(cursor, start, i);
  }
}

/** Blanks before a line end inside of quotes are not part of the text. */
function trimmedEnd(text: string, from: number, to: number): string {
  let end = to;
  while (end > from && (text.charAt(end - 1) === ' ' || text.charAt(end - 1) === '\t')) end--;
  return text.slice(from, end);
}

function foldQuoted(
  cursor: Cursor,
  start: number,
  offset: number,
  indent: number,
): { at: number; lineEnds: number } {
  const line = nextLine(cursor.text, offset);
  if (line === undefined) cursor.fail('the quotes that open here are not closed', start);
  if (line.indent <= indent || isMarkerAt(cursor.text, line.lineStart)) {
    cursor.refuseTabs(line.lineStart, line.at);
    cursor.fail('the quotes that open here are not closed before a line that is not indented more', start);
  }
  cursor.lineStart = line.lineStart;
  return line;
}

const escapes: Readonly<Record<string, string>> = {
  '0': '\0',
  a: '\x07',
  b: '\b',
  t: '\t',
  '\t': '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  e: '\x1b',
  ' ': ' ',
  '"': '"',
  '/': '/',
  '\\': '\\',
  N: '\u0085',
  _: '\u00a0',
  L: '\u2028',
  P: '\u2029',
};
const escapeDigits: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** YAML 1.2.2, section 5.7. */
function readEscape(
  cursor: Cursor,
  start: number,
  offset: number,
  indent: number,
): { text: string; end: number } {
  const { text } = cursor;
  const letter = text.charAt(offset + 1);
  if (letter === '\n' || letter === '\r') {
    const line = foldQuoted(cursor, start, offset + 1, indent);
    return { text: '\n'.repeat(line.lineEnds - 1), end: line.at };
  }
  const simple = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined;
  if (simple !== undefined) return { text: simple, end: offset + 2 };
  const digits = Object.hasOwn(escapeDigits, letter) ? escapeDigits[letter]! : 0;
  const code = text.slice(offset + 2, offset + 2 + digits);
  const value = Number.parseInt(code, 16);
  if (digits === 0 || code.length < digits || !/^[0-9a-fA-F]+$/.test(code) || value > 0x10_ffff) {
    cursor.fail('quotes of this kind (") know no such escape; \\\\ is a backslash', offset);
  }
  return { text: String.fromCodePoint(value), end: offset + 2 + digits };
}
