/** `max_connection_age`, for real and on both engines: a connection that is too old ends, a busy one as well, and its client is served anew. */
import { afterEach, expect, test } from 'vitest';
import { askTcp, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

/** At once on both: it is the shortest that may be configured. */
const ageMs = 10_000;

async function tellsAge(engine: string): Promise<void> {
  const [server] = await namedTcp(['a']);
  const backends = backendsOf([server!]);
  const pools = {
    short: { health: noCheck, max_connection_age: `${ageMs}ms`, backends },
    forever: { health: noCheck, backends },
  };
  const listeners = Object.keys(pools).map((name) => listener(name, 'tcp', name));
  const pinion = await startPinion(configText({ engine, workers: 1, listeners, pools }));
  const stays = await tcpClient(pinion.port('forever'));
  expect(await stays.line()).toBe('a');
  const openedAtMs = performance.now();
  const clients = await Promise.all(Array.from({ length: 6 }, () => tcpClient(pinion.port('short'))));
  const busy = setInterval(() => clients[0]!.socket.write('x'), 100);
  const ages = await Promise.all(
    clients.map(async (client) => {
      await client.outcome;
      return performance.now() - openedAtMs;
    }),
  );
  clearInterval(busy);
  // A tenth more or less, each its own.
  for (const age of ages) expect(age).toBeGreaterThan(ageMs * 0.9 - 50);
  await eventually('six are told', () => pinion.events('flow').length === 6);
  expect(new Set(pinion.events('flow').map(({ code }) => code))).toEqual(new Set(['max-age']));
  expect(stays.socket.destroyed).toBe(false);
  expect(await askTcp(pinion.port('short'))).toBe('a');
}

test('a connection ends at about its age and no sooner, a busy one as well, on each engine', async () => {
  await Promise.all(['epoll', 'portable'].map(tellsAge));
});
