/** What is said to a backend before the client's bytes, and what it has to answer before those follow. */

export interface Opening {
  /** At least one byte, at most {@link openingBytesMax}. */
  readonly send: Uint8Array;
  /** The backend's first bytes, which the client is not told; undefined: nothing is waited for. */
  readonly expect: Uint8Array | undefined;
}
