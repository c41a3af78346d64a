/**
 * Where the rules of check*.ts report to, and the rule that many of them share: nothing is named twice.
 */
import type { Path } from './problem.ts';
import type { Remark } from './telling.ts';

/** Positions are found behind this, so a rule names only the path. */
export interface Report {
  problem(path: Path, message: Remark['message'], at?: 'key' | 'value'): void;
  warning(path: Path, message: Remark['message'], at?: 'key' | 'value'): void;
  /** `listeners[0].name (line 4)`: how a message points at another place. */
  pointTo(path: Path): string;
}

/** Reports each item whose `textOf` came before, naming the first; undefined texts are not compared. */
export function reportRepeats<T>(
  items: readonly T[],
  textOf: (item: T) => string | undefined,
  pathOf: (item: T) => Path,
  report: Report,
  describe: (text: string, first: string) => string,
): void {
  const firsts = new Map<string, T>();
  for (const item of items) {
    const text = textOf(item);
    if (text === undefined) continue;
    const first = firsts.get(text);
    if (first === undefined) firsts.set(text, item);
    else report.problem(pathOf(item), () => describe(text, report.pointTo(pathOf(first))));
  }
}
