import { expect, test } from 'vitest';
import { ReloadTally } from './reload-tally.ts';

test('reloads are counted by what became of them; the last one is told', () => {
  const tally = new ReloadTally(() => new Date('2026-11-29T00:00:00Z'));
  expect(tally.status).toEqual({ applied: 0, refused: 0, lastRefused: false, appliedAt: null });
  tally.note({ event: 'reload-refused' });
  tally.note({ event: 'ready' });
  expect(tally.status).toEqual({ applied: 0, refused: 1, lastRefused: true, appliedAt: null });
  tally.note({ event: 'reloaded' });
  tally.note({ event: 'reload-refused' });
  tally.note({ event: 'reloaded' });
  expect(tally.status).toEqual({
    applied: 2,
    refused: 2,
    lastRefused: false,
    appliedAt: '2026-11-29T00:00:00.000Z',
  });
});
