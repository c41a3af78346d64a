/** What is kept of a client, and that all of its memory is given back. */
import { expect, test } from 'vitest';
import { saidBytesMax } from '../../core/limits.ts';
import { Arena } from '../../linux/arena.ts';
import { ChunkPool } from '../../linux/chunk-pool.ts';
import { payload } from '../conformance/payload.ts';
import type { Context } from './context.ts';
import type { TcpFlow } from './tcp-flow.ts';
import { forgetSaid, keepChunk, keepShared, sayAgain } from './tcp-said.ts';
import { TcpSide } from './tcp-side.ts';

const mib = 1024 * 1024;

function stage(
  keepsSaid = true,
  budgetBytes = 64 * mib,
): { context: Context; client: TcpSide; chunks: ChunkPool } {
  const chunks = new ChunkPool(budgetBytes);
  const shared = new Arena(65_536).cut(65_536);
  const client = new TcpSide({ flow: { keepsSaid } } as TcpFlow, true);
  client.keeps = true;
  return { context: { chunks, shared } as unknown as Context, client, chunks };
}

const words = payload(saidBytesMax + 1, 1);

function say({ context, client }: ReturnType<typeof stage>, from: number, end: number): void {
  context.shared.bytes.set(words.subarray(from, end));
  keepShared(context, client, end - from);
}

/** As it is read before the dial. */
function readEarly({ chunks, client }: ReturnType<typeof stage>, length: number): void {
  client.chunk = chunks.take(saidBytesMax)!;
  client.chunk.bytes.set(words.subarray(0, length));
  client.heldEnd = length;
}

function heard({ client }: ReturnType<typeof stage>): Buffer {
  return Buffer.from(client.chunk!.bytes.subarray(client.heldStart, client.heldEnd));
}

test('pieces are put together, and said again as they were', () => {
  const it = stage();
  readEarly(it, 100);
  it.client.heldStart = 100;
  expect(keepChunk(it.context, it.client)).toBe(true);
  let from = 100;
  for (const end of [101, 4_096, 5_000, saidBytesMax]) {
    say(it, from, end);
    from = end;
  }
  expect(it.client.keeps).toBe(true);
  sayAgain(it.context, it.client);
  expect(heard(it)).toEqual(words.subarray(0, saidBytesMax));
  it.chunks.release(it.client.chunk!);
  expect(it.chunks.usedBytes).toBe(0);
});

test('what was sent in part is said again from its start', () => {
  const it = stage();
  readEarly(it, 300);
  it.client.heldStart = 120;
  sayAgain(it.context, it.client);
  expect(heard(it)).toEqual(words.subarray(0, 300));
});

test('nothing is kept beyond the bound, without leave, or where memory is scarce', () => {
  const full = stage();
  say(full, 0, saidBytesMax);
  expect(full.client.keeps).toBe(true);
  say(full, saidBytesMax, saidBytesMax + 1);
  const unwanted = stage(false);
  say(unwanted, 0, 1);
  const scarce = stage(true, 2 * mib);
  const lent = Array.from({ length: 17 }, () => scarce.chunks.take(65_536)!);
  say(scarce, 0, 1);
  for (const chunk of lent) scarce.chunks.release(chunk);
  for (const { client, chunks } of [full, unwanted, scarce])
    expect([client.keeps, client.said, chunks.usedBytes]).toEqual([false, undefined, 0]);
});

test('a few bytes of a client among many do not keep a large chunk', () => {
  const it = stage();
  const lent = Array.from({ length: 257 }, () => it.chunks.take(65_536)!);
  readEarly(it, 10);
  expect(keepChunk(it.context, it.client)).toBe(true);
  expect(it.client.said!.length).toBe(4_096);
  sayAgain(it.context, it.client);
  expect(heard(it)).toEqual(words.subarray(0, 10));
  expect(keepChunk(it.context, it.client)).toBe(true);
  forgetSaid(it.context, it.client);
  for (const chunk of lent) it.chunks.release(chunk);
  expect(it.chunks.usedBytes).toBe(0);
});
