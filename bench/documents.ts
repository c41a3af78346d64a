/** Puts the table where it is quoted: between two markers, leaving everything else of the page alone. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Which table: what its markers are called. */
export type Table = 'bench' | 'bench-kernel';

/** Two folders up from the build, dist/bench. */
const pages = ['README.md', 'docs/BENCHMARKS.md'].map((page) =>
  fileURLToPath(new URL(`../../${page}`, import.meta.url)),
);

/** Replaces what stands between the markers. Throws when the text does not have both, in order, once. */
export function replaceBetweenMarkers(text: string, table: string, name: Table = 'bench'): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const parts = text.split(begin);
  const rest = parts[1]?.split(end);
  if (parts.length !== 2 || rest?.length !== 2)
    throw new Error(`it needs ${begin} and ${end} once, in this order`);
  return `${parts[0]}${begin}\n${table}\n${end}${rest[1]}`;
}

/** Throws, naming the page, unless every page can be written: before an hour of measuring, not after. */
export function checkPages(name: Table): void {
  for (const page of pages) rewrite(page, '', name, false);
}

export function writePages(table: string, name: Table): void {
  for (const page of pages) rewrite(page, table, name, true);
}

function rewrite(page: string, table: string, name: Table, write: boolean): void {
  if (!existsSync(page)) throw new Error(`${page} does not exist`);
  try {
    const text = replaceBetweenMarkers(readFileSync(page, 'utf8'), table, name);
    if (write) writeFileSync(page, text);
  } catch (error) {
    throw new Error(`${page}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
