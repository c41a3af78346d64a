/** Stories of a process that did not run for a while: what waits in the kernel is read before a conversation expires. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

const idleMs = 1_500;
/** More than any engine reads of one socket in one turn of its loop. */
const clientsMany = 600;

/** Clients whose conversations are open; each has sent its number. */
async function openMany(stage: Stage, port: number, backend: UdpPeer): Promise<UdpPeer[]> {
  const clients: UdpPeer[] = [];
  for (let i = 0; i < clientsMany; i++) {
    const client = await UdpPeer.open(stage);
    client.send(String(i), port);
    clients.push(client);
    if (i % 50 === 49) await backend.receivesCount(i + 1);
  }
  return clients;
}

/** Runs `act` while the engine's process is stopped, and lets it stay so until every deadline has passed. */
async function whileStopped(stage: Stage, act: () => void): Promise<void> {
  process.kill(stage.pid, 'SIGSTOP');
  try {
    act();
    await sleep(2 * idleMs);
  } finally {
    process.kill(stage.pid, 'SIGCONT');
  }
}

export const udpPauseStories = [
  story('udp: what clients sent while the process did not run keeps their conversations', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view], { timeouts: { idleMs } });
    const clients = await openMany(stage, port, backend);
    // Nobody may expire for having come first.
    for (const [i, client] of clients.entries()) client.send(String(i), port);
    await backend.receivesCount(2 * clientsMany);
    await whileStopped(stage, () => {
      for (const [i, client] of clients.entries()) client.send(String(i), port);
    });
    await backend.receivesCount(3 * clientsMany);
    const sources = new Map<string, Set<number>>();
    for (const { bytes, from } of backend.received) {
      const text = bytes.toString();
      sources.set(text, (sources.get(text) ?? new Set()).add(from.port));
    }
    assert.equal(sources.size, clientsMany);
    const moved = [...sources.values()].filter((ports) => ports.size > 1).length;
    assert.equal(moved, 0, 'expired though their datagrams waited');
  }),

  story('udp: what backends sent while the process did not run reaches their clients', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view], { timeouts: { idleMs } });
    const clients = await openMany(stage, port, backend);
    for (const [i, client] of clients.entries()) client.send(String(i), port);
    await backend.receivesCount(2 * clientsMany);
    await whileStopped(stage, () => {
      for (const request of backend.received.slice(clientsMany)) backend.reply('late', request);
    });
    for (const client of clients) await client.receives('late');
  }),

  story('udp: a quiet conversation expires while others keep the listener busy', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view], { timeouts: { idleMs } });
    const quiet = await UdpPeer.open(stage);
    quiet.send('once', port);
    await backend.receives('once');
    const busy = await UdpPeer.open(stage);
    const sending = setInterval(() => {
      for (let i = 0; i < 50; i++) busy.send('again', port);
    }, 1);
    stage.onClose(() => clearInterval(sending));
    assert.equal((await stage.closed(1)).code, 'expired');
    clearInterval(sending);
    assert.equal(stage.all('closed').length, 1);
  }),
];
