/** The result as a table: a row per measure, a column per relay; once for the terminal, once in Markdown. */
import type { WorkResult } from './rounds.ts';
import { type Figure, figure } from './summary.ts';
import type { Measure, Peer } from './work.ts';

interface Row {
  /** A heading stands alone in its row. */
  readonly heading: boolean;
  readonly cells: readonly string[];
}

function cell(value: Figure | undefined, measure: Measure): string {
  if (value === undefined) return '–';
  const digits = { minimumFractionDigits: measure.decimals, maximumFractionDigits: measure.decimals };
  const text = value.median.toLocaleString('en', digits);
  return value.ratio === undefined ? text : `${text} (${value.ratio.toFixed(2)}×)`;
}

function rows(results: readonly WorkResult[], peers: readonly Peer[]): Row[] {
  return results.flatMap((result) => {
    const measured = result.work.measures.map((measure): Row => {
      const cells = peers.map((peer) => {
        const one = result.peers.find((candidate) => candidate.peer === peer);
        return one === undefined ? '–' : cell(figure(result, one, measure), measure);
      });
      return { heading: false, cells: [measure.title, ...cells] };
    });
    return [{ heading: true, cells: [`${result.work.name}: ${result.work.title}`] }, ...measured];
  });
}

const reasonCharactersMax = 300;

/** What was left out, one line each, with as much of the reason as a line takes. */
export function omissions(results: readonly WorkResult[]): string[] {
  return results.flatMap(({ work, peers }) =>
    peers
      .filter((one) => one.failure !== undefined)
      .map((one) => `${work.name}: ${one.peer.title} left out (${oneLine(one.failure ?? '')})`),
  );
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, reasonCharactersMax);
}

/** Aligned with spaces. */
export function terminalTable(results: readonly WorkResult[], peers: readonly Peer[]): string {
  const all: Row[] = [
    { heading: false, cells: ['', ...peers.map((peer) => peer.title)] },
    ...rows(results, peers),
  ];
  const lines = all.filter((row) => !row.heading).map((row) => row.cells);
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const aligned = (cells: readonly string[]): string =>
    cells
      .map((text, column) => (column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)))
      .join('  ');
  return all.map((row) => (row.heading ? `\n${row.cells[0]}` : `  ${aligned(row.cells)}`)).join('\n');
}

/** A GitHub table, with what was left out below it. */
export function markdownTable(results: readonly WorkResult[], peers: readonly Peer[]): string {
  const head = [
    `| | ${peers.map((peer) => peer.title).join(' | ')} |`,
    `|---|${'---:|'.repeat(peers.length)}`,
  ];
  const body = rows(results, peers).map((row) =>
    row.heading ? `| **${row.cells[0]}** |${' |'.repeat(peers.length)}` : `| ${row.cells.join(' | ')} |`,
  );
  const left = omissions(results).map((line) => `- ${line}`);
  return [...head, ...body, ...(left.length > 0 ? ['', ...left] : [])].join('\n');
}
