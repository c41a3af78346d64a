/** The backlog of a network that never keeps up: it holds what waits, and nothing of what has gone. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { MessageBatch } from '../../linux/message-batch.ts';
import { UdpBacklog } from './udp-backlog.ts';
import type { UdpConversation } from './udp-conversation.ts';

const conversation = openConversation();

function openConversation(): UdpConversation {
  return { nameBytes: 16, address: () => {} } as unknown as UdpConversation;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A batch that notes the first byte of each reply written to it. */
function openBatch(count: number): { readonly batch: MessageBatch; readonly written: number[] } {
  const written: number[] = [];
  const batch = {
    count,
    payloads: { bytes: { set: (bytes: Uint8Array) => written.push(bytes[0]!) } },
    offset: () => 0,
    prepare: () => {},
  };
  return { batch: batch as unknown as MessageBatch, written };
}

test('replies leave in order, and what has gone is not kept though others always wait', async () => {
  const backlog = new UdpBacklog();
  const { batch, written } = openBatch(64);
  const waiting = 1_000;
  const rounds = 160;
  // A reply is held together with its conversation, and whether that is held can be seen.
  const added: WeakRef<UdpConversation>[] = [];
  const add = (): void => {
    const of = openConversation();
    expect(backlog.add(of, Uint8Array.of(added.length & 0xff))).toBe(true);
    added.push(new WeakRef(of));
  };
  for (let i = 0; i < waiting; i++) add();
  for (let round = 0; round < rounds; round++) {
    const count = backlog.fill(batch);
    // The socket takes one less than it is offered.
    backlog.drop(count - 1);
    written.pop();
    for (let i = 1; i < count; i++) add();
  }
  expect(written.length).toBe(rounds * 63);
  expect(written.every((first, i) => first === (i & 0xff))).toBe(true);
  // What a WeakRef was made of lives to the end of this turn.
  await setImmediate();
  collectGarbage();
  const held = added.map((ref) => ref.deref() !== undefined);
  expect(held.slice(0, -waiting).filter(Boolean).length).toBeLessThan(waiting);
  expect(held.slice(-waiting).every(Boolean)).toBe(true);
  for (let left = waiting; left > 0; ) {
    const count = backlog.fill(batch);
    backlog.drop(count);
    left -= count;
  }
  expect(backlog.isEmpty).toBe(true);
});

test('what waits is bounded, and there is room again when some has gone', () => {
  const backlog = new UdpBacklog();
  const { batch } = openBatch(64);
  const reply = new Uint8Array(60_000);
  let waiting = 0;
  while (backlog.add(conversation, reply)) waiting++;
  expect(waiting).toBeGreaterThan(4);
  const count = backlog.fill(batch);
  backlog.drop(1);
  expect(count).toBe(Math.min(64, waiting));
  expect(backlog.add(conversation, reply)).toBe(true);
  expect(backlog.add(conversation, reply)).toBe(false);
});
