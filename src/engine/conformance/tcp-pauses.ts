/**
 * Stories of a process that does not run for a while (SIGSTOP, a suspended machine, a long collection): what waits in the
 * kernel is read before any timer judges.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSleeper } from './blackhole.ts';
import { backendView } from './listener.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';

/** Clients that have each been answered once. More than one turn of a reactor takes. */
async function talkers(stage: Stage, port: number): Promise<TcpPeer[]> {
  const clients = await Promise.all(Array.from({ length: 300 }, () => TcpPeer.connect(stage, port)));
  for (const client of clients) client.send('a');
  for (const client of clients) await client.receives('a');
  return clients;
}

export const tcpPauseStories = [
  story('tcp: clients that went on while the process stood still are not idle', async (stage) => {
    const idleMs = 2_000;
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], { timeouts: { idleMs } });
    const clients = await talkers(stage, port);
    await stage.whileStopped(async () => {
      for (const client of clients) client.send('b');
      await sleep(1.5 * idleMs);
    });
    for (const client of clients) await client.receives('ab');
    await stage.settle();
    assert.deepEqual(stage.all('closed'), []);
  }),

  story('tcp: an answer that came while the process stood still is not too late', async (stage) => {
    const halfCloseMs = 2_000;
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view], { timeouts: { halfCloseMs } });
    const client = await TcpPeer.connect(stage, port);
    const server = await backend.accepted();
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await stage.whileStopped(async () => {
      server.send('answer');
      await sleep(1.5 * halfCloseMs);
    });
    await client.receives('answer');
    server.finish();
    const outcome = await client.outcome();
    assert.deepEqual([outcome, (await stage.closed(1)).code], ['end', 'client-closed']);
  }),

  story('tcp: a dial that was answered while the process stood still has connected', async (stage) => {
    // The kernel repeats its SYN after a second.
    const connectMs = 2_000;
    const sleeper = await openSleeper(stage);
    const { port } = await stage.listen('tcp', [backendView(sleeper.bind)], { timeouts: { connectMs } });
    await TcpPeer.connect(stage, port);
    await stage.event('dialing');
    // The word comes before connect(2).
    await stage.settle();
    const dialedAtMs = performance.now();
    await stage.whileStopped(async () => {
      sleeper.wake();
      await stage.eventually('the connection', () => sleeper.accepted() === 1);
      await sleep(Math.max(0, dialedAtMs + 1.5 * connectMs - performance.now()));
    });
    await stage.event('dialed');
    assert.deepEqual(stage.all('dial-failed'), []);
  }),
];
