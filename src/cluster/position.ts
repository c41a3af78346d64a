/**
 * Positions in a Redis stream: `<milliseconds>-<sequence>`, in the order Redis gives them out
 * (redis.io/docs/latest/develop/data-types/streams, "Entry IDs"). Kept as text; compared as two numbers, because after
 * a step back of Redis's clock the sequence may grow beyond what fits beside the time in one double. Each is up to 2^64 - 1:
 * somebody's entry with an id of his own choice is followed by ours.
 */

/** Before everything. */
export const beginning = '0-0';

const pattern = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/;

const numberMax = '18446744073709551615';

export function isPosition(text: string): boolean {
  const numbers = pattern.exec(text);
  return numbers !== null && isNumber(numbers[1]!) && isNumber(numbers[2]!);
}

/** What Redis would refuse as larger than 2^64 - 1 must not become a position: nobody could read on from it. */
function isNumber(digits: string): boolean {
  return digits.length < numberMax.length || digits <= numberMax;
}

/** What another may have written in place of a position, as one: what is none is before everything. */
export function toPosition(text: string): string {
  return isPosition(text) ? text : beginning;
}

/** Negative, zero or positive, like a sort order. Both have to be positions. */
export function comparePositions(a: string, b: string): number {
  if (a === b) return 0;
  const endA = a.indexOf('-');
  const endB = b.indexOf('-');
  // Without leading zeros the longer number is the greater; of equal length they sort as text does.
  if (endA !== endB) return endA - endB;
  if (a.length === b.length) return a < b ? -1 : 1;
  const [timeA, timeB] = [a.slice(0, endA), b.slice(0, endB)];
  if (timeA !== timeB) return timeA < timeB ? -1 : 1;
  return a.length - b.length;
}
