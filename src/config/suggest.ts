/**
 * "Did you mean": the one known word nearest to a mistyped one. It prefers silence to a far-fetched guess.
 */
import { shorten } from './problem.ts';

/** Longer words are no slips of a finger. Characters. */
const wordCharactersMax = 64;
/** Known words that are looked at, in their order: a file may have thousands of pools, and a hundred questions about them. */
const candidatesMax = 2_000;
/** Words that are compared letter by letter, of those that are left after a cheaper look. */
const comparisonsMax = 64;

/** The nearest of `known`, or undefined when none is near: about one slip for every three letters. Ties: the first. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > wordCharactersMax) return undefined;
  const plain = plainForm(word);
  const letters = lettersOf(word);
  let candidates = 0;
  let comparisons = 0;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  let prefixed: string | undefined;
  for (const candidate of known) {
    if (++candidates > candidatesMax) break;
    if (candidate.length > wordCharactersMax) continue;
    if (beginsAlike(candidate, plain)) {
      const candidatePlain = plainForm(candidate);
      // Only the way words are joined differs: maxConnections, max-connections, maxconnections.
      if (candidatePlain === plain) return candidate;
      if (plain.length >= 4 && candidatePlain.startsWith(plain)) prefixed ??= candidate;
    }
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    if (distanceAtLeast(word, letters, candidate) >= bestDistance || ++comparisons > comparisonsMax) continue;
    const distance = editDistance(word, candidate);
    if (distance < bestDistance && distance < candidate.length) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best ?? prefixed;
}

/** `; did you mean pg?`, or nothing: made to be appended to a message. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const found = nearest(word, known);
  return found === undefined ? '' : `; did you mean ${shorten(found)}?`;
}

/**
 * Insertions, deletions, replacements and swaps of neighbours between two words: the "optimal string alignment"
 * form of the Damerau-Levenshtein distance (F. Damerau, CACM 7(3), 1964; V. Levenshtein, 1966).
 */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = previous[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, replaced);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        cost = Math.min(cost, beforePrevious[j - 2]! + 1);
      }
      row.push(cost);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[to.length]!;
}

/** How often each letter is in `word`; letters that share a place make the bound below lower, never wrong. */
function lettersOf(word: string): Int16Array {
  const counts = new Int16Array(128);
  for (let i = 0; i < word.length; i++) counts[word.charCodeAt(i) & 127]!++;
  return counts;
}

/** A lower bound of the distance, much cheaper than it: letters of one word that the other does not have. */
function distanceAtLeast(word: string, letters: Int16Array, other: string): number {
  let spare = 0;
  for (let i = 0; i < other.length; i++) if (--letters[other.charCodeAt(i) & 127]! < 0) spare++;
  for (let i = 0; i < other.length; i++) letters[other.charCodeAt(i) & 127]!++;
  return Math.max(spare, word.length - (other.length - spare));
}

/** False: the plain form of `word` is another one for certain. Most words are told apart here. */
function beginsAlike(word: string, plain: string): boolean {
  const first = word.charAt(0).toLowerCase();
  return first === plain.charAt(0) || !/[a-z0-9]/.test(first);
}

function plainForm(word: string): string {
  return word.replace(/[^A-Za-z0-9]/g, '').toLowerCase();
}
