import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { isSameKey, Key } from '../core/key.ts';
import { PinTable } from '../core/pins/table.ts';
import { PinNames } from './names.ts';

function bench(poolId = (): number => 1) {
  const pins = PinTable.create(1_000, { reportChanges: true });
  const names = new PinNames(
    { poolName: () => 'p', backendName: () => 'b', poolId, knownPoolId: () => 1, backendId: () => 2 },
    pins,
    1,
  );
  const learn = (client: number, writer: string, generation: number): void => {
    const value = { backend: 'b', writer, reason: 'policy', ttlMs: 1_000, generation: 1 } as const;
    names.learn(`p/1/10.0.0.${client}`, value, 1_000, generation, 0);
  };
  const writerOf = (client: number): number => {
    const key = new Key('client-ip', Address.parse(`10.0.0.${client}`, 0)!);
    return [...pins.entries(0)].find((pin) => isSameKey(pin, key))!.writer;
  };
  return { names, pins, learn, writerOf };
}

test('a pin was seen in the scan it was learned in, and in none of the two hundred after it', () => {
  const { names, learn, writerOf } = bench();
  learn(1, 'lb1', 7);
  expect(names.isUnseen(writerOf(1), 7)).toBe(false);
  for (let scan = 8; scan < 208; scan++) expect(names.isUnseen(writerOf(1), scan), `scan ${scan}`).toBe(true);
});

test('instances are told apart, as many as a cluster has', () => {
  const { names, learn, writerOf } = bench();
  for (let instance = 1; instance <= 250; instance++) learn(instance, `lb${instance}`, 255);
  for (const instance of [1, 100, 250]) expect(names.writerName(writerOf(instance))).toBe(`lb${instance}`);
});

test('a pin that is forgotten leaves the table of one whose plan has lost the pool', () => {
  let poolId = 1;
  const { names, pins, learn } = bench(() => poolId);
  learn(1, 'lb1', 1);
  learn(2, 'lb1', 1);
  poolId = 0;
  learn(3, 'lb1', 1);
  names.learn('p/1/10.0.0.1', undefined, 0, 1, 0);
  expect([...pins.entries(0)].map((pin) => new Key(pin.kind, pin).text)).toEqual(['10.0.0.2']);
  expect(names.ignored).toBe(1);
});

test('a pin of a kind that this version does not know is skipped, as is one whose key is none', () => {
  const { names, pins } = bench();
  const value = { backend: 'b', writer: 'lb1', reason: 'policy', ttlMs: 1_000, generation: 1 } as const;
  const learn = (text: string): boolean => names.learn(text, value, 1_000, 1, 0);
  const wrong = [
    'p/8/play.example',
    'p/15/x',
    'p/77/x',
    'p/4/Play.Example',
    'p/5/%41',
    'p/6/xyz',
    'p/4/a b',
    'p/5/',
  ];
  for (const text of wrong) expect(learn(text), text).toBe(false);
  expect([...pins.entries(0)]).toEqual([]);
  expect(names.ignored).toBe(wrong.length);
});

test('a pin of every kind goes into the table and comes out as the text it was', () => {
  const { names, pins } = bench();
  const value = { backend: 'b', writer: 'lb1', reason: 'policy', ttlMs: 1_000, generation: 1 } as const;
  const texts = [
    'p/1/10.0.0.1',
    'p/2/2001:db8::',
    'p/3/[2001:db8::1]:53',
    'p/4/play.example',
    'p/5/%00%ff%25ab%2f',
    'p/6/8394c8f03e515708',
    'p/7/vpce-08d2bf15fac',
    `p/4/#${'0123456789abcdef'.repeat(2)}`,
    'p/7/a',
  ];
  for (const text of texts) expect(names.learn(text, value, 1_000, 1, 0), text).toBe(true);
  const found = [...pins.entries(0)].map((pin) => names.place(pin.poolId, pin)?.text);
  expect(found.sort()).toEqual(texts.sort());
  for (const text of texts) names.learn(text, undefined, 0, 1, 0);
  expect([...pins.entries(0)]).toEqual([]);
});
