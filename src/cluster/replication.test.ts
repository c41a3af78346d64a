import { expect, test } from 'vitest';
import { clusterPlan } from '../core/cluster-plan.ts';
import { Key } from '../core/key.ts';
import { PinTable } from '../core/pins/table.ts';
import { PinNames } from '../pins/names.ts';
import { FaultError } from './errors.ts';
import { Faults } from './faults.ts';
import { Replication, type ReplicationStore } from './replication.ts';
import type { StreamEntry } from './store.ts';

const names = {
  poolName: () => undefined,
  backendName: () => undefined,
  poolId: () => 0,
  knownPoolId: () => 0,
  backendId: () => 0,
};

/** One shard that is live, and what following its stream brings. */
async function follower(bring: (cursor: string) => readonly StreamEntry[], looks: number) {
  let slept = 0;
  let looked = 0;
  const pins = PinTable.create(10, { reportChanges: true });
  const store: Partial<ReplicationStore> = {
    isConnected: true,
    follow: async (cursors) => {
      if (++looked === looks) replication.stop();
      return new Map([[0, bring(cursors.get(0)!)]]);
    },
  };
  const replication = new Replication({
    store: store as ReplicationStore,
    plan: clusterPlan({ name: 'c', instance: 'me', redis: {} as never, shards: 1 }),
    pins,
    names: new PinNames(names, pins, 1),
    incarnation: 'me',
    start: 1,
    faults: new Faults(
      () => {},
      () => 0,
    ),
    nowMs: () => 0,
    random: () => 0,
    watch: () => {},
    sleep: async () => {
      slept++;
    },
  });
  const { replica } = replication.shard(0);
  replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'take', 'me', replica.known);
  await replication.follow();
  return slept;
}

const after = (cursor: string): StreamEntry[] => [
  { position: `${Number.parseInt(cursor, 10) + 1}-0`, previous: cursor, news: [] },
];

test('news of a stream is followed without a pause, and nothing or what is known already with one', async () => {
  expect(await follower(after, 10)).toBe(0);
  expect(await follower(() => [], 10)).toBe(10);
  expect(await follower(() => [{ position: '0-0', previous: '0-0', news: [] }], 10)).toBe(10);
});

test('a loss is told with its own reason, and not with that of one that is over', () => {
  const away: string[] = [];
  const pins = PinTable.create(10, { reportChanges: true });
  const faults = new Faults(
    () => {},
    () => 0,
  );
  const replication = new Replication({
    store: { isConnected: false } as ReplicationStore,
    plan: clusterPlan({ name: 'c', instance: 'me', redis: {} as never, shards: 1 }),
    pins,
    names: new PinNames(names, pins, 1),
    incarnation: 'me',
    start: 1,
    faults,
    nowMs: () => 0,
    random: () => 0,
    watch: (event) => {
      if (event.event === 'cluster-away') away.push(event.message);
    },
    sleep: async () => {},
  });
  const { replica } = replication.shard(0);
  const connect = (): void => {
    replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'take', 'me', replica.known);
    replication.tick();
  };
  connect();
  faults.note(new FaultError('file', 'the file is missing'));
  replication.disconnected();
  connect();
  replication.disconnected();
  connect();
  faults.note(new FaultError('away', 'nobody is there'));
  replication.disconnected();
  expect(away).toEqual(['the file is missing', 'no reason is known', 'nobody is there']);
});

test('learned is what others have pinned and the table has taken', () => {
  const pins = PinTable.create(10, { reportChanges: true });
  const known = {
    ...names,
    poolName: () => 'p',
    poolId: () => 1,
    knownPoolId: () => 1,
    backendId: (_pool: string, name: string) => (name === 'b' ? 1 : 0),
  };
  const pinNames = new PinNames(known, pins, 1);
  const replication = new Replication({
    store: { isConnected: true } as ReplicationStore,
    plan: clusterPlan({ name: 'c', instance: 'me', redis: {} as never, shards: 1 }),
    pins,
    names: pinNames,
    incarnation: 'me',
    start: 1,
    faults: new Faults(
      () => {},
      () => 0,
    ),
    nowMs: () => 0,
    random: () => 0,
    watch: () => {},
    sleep: async () => {},
  });
  const { replica } = replication.shard(0);
  replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'take', 'me', replica.known);
  const news = (client: number, value: string) => {
    const key = new Key('client-ip', { w0: 0, w1: 0, w2: 0xffff, w3: client, port: 0 });
    return { text: pinNames.place(1, key)!.text, pxMs: 1_000, value };
  };
  const told = ['1 b peer policy 1000 1', '1 b me policy 1000 1', '1 unheard-of peer policy 1000 1', ''];
  replica.heard([{ position: '1-0', previous: '0-0', news: told.map((value, i) => news(i + 1, value)) }]);
  expect([replication.counts.learned, pinNames.ignored, pins.stats().live]).toEqual([1, 1, 2]);
});
