/**
 * What the documents show: their blocks of code, and the commands between backquotes in their sentences. Tests that run one take its
 * text from here, so that what is run is what is written.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);

/** Every page, from the project's folder: `README.md`, `docs/INSTALL.md`. */
export const documentPages: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(fileURLToPath(new URL('docs', root)))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export interface Block {
  readonly page: string;
  /** The line its first line has in the page. */
  readonly line: number;
  /** As written behind the fence; '' where nothing is. */
  readonly language: string;
  /** Ends with a line break. */
  readonly text: string;
}

/** The text of a page. Throws where there is no such page. */
export function pageText(page: string): string {
  return readFileSync(new URL(page, root), 'utf8');
}

/** The fenced blocks of a page, in order. Throws where one is not closed. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; language: string; indent: string; lines: string[] } | undefined;
  for (const [i, text] of pageText(page).split('\n').entries()) {
    const fence = /^( *)```(\S*)$/.exec(text);
    if (fence === null)
      open?.lines.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    else if (open === undefined) open = { line: i + 2, language: fence[2]!, indent: fence[1]!, lines: [] };
    else {
      const { line, language, lines } = open;
      blocks.push({ page, line, language, text: `${lines.join('\n')}\n` });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: this block has no end`);
  return blocks;
}

/** The one block of a page that has this text. Throws unless there is one and no more. */
export function blockWith(page: string, has: string): string {
  const found = blocksOf(page).filter(({ text }) => text.includes(has));
  if (found.length !== 1) throw new Error(`${page} has ${found.length} blocks with: ${has}`);
  return found[0]!.text;
}

/** A command line without its prompt, and without what is said about it. */
export function commandIn(line: string): string {
  return line.replace(/^\$ /, '').replace(/ +# .*$/, '');
}

/**
 * The one command line of a page that is this or begins so, in a block or between backquotes, without its prompt and remark. Throws
 * unless there is one and no more.
 */
export function commandOf(page: string, begins: string): string {
  const written = [
    ...blocksOf(page).flatMap(({ text }) => text.trimEnd().split('\n').map(commandIn)),
    ...spansOf(page).map(({ text }) => text),
  ];
  if (written.includes(begins)) return begins;
  const found = new Set(written.filter((line) => line.startsWith(begins)));
  if (found.size !== 1) throw new Error(`${page} has ${found.size} commands that begin: ${begins}`);
  return [...found][0]!;
}

export interface Span {
  readonly page: string;
  readonly line: number;
  readonly text: string;
}

/** What stands between backquotes in the sentences and tables of a page; one that is broken over two lines is whole again. */
export function spansOf(page: string): Span[] {
  const isQuiet = (text: string): string => text.replaceAll(/[^\n]/g, ' ');
  const sentences = pageText(page).replaceAll(/^( *)```[\s\S]*?^ *```$/gm, isQuiet);
  return [...sentences.matchAll(/`([^`]+)`/g)].map(({ 1: text, index }) => ({
    page,
    line: sentences.slice(0, index).split('\n').length,
    text: text!.replaceAll(/\s*\n\s*/g, ' '),
  }));
}

/** The heading's anchor, as forges make it. */
function anchorOf(heading: string): string {
  return heading
    .replaceAll(/[`*]|\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');
}

/** The anchors of a page, in order; of two with one name the second has `-1`. */
export function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>();
  const text = pageText(page).replaceAll(/^( *)```[\s\S]*?^ *```$/gm, '');
  return [...text.matchAll(/^#{1,6} +(.+)$/gm)].map(([, heading]) => {
    const name = anchorOf(heading!);
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return count === 0 ? name : `${name}-${count}`;
  });
}
