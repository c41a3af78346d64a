import { expect, test } from 'vitest';
import { parsePlan, problemLines, warningLines } from './load.ts';

const good = `listeners: [{ name: a, bind: "tcp://0.0.0.0:80", pool: p }]
pools: { p: { backends: [{ name: b, address: "10.0.0.1:80" }] } }
`;

function refusedOf(text: string) {
  const result = parsePlan(text, 'f');
  if (!('problems' in result)) throw new Error('expected problems');
  return result;
}

test('of many problems the first hundred are told, in order, and how many more', () => {
  const keys = Array.from({ length: 7_000 }, (_, i) => `engine${i}: 1\n`).join('');
  const refused = refusedOf(`${keys}engine: fast\n${good}`);
  expect(refused.problems.map(({ line }) => line)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  const lines = problemLines(refused);
  expect(lines).toHaveLength(101);
  expect(lines[0]).toBe('f:1:1: engine0: unknown key; did you mean engine?');
  expect(lines[100]).toBe('f: and 6,901 more problems');
});

test('what comes last in the rules and first in the file is among them', () => {
  const listeners = Array.from(
    { length: 300 },
    () => '  - { name: a, bind: "tcp://0.0.0.0:80", pool: p }\n',
  ).join('');
  const refused = refusedOf(
    `engine: fast\nlisteners:\n${listeners}pools: { p: { backends: [{ name: b, address: x }] } }\n`,
  );
  expect(refused.problems[0]!.path).toBe('engine');
  // Each name and each address after the first, and the backend's.
  expect(refused.problems.length + refused.problemsLeftOut).toBe(1 + 299 * 2 + 1);
});

test('keys that are given twice count among them', () => {
  const refused = refusedOf(`${'engine: auto\n'.repeat(150)}${good}`);
  expect(problemLines(refused).slice(-2)).toEqual([
    'f:101:1: engine: is given twice (first in line 1)',
    'f: and 49 more problems',
  ]);
});

test('what is wrong behind an alias counts once', () => {
  const listeners = Array.from(
    { length: 150 },
    (_, i) => `  - { name: l${i}, bind: "tcp://0.0.0.0:${i + 1}", pool: p, timeouts: *t }\n`,
  ).join('');
  const refused = refusedOf(
    `x: &t { idle: 5 }\nlisteners:\n${listeners}pools: { p: { backends: [{ name: b, address: "10.0.0.1:80" }] } }\n`,
  );
  expect(problemLines(refused)).toHaveLength(2);
});

test('warnings are counted likewise, and stop nothing', () => {
  const pools = Array.from(
    { length: 102 },
    (_, i) => `  q${i}: { backends: [{ name: b, address: "10.0.0.1:80" }] }\n`,
  ).join('');
  const result = parsePlan(
    `listeners: [{ name: a, bind: "tcp://0.0.0.0:80", pool: q0 }]\npools:\n${pools}`,
    'f',
  );
  expect(result).toHaveProperty('plan');
  expect(warningLines(result)).toHaveLength(101);
  expect(warningLines(result).at(-1)).toBe('f: and 1 more warning');
});

test('a long key and a long value are shortened', () => {
  const refused = refusedOf(`${'k'.repeat(1_000)}: 1\nengine: ${'😀'.repeat(10_000)}\n${good}`);
  for (const line of problemLines(refused)) expect(line.length).toBeLessThan(300);
  // Not cut through a character.
  expect(Buffer.from(problemLines(refused).join(), 'utf8').toString('utf8')).not.toContain('\ufffd');
});
