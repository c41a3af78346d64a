/** `close_over`: a thousand clients of a lost backend are told one after the other, and those of one that is back are left alone. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { configText, quickCheck, reload, type Section, workersHave } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';

const clientsMax = 1_000;
const sockets: Socket[] = [];
const servers: Server[] = [];

async function serve(port = 0): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
    sockets.push(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

afterEach(async () => {
  await stopEverything();
  for (const server of servers.splice(0)) server.close();
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function open(pinion: Pinion, endedAtMs: number[]): Promise<Socket> {
  const socket = connect(pinion.port('front'), '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => {});
  socket.on('close', () => endedAtMs.push(performance.now()));
  socket.write('hello');
  await once(socket, 'data');
  return socket;
}

describe.each(['epoll', 'portable'])('engine %s', (engine) => {
  test('they end evenly, a backend that is back keeps the rest, and a reload that removes it ends them', async () => {
    const server = await serve();
    const checked = await serve();
    const port = portOf(checked);
    const other = await serve();
    const backend = { name: 'db', address: `127.0.0.1:${portOf(server)}` };
    const spare = { name: 'spare', address: `127.0.0.1:${portOf(other)}`, weight: 0 };
    const config = (backends: Section[]): string =>
      configText({
        engine,
        workers: 2,
        shutdown: { drain: '3s' },
        listeners: [{ name: 'front', bind: 'tcp://127.0.0.1:0', pool: 'pool' }],
        pools: {
          pool: {
            close_over: '6s',
            health: { ...quickCheck, port },
            backends,
          },
        },
      });
    const pinion = await startPinion(config([backend, spare]));
    const endedAtMs: number[] = [];
    const clients: Socket[] = [];
    while (clients.length < clientsMax)
      clients.push(...(await Promise.all(Array.from({ length: 50 }, () => open(pinion, endedAtMs)))));

    const ups = () => pinion.events('backend-up').filter(({ backend: name }) => name === 'db').length;
    const upsBefore = ups();
    checked.close();
    await eventually('a quarter has been told', () => endedAtMs.length > clientsMax / 4);
    await serve(port);
    await eventually('it is up', () => ups() > upsBefore);
    await workersHave(pinion);
    await settled('those that are told', () => endedAtMs.length, 1_000);
    const kept = clients.filter((client) => !client.closed);
    expect(kept.length).toBeGreaterThan(0);
    kept[0]!.write('still');
    await once(kept[0]!, 'data');

    const before = endedAtMs.length;
    await reload(pinion, config([{ ...spare, weight: 1 }]));
    await eventually('the rest has been told', () => endedAtMs.length === clientsMax);
    const times = endedAtMs.slice(before);
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(1_000);
    const removed = { listener: 'front', code: 'backend-removed' };
    await expect.poll(() => pinion.metric('pinion_listener_ended_total', removed)).toBe(kept.length);

    // A shutdown ends them within its time, and not at the end of it.
    const lastMs: number[] = [];
    await Promise.all(Array.from({ length: 100 }, () => open(pinion, lastMs)));
    await pinion.stop('SIGTERM');
    await eventually('they have all been told', () => lastMs.length === 100);
    expect(lastMs.at(-1)! - lastMs[0]!).toBeGreaterThan(300);
  });
});
