import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { flowRecordsMax } from '../core/limits.ts';
import { type TerminationCode, terminationCodes } from '../core/termination.ts';
import { type EndedFlow, FlowRecordWriter, readFlowRecords } from './flow-records.ts';

const names = {
  listenerName: (id: number) => `listener ${id}`,
  poolName: (id: number) => (id === 0 ? undefined : `pool ${id}`),
  backendName: (id: number) => (id === 0 ? undefined : { backend: `backend ${id}` }),
};

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const port = fc.integer({ min: 0, max: 65_535 });
const address = fc
  .tuple(word, word, word, word, port)
  .map(([w0, w1, w2, w3, number]) => new Address(w0, w1, w2, w3, number));
const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

const ended: fc.Arbitrary<{ flow: EndedFlow; code: TerminationCode; nowMs: number }> = fc.record({
  code: fc.constantFrom(...terminationCodes),
  nowMs: fc.integer({ min: 2_000, max: 1e9 }),
  flow: fc
    .record({
      id: count,
      listener: fc.record({
        id: fc.integer({ min: 0, max: 1_023 }),
        plan: fc.record({
          protocol: fc.constantFrom('tcp', 'udp'),
          routes: fc.constantFrom(undefined, []),
        }),
      }),
      client: address,
      proxy: fc.option(address, { nil: undefined }),
      movedTo: fc.option(address, { nil: undefined }),
      poolId: fc.integer({ min: 0, max: 4_096 }),
      backend: fc.option(fc.record({ id: fc.integer({ min: 1, max: 16_384 }) }), { nil: undefined }),
      reason: fc.constantFrom('pin', 'policy', 'retry', 'fail-open'),
      failed: fc.array(fc.integer(), { maxLength: 9 }),
      bytesIn: count,
      bytesOut: count,
      datagramsIn: count,
      datagramsOut: count,
      startedAtMs: fc.integer({ min: 1, max: 1_000 }),
      connectedAtMs: fc.constantFrom(0, 1_500),
      routeNumber: fc.integer({ min: 0, max: 1_000 }),
      spoken: fc.option(
        fc.record({ name: fc.option(fc.string({ unit: 'binary', maxLength: 300 }), { nil: undefined }) }),
        { nil: undefined },
      ),
    })
    .map(({ proxy, ...flow }) => ({ ...flow, peer: proxy ?? flow.client })),
});

test('what control reads is what the worker wrote, one after the other', () => {
  fc.assert(
    fc.property(fc.array(ended, { maxLength: 80 }), (all) => {
      const writer = new FlowRecordWriter();
      for (const { flow, code, nowMs } of all) writer.add(flow, code, nowMs);
      expect(writer.count).toBe(all.length);
      const records = [...readFlowRecords(writer.take(), 3, names)];
      expect(writer.count).toBe(0);
      expect(records).toEqual(
        all.map(({ flow, code, nowMs }) => ({
          worker: 3,
          flowId: flow.id,
          listener: `listener ${flow.listener.id}`,
          protocol: flow.listener.plan.protocol,
          client: textOf(flow.client),
          ...(flow.movedTo === undefined ? {} : { movedTo: textOf(flow.movedTo) }),
          ...(flow.peer === flow.client ? {} : { peer: textOf(flow.peer) }),
          pool: flow.poolId === 0 ? '' : `pool ${flow.poolId}`,
          backend: flow.backend && `backend ${flow.backend.id}`,
          reason: flow.backend && flow.reason,
          tries: flow.failed.length + (flow.backend === undefined ? 0 : 1),
          bytesIn: flow.bytesIn,
          bytesOut: flow.bytesOut,
          datagramsIn: flow.datagramsIn,
          datagramsOut: flow.datagramsOut,
          durationMs: nowMs - flow.startedAtMs,
          connectMs: flow.connectedAtMs === 0 ? undefined : flow.connectedAtMs - flow.startedAtMs,
          code,
          ...(flow.listener.plan.routes === undefined
            ? {}
            : { route: flow.routeNumber, serverName: wellFormed(flow.spoken?.name) }),
        })),
      );
    }),
    { numRuns: 200, seed: 14 },
  );
});

/** Half a surrogate pair is no character. */
function wellFormed(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text).toString();
}

function textOf(address: Address): string {
  return address.port === 0 && address.isWildcard ? 'unix' : address.toString();
}

test('as many as a worker keeps fit, long names and all, and the next batch begins small', () => {
  const writer = new FlowRecordWriter();
  const { flow } = fc.sample(ended, { numRuns: 1, seed: 1 })[0]!;
  const long = {
    ...flow,
    listener: { id: 7, plan: { protocol: 'tcp', routes: [] } },
    spoken: { name: 'x'.repeat(5_000) },
  } as const;
  for (let i = 0; i < flowRecordsMax; i++) writer.add({ ...long, id: i }, 'idle', 2_000);
  const batch = writer.take();
  const records = [...readFlowRecords(batch, 0, names)];
  expect(records.map(({ flowId }) => flowId)).toEqual(Array.from({ length: flowRecordsMax }, (_, i) => i));
  expect(records[0]!.serverName).toBe('x'.repeat(1_024));
  writer.add(flow, 'idle', 2_000);
  expect(writer.take().byteLength).toBeLessThan(batch.byteLength / 1_000);
});
