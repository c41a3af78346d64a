/**
 * A client that comes back the moment its connection is over has its place: whether it ended first or the server did, at the
 * limit of one client and of a listener. The end it has seen, or sent, may still be unread here when it is back.
 */
import { afterEach, expect, test } from 'vitest';
import { clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { stopServers, tcpServer } from './support/servers.ts';

const engines = ['epoll', 'portable'] as const;
const clientCount = 20;
const rounds = 60;

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

interface Ways {
  readonly limits: Section;
  /** A server that says its name and ends; else the client ends when it has read the name. */
  readonly serverEnds: boolean;
}

const ways: readonly Ways[] = [
  { limits: { flows_per_client: 1 }, serverEnds: true },
  { limits: { flows_per_client: 1 }, serverEnds: false },
  { limits: { flows: clientCount }, serverEnds: true },
  { limits: { flows: clientCount }, serverEnds: false },
];

/** Ends both ways and does not wait until the end has gone anywhere: the next connection follows on its heels. */
async function visit(port: number, from: string, serverEnds: boolean): Promise<string> {
  const client = await tcpClient(port, { from });
  const name = await client.line();
  if (!serverEnds) client.socket.resume().end();
  const outcome = await client.outcome;
  // The end is with the kernel before the next connection begins.
  await new Promise<void>((sent) => client.socket.resume().end(sent));
  return outcome === 'end' ? name : outcome;
}

test.each(engines.flatMap((engine) => ways.map((way) => ({ engine, ...way }))))(
  '$engine: nobody is refused for what is over ($limits, server ends first: $serverEnds)',
  async ({ engine, limits, serverEnds }) => {
    const server = await tcpServer((socket) => {
      if (serverEnds) socket.end('a\n');
      else {
        socket.write('a\n');
        socket.on('end', () => socket.end());
      }
    });
    const front = listener('front', 'tcp', 'pool', { limits });
    const pools = { pool: { health: noCheck, backends: backendsOf([server]) } };
    const pinion = await startPinion(configText({ engine, workers: 1, listeners: [front], pools }));
    const port = pinion.port('front');
    const visits = await inParallel(clientAddresses(clientCount), async (from) => {
      const outcomes: string[] = [];
      for (let i = 0; i < rounds; i++) outcomes.push(await visit(port, from, serverEnds).catch(String));
      return outcomes;
    });
    expect(visits.flat().filter((outcome) => outcome !== 'a')).toEqual([]);
  },
);
