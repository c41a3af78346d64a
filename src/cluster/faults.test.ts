import { expect, test } from 'vitest';
import { redisDefaults } from '../core/cluster-plan.ts';
import type { ClusterEvent } from './events.ts';
import { Faults } from './faults.ts';
import { serverPassword } from './redis/secrets.ts';

test('a password that a server repeats is told nowhere', () => {
  const events: ClusterEvent[] = [];
  const faults = new Faults(
    (event) => events.push(event),
    () => 0,
  );
  const node = { host: 'h', port: 6379 };
  serverPassword({ ...redisDefaults, form: { kind: 'single', node }, database: 0, password: 's3cret' });
  faults.note(new Error("ERR unknown command 'AUTH', with args beginning with: 'pinion' 's3cret' "));
  expect(faults.last?.message).toBe("ERR unknown command 'AUTH', with args beginning with: 'pinion' '***' ");
  expect(JSON.stringify(events)).not.toContain('s3cret');
  expect(events).toHaveLength(1);
});
