/**
 * Positions in a Redis stream: `<milliseconds>-<sequence>`, in the order Redis gives them out
 * (redis.io/docs/latest/develop/data-types/streams, "Entry IDs"). Kept as text; compared as two numbers, because after
 * a step back of Redis's clock the sequence may grow beyond what fits beside the time in one double.
 */

/** Before everything. */
export const beginning = '0-0';

const pattern = /^(\d{1,15})-(\d{1,15})$/;

export function isPosition(text: string): boolean {
  return pattern.test(text);
}

/** Negative, zero or positive, like a sort order. Texts that are no positions come first. */
export function comparePositions(a: string, b: string): number {
  if (a === b) return 0;
  const left = pattern.exec(a);
  const right = pattern.exec(b);
  if (left === null || right === null) return (left === null ? 0 : 1) - (right === null ? 0 : 1);
  return Number(left[1]) - Number(right[1]) || Number(left[2]) - Number(right[2]);
}
