/**
 * `close_over`: a thousand clients of a lost backend are told one after the other, and those of one that is back are left alone. And what
 * an operator has to do with it: a drain ends nobody, maintenance and `connections kill` do.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { admin, configText, quickCheck, reload, type Section, workersHave } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';

const clientsMax = 1_000;
/** Who is not there is down at once, and who is late on a busy machine is not. */
const patientCheck = { type: 'tcp', interval: '2s', fast_interval: '200ms', timeout: '2s', fall: 2, rise: 1 };
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

  test('a drain ends nobody; what goes down, or is ended, while it drains is told evenly', async () => {
    const server = await serve();
    const port = portOf(server);
    const spare = await serve();
    const backends = [
      { name: 'db', address: `127.0.0.1:${port}` },
      { name: 'spare', address: `127.0.0.1:${portOf(spare)}`, backup: true },
    ];
    const pinion = await startPinion(
      configText({
        engine,
        workers: 2,
        listeners: [{ name: 'front', bind: 'tcp://127.0.0.1:0', pool: 'pool', affinity: { key: 'none' } }],
        pools: { pool: { close_over: '8s', health: patientCheck, backends } },
      }),
    );
    const endedAtMs: number[] = [];
    const clients = await Promise.all(Array.from({ length: 200 }, () => open(pinion, endedAtMs)));
    const order = async (word: string): Promise<void> => {
      expect((await admin(pinion, 'POST', `/pools/pool/backends/db/${word}`)).status).toBe(200);
    };
    const flowsOf = async (name: string): Promise<number> => {
      const { body } = await admin(pinion, 'GET', '/status');
      const { backends } = body as { backends: { backend: string; flows: number }[] };
      return backends.find(({ backend }) => backend === name)!.flows;
    };
    const some = (more: number): Promise<true> => {
      const before = endedAtMs.length;
      return eventually(`${more} more are told`, () => endedAtMs.length >= before + more);
    };
    /** Those that are left go on, where they were. */
    const goOn = async (): Promise<void> => {
      const kept = clients.filter((client) => !client.closed);
      expect(kept.length).toBeGreaterThan(0);
      await Promise.all(
        kept.map((client) => {
          client.write('still');
          return once(client, 'data');
        }),
      );
      await eventually('all of them are counted', async () => (await flowsOf('db')) === kept.length);
    };

    await order('drain');
    await open(pinion, []);
    await eventually('newcomers go elsewhere', async () => (await flowsOf('spare')) === 1);
    await settled('those that are told', () => endedAtMs.length, 1_000);
    expect(endedAtMs).toEqual([]);
    await goOn();

    // While it drains it accepts nobody any more, and then does again: it drains on, with those that are left.
    const ups = () => pinion.events('backend-up').filter(({ backend }) => backend === 'db').length;
    const upsBefore = ups();
    server.close();
    await some(10);
    await serve(port);
    await eventually('it is up', () => ups() > upsBefore);
    await settled('those that are told', () => endedAtMs.length, 1_000);
    await goOn();
    await open(pinion, []);
    await eventually('newcomers still go elsewhere', async () => (await flowsOf('spare')) === 2);

    // Maintenance ends as on_down says, and what is taken back is over.
    await order('maintenance');
    await some(10);
    await order('undrain');
    await settled('those that are told', () => endedAtMs.length, 1_000);
    await goOn();
    const down = endedAtMs.length;

    // What an operator ends goes on being ended, whatever becomes of the drain.
    await order('drain');
    const { body } = await admin(pinion, 'POST', '/connections/kill?backend=db');
    expect(body).toMatchObject({ overMs: 8_000 });
    await some(10);
    expect(endedAtMs.length, 'evenly').toBeLessThan(clients.length);
    await order('undrain');
    await eventually('all of them are told', () => endedAtMs.length === clients.length);
    await eventually('none is left', async () => (await flowsOf('db')) === 0);
    const ended = (code: string) => pinion.metric('pinion_listener_ended_total', { listener: 'front', code });
    await eventually('the codes', async () => (await ended('operator')) === clients.length - down);
    expect(await ended('backend-down')).toBe(down);
  });

  test('a shutdown that drains for longer lets them be until the last of it', async () => {
    const server = await serve();
    const backends = [{ name: 'db', address: `127.0.0.1:${portOf(server)}` }];
    const pinion = await startPinion(
      configText({
        engine,
        workers: 2,
        shutdown: { drain: '3s' },
        listeners: [{ name: 'front', bind: 'tcp://127.0.0.1:0', pool: 'pool' }],
        pools: { pool: { close_over: '1s', health: { type: 'none' }, backends } },
      }),
    );
    const endedAtMs: number[] = [];
    await Promise.all(Array.from({ length: 50 }, () => open(pinion, endedAtMs)));
    const askedAtMs = performance.now();
    await pinion.stop('SIGTERM');
    await eventually('they have all been told', () => endedAtMs.length === 50);
    expect(endedAtMs[0]! - askedAtMs).toBeGreaterThan(1_900);
  });
});
