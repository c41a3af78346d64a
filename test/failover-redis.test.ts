/**
 * A failover of a real Redis behind Sentinels as its clients see it: the primary is frozen, its replica promoted by the Sentinels.
 * Clients of the old primary are ended, new ones go to the new one, and when the old one is back, as a replica, nobody is sent there.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { tcpClient } from './support/clients.ts';
import { admin, configText, listener } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { startRedisSentinel } from './support/redis-sentinel.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(stopEverything);

/** What a new client is told of the server it reaches; undefined if it reaches none. */
async function portReached(pinion: Pinion): Promise<number | undefined> {
  const socket = connect(pinion.port('cache'), '127.0.0.1').on('error', () => {});
  try {
    socket.write('INFO server\r\n');
    let text = '';
    while (!/tcp_port:\d+\r/.test(text)) {
      const [bytes] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [])]);
      if (!(bytes instanceof Buffer)) return undefined;
      text += bytes;
    }
    return Number(/tcp_port:(\d+)/.exec(text)![1]);
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

async function verdictOf(pinion: Pinion, name: string): Promise<string | null> {
  const { backends } = (await admin(pinion, 'GET', '/status')).body as {
    backends: { backend: string; up: boolean; reason: string | null }[];
  };
  const found = backends.find(({ backend }) => backend === name)!;
  return found.up ? 'up' : found.reason;
}

requirePackage('redis')('Redis', () => {
  test('clients find the primary that the Sentinels made', async () => {
    const pair = await startRedisSentinel();
    const servers = { first: pair.primary, second: pair.replica };
    const backends = Object.entries(servers).map(([name, { port }]) => ({
      name,
      address: `127.0.0.1:${port}`,
    }));
    const health = { type: 'redis', role: 'primary', interval: '3s', timeout: '3s', fall: 1, rise: 1 };
    const pools = { cache: { health, on_down: 'close', backends } };
    const pinion = await startPinion(
      configText({ workers: 1, listeners: [listener('cache', 'tcp', 'cache')], pools }),
    );
    await expect.poll(() => verdictOf(pinion, 'second')).toBe('wrong-role');
    await expect.poll(() => portReached(pinion)).toBe(pair.primary.port);

    const old = await tcpClient(pinion.port('cache'));
    old.socket.write('PING\r\n');
    expect(await old.line()).toBe('+PONG\r');

    // Frozen, not killed: its connections stay open in the kernel, and only pinion can end them.
    pair.primary.process.signal('SIGSTOP');
    expect(await old.outcome).toBe('ECONNRESET');
    await eventually('a new primary', async () => (await portReached(pinion)) === pair.replica.port, 60_000);
    await eventually('all Sentinels know', async () => (await pair.primaryPort()) === pair.replica.port);

    // It comes back believing to be the primary, until the Sentinels tell it.
    pair.primary.process.signal('SIGCONT');
    await eventually(
      'the old one is a replica',
      async () =>
        /role:slave/.test(await pair.primary.command('INFO', 'replication')) &&
        (await verdictOf(pinion, 'first')) === 'wrong-role',
      60_000,
    );
    for (let i = 0; i < 5; i++) expect(await portReached(pinion)).toBe(pair.replica.port);
  });
});
