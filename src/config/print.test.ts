import { expect, test } from 'vitest';
import { parsePlan } from './load.ts';
import { printPlan } from './print.ts';

function fileOf(redis: string): string {
  return `cluster: { name: eu, instance: one, redis: ${redis} }
listeners: [{ name: a, bind: "tcp://0.0.0.0:80", pool: p }]
pools: { p: { backends: [{ name: b, address: "10.0.0.1:80" }] } }
`;
}

test.each([
  ['an address', '"redis://pinion:s3cret@10.0.0.5"', 'cluster.redis'],
  ['a map', '{ url: "redis://:s3cret@10.0.0.5" }', 'cluster.redis.url'],
])('a password in %s is warned of and not printed', (_, redis, path) => {
  const result = parsePlan(fileOf(redis), 'f');
  if (!('plan' in result)) throw new Error('expected a plan');
  expect(result.warnings).toMatchObject([
    { path, message: 'the password is in the file; use password_file' },
  ]);
  expect(result.plan.cluster?.redis.password).toBe('s3cret');
  const printed = printPlan(result.plan);
  expect(printed).not.toContain('s3cret');
  expect(JSON.parse(printed).cluster.redis.password).toBe('***');
});

test('without a password nothing is hidden', () => {
  const result = parsePlan(fileOf('redis://10.0.0.5'), 'f');
  if (!('plan' in result)) throw new Error('expected a plan');
  expect(result.warnings).toEqual([]);
  expect(JSON.parse(printPlan(result.plan))).toEqual(JSON.parse(JSON.stringify(result.plan)));
});
