import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import type { FlowLog } from '../core/flow-log.ts';
import { failedFlowsLoggedPerS } from '../core/limits.ts';
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
    reports.flush();
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
