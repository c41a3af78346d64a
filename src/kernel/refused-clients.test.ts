/** Counters of the table become refusals of listeners. */
import { expect, test } from 'vitest';
import type { ListenerView } from '../core/snapshot.ts';
import { RefusedClients } from './refused-clients.ts';

test('what was counted since the last look is told by listener and code, and nothing of other counters', async () => {
  const asked: string[] = [];
  const told: unknown[] = [];
  let nowMs = 10_000;
  const packets: Record<string, number> = { 'refused/denied/web': 3, 'refused/limit-client/web': 0 };
  const refusals = new RefusedClients({
    table: 't',
    list: async (command) => {
      asked.push(command);
      const name = command.split(' ').at(-1)!;
      const counter = { family: 'inet', table: 't', name, packets: packets[name], bytes: 0 };
      return { ok: true, output: JSON.stringify({ nftables: [{ counter }] }) };
    },
    refused: ({ id }, code, count) => told.push([id, code, count]),
    nowMs: () => nowMs,
  });
  const web = { id: 4, plan: { name: 'web' } } as unknown as ListenerView;
  const turn = async (): Promise<void> => {
    refusals.turn(['refused/denied/web', 'refused/limit-client/web', 'refused/denied/gone', 'other'], [web]);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  await turn();
  await turn();
  expect(asked).toEqual([
    'reset counter inet t refused/denied/web',
    'reset counter inet t refused/limit-client/web',
  ]);
  expect(told).toEqual([[4, 'denied', 3]]);
  nowMs = 20_000;
  await turn();
  expect(asked).toHaveLength(4);
});
