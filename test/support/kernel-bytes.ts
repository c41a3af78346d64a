/** Bytes that say where in a stream they belong: what is lost, repeated or swapped shows. */

/** @param at the place of the first byte of `bytes` in the stream */
export function fill(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = valueAt(at + i);
}

/** Whether these are the bytes of the stream from `at` on. */
export function fits(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== valueAt(at + i)) return false;
  return true;
}

function valueAt(place: number): number {
  return Math.imul(place ^ (place >>> 11), 0x9e3779b1) >>> 24;
}
