/**
 * Whether a flow that relays nothing is idle. A reader may still drain what the kernel holds for it, megabytes, without the relay
 * hearing of it: room to write is told only when a third of a buffer is free. So at its deadline a flow looks at the bytes the
 * kernel holds for both sides, and is idle when none are left, or when they have not become fewer in a whole limit.
 *
 * Nobody looks before the first deadline, so a reader that stands still is idle after two limits at most.
 */
export class DrainWatch {
  #queuedBytes = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  /**
   * @param sinceMs when the relay moved something last
   * @param limitMs how long nothing may move
   * @param queuedBytes what the kernel holds for both sides now
   * @returns when to look again; undefined: the flow is idle
   */
  look(nowMs: number, sinceMs: number, limitMs: number, queuedBytes: number): number | undefined {
    const wasLooked = this.#lookedAtMs >= sinceMs;
    const isMoving = wasLooked ? queuedBytes < this.#queuedBytes : queuedBytes > 0;
    if (!isMoving) {
      if (!wasLooked) return undefined;
      const nextMs = this.#lookedAtMs + limitMs;
      return nowMs < nextMs ? nextMs : undefined;
    }
    this.#queuedBytes = queuedBytes;
    this.#lookedAtMs = nowMs;
    return nowMs + limitMs;
  }
}
