/**
 * Waiting for what another process does in its own time. The bound is there so that a failure ends; it measures
 * nothing, and is far above what any of it takes.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** For whatever another process does, on a machine that has much else to do. */
export const patienceMs = 60_000;

/** Polls until `probe` gives something other than undefined or false, and returns that; rejects naming `what`. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = patienceMs,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await sleep(10);
  }
}

/** The lower of two readings a few milliseconds apart: a health check has a socket of its own for less than that. */
export async function lower(read: () => number): Promise<number> {
  const first = read();
  await sleep(5);
  return Math.min(first, read());
}

/** Resolves once `read` has given the same number for `quietMs`: whatever was moving has stopped. */
export async function settled(
  what: string,
  read: () => number | Promise<number>,
  quietMs = 500,
): Promise<number> {
  let last = await read();
  let since = performance.now();
  let lookedAtMs = since;
  return eventually(`${what} at rest`, async () => {
    const now = await read();
    // Whatever kept us from looking kept the others from moving.
    const wasAway = performance.now() - lookedAtMs > 250;
    lookedAtMs = performance.now();
    if (now !== last || wasAway) {
      last = now;
      since = lookedAtMs;
    }
    return performance.now() - since >= quietMs ? { value: now } : undefined;
  }).then(({ value }) => value);
}
