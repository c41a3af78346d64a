/**
 * Where the reader is in the text: a position that goes forward only, with the start of its line. It knows blanks,
 * line ends and comments, and nothing of what stands between them.
 */

/** What stops the reading: the first thing that is not YAML, or is more than a configuration may hold. */
export class YamlFailure extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

const tab = 9;
const lineFeed = 10;
const carriageReturn = 13;
const space = 32;
const hash = 35;

/** True at the end of the text, too: nothing follows there either. */
export function isBlankOrEnd(code: number): boolean {
  return code === space || code === lineFeed || code === tab || code === carriageReturn || Number.isNaN(code);
}

export class Cursor {
  readonly text: string;
  at = 0;
  lineStart = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The character here or `ahead`; NaN behind the end. */
  code(ahead = 0): number {
    return this.text.charCodeAt(this.at + ahead);
  }

  /** The character here, for comparisons that people read; empty at the end. */
  get char(): string {
    return this.text.charAt(this.at);
  }

  get isEnd(): boolean {
    return this.at >= this.text.length;
  }

  get column(): number {
    return this.at - this.lineStart;
  }

  /** True if `char` stands here and nothing is joined to it: `- x`, not `-x`. */
  isIndicator(char: string): boolean {
    return this.char === char && isBlankOrEnd(this.code(1));
  }

  /** `---` or `...` at the start of a line: it ends whatever is open. */
  isDocumentMarker(): boolean {
    return this.at === this.lineStart && isMarkerAt(this.text, this.at);
  }

  /** Spaces and tabs of this line. */
  skipBlanks(): void {
    this.at = endOfBlanks(this.text, this.at);
  }

  /** Blanks, comments and line ends. True if a line ended. */
  skipLines(): boolean {
    let ended = false;
    for (;;) {
      const from = this.at;
      this.skipBlanks();
      const code = this.code();
      if (code === hash && (this.at > from || this.at === this.lineStart)) {
        const end = this.text.indexOf('\n', this.at);
        this.at = end < 0 ? this.text.length : end;
        continue;
      }
      const next = afterLineEnd(this.text, this.at);
      if (next === undefined) return ended;
      this.at = next;
      this.lineStart = next;
      ended = true;
    }
  }

  /** A tab is as wide as an editor likes: what is indented by one belongs nowhere for certain. */
  refuseTabs(from = this.lineStart, to = this.at): void {
    for (let i = from; i < to; i++) {
      if (this.text.charCodeAt(i) === tab) this.fail('tabs are not allowed as indentation', i);
    }
  }

  /** @throws YamlFailure for what is not YAML */
  fail(message: string, offset = this.at): never {
    throw new YamlFailure(offset, `is not valid YAML here: ${message}`);
  }

  /** @throws YamlFailure for what is YAML and too much */
  refuse(message: string, offset = this.at): never {
    throw new YamlFailure(offset, message);
  }
}

/** Behind the spaces and tabs at `offset`. */
export function endOfBlanks(text: string, offset: number): number {
  let end = offset;
  while (text.charCodeAt(end) === space || text.charCodeAt(end) === tab) end++;
  return end;
}

/** Behind the spaces at `offset`: only they indent. */
export function endOfSpaces(text: string, offset: number): number {
  let end = offset;
  while (text.charCodeAt(end) === space) end++;
  return end;
}

/** Behind the line end at `offset`; undefined if there is none. */
export function afterLineEnd(text: string, offset: number): number | undefined {
  const code = text.charCodeAt(offset);
  if (code === lineFeed) return offset + 1;
  return code === carriageReturn ? offset + 2 : undefined;
}

export function isMarkerAt(text: string, offset: number): boolean {
  return (
    (text.startsWith('---', offset) || text.startsWith('...', offset)) &&
    isBlankOrEnd(text.charCodeAt(offset + 3))
  );
}
