import { expect, test } from 'vitest';
import { formatKill, type KillOrder } from '../core/kill-order.ts';
import { KillTeller } from './told-kills.ts';

const order: KillOrder = { filter: { pool: 'pg' }, overMs: undefined };

/** Redis, as far as kills go. */
function bench() {
  const told: { id: string; text: string; ageMs: number }[] = [];
  const redis = { isAway: false, isFull: false };
  const store = {
    tellKill: async (id: string, text: string) => {
      if (redis.isAway) throw new Error('away');
      if (!redis.isFull) told.push({ id, text, ageMs: 700 });
      return !redis.isFull;
    },
    kills: async () => [...told],
  };
  const instance = (name: string) => {
    const heard: unknown[] = [];
    const may = { write: true };
    const teller = new KillTeller({
      store,
      instance: name,
      newId: () => String(told.length),
      mayWrite: () => may.write,
      heard: (kill, from, ageMs) => heard.push([kill, from, ageMs]),
    });
    return { teller, heard, may };
  };
  return { told, redis, instance };
}

test('each of the others hears of it once, and who tells it does not', async () => {
  const { instance } = bench();
  const [one, other] = [instance('one'), instance('other')];
  await one.teller.read();
  await other.teller.read();
  expect(await one.teller.tell(order)).toBe('shared');
  for (let beat = 0; beat < 3; beat++) for (const { teller } of [one, other]) await teller.read();
  expect([one.heard, other.heard]).toEqual([[], [[order, 'one', 700]]]);
});

test('who has only begun to share does nothing about earlier ones', async () => {
  const { instance } = bench();
  await instance('one').teller.tell(order);
  const late = instance('late');
  await late.teller.read();
  await late.teller.read();
  expect(late.heard).toEqual([]);
});

test('an order that Redis does not take is not told later', async () => {
  const { instance, redis, told } = bench();
  const one = instance('one');
  redis.isAway = true;
  expect(await one.teller.tell(order)).toBe('here-only');
  redis.isAway = false;
  one.may.write = false;
  expect(await one.teller.tell(order)).toBe('here-only');
  one.may.write = true;
  redis.isFull = true;
  expect(await one.teller.tell(order)).toBe('here-only');
  expect(told).toEqual([]);
});

test('what is none among them is passed over', async () => {
  const { instance, told } = bench();
  const one = instance('one');
  await one.teller.read();
  for (const text of ['kill them all', '{"from":"x","all":true}', formatKill('x', order)])
    told.push({ id: text, text, ageMs: 700 });
  await one.teller.read();
  expect(one.heard).toEqual([[order, 'x', 700]]);
});
