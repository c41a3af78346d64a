/**
 * Names by which clients ask for a server (TLS, Minecraft), and patterns of them. Names are compared as DNS does: letters of ASCII in
 * any case, a dot at the end or none (RFC 4343, RFC 1034 section 3.1). Other letters come as `xn--...` (RFC 5890): clients that
 * speak of names send them so, and patterns are kept so.
 */

/** How a name is compared. */
function comparable(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** A label of a name, once it is lower-case: RFC 1123 section 2.1, and `_`, which some names have. */
const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const patternForm = new RegExp(`^(?:\\*|(?:\\*\\.)?${label}(?:\\.${label})*)$`);

/**
 * Reads `a.example`, `*.example` (any name that ends in `.example`, however many labels are before it) or `*` (any name).
 * @param toAscii turns letters that are none of ASCII into `xn--...`; undefined: it cannot
 * @returns its comparable form; undefined: it is none
 */
export function readNamePattern(
  text: string,
  toAscii: (name: string) => string | undefined,
): string | undefined {
  const isWild = text.startsWith('*.');
  const name = isWild ? text.slice(2) : text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  const ascii = /^[\x00-\x7f]*$/.test(name) ? name : toAscii(name);
  if (ascii === undefined) return undefined;
  const pattern = (isWild ? '*.' : '') + comparable(ascii);
  return pattern.length <= 255 && patternForm.test(pattern) ? pattern : undefined;
}

/** What some names lead to: found by a look-up for the name and one for each of its labels, however many patterns there are. */
export class NameTable<Value> {
  private readonly exact = new Map<string, Value[]>();
  /** By what is behind the star and its dot; `` for the star alone. */
  private readonly wild = new Map<string, Value[]>();

  /** @param pattern as {@link readNamePattern} returns it */
  add(pattern: string, value: Value): void {
    const isWild = pattern.startsWith('*');
    const table = isWild ? this.wild : this.exact;
    const key = isWild ? pattern.slice(2) : pattern;
    const values = table.get(key);
    if (values === undefined) table.set(key, [value]);
    else values.push(value);
  }

  /** Calls `visit` with all values of patterns that `name` fits. */
  each(name: string, visit: (value: Value) => void): void {
    const wanted = comparable(name);
    if (wanted === '') return;
    this.exact.get(wanted)?.forEach(visit);
    if (this.wild.size === 0) return;
    this.wild.get('')?.forEach(visit);
    for (let dot = wanted.indexOf('.'); dot >= 0; dot = wanted.indexOf('.', dot + 1))
      if (dot > 0) this.wild.get(wanted.slice(dot + 1))?.forEach(visit);
  }
}
