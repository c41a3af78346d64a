/** How long to wait before something is tried again. */

/** A retry waits this long at first, twice as long each time, and at most retryMsMax; half of it by chance. */
export const retryMsMin = 50;
const retryMsMax = 2_000;

/** Doubling, with jitter: instances that lost Redis together do not come back together. Milliseconds. */
export function retryDelayMs(times: number, random: () => number = Math.random): number {
  const ceiling = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(times, 10));
  return Math.round(ceiling / 2 + random() * (ceiling / 2));
}
