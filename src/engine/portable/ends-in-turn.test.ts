import { expect, test } from 'vitest';
import { EndsInTurn } from './ends-in-turn.ts';

/** Ends that take so long each, by a clock of its own, and how many were served in each turn of Node's loop. */
async function serve(count: number, endMs: number): Promise<{ turns: number[]; order: number[] }> {
  let nowMs = 0;
  const ends = new EndsInTurn(() => nowMs);
  const order: number[] = [];
  const turns: number[] = [];
  for (let i = 0; i < count; i++) {
    ends.add(() => {
      order.push(i);
      nowMs += endMs;
    });
  }
  for (let served = 0; served < count; ) {
    turns.push(order.length - served);
    served = order.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { turns: turns.slice(1), order };
}

test('a few are served at once, more in the order they came', async () => {
  const few = await serve(10, 1);
  expect(few.turns).toEqual([]);
  const many = await serve(5_000, 0.01);
  expect(many.order).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
});

test('a turn that took long takes fewer of them, and one that did not takes more', async () => {
  const { turns: dear } = await serve(3_000, 1);
  expect(dear[0]).toBeGreaterThan(dear.at(-2)!);
  expect(dear.slice(5).every((served) => served <= 20)).toBe(true);
  const { turns: cheap } = await serve(3_000, 0.001);
  expect(Math.max(...cheap)).toBeGreaterThan(500);
});

test('who comes while some wait waits behind them, and the queue ends', async () => {
  const ends = new EndsInTurn(() => 0);
  const served: string[] = [];
  for (let i = 0; i < 100; i++) ends.add(() => void served.push(`first ${i}`));
  expect(served).toHaveLength(64);
  ends.add(() => {
    served.push('late');
    ends.add(() => void served.push('later'));
  });
  expect(ends.next - ends.first).toBe(37);
  while (ends.first < ends.next) await new Promise((resolve) => setImmediate(resolve));
  expect(served.slice(-2)).toEqual(['late', 'later']);
  expect(served).toHaveLength(102);
  await new Promise((resolve) => setImmediate(resolve));
  ends.add(() => void served.push('alone'));
  expect(served.at(-1)).toBe('alone');
});

test('where connections come faster than ends may be served, their ends are served all the same', async () => {
  let nowMs = 0;
  const ends = new EndsInTurn(() => nowMs);
  for (let turn = 0; turn < 50; turn++) {
    for (let i = 0; i < 300; i++) {
      ends.came();
      ends.add(() => {});
      ends.add(() => {});
    }
    nowMs += 100;
    await new Promise((resolve) => setImmediate(resolve));
    expect(ends.next - ends.first).toBeLessThanOrEqual(600);
  }
});

test('those that came while nobody waited let no crowd of ends through', async () => {
  const ends = new EndsInTurn(() => 0);
  for (let i = 0; i < 10_000; i++) ends.came();
  let served = 0;
  for (let i = 0; i < 5_000; i++) ends.add(() => void served++);
  await new Promise((resolve) => setImmediate(resolve));
  expect(served).toBeLessThan(300);
});
