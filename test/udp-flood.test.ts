/**
 * A flood of UDP sources, each of which may be forged: against a backend that never answers them, one that always does, one
 * that answers each once. TCP clients, new and old UDP clients are served all the while. Rows 36 and 52.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clientAddresses, inParallel, type TcpClient, tcpClient, tryUdp } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { type DatagramHandler, namedTcp, stopServers, udpServer } from './support/servers.ts';

const flowsMax = 400;
/** Enough that a source's conversation is long gone when it comes again. */
const sourcesMany = 1_500;
/** It takes the whole table three times a second: what one that is ten times as large sees of as many more. */
const perSecond = 1_000;
/** More than TCP's own quarter. */
const tcpMany = 130;

const sources: Socket[] = [];
const sockets: Socket[] = [];
const clients: TcpClient[] = [];
let flooding: NodeJS.Timeout | undefined;

async function openSocket(from: string): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('error', () => {});
  socket.bind(0, from);
  await once(socket, 'listening');
  return socket;
}

const addresses = clientAddresses(sourcesMany + 250).slice(sourcesMany);

beforeEach(async () => {
  sources.push(...(await inParallel(clientAddresses(sourcesMany), openSocket)));
});

afterEach(async () => {
  clearInterval(flooding);
  for (const client of clients.splice(0)) client.socket.destroy();
  for (const socket of [...sources.splice(0), ...sockets.splice(0)]) socket.close();
  await stopEverything();
  await stopServers();
});

/** Goes on until the end of the test. @returns how many it has sent */
function flood(port: number): () => number {
  const startedAtMs = performance.now();
  let sent = 0;
  flooding = setInterval(() => {
    const due = ((performance.now() - startedAtMs) / 1_000) * perSecond;
    // A process that was late does not make up for it at once.
    for (let burst = 0; sent < due && burst < 20; burst++) {
      sources[sent++ % sourcesMany]!.send('flood', port, '127.0.0.1');
    }
  }, 5);
  return () => sent;
}

/** Answers with its view of the client, so that a client knows whether its conversation is the same. */
const real: DatagramHandler = (message, from, reply) => {
  if (message.toString() !== 'flood') reply(String(from.port));
};
const backends: Readonly<Record<string, () => DatagramHandler>> = {
  silent: () => real,
  answering: () => (_message, from, reply) => reply(String(from.port)),
  'short-answer': () => {
    const seen = new Set<number>();
    return (message, from, reply) => {
      if (message.toString() !== 'flood') return reply(String(from.port));
      if (!seen.has(from.port)) reply('once');
      seen.add(from.port);
    };
  },
};

/** A client that asks again and again from one port; what it was answered last. */
async function knownClient(port: number, from: string): Promise<() => Promise<string>> {
  const socket = await openSocket(from);
  sockets.push(socket);
  let last: string | undefined;
  socket.on('message', (answer) => {
    last = String(answer);
  });
  const ask = async (): Promise<string> => {
    last = undefined;
    // As real clients do, it asks again when nothing comes.
    let againAtMs = Number.NEGATIVE_INFINITY;
    return eventually(`an answer to ${from}`, () => {
      if (performance.now() > againAtMs) {
        socket.send('known', port, '127.0.0.1');
        againAtMs = performance.now() + 5_000;
      }
      return last;
    });
  };
  await ask();
  await ask();
  return ask;
}

/** As real clients do, it asks once more when nothing comes: on a busy machine an answer may come too late. */
async function askTwice(port: number, from: string): Promise<string | undefined> {
  return (await tryUdp(port, from, 'new', 2_000)) ?? tryUdp(port, from, 'new', 20_000);
}

async function start(engine: string, handler: DatagramHandler): Promise<Pinion> {
  const [db] = await namedTcp(['db']);
  const game = await udpServer(handler, { name: 'game' });
  return startPinion(
    configText({
      engine,
      log: { flows: { level: 'off' } },
      limits: { flows: flowsMax },
      listeners: [listener('db', 'tcp', 'db'), listener('game', 'udp', 'game')],
      pools: {
        db: { health: noCheck, backends: backendsOf([db!]) },
        game: { health: noCheck, backends: backendsOf([game]) },
      },
    }),
  );
}

const stories = ['epoll', 'portable'].flatMap((engine) =>
  Object.keys(backends).map((kind) => [engine, kind] as const),
);

test.each(stories)('%s: a flood against a %s backend costs nobody else anything', async (engine, kind) => {
  const pinion = await start(engine, backends[kind]!());
  const [db, game] = [pinion.port('db'), pinion.port('game')];
  const known = await inParallel(addresses.slice(0, 20), (from) => knownClient(game, from));
  const portsBefore = await Promise.all(known.map((ask) => ask()));
  const sent = flood(game);
  await eventually(
    'a full table',
    async () => (await pinion.metric('pinion_listener_ended_total', { code: 'evicted' })) ?? 0,
  );

  const greeted = await inParallel(
    addresses.slice(20, 20 + tcpMany),
    async (from) => {
      const client = await tcpClient(db, { from });
      clients.push(client);
      return client.line().catch((error: Error) => error.message);
    },
    8,
  );
  expect(greeted.filter((name) => name !== 'db')).toEqual([]);
  const answers = await inParallel(addresses.slice(150, 250), (from) => askTwice(game, from), 4);
  expect(answers.filter((answer) => answer === undefined).length).toBeLessThanOrEqual(1);
  await eventually('a table that was filled anew again and again', () => sent() > 5 * flowsMax);
  expect(await pinion.metric('pinion_flows')).toBeLessThanOrEqual(flowsMax);
  expect(await Promise.all(known.map((ask) => ask()))).toEqual(portsBefore);
  expect(clients.filter((client) => client.socket.destroyed)).toEqual([]);
  await expect.poll(() => pinion.metric('pinion_listener_flows', { listener: 'db' })).toBe(tcpMany);
  expect((await pinion.metric('pinion_listener_refused_total', { listener: 'db' })) ?? 0).toBe(0);
});
