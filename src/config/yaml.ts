/**
 * YAML text (1.2, core schema) as one document of the YAML library that is safe to walk: nesting is bounded before
 * anything recurses, and what a configuration may not have (a key twice, an alias to nothing) is found.
 */
import {
  type Alias,
  Composer,
  CST,
  type Document,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type LineCounter,
  type Node,
  type Pair,
  Parser,
  visit,
  type YAMLMap,
} from 'yaml';
import type { Path } from './problem.ts';

/** The file needs 6 levels; deeper nesting overflows the stack of the composer, which can kill the process. */
const nestingMax = 64;
/** Keys and values, after aliases are followed. The largest configuration within core/limits.ts has about 150 000. */
export const valuesMax = 250_000;
export const tooManyValues = `has more than ${valuesMax} keys and values (what an alias stands for counts each time)`;

type ParsedDocument = Document.Parsed;

/** What each alias stands for, at its place (an anchor may be given anew). */
export type Targets = ReadonlyMap<Alias, Node>;

/** The single document, or the first thing that stops it from being read: what comes after it is mostly noise. */
export function composeOne(
  text: string,
  lines: LineCounter,
): { readonly document: ParsedDocument } | { readonly offset: number; readonly message: string } {
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer({ prettyErrors: false, stringKeys: true, uniqueKeys: false });
  const documents: ParsedDocument[] = [];
  lines.addNewLine(0);
  let scalars = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === CST.SCALAR && ++scalars > valuesMax)
      return { offset: parser.offset, message: tooManyValues };
    for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
    if (parser.stack.length > nestingMax) {
      return { offset: parser.offset, message: `is nested more than ${nestingMax} levels deep` };
    }
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(true, text.length));
  const document = documents[0]!;
  const fault = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])[0];
  if (fault !== undefined)
    return { offset: fault.pos[0], message: `is not valid YAML here: ${sentence(fault)}` };
  if (documents.length > 1) {
    return {
      offset: documents[1]!.range[0],
      message: 'a second YAML document starts here; a configuration is one document',
    };
  }
  return { document };
}

/** Something YAML allows and a configuration does not. */
export interface Fault {
  readonly offset: number | undefined;
  /** Where it was first, for what is there twice. */
  readonly firstOffset?: number | undefined;
  readonly path: Path;
  readonly message: string;
  /** The values cannot be made from such a document. */
  readonly fatal: boolean;
}

/** Finds the faults, and what each alias stands for at its place. */
export function inspect(document: ParsedDocument): { targets: Targets; faults: Fault[] } {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  const faults: Fault[] = [];
  visit(document, {
    Alias: (_, alias, ancestors) => {
      const target = anchors.get(alias.source);
      if (target !== undefined && !ancestors.includes(target)) {
        targets.set(alias, target);
        return;
      }
      const message =
        target === undefined
          ? `there is no anchor &${alias.source} before this alias`
          : `the alias *${alias.source} is inside of what it stands for`;
      faults.push({ offset: alias.range?.[0], path: pathOf(ancestors, alias), message, fatal: true });
    },
    Value: (_, node, ancestors) => {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      if (isMap(node)) for (const fault of keyFaults(node, ancestors)) faults.push(fault);
    },
  });
  return { targets, faults };
}

function keyFaults(map: YAMLMap, ancestors: readonly unknown[]): Fault[] {
  const faults: Fault[] = [];
  const seen = new Map<string, Pair>();
  for (const pair of map.items) {
    const key = keyText(pair);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, pair);
    if (first === undefined && key !== '__proto__') continue;
    faults.push({
      offset: (pair.key as Node | null)?.range?.[0],
      firstOffset: (first?.key as Node | null | undefined)?.range?.[0],
      path: [...pathOf(ancestors, map), key],
      message: first === undefined ? 'is not allowed as a key' : 'is given twice',
      fatal: false,
    });
  }
  return faults;
}

/** The steps down to `node` through its `ancestors`, as {@link visit} gives them. */
function pathOf(ancestors: readonly unknown[], node: Node): Path {
  const path: (string | number)[] = [];
  const chain = [...ancestors, node];
  for (const [i, ancestor] of chain.entries()) {
    if (isMap(ancestor)) {
      const pair = chain[i + 1];
      if (pair !== undefined) path.push(keyText(pair as Pair));
    } else if (isSeq(ancestor)) {
      const item = chain[i + 1];
      if (item !== undefined) path.push(ancestor.items.indexOf(item));
    }
  }
  return path;
}

/** A key as text: with `stringKeys` every key is a string already. */
export function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value ?? '') : String(pair.key ?? '');
}

function sentence(fault: { code: string; message: string }): string {
  if (fault.code === 'NON_STRING_KEY') return 'a key must be plain text, not a list or a map';
  const text = fault.message.replace(/\s+/g, ' ');
  return text.charAt(0).toLowerCase() + (text.length > 120 ? `${text.slice(1, 117)}...` : text.slice(1));
}
