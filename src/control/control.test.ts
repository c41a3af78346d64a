/** Control without workers: what it does with their messages. */
import { expect, test } from 'vitest';
import { parsePlan } from '../config/load.ts';
import type { MessageFromWorker } from '../worker/messages-from-worker.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { Control } from './control.ts';

type Claim = Extract<MessageFromWorker, { type: 'claim' }>;

const text = `
listeners: [{ name: front, bind: 'tcp://127.0.0.1:0', pool: pool }]
pools: { pool: { backends: [{ name: a, address: '127.0.0.1:1' }] } }
`;
const claim: Claim = {
  type: 'claim',
  flowId: 1,
  poolId: 1,
  kind: 'client-ip',
  words: { w0: 0, w1: 0, w2: 0xffff, w3: 0x0a000001, port: 0 },
  backendId: 1,
  claimTtlMs: 1_000,
  deadlineMs: 100,
  publish: true,
};

test('the answer to a flow of a thread that died does not reach the flow that has its number now', () => {
  const result = parsePlan(text, 'pinion.yaml');
  if (!('plan' in result)) throw new Error(JSON.stringify(result.problems));
  const control = new Control(result.plan, {
    watch: () => {},
    engine: 'portable',
    engineReason: '',
    canReusePort: false,
    version: '0',
  });
  const told: MessageToWorker[] = [];
  const worker = { starts: 1, post: (message: MessageToWorker) => told.push(message) };
  const answers: (() => void)[] = [];
  const cluster = { claim: (_: unknown, answer: () => void) => answers.push(answer) };
  Object.assign(control, { cluster });
  Object.assign((control as unknown as { workers: object }).workers, { clients: [worker] });
  const { hear } = control as unknown as { hear(worker: number, message: Claim): void };
  hear.call(control, 0, claim);
  worker.starts = 2;
  hear.call(control, 0, claim);
  answers[0]!();
  expect(told).toEqual([]);
  answers[1]!();
  expect(told).toEqual([{ type: 'claimed', flowId: 1 }]);
});
