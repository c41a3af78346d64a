/** Puts the table where it is quoted: between two markers, leaving everything else of the page alone. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const begin = '<!-- bench:begin -->';
const end = '<!-- bench:end -->';

/** Two folders up from the build, dist/bench. */
const pages = ['README.md', 'docs/BENCHMARKS.md'].map((page) =>
  fileURLToPath(new URL(`../../${page}`, import.meta.url)),
);

/** Replaces what stands between the markers. Throws when the text does not have both, in order, once. */
export function replaceBetweenMarkers(text: string, table: string): string {
  const parts = text.split(begin);
  const rest = parts[1]?.split(end);
  if (parts.length !== 2 || rest?.length !== 2)
    throw new Error(`it needs ${begin} and ${end} once, in this order`);
  return `${parts[0]}${begin}\n${table}\n${end}${rest[1]}`;
}

/** Throws, naming the page, unless every page can be written: before an hour of measuring, not after. */
export function checkPages(): void {
  for (const page of pages) rewrite(page, '', false);
}

export function writePages(table: string): void {
  for (const page of pages) rewrite(page, table, true);
}

function rewrite(page: string, table: string, write: boolean): void {
  if (!existsSync(page)) throw new Error(`${page} does not exist`);
  try {
    const text = replaceBetweenMarkers(readFileSync(page, 'utf8'), table);
    if (write) writeFileSync(page, text);
  } catch (error) {
    throw new Error(`${page}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
