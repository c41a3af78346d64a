import { expect, test } from 'vitest';
import type { ControlEvent } from '../control/events.ts';
import { inWords } from './in-words.ts';

test.each<[ControlEvent, RegExp]>([
  [{ event: 'shutdown', flows: 7, drainMs: 90_000 }, /7 flows have 1m30s to finish$/],
  [{ event: 'shutdown', flows: 7, drainMs: 0 }, /7 flows end at once$/],
  [left('close', 2_500), / end in 2s500ms$/],
  [left('close', 0), / end$/],
  [left('keep', 0), / stay$/],
])('%j: what settings say is told in the form of the configuration', (event, said) => {
  expect(inWords(event)).toMatch(said);
});

function left(action: 'close' | 'keep', graceMs: number): ControlEvent {
  return {
    event: 'address-left',
    pool: 'p',
    backend: 'b',
    address: '10.0.0.1:80',
    flows: 1,
    action,
    graceMs,
  };
}
