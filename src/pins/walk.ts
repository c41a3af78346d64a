/** Walking the whole pin table: slots without a pin take time as well, so it is done in portions. */
import { pinSlotsPerTurnMax } from '../core/limits.ts';
import type { Pin, PinTable } from '../core/pins/table.ts';

/** `breathe` lets others have a turn of the loop; it is waited for between two portions. */
export async function* portionsOf(
  pins: Pick<PinTable, 'slotCount' | 'entries'>,
  nowMs: () => number,
  breathe: () => Promise<unknown>,
): AsyncGenerator<Iterable<Pin>, void, undefined> {
  for (let from = 0; from < pins.slotCount; from += pinSlotsPerTurnMax) {
    if (from > 0) await breathe();
    yield pins.entries(nowMs(), from, from + pinSlotsPerTurnMax);
  }
}

/** Others on this thread have theirs. */
export function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
