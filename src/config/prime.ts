/** Primes, for the maglev table: its size must be one, and a message names the nearest when it is not. */

export function isPrime(n: number): boolean {
  if (!Number.isInteger(n) || n < 2) return false;
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return true;
}

/** The prime nearest to `n` (the smaller of two equally near); 2 for anything below. */
export function nearestPrime(n: number): number {
  const start = Math.max(2, Math.round(n));
  for (let step = 0; ; step++) {
    if (isPrime(start - step)) return start - step;
    if (isPrime(start + step)) return start + step;
  }
}
