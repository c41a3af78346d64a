/**
 * A failover of a real PostgreSQL as its writers see it: the primary is killed, its replica promoted, and the old one comes back as a
 * replica of the new one. Sessions on the dead one end at once, new ones go to the new primary and stay there, and no row that was
 * acknowledged by the new primary is missing.
 */
import { afterEach, expect, test } from 'vitest';
import { admin, configText, listener } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { type Postgres, startPostgres } from './support/postgres.ts';
import { PostgresWriter } from './support/postgres-writer.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

const writerCount = 6;
let writers: PostgresWriter[] = [];

afterEach(async () => {
  await Promise.all(writers.map((writer) => writer.stop()));
  writers = [];
  await stopEverything();
});

/** The number of the row each writer has been told of last, of those written by this server. */
function lastRows(by: Postgres): number[] {
  return writers.map(({ written }) => written.findLast((one) => one.by === by.port)?.row ?? 0);
}

async function allWriteTo(server: Postgres, more: number): Promise<void> {
  const before = lastRows(server);
  await eventually(`everybody writes to ${server.port}`, () =>
    lastRows(server).every((row, i) => row >= before[i]! + more),
  );
}

requirePackage('postgres')('PostgreSQL', () => {
  test.each(['epoll', 'portable'])(
    '%s: writers find the promoted replica, and stay with it',
    async (engine) => {
      const first = await startPostgres();
      await first.query('create table t (writer int, row int, primary key (writer, row))');
      await first.query('create role monitor login');
      const second = await startPostgres({ replicaOf: first });
      const health = {
        type: 'postgres',
        user: 'monitor',
        role: 'primary',
        interval: '1s',
        timeout: '1s',
        fall: 2,
      };
      const addresses = { first, second };
      const backends = Object.entries(addresses).map(([name, { port }]) => ({
        name,
        address: `127.0.0.1:${port}`,
      }));
      const pinion = await startPinion(
        configText({
          engine,
          listeners: [listener('write', 'tcp', 'pg')],
          pools: { pg: { health, backends } },
        }),
      );
      writers = Array.from(
        { length: writerCount },
        (_, i) => new PostgresWriter(pinion.port('write'), i, '127.0.0.1'),
      );
      await allWriteTo(first, 5);

      const killedAtMs = performance.now();
      await first.stop('SIGKILL');
      await eventually('it is told', () =>
        pinion.events('backend-down').find((one) => one.backend === 'first'),
      );
      const toldAtMs = performance.now();
      await second.query('select pg_promote()');
      await allWriteTo(second, 5);
      const firstRows = writers.map(({ written }) => written.find(({ by }) => by === second.port)!.atMs);
      console.log(
        `${engine}: told ${Math.round(toldAtMs - killedAtMs)} ms after the primary was killed; the first writer wrote again ` +
          `after ${Math.round(Math.min(...firstRows) - killedAtMs)} ms, the last after ${Math.round(Math.max(...firstRows) - killedAtMs)} ms`,
      );

      // The old one is back where clients may reach it, as a replica: nobody is sent there.
      const back = await startPostgres({ replicaOf: second, port: first.port });
      await eventually('it is known to be a replica', async () => {
        const { body } = await admin(pinion, 'GET', '/status');
        const { backends: rows } = body as { backends: { backend: string; reason: string | null }[] };
        return rows.find(({ backend }) => backend === 'first')?.reason === 'wrong-role';
      });
      const lossesBefore = writers.map(({ losses }) => losses.length);
      await allWriteTo(second, 5);
      expect(writers.map(({ losses }) => losses.length)).toEqual(lossesBefore);
      for (const { written } of writers) {
        const since = written.findIndex(({ by }) => by === second.port);
        expect(new Set(written.slice(since).map(({ by }) => by))).toEqual(new Set([second.port]));
      }
      // What the new one acknowledged is there, and reaches the replica.
      await Promise.all(writers.map((writer) => writer.stop()));
      const told = writers.flatMap(({ written }, i) =>
        written.filter(({ by }) => by === second.port).map(({ row }) => `${i}|${row}`),
      );
      const rows = 'select writer, row from t';
      const there = new Set((await second.query(rows)).split('\n'));
      expect(told.filter((row) => !there.has(row))).toEqual([]);
      await eventually(
        'the replica has them',
        async () => (await back.query(rows)).split('\n').length === there.size,
      );
    },
  );
});
