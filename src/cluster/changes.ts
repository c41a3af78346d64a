/** A change of the pin table, in numbers, as a change for the journal, in names. */
import type { PinChange } from '../core/pins/table.ts';
import type { PinNames } from '../pins/names.ts';
import type { Change } from './journal.ts';

/** @returns undefined if there is no name for it: its pool or backend is gone */
export function changeOf(
  names: PinNames,
  pin: PinChange,
): { readonly change: Change; readonly shard: number } | undefined {
  const place = names.place(pin.poolId, pin);
  if (place === undefined) return undefined;
  const expect = pin.previousBackendId === 0 ? '' : names.backendName(pin.previousBackendId);
  const backend = pin.backendId === 0 ? '' : names.backendName(pin.backendId);
  if (expect === undefined || backend === undefined) return undefined;
  const { ttlMs, expiresAtMs, reason } = pin;
  const { text, shard } = place;
  return {
    shard,
    change: {
      text,
      expect,
      backend,
      attempted: undefined,
      ttlMs,
      expiresAtMs,
      reason,
      isSweep: false,
      waiters: undefined,
    },
  };
}
