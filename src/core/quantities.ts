/**
 * Durations and sizes as the configuration has them: `1h30m`, `64KiB`. Every text that names a setting's value has it in this form, so that
 * it can be found in the file, and written there. What was measured is no setting, and is told as people read it (`1.2 s`).
 */

/** From large to small, in milliseconds. */
export const durationUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

/** Binary units count in 1024, decimal ones in 1000 (IEC 80000-13). From large to small, in bytes. */
export const sizeUnits = [
  ['GiB', 1024 ** 3],
  ['GB', 1000 ** 3],
  ['MiB', 1024 ** 2],
  ['MB', 1000 ** 2],
  ['KiB', 1024],
  ['kB', 1000],
  ['B', 1],
] as const;

/** Whole milliseconds: `1h30m`, `1s500ms`, `0`. */
export function formatDuration(durationMs: number): string {
  let rest = durationMs;
  let text = '';
  for (const [unit, factor] of durationUnits) {
    const count = Math.floor(rest / factor);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * factor;
  }
  return text === '' ? '0' : text;
}

/** Whole bytes, exactly, in the largest unit that divides them: `2MiB`, `1500B`, `0`. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0';
  const [unit, factor] = sizeUnits.find(([, of]) => bytes % of === 0)!;
  return `${bytes / factor}${unit}`;
}
