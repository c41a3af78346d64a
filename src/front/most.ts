/** How many entries a page that lists something is asked for: `most`, in a query as on the command line. */
import { listedMax } from '../core/limits.ts';

const listedUnlessTold = 1_000;

export const mostRule = `must be a whole number from 1 to ${listedMax}`;

/** @returns undefined when it breaks {@link mostRule} */
export function readMost(text: string | null): number | undefined {
  if (text === null) return listedUnlessTold;
  const most = /^\d+$/.test(text) ? Number(text) : 0;
  return most >= 1 && most <= listedMax ? most : undefined;
}

export const everywhereRule = 'everywhere: takes no value; leave it out where this instance alone is meant';

/** Whether a word that stands by itself was given a value: `everywhere=no` must not mean everywhere. */
export function hasValue(query: URLSearchParams, word: string): boolean {
  return (query.get(word) ?? '') !== '';
}
