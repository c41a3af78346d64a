/**
 * UDP: a proxy that names its client in the first datagram of a conversation says so again until it is answered, for the first one may
 * have been lost. What stands there is known by then, byte for byte, so nothing has to be read anew, and a client that writes a
 * header into its own datagrams becomes nobody else by it.
 */

/** Whether `bytes` from `at` to `end` begin with `preface`. */
export function beginsWith(bytes: Uint8Array, at: number, end: number, preface: Uint8Array): boolean {
  if (end - at < preface.length) return false;
  for (let i = 0; i < preface.length; i++) if (bytes[at + i] !== preface[i]) return false;
  return true;
}
