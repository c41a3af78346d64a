/**
 * Slots of the pin table that are to be looked at again when their pins may have expired, by the second. A pin that was used meanwhile is
 * then due later: it is filed anew by whoever looks, so that uses cost nothing here.
 */
export class DueSlots {
  /** By slot: the second it is filed under, and one; 0: it is not. */
  private readonly filed: Uint32Array;
  private readonly bySecond = new Map<number, number[]>();
  /** Before it nothing is filed. */
  private first: number;

  constructor(slotCount: number, nowMs: number) {
    this.filed = new Uint32Array(slotCount);
    this.first = secondOf(nowMs);
  }

  /** One that is filed already is looked at when the earlier of both is due. */
  file(slot: number, atMs: number): void {
    const second = Math.max(this.first, secondOf(atMs));
    const filed = this.filed[slot]!;
    if (filed !== 0 && filed <= second + 1) return;
    this.filed[slot] = second + 1;
    const slots = this.bySecond.get(second);
    if (slots === undefined) this.bySecond.set(second, [slot]);
    else slots.push(slot);
  }

  /** Whether {@link take} may have any. */
  areAny(nowMs: number): boolean {
    this.forward(secondOf(nowMs));
    return this.bySecond.has(this.first) && this.first <= secondOf(nowMs);
  }

  /**
   * Those that are due this second or before, though their moment may be a part of a second off: who finds them alive files them anew.
   * @param max so many at most; the rest is left for the next time
   */
  take(nowMs: number, max: number): number[] {
    const now = secondOf(nowMs);
    const due: number[] = [];
    while (due.length < max && this.areAny(nowMs)) {
      const second = this.first;
      const slots = this.bySecond.get(second)!;
      while (slots.length > 0 && due.length < max) {
        const slot = slots.pop()!;
        // It may have been filed under an earlier second since.
        if (this.filed[slot] !== second + 1) continue;
        this.filed[slot] = 0;
        due.push(slot);
      }
      if (slots.length > 0) break;
      this.bySecond.delete(second);
      if (second === now) break;
    }
    return due;
  }

  private forward(now: number): void {
    while (this.first < now && !this.bySecond.has(this.first)) this.first++;
  }
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1_000);
}
