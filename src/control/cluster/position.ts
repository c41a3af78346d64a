/**
 * Positions in a Redis stream: `<milliseconds>-<sequence>`, in the order Redis gives them out
 * (redis.io/docs/latest/develop/data-types/streams, "Entry IDs"). Kept as text; compared as two numbers, because after
 * a step back of Redis's clock the sequence may grow beyond what fits beside the time in one double. Each is up to 2^64 - 1:
 * somebody's entry with an id of his own choice is followed by ours.
 */

/** Before everything. */
export const beginning = '0-0';

const pattern = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/;

export function isPosition(text: string): boolean {
  return pattern.test(text);
}

/** Negative, zero or positive, like a sort order. Texts that are no positions come first. */
export function comparePositions(a: string, b: string): number {
  if (a === b) return 0;
  const left = pattern.exec(a);
  const right = pattern.exec(b);
  if (left === null || right === null) return (left === null ? 0 : 1) - (right === null ? 0 : 1);
  return compareNumbers(left[1]!, right[1]!) || compareNumbers(left[2]!, right[2]!);
}

/** Without leading zeros the longer is the greater; of equal length they sort as text does. */
function compareNumbers(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : Number(a > b));
}
