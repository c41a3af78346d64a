/**
 * A line of a terminal as data: pieces of text with what they mean. Colour comes last and only where it is wanted, so what is drawn
 * can be tested as text, and nothing is told by colour alone.
 */

export type Style = 'good' | 'bad' | 'warning' | 'dim' | 'strong' | 'accent' | 'selected';

export interface Span {
  readonly text: string;
  readonly style?: Style;
}

export type Line = readonly Span[];

/** SGR parameters of ECMA-48, those of the eight old colours: what every terminal has, in the tones its owner chose. */
const codes: Readonly<Record<Style, string>> = {
  good: '32',
  bad: '1;31',
  warning: '33',
  dim: '2',
  strong: '1',
  accent: '36',
  selected: '7',
};

export function span(text: string, style?: Style): Span {
  return style === undefined ? { text } : { text, style };
}

export function plain(line: Line): string {
  return line.map(({ text }) => text).join('');
}

/** The line as it is written, {@link printable} whoever made its texts. Without colour it has no spaces at its end. */
export function paint(line: Line, isColoured: boolean): string {
  if (!isColoured) return printable(plain(line)).trimEnd();
  return line
    .map(({ text, style }) => {
      const shown = printable(text);
      return style === undefined || shown === '' ? shown : `\x1b[${codes[style]}m${shown}\x1b[m`;
    })
    .join('');
}

/**
 * Text of strangers (what a server answered, whom a client asked for) as it may be shown: a control character must not move the
 * cursor, clear the screen or turn the direction of writing.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, (character) =>
    character === '\t' || character === '\n' ? ' ' : '\ufffd',
  );
}

/** Columns of a terminal that the text takes. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

/** Unicode's East Asian Width W and F, roughly (UAX 11): two columns; what combines with the one before: none. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

function widthOfCharacter(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

/** The text in at most so many columns; what is left out shows as `…`. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return '';
  let kept = '';
  let used = 0;
  for (const character of text) {
    const more = widthOfCharacter(character);
    if (used + more > width - 1) break;
    kept += character;
    used += more;
  }
  return `${kept}…`;
}

/** The line in at most so many columns. */
export function cutLine(line: Line, width: number): Line {
  const kept: Span[] = [];
  let left = width;
  for (const piece of line) {
    if (left <= 0) break;
    const text = cut(piece.text, left);
    kept.push({ ...piece, text });
    left -= widthOf(text);
    if (text !== piece.text) break;
  }
  return kept;
}

/** The line in as many as it takes, broken between words; a word that is wider than a line is cut. */
export function wrapLine(line: Line, width: number): Line[] {
  const lines: Span[][] = [[]];
  let used = 0;
  for (const { text, ...rest } of line) {
    for (const word of text.match(/\s+|\S+/g) ?? []) {
      const more = widthOf(word);
      if (used > 0 && used + more > width) {
        lines.push([]);
        used = 0;
        if (word.trim() === '') continue;
      }
      lines.at(-1)!.push({ ...rest, text: cut(word, width) });
      used += more;
    }
  }
  return lines;
}

/** Spaces so that it takes so many columns; `right` puts them in front. */
export function pad(text: string, width: number, align: 'left' | 'right'): string {
  const spaces = ' '.repeat(Math.max(0, width - widthOf(text)));
  return align === 'left' ? text + spaces : spaces + text;
}
