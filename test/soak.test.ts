/** The soak of bench/soak.ts in its short form: mixed work, then everything is back where it was. */
import { afterAll, expect, test } from 'vitest';
import { soak } from '../bench/soak/soak.ts';
import { stopEverything } from './support/processes.ts';
import { stopServers } from './support/servers.ts';

afterAll(async () => {
  await stopEverything();
  await stopServers();
});

test('mixed work, with 200,000 datagrams of every size, leaves nothing behind', async () => {
  const { misses, datagrams, backendDeaths } = await soak({
    warmMs: 3_000,
    soakMs: 6_000,
    datagramsMin: 200_000,
  });
  expect(misses).toEqual([]);
  expect(datagrams).toBeGreaterThanOrEqual(200_000);
  expect(backendDeaths).toBeGreaterThan(0);
});
