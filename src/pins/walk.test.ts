import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { Key } from '../core/key.ts';
import { pinSlotsPerTurnMax } from '../core/limits.ts';
import { PinTable } from '../core/pins/table.ts';
import { portionsOf } from './walk.ts';

test('all pins are walked, and an empty table leaves others their turns as well', async () => {
  const table = PinTable.create(pinSlotsPerTurnMax * 2, { reportChanges: false });
  const portions = Math.ceil(table.slotCount / pinSlotsPerTurnMax);
  expect(portions).toBeGreaterThan(2);
  let breaths = 0;
  const walk = async (): Promise<number[]> => {
    breaths = 0;
    const found: number[] = [];
    const breathe = async (): Promise<void> => {
      breaths++;
    };
    for await (const portion of portionsOf(table, () => 0, breathe))
      for (const { w3 } of portion) found.push(w3);
    return found.sort((a, b) => a - b);
  };
  expect(await walk()).toEqual([]);
  expect(breaths).toBe(portions - 1);
  const clients = Array.from({ length: 200 }, (_, i) => i);
  for (const client of clients)
    table.claim(1, new Key('client-ip', Address.v4(client, 0)), 1, 60_000, 0, 'policy');
  expect(await walk()).toEqual(clients);
  expect(breaths).toBe(portions - 1);
});
