/**
 * What a predecessor's table knows that nothing else does: clients who are pinned elsewhere than their bucket says. They become pins
 * again, so that the table which is made of the pins has them still.
 */
import { Address } from '../core/address.ts';
import { pinIdOf } from '../core/choose.ts';
import { keyOf } from '../core/key.ts';
import { unconfirmedPinTtlMs } from '../core/limits.ts';
import type { PinTable } from '../core/pins/table.ts';
import { families, targetText } from './doors.ts';
import type { Ruleset } from './form.ts';
import { targetsMax } from './layout.ts';
import { hasPins, kernelListeners, pinsMap } from './spread.ts';
import type { KernelListener, RulesetView } from './view.ts';

/** @returns how many pins were taken over; those to backends that are not in the pool any more are none */
export function adoptPins(
  found: Ruleset,
  view: Pick<RulesetView, 'listeners' | 'pools'>,
  pins: Pick<PinTable, 'claim' | 'confirm'>,
  nowMs: number,
): number {
  const targets = targetsOf(found);
  let count = 0;
  for (const listener of kernelListeners(view)) {
    if (!hasPins(listener)) continue;
    for (const family of families) {
      const content = found.collections.get(pinsMap(listener, family))?.content;
      if (content?.kind !== 'elements') continue;
      for (const [ip, number] of content.elements)
        if (adopt(listener, ip, targets.get(Number(number)), pins, nowMs)) count++;
    }
  }
  return count;
}

function adopt(
  listener: KernelListener,
  ip: string,
  target: string | undefined,
  pins: Pick<PinTable, 'claim' | 'confirm'>,
  nowMs: number,
): boolean {
  const { pool } = listener;
  const { affinity } = listener.view.plan;
  const client = Address.parse(ip, 0);
  const backend = pool.backends.find((one) => targetText(one.target, listener) === target);
  if (client === undefined || target === undefined || backend === undefined) return false;
  const scopeId = pool.scope?.id ?? pool.id;
  const key = keyOf(client, affinity);
  const id = pinIdOf(backend);
  const claimTtlMs = Math.min(affinity.ttlMs, unconfirmedPinTtlMs);
  if (pins.claim(scopeId, key, id, claimTtlMs, nowMs, 'policy') !== id) return false;
  pins.confirm(scopeId, key, id, affinity.ttlMs, nowMs);
  return true;
}

/** Addresses of backends, by their numbers. */
function targetsOf({ collections }: Ruleset): Map<number, string> {
  const targets = new Map<number, string>();
  for (const [name, { content }] of collections) {
    if (!name.startsWith('targets/') || content.kind !== 'elements') continue;
    for (const [mark, text] of content.elements) targets.set(Number(mark) & targetsMax, text);
  }
  return targets;
}
