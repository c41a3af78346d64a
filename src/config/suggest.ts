/**
 * "Did you mean": the one known word nearest to a mistyped one. It prefers silence to a far-fetched guess.
 */

/** The nearest of `known`, or undefined when none is near: about one slip for every three letters. Ties: the first. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const plain = plainForm(word);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  let prefixed: string | undefined;
  for (const candidate of known) {
    const candidatePlain = plainForm(candidate);
    // Only the way words are joined differs: maxConnections, max-connections, maxconnections.
    if (candidatePlain === plain) return candidate;
    if (plain.length >= 4 && candidatePlain.startsWith(plain)) prefixed ??= candidate;
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
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
  return found === undefined ? '' : `; did you mean ${found}?`;
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

function plainForm(word: string): string {
  return word.replace(/[^A-Za-z0-9]/g, '').toLowerCase();
}
