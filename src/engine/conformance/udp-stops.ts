/** Stories of a UDP listener that shuts down: whom it knows is served until quiet, nobody else is. */
import assert from 'node:assert/strict';
import { stoppingAnsweredMs } from '../../core/limits.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

/** Longer than one whose datagrams were all answered is kept. */
const lateMs = stoppingAnsweredMs + 1_000;

function shutDown(stage: Stage, listenerId: number): Promise<void> {
  return stage.tell({ type: 'unlisten', listenerId, code: 'shutdown' });
}

export const udpStopStories = [
  story('udp: a listener that shuts down serves whom it knows, and nobody new', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const known = await UdpPeer.open(stage);
    known.send('before', port);
    await known.receives('before');
    await shutDown(stage, listener.id);
    const stranger = await UdpPeer.open(stage);
    stranger.send('me too', port);
    assert.equal((await stage.event('dropped')).reason, 'shutdown');
    known.send('after', port);
    await known.receives('after');
    // All was answered: it is over long before its idle time-out.
    assert.equal((await stage.closed(1)).code, 'expired');
    stranger.send('me now?', port);
    await stage.eventually('a second drop', () => stage.all('dropped').length === 2);
    assert.equal(stage.all('opened').length, 1);
    assert.deepEqual(stranger.texts, []);
  }),

  story('udp: an answer under way arrives after its listener was told to shut down', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('question', port);
    const question = await backend.receives('question');
    await shutDown(stage, listener.id);
    setTimeout(() => backend.reply('answer', question), lateMs);
    await client.receives('answer');
    assert.equal((await stage.closed(1)).code, 'expired');
  }),

  story('udp: a conversation that goes on outlives the silence that ends others', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const game = await UdpPeer.open(stage);
    game.send('join', port);
    await game.receives('join');
    await shutDown(stage, listener.id);
    for (const endMs = performance.now() + lateMs; performance.now() < endMs; ) {
      const before = game.received.length;
      game.send('move', port);
      await game.receivesCount(before + 1);
    }
    await stage.settle();
    assert.equal(stage.all('closed').length, 0);
    await stage.stop();
    assert.equal((await stage.closed(1)).code, 'shutdown');
  }),

  story('udp: a short idle time-out holds while a listener shuts down', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port, listener } = await stage.listen('udp', [backend.view], { timeouts: { idleMs: 500 } });
    const client = await UdpPeer.open(stage);
    client.send('question', port);
    const question = await backend.receives('question');
    await shutDown(stage, listener.id);
    assert.equal((await stage.closed(1)).code, 'expired');
    backend.reply('too late', question);
    client.send('again', port);
    await stage.event('dropped');
    assert.deepEqual(client.texts, []);
  }),
];
