/** A backend whose address changes while TCP flows are open to it: row 57 of the reliability table, the TCP half. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, type TcpClient, tcpClient } from './support/clients.ts';
import { admin, configText, quickCheck, reload, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';

/** Greets with its name and echoes. Closed, it refuses newcomers and goes on with those it has. */
class Place {
  readonly name: string;
  readonly server: Server;
  readonly sockets = new Set<Socket>();
  address = '';

  constructor(name: string) {
    this.name = name;
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.write(`${name}\n`);
      socket.pipe(socket);
    });
  }

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.address = `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  refuse(): void {
    this.server.close();
  }
}

const places: Place[] = [];

async function place(name: string): Promise<Place> {
  const one = new Place(name);
  await one.listen();
  places.push(one);
  return one;
}

afterEach(async () => {
  await stopEverything();
  for (const { server, sockets } of places.splice(0)) {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});

describe.each(['epoll', 'portable'])('engine %s', (engine) => {
  const config = (at: Place, pool: Section): string =>
    configText({
      engine,
      workers: 1,
      listeners: [{ name: 'front', bind: 'tcp://127.0.0.1:0', pool: 'pool' }],
      pools: { pool: { health: quickCheck, backends: [{ name: 'db', address: at.address }], ...pool } },
    });

  async function open(pinion: Pinion, from?: string): Promise<TcpClient> {
    const client = await tcpClient(pinion.port('front'), from === undefined ? {} : { from });
    await client.line();
    return client;
  }

  async function goesOn(client: TcpClient): Promise<void> {
    const before = client.receivedBytes;
    client.socket.write('echo');
    await eventually('the echo', () => client.receivedBytes === before + 4);
  }

  const ended = async (pinion: Pinion, code: string): Promise<number> =>
    (await pinion.metric('pinion_listener_ended_total', { listener: 'front', code })) ?? 0;

  test('keep: who is on the old address stays, and on_down has the word when the server there dies', async () => {
    const [first, second] = [await place('first'), await place('second')];
    const pinion = await startPinion(config(first, {}));
    const client = await open(pinion);
    await reload(pinion, config(second, {}));
    expect(await askTcp(pinion.port('front'))).toBe('second');
    await goesOn(client);
    await expect
      .poll(() => pinion.events('address-left'))
      .toMatchObject([{ address: first.address, flows: 1, action: 'keep' }]);
    await eventually(
      'one flow counted there',
      async () => (await pinion.metric('pinion_backend_former_flows', { backend: 'db' })) === 1,
    );
    const { body } = await admin(pinion, 'GET', '/connections?most=10');
    expect(body).toMatchObject({ connections: [{ backend: 'db', address: first.address }] });
    const status = await admin(pinion, 'GET', '/status');
    expect(status.body).toMatchObject({
      backends: [{ at: second.address, former: [{ address: first.address, up: true }] }],
    });
    const other = await open(pinion);
    first.refuse();
    expect(await client.outcome).toBe('ECONNRESET');
    await expect.poll(() => ended(pinion, 'backend-down')).toBe(1);
    await goesOn(other);
    await expect
      .poll(() => pinion.events('address-down'))
      .toMatchObject([{ address: first.address, why: 'ECONNREFUSED' }]);
    // Nobody is on it: it is looked at no more.
    await eventually('nothing left of it', async () => {
      const now = await admin(pinion, 'GET', '/status');
      const { backends } = now.body as { backends: { former: unknown[] }[] };
      return backends[0]!.former.length === 0;
    });
  });

  test('on_down: keep keeps them there even then', async () => {
    const [first, second] = [await place('first'), await place('second')];
    const pinion = await startPinion(config(first, { on_down: 'keep' }));
    const client = await open(pinion);
    await reload(pinion, config(second, { on_down: 'keep' }));
    first.refuse();
    await pinion.waitForLog(({ event }) => event === 'address-down');
    await goesOn(client);
  });

  test('close: they are ended with their own code, and who connects again is at the new address', async () => {
    const [first, second] = [await place('first'), await place('second')];
    const pool = { on_address_change: 'close' };
    const pinion = await startPinion(config(first, pool));
    const client = await open(pinion);
    // Nothing has changed: nothing ends.
    await reload(pinion, config(first, pool));
    await goesOn(client);
    await reload(pinion, config(second, pool));
    expect(await client.outcome).toBe('ECONNRESET');
    expect(await askTcp(pinion.port('front'))).toBe('second');
    await eventually('the code', async () => (await ended(pinion, 'address-changed')) === 1);
    const flow = await pinion.waitForLog(({ event, code }) => event === 'flow' && code === 'address-changed');
    expect(flow.backend).toBe('db');
  });

  test('grace: they have their time', async () => {
    const [first, second] = [await place('first'), await place('second')];
    const pool = { on_address_change: { grace: '6s' } };
    const pinion = await startPinion(config(first, pool));
    const client = await open(pinion);
    const before = performance.now();
    await reload(pinion, config(second, pool));
    await goesOn(client);
    const other = await open(pinion);
    expect(await client.outcome).toBe('ECONNRESET');
    expect(performance.now() - before).toBeGreaterThan(5_900);
    await goesOn(other);
    await expect.poll(() => ended(pinion, 'address-changed')).toBe(1);
  });

  test('another source address is a change as well', async () => {
    const server = await place('server');
    const pool = (source: string): Section => ({ on_address_change: 'close', source });
    const pinion = await startPinion(config(server, pool('127.0.0.2')));
    const client = await open(pinion);
    await reload(pinion, config(server, pool('127.0.0.2')));
    await goesOn(client);
    await reload(pinion, config(server, pool('127.0.0.3')));
    expect(await client.outcome).toBe('ECONNRESET');
    await open(pinion);
    expect([...server.sockets].some(({ remoteAddress }) => remoteAddress === '127.0.0.3')).toBe(true);
    await expect.poll(() => ended(pinion, 'address-changed')).toBe(1);
  });

  test('an address that is used again has its flows as before', async () => {
    const [first, second] = [await place('first'), await place('second')];
    const pool = { on_address_change: { grace: '6s' } };
    const pinion = await startPinion(config(first, pool));
    const client = await open(pinion);
    await reload(pinion, config(second, pool));
    const other = await open(pinion);
    await reload(pinion, config(first, pool));
    expect(await other.outcome).toBe('ECONNRESET');
    await goesOn(client);
    await expect.poll(() => ended(pinion, 'address-changed')).toBe(1);
  });
});
