/** PostgreSQL through pinion: a benchmark without an error, and bulk data both ways, unharmed. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configText, listener, quickCheck } from './support/config.ts';
import { requireCommand } from './support/packages.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { type Postgres, pgbenchCommand, startPostgres } from './support/postgres.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFolder } from './support/temporary.ts';

afterAll(stopEverything);

requirePackage('postgres')('PostgreSQL through pinion', () => {
  let postgres: Postgres;
  let pinion: Pinion;
  let port: number;

  beforeAll(async () => {
    postgres = await startPostgres({ settings: { max_wal_size: '4GB' } });
    pinion = await startPinion(
      configText({
        listeners: [listener('postgres', 'tcp', 'pg')],
        pools: {
          pg: { health: quickCheck, backends: [{ name: 'pg1', address: `127.0.0.1:${postgres.port}` }] },
        },
      }),
    );
    port = pinion.port('postgres');
  });

  test('pgbench runs for ten seconds without an error', async () => {
    await runToEnd(pgbenchCommand(port, ['--initialize', '--scale=2', '--quiet'])!);
    const args = ['--client=8', '--jobs=2', '--time=10', '--protocol=prepared'];
    const output = await runToEnd(pgbenchCommand(port, args)!);
    expect(output).toMatch(/number of failed transactions: 0 /);
    expect(Number(/transactions actually processed: (\d+)/.exec(output)?.[1])).toBeGreaterThan(100);
    expect(output).not.toMatch(/error|aborted/i);
  });

  test('pgbench with a connection for each transaction', async () => {
    const output = await runToEnd(
      pgbenchCommand(port, ['--client=4', '--connect', '--select-only', '--transactions=50'])!,
    );
    expect(output).toMatch(/transactions actually processed: 200\/200/);
  });

  test('200 MB go out and in again with equal checksums', async () => {
    // Each row differs, and so does each kilobyte of it.
    await postgres.query(`create unlogged table bulk as
      select n, (select string_agg(md5(n::text || i), '') from generate_series(1, 32) i where n > 0) as body
      from generate_series(1, 200000) n`);
    const file = join(temporaryFolder('copy'), 'bulk.copy');
    await psql(port, `\\copy (select * from bulk order by n) to '${file}'`);
    const hash = createHash('sha256');
    let bytes = 0;
    await pipeline(createReadStream(file), async (chunks) => {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        hash.update(chunk);
      }
    });
    expect(bytes).toBeGreaterThan(200_000_000);
    const direct = `select count(*), md5(string_agg(md5(n::text || body), '' order by n)) from`;
    const before = await postgres.query(`${direct} bulk`);
    await postgres.query('create unlogged table bulk_in (like bulk)');
    await psql(port, `\\copy bulk_in from '${file}'`);
    expect(await postgres.query(`${direct} bulk_in`)).toBe(before);

    const back = join(temporaryFolder('copy'), 'back.copy');
    await psql(postgres.port, `\\copy (select * from bulk_in order by n) to '${back}'`);
    const direct2 = createHash('sha256');
    await pipeline(createReadStream(back), direct2);
    expect(hash.digest('hex')).toBe(direct2.digest('hex'));
    const relayed = () => pinion.events('flow').reduce((sum, flow) => sum + Number(flow.bytesIn), 0);
    await expect.poll(relayed).toBeGreaterThan(200_000_000);
  });

  async function psql(throughPort: number, command: string): Promise<void> {
    const args = [
      '-h',
      '127.0.0.1',
      '-p',
      String(throughPort),
      '-U',
      'pinion',
      '-d',
      'postgres',
      '-qc',
      command,
    ];
    await runToEnd({ command: requireCommand('postgres', 'psql'), args });
  }
});
