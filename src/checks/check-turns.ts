/**
 * How many checks are under way at once: each holds a descriptor, and a thousand backends that do not answer must not
 * take those of clients. Who comes when all turns are taken waits, first come, first served; his time begins with his turn.
 */
export class CheckTurns {
  private most = Number.POSITIVE_INFINITY;
  private taken = 0;
  private readonly waiting: (() => void)[] = [];

  limit(most: number): void {
    this.most = Math.max(1, most);
    this.next();
  }

  /** @returns whether it is the caller's turn at once, which {@link give} ends */
  takeNow(): boolean {
    // Who waits comes first.
    if (this.taken >= this.most || this.waiting.length > 0) return false;
    this.taken++;
    return true;
  }

  /** Resolves when it is the caller's turn, which {@link give} ends. */
  take(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.next();
    });
  }

  give(): void {
    this.taken--;
    this.next();
  }

  private next(): void {
    while (this.taken < this.most) {
      const first = this.waiting.shift();
      if (first === undefined) return;
      this.taken++;
      first();
    }
  }
}
