import { expect, test } from 'vitest';
import { redisDefaults } from '../core/cluster-plan.ts';
import { Connections } from './connections.ts';
import { serverPassword } from './redis/secrets.ts';

const row = '[1,"10.0.0.1:1","l","p","b","2026-01-01T00:00:00Z",1,2]';

test('rows of all instances: so many of each and in all, of those that were there when it began', async () => {
  const instances = new Set(['a', 'b', 'c', 'd']);
  const asked: [string, number][] = [];
  const connections = new Connections(
    {
      flows: async (instance, max) => {
        asked.push([instance, max]);
        instances.add(`${instance}+`);
        return Array.from({ length: Math.min(2, max) }, () => row);
      },
    },
    () => instances,
    5,
  );
  expect((await connections.list(9)).map(({ instance }) => instance)).toEqual(['a', 'a', 'b', 'b', 'c']);
  expect(asked).toEqual([
    ['a', 5],
    ['b', 3],
    ['c', 1],
  ]);
  expect((await connections.list(1)).map(({ instance }) => instance)).toEqual(['a', 'b', 'c', 'd', 'a+']);
});

test('one reading at a time, which ends in time', async () => {
  let nowMs = 0;
  let underWay = 0;
  let most = 0;
  let isDown = false;
  const connections = new Connections(
    {
      flows: async () => {
        most = Math.max(most, ++underWay);
        await Promise.resolve();
        nowMs += 3_000;
        underWay--;
        if (isDown) throw new Error("unknown command 'AUTH', with args 's3cret'");
        return [row];
      },
    },
    () => ['a', 'b', 'c', 'd', 'e'],
    100,
    () => nowMs,
  );
  const both = [connections.list(100), connections.list(100)];
  expect((await both[0]!).length, 'after nine seconds').toBe(3);
  await expect(both[1]).rejects.toThrow('for too long');
  expect(most).toBe(1);
  isDown = true;
  const node = { host: 'h', port: 6379 };
  serverPassword({ ...redisDefaults, form: { kind: 'single', node }, database: 0, password: 's3cret' });
  await expect(connections.list(100)).rejects.toThrow("unknown command 'AUTH', with args '***'");
  isDown = false;
  expect((await connections.list(100)).length, 'a failure stops nobody after it').toBe(3);
});
