import { expect, test } from 'vitest';
import { parseRedisUrl } from '../config/redis-url.ts';
import { Address } from '../core/address.ts';
import { clusterPlan } from '../core/cluster-plan.ts';
import { Key } from '../core/key.ts';
import { PinTable } from '../core/pins/table.ts';
import { PinNames } from '../pins/names.ts';
import { Scanner, type ScanSource } from './scanner.ts';
import { ShardReplica } from './shard-replica.ts';

const poolId = 1;
const backendId = 2;

function bench(clients: number, sleep: (replica: ShardReplica) => void) {
  const pins = PinTable.create(clients, { reportChanges: true });
  for (let client = 0; client < clients; client++) {
    const key = new Key('client-ip', Address.v4(client + 1, 0));
    pins.claim(poolId, key, backendId, 1_000, 0, 'policy');
    pins.confirm(poolId, key, backendId, 1_000, 0);
  }
  const names = new PinNames(
    {
      poolName: () => 'p',
      backendName: () => 'b',
      poolId: () => poolId,
      knownPoolId: () => poolId,
      backendId: () => backendId,
    },
    pins,
    1,
  );
  const replica = new ShardReplica('me', 10_000, { learn: () => true, gap: () => {} });
  replica.pulsed({ kind: 'ok', epoch: 'e', last: '1-0' }, 'seize', 'me', replica.known);
  replica.endScan(replica.beginScan());
  const scanner = new Scanner({
    store: {} as ScanSource,
    plan: clusterPlan({ name: 'c', instance: 'me', redis: parseRedisUrl('redis://nowhere'), shards: 1 }),
    pins,
    names,
    replicas: [replica],
    nowMs: () => 0,
    watch: () => {},
    sleep: async () => sleep(replica),
  });
  return { scanner, replica };
}

test('a sweep claims every pin again', async () => {
  const { scanner, replica } = bench(900, () => {});
  expect(await scanner.sweep()).toBe(true);
  expect(replica.journal.size).toBe(900);
});

test('a sweep ends at its next pause when a scan is asked for, and says so', async () => {
  const { scanner, replica } = bench(900, (one) => one.readAgain());
  expect(await scanner.sweep()).toBe(false);
  expect(replica.journal.size).toBeLessThan(900);
  expect(scanner.busy).toBe(false);
});
