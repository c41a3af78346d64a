import { expect, test } from 'vitest';
import { type ClusterFlow, FlowTable, parseFlowRow } from './flow-table.ts';

function flow(id: string, more: Partial<ClusterFlow> = {}): ClusterFlow {
  return {
    id,
    client: `10.0.0.1:${id}`,
    listener: 'l',
    pool: 'p',
    backend: 'b',
    ageMs: 2_000,
    bytesIn: 1,
    bytesOut: 2,
    ...more,
  };
}

function bench(rowsMax = 10) {
  const told: [string[], readonly string[]][] = [];
  let drops = 0;
  let isThere = false;
  const table = new FlowTable(
    {
      putFlows: async (set, gone) => {
        told.push([[...set.keys()], gone]);
        const wasThere = isThere;
        isThere ||= set.size > 0;
        return wasThere;
      },
      dropFlows: async () => void drops++,
    },
    rowsMax,
    () => 10_000,
  );
  const evict = (): void => {
    isThere = false;
  };
  return { table, told, drops: () => drops, evict };
}

test('rows that are gone though nobody took them away are told anew at once', async () => {
  const { table, told, evict } = bench();
  await table.publish([]);
  await table.publish([flow('1')]);
  evict();
  await table.publish([flow('1'), flow('2')]);
  expect(told.map(([rows]) => rows)).toEqual([[], ['1'], ['2'], ['1', '2']]);
});

test('tells differences only: new rows, changed backends, ends; bytes every tenth time', async () => {
  const { table, told, drops } = bench();
  await table.publish([flow('1'), flow('2'), flow('3', { ageMs: 999 })]);
  await table.publish([flow('1', { bytesIn: 50 }), flow('2', { backend: 'c' }), flow('3')]);
  await table.publish([flow('1')]);
  for (let i = 0; i < 8; i++) await table.publish([flow('1')]);
  expect(told.slice(0, 3)).toEqual([
    [['1', '2'], []],
    [['2', '3'], []],
    [[], ['2', '3']],
  ]);
  expect(told.slice(3).map(([set]) => set.length)).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
  expect(drops()).toBe(1);
});

test('tells everything anew after a reset or a failure', async () => {
  const { table, told, drops } = bench();
  await table.publish([flow('1')]);
  table.reset();
  await table.publish([flow('1')]);
  expect(told).toEqual([
    [['1'], []],
    [['1'], []],
  ]);
  expect(drops()).toBe(2);
});

test('is bounded, and counts what does not fit', async () => {
  const { table, told } = bench(2);
  await table.publish([flow('1'), flow('2'), flow('3')]);
  expect(told[0]![0]).toHaveLength(2);
  expect(table.untold).toBe(1);
});

test('reads rows back and refuses what is none', () => {
  expect(parseFlowRow('i', '[1,"c","l","p","b","2026-01-01T00:00:00.000Z",3,4]')).toEqual({
    instance: 'i',
    client: 'c',
    listener: 'l',
    pool: 'p',
    backend: 'b',
    since: '2026-01-01T00:00:00.000Z',
    bytesIn: 3,
    bytesOut: 4,
  });
  for (const text of [
    '',
    '{}',
    '[]',
    '[2,"c","l","p","b","s",3,4]',
    '[1,"c","l","p","b","s",3]',
    '[1,1,"l","p","b","s",3,4]',
    '[1,"c","l","p","b","s","3",4]',
    'x'.repeat(2_000),
  ]) {
    expect(parseFlowRow('i', text)).toBeUndefined();
  }
});
