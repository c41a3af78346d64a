/** Listeners with several addresses and ranges of ports, and backends on the port that the client came to. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, askUdp, TcpClient, tcpClient } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { admin, backendsOf, configText, noCheck, reload, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { namespacesWork, namespaceWrapper } from './support/namespace.ts';
import { startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

/** UDP servers at 127.0.0.2 on ports that follow each other, which are free at 127.0.0.1 too. Named by their place. */
async function serversInARow(count: number): Promise<number> {
  for (;;) {
    const first = await freePort('udp');
    try {
      for (let i = 0; i < count; i++) await namedUdp([`at ${i}`], { ip: '127.0.0.2', port: first + i });
      return first;
    } catch {
      await stopServers();
    }
  }
}

describe.each(['epoll', 'portable'])('on the %s engine', (engine) => {
  test('a range of ports is one listener, and its backends may be on the same port', async () => {
    const first = await serversInARow(3);
    const games = (last: number): Section => ({
      name: 'games',
      bind: `udp://127.0.0.1:${first}-${last}`,
      pool: 'arena',
    });
    const config = (last: number): string =>
      configText({
        engine,
        listeners: [games(last)],
        pools: { arena: { backends: [{ name: 'a', address: '127.0.0.2:same' }] } },
      });
    const pinion = await startPinion(config(first + 1));
    expect(pinion.events('listening').find(({ listener }) => listener === 'games')).toMatchObject({
      address: `udp://127.0.0.1:${first}-${first + 1}`,
    });
    expect(await askUdp(first)).toBe('at 0');
    expect(await askUdp(first + 1)).toBe('at 1');
    await reload(pinion, config(first + 2));
    expect(await askUdp(first + 2)).toBe('at 2');
    expect(await askUdp(first)).toBe('at 0');
    const { body } = await admin(pinion, 'GET', '/status');
    expect((body as { listeners: object[] }).listeners).toMatchObject([
      { name: 'games', address: `udp://127.0.0.1:${first}-${first + 2}`, flows: 4 },
    ]);
    const label = { listener: 'games', address: `udp://127.0.0.1:${first}-${first + 2}` };
    await expect.poll(() => pinion.metric('pinion_listener_info', label)).toBe(1);
    const explain = async (...more: readonly string[]) => {
      const at = ['--admin', `127.0.0.1:${pinion.port('admin')}`, '-l', 'games', '--client', '192.0.2.7'];
      return pinionCommand(['explain', ...at, ...more]);
    };
    expect((await explain('--port', `${first + 1}`)).stdout).toMatch(
      new RegExp(`^address +127\\.0\\.0\\.2:${first + 1}$`, 'm'),
    );
    expect((await explain()).stdout).toMatch(/^address +127\.0\.0\.2:same$/m);
    expect(await explain('--port', `${first + 3}`)).toMatchObject({
      status: 1,
      stderr: `listener games has no port ${first + 3}: it is at udp://127.0.0.1:${first}-${first + 2}\n`,
    });
  });

  test.skipIf(!namespacesWork())('a thousand ports are sockets and little else', async () => {
    const started = async (ports: string) => {
      const config = configText({
        engine,
        workers: 1,
        listeners: [{ name: 'games', bind: `udp://127.0.0.1:${ports}`, pool: 'arena' }],
        pools: { arena: { backends: [{ name: 'a', address: '127.0.0.2:same' }] } },
      });
      const pinion = await startPinion(config, { wrapper: namespaceWrapper() });
      const cost = { sockets: pinion.descriptors(), bytes: pinion.rssBytes() };
      await pinion.stop('SIGKILL');
      return cost;
    };
    const [one, thousand] = [await started('7000'), await started('7000-7999')];
    expect(thousand.sockets - one.sockets).toBe(999);
    // docs/EDGE.md has some 25 MiB.
    expect(thousand.bytes - one.bytes).toBeLessThan(64 * 1024 ** 2);
  });

  test('a reload gives single addresses up: their flows end, those of the others stay', async () => {
    const [server, stranger] = await namedTcp(['server', 'stranger']);
    const [web, other] = [await freePort(), await freePort()];
    const path = join(temporaryFolder('ports'), 'web.sock');
    const config = (...bind: string[]): string =>
      configText({
        engine,
        listeners: [{ name: 'web', bind, pool: 'pool' }],
        pools: { pool: { health: noCheck, backends: backendsOf([server!]) } },
      });
    const pinion = await startPinion(config(`tcp://127.0.0.1:${web}`, `tcp://[::1]:${web}`, `unix:${path}`));
    const stays = await tcpClient(web);
    const goes = await tcpClient(web, { host: '::1' });
    const local = new TcpClient(connect({ path, allowHalfOpen: true }));
    for (const client of [stays, goes, local]) expect(await client.line()).toBe('server');

    await reload(pinion, config(`tcp://127.0.0.1:${web}`, `tcp://127.0.0.1:${other}`));
    expect(await askTcp(other)).toBe('server');
    expect(await goes.outcome).toBe('ECONNRESET');
    expect(await local.outcome).toBe('end');
    stays.socket.write('still here');
    await eventually('the echo', () => stays.text === 'server\nstill here');
    await expect(tcpClient(web, { host: '::1' })).rejects.toThrow('ECONNREFUSED');
    const ended = () => pinion.events('flow').filter(({ code }) => code === 'listener-removed');
    await expect.poll(() => ended().map(({ listener }) => listener)).toEqual(['web', 'web']);

    // One of them cannot be had: it is named, and nothing has changed.
    const taken = `tcp://127.0.0.1:${stranger!.port}`;
    writeFileSync(pinion.configPath, config(`tcp://127.0.0.1:${web}`, taken));
    pinion.process.signal('SIGHUP');
    await eventually('a refusal', () => pinion.events('reload-refused').length > 0);
    expect(JSON.stringify(pinion.events('reload-refused'))).toContain(`cannot bind ${taken}: EADDRINUSE`);
    expect(await askTcp(other)).toBe('server');
  });
});
