/**
 * What is said to a backend before the client's bytes, and what it has to answer before those follow. UDP: it stands at the beginning
 * of a datagram of the client.
 */

export interface Opening {
  /** At least one byte, of a PROXY header at most 4 KiB. */
  readonly send: Uint8Array;
  /** The backend's first bytes, which the client is not told; undefined: nothing is waited for. */
  readonly expect: Uint8Array | undefined;
  /**
   * UDP: in every datagram. Absent: in each until the backend has answered, as the first one may be lost, and again at another address.
   */
  readonly isInEach?: boolean;
}
