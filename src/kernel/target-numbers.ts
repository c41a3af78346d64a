/**
 * Numbers for the addresses of backends: what buckets, pins and marks hold, so that a backend whose address changes is one element
 * and not sixty thousand. A number is one address for as long as the table leads to it, over restarts too: a
 * successor takes the numbers of the table it finds.
 *
 * Numbers are one table's own: instances need not agree on them.
 */
import type { Ruleset } from './form.ts';
import { targetsMax } from './layout.ts';

export class TargetNumbers {
  private readonly byText = new Map<string, number>();
  private readonly taken = new Set<number>();
  private lowest = 1;

  /** @param found the table of a predecessor */
  constructor(found?: Ruleset) {
    for (const [name, { content }] of found?.collections ?? []) {
      if (!name.startsWith('targets/') || content.kind !== 'elements') continue;
      for (const [mark, target] of content.elements) this.take(target, Number(mark) & targetsMax);
    }
  }

  /** @param target `10.0.0.1 . 80`, or `10.0.0.1` for whatever port. Throws RangeError when there are too many */
  of(target: string): number {
    const known = this.byText.get(target);
    if (known !== undefined) return known;
    while (this.taken.has(this.lowest)) this.lowest++;
    if (this.lowest > targetsMax) throw new RangeError(`more than ${targetsMax} addresses of backends`);
    this.take(target, this.lowest);
    return this.lowest;
  }

  /** Others may have the numbers of all the rest. */
  keep(targets: ReadonlySet<string>): void {
    for (const [target, number] of this.byText) {
      if (targets.has(target)) continue;
      this.byText.delete(target);
      this.taken.delete(number);
      this.lowest = Math.min(this.lowest, number);
    }
  }

  private take(target: string, number: number): void {
    if (number === 0 || this.taken.has(number) || this.byText.has(target)) return;
    this.byText.set(target, number);
    this.taken.add(number);
  }
}
