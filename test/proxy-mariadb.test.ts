/**
 * The PROXY protocol read by a database: MariaDB takes for its client whom the header of pinion names, and lets it in for that.
 *
 *    mariadb (127.0.0.1) --> pinion --(from 127.0.0.2, v1 or v2)--> MariaDB, which knows a user at 127.0.0.1 alone
 */
import { afterAll, afterEach, expect, test } from 'vitest';
import { configText, listener } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { removeEmptyData, startMariaDb } from './support/mariadb.ts';
import { requireCommand } from './support/packages.ts';
import { startPinion } from './support/pinion.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(stopEverything);
afterAll(removeEmptyData);

requirePackage('mariadb')('MariaDB behind pinion', () => {
  test('knows the client by its own address and port, and takes checks for nobody', async () => {
    const server = await startMariaDb({ settings: { 'proxy-protocol-networks': '127.0.0.2' } });
    await server.query(`create user app@'127.0.0.1' identified by 'secret'`);
    const backends = [{ name: 'm', address: `127.0.0.1:${server.port}` }];
    const health = { type: 'mysql', interval: '2s', timeout: '2s' };
    const told = { v1: 'v1', v2: { version: 'v2', tlvs: ['unique-id', 'checksum'] } } as const;
    const versions = ['v1', 'v2'] as const;
    const ask = async (engine: string): Promise<void> => {
      const pinion = await startPinion(
        configText({
          engine,
          workers: 1,
          log: { flows: { level: 'info' } },
          listeners: versions.map((name) => listener(name, 'tcp', name)),
          pools: Object.fromEntries(
            versions.map((name) => [
              name,
              { source: '127.0.0.2', health, proxy_protocol: told[name], backends },
            ]),
          ),
        }),
      );
      await eventually('both pass', async () => (await pinion.metric('pinion_backend_up')) === 2);
      for (const name of versions) {
        const sql = `select user(), host from information_schema.processlist where id = connection_id()`;
        const to = ['-h127.0.0.1', `-P${pinion.port(name)}`, '--protocol=tcp', '-uapp', '-psecret'];
        const said = await runToEnd({
          command: requireCommand('mariadb', 'mariadb'),
          args: ['--no-defaults', ...to, '-N', '-B', '-e', sql],
        });
        const [user, client] = said.trim().split('\t');
        expect(user).toBe('app@127.0.0.1');
        await pinion.waitForLog((record) => record.event === 'flow' && record.client === client);
      }
    };
    await Promise.all([ask('epoll'), ask('portable')]);
  });
});
