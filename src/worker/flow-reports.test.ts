import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import type { FlowLog } from '../core/flow-log.ts';
import {
  failedFlowsLoggedPerS,
  flowRecordsMax,
  flowRecordsPerReport,
  recordsHeldMsMax,
} from '../core/limits.ts';
import { readFlowRecords } from './flow-records.ts';
import { FlowReports } from './flow-reports.ts';

const names = { listenerName: () => 'web', poolName: () => 'servers', backendName: () => undefined };
const client = new Address(0, 0, 0xffff, 0x0a00_0001, 999);
const flow = {
  id: 1,
  listener: { id: 0, plan: { protocol: 'tcp' } },
  client,
  peer: client,
  poolId: 1,
  reason: 'policy',
  failed: [],
  bytesIn: 0,
  bytesOut: 0,
  datagramsIn: 0,
  datagramsOut: 0,
  startedAtMs: 1,
  connectedAtMs: 0,
  routeNumber: 0,
} as unknown as Flow;

/** How many flows of each second were told, and how many only counted. */
function told(log: FlowLog, code: 'backend-refused' | 'client-closed', each: number, seconds: number) {
  const sums: [records: number, untold: number][] = [];
  const reports = new FlowReports(0, (message) => {
    if (message.type !== 'flows-ended') throw new Error(message.type);
    sums.push([[...readFlowRecords(message.records, 0, names)].length, message.untold]);
  });
  reports.log = log;
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < each; i++)
      reports.ended(flow, code, 5_000 + second * 1_000 + Math.floor((i * 999) / each));
    reports.flush(5_000 + second * 1_000, false, true);
  }
  return sums;
}

test('a flood of failed flows is told in part where not all flows are, and the rest is counted', () => {
  const most = failedFlowsLoggedPerS;
  for (const log of [
    { which: 'all', sample: 0 },
    { which: 'failed', sample: 1 },
  ] as const)
    expect(told(log, 'backend-refused', 900, 2)).toEqual([
      [most, 900 - most],
      [most, 900 - most],
    ]);
});

test('where all flows are logged each is, however it ended; where none is, none', () => {
  for (const code of ['backend-refused', 'client-closed'] as const) {
    expect(told({ which: 'all', sample: 1 }, code, 900, 2)).toEqual([
      [900, 0],
      [900, 0],
    ]);
    expect(told({ which: 'none', sample: 1 }, code, 900, 2)).toEqual([]);
  }
  expect(told({ which: 'failed', sample: 1 }, 'client-closed', 900, 2)).toEqual([]);
});

test('what is told by its share of a sample leaves room for what failed', () => {
  const [records, untold] = told({ which: 'all', sample: 0.5 }, 'backend-refused', 2_000, 1)[0]!;
  expect(records + untold).toBe(2_000);
  expect(records).toBeGreaterThan(700 + failedFlowsLoggedPerS);
});

/** A worker's reports, and how many flows each message that it has posted told of. */
function reporter() {
  const messages: { readonly ids: readonly number[]; readonly untold: number }[] = [];
  const reports = new FlowReports(0, (message) => {
    if (message.type !== 'flows-ended') throw new Error(message.type);
    const ids = [...readFlowRecords(message.records, 0, names)].map(({ flowId }) => flowId);
    messages.push({ ids, untold: message.untold });
  });
  let id = 0;
  const end = (count: number): void => {
    for (let i = 0; i < count; i++) reports.ended({ ...flow, id: ++id } as Flow, 'backend-down', 5_000);
  };
  return { reports, messages, end };
}

test('while more are to be ended they wait, and are told then, some at a time and in their order', () => {
  const { reports, messages, end } = reporter();
  for (let turn = 0; turn < 40; turn++) {
    end(100);
    reports.flush(5_000 + turn * 5, true);
  }
  expect(messages).toEqual([]);
  for (let turn = 0; reports.owes; turn++) reports.flush(5_200 + turn * 50, false);
  expect(messages.map(({ ids }) => ids.length).slice(0, 3)).toEqual([500, 438, 383]);
  expect(messages.length).toBeLessThan(15);
  expect(messages.flatMap(({ ids }) => ids)).toEqual(Array.from({ length: 4_000 }, (_, i) => i + 1));
});

test('they wait for a second at most, and are all told whatever comes meanwhile', () => {
  const { reports, messages, end } = reporter();
  end(1);
  reports.flush(5_000, true);
  reports.flush(5_000 + recordsHeldMsMax - 1, true);
  expect(messages).toEqual([]);
  reports.flush(5_000 + recordsHeldMsMax, true);
  expect(messages).toHaveLength(1);
  // 40,000 a second, for as long as there are more.
  for (let turn = 0; turn < 200; turn++) {
    end(200);
    reports.flush(6_000 + turn * 5, true);
  }
  for (let turn = 0; reports.owes; turn++) reports.flush(8_000 + turn * 50, false);
  expect(messages.reduce((sum, { untold }) => sum + untold, 0)).toBe(0);
  expect(messages.reduce((sum, { ids }) => sum + ids.length, 0)).toBe(40_001);
});

test('a worker that leaves tells all at once, and what did not fit is counted', () => {
  const { reports, messages, end } = reporter();
  end(flowRecordsMax + 3);
  reports.flush(5_000, true, true);
  expect(messages.map(({ ids, untold }) => [ids.length, untold])).toEqual([[flowRecordsMax, 3]]);
  expect(reports.owes).toBe(false);
  end(flowRecordsPerReport);
  reports.flush(5_050, false);
  expect(messages.at(-1)!.ids[0]).toBe(flowRecordsMax + 4);
});
