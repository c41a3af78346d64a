/** Stories of backends that get another address while clients talk to them. */
import assert from 'node:assert/strict';
import { leaveDescriptors } from './descriptor-limit.ts';
import { backendView } from './listener.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

function moveTo(stage: Stage, peer: UdpPeer): Promise<void> {
  return stage.tell({ type: 'move', backend: peer.view });
}

export const udpMoveStories = [
  story(
    'udp: a conversation follows its backend to another address with its next datagram',
    async (stage) => {
      const [first, second] = [await UdpPeer.echo(stage), await UdpPeer.echo(stage, '127.0.0.2')];
      const { port } = await stage.listen('udp', [first.view]);
      const client = await UdpPeer.open(stage);
      client.send('one', port);
      await client.receives('one');
      await moveTo(stage, second);
      for (const text of ['two', 'three']) {
        client.send(text, port);
        await client.receives(text);
      }
      await moveTo(stage, first);
      client.send('four', port);
      await client.receives('four');
      assert.deepEqual(
        [first.texts, second.texts],
        [
          ['one', 'four'],
          ['two', 'three'],
        ],
      );
      stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
      const { datagramsIn, datagramsOut } = await stage.closed(1);
      assert.deepEqual([datagramsIn, datagramsOut], [4, 4]);
      assert.deepEqual([stage.all('opened').length, stage.all('dialed').length], [1, 1]);
    },
  ),

  story('udp: a burst right after a move arrives in order', async (stage) => {
    const [first, second] = [await UdpPeer.open(stage), await UdpPeer.open(stage)];
    const { port } = await stage.listen('udp', [first.view]);
    const client = await UdpPeer.open(stage);
    client.send('hello', port);
    await first.receives('hello');
    await moveTo(stage, second);
    const texts = Array.from({ length: 8 }, (_, i) => `after ${i}`);
    for (const text of texts) client.send(text, port);
    await second.receivesCount(texts.length);
    assert.deepEqual(second.texts, texts);
    assert.deepEqual(first.texts, ['hello']);
  }),

  story(
    'udp: an answer under way from the old address still arrives, a later stranger there is not heard',
    async (stage) => {
      const [first, second] = [await UdpPeer.open(stage), await UdpPeer.echo(stage)];
      const { port } = await stage.listen('udp', [first.view]);
      const client = await UdpPeer.open(stage);
      client.send('question', port);
      const question = await first.receives('question');
      await moveTo(stage, second);
      client.send('next', port);
      await client.receives('next');
      first.reply('answer', question);
      await client.receives('answer');
      const stranger = await UdpPeer.open(stage);
      stranger.reply('forged', question);
      client.send('last', port);
      await client.receives('last');
      assert.deepEqual(client.texts, ['next', 'answer', 'last']);
    },
  ),

  story('udp: sockets towards old addresses are given back', async (stage) => {
    const peers = [await UdpPeer.echo(stage), await UdpPeer.echo(stage)];
    const { port } = await stage.listen('udp', [peers[0]!.view]);
    const client = await UdpPeer.open(stage);
    client.send('0', port);
    await client.receives('0');
    const before = stage.descriptors().length;
    for (let i = 1; i <= 5; i++) {
      await moveTo(stage, peers[i % 2]!);
      client.send(String(i), port);
      await client.receives(String(i));
    }
    // Only the last one lingers.
    await stage.eventually('one descriptor more', () => stage.descriptors().length <= before + 1);
    await stage.eventually('no descriptor more', () => stage.descriptors().length === before);
    client.send('still', port);
    await client.receives('still');
  }),

  story('udp: a way that is not to be had now is tried again with the next datagram', async (stage) => {
    const [first, second] = [await UdpPeer.echo(stage), await UdpPeer.echo(stage)];
    const { port } = await stage.listen('udp', [first.view]);
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    await client.receives('one');
    const restore = leaveDescriptors(stage, 0);
    await moveTo(stage, second);
    client.send('two', port);
    await client.receives('two');
    assert.deepEqual([first.texts, second.texts], [['one', 'two'], []]);
    restore();
    client.send('three', port);
    await second.receives('three');
    await client.receives('three');
    assert.deepEqual([stage.all('unreachable').length, stage.all('closed').length], [0, 0]);
  }),

  story('udp: a conversation follows another source address of its pool', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    const sources = ['127.0.0.8', '127.0.0.9', undefined, '127.0.0.8'];
    for (const [i, source] of sources.entries()) {
      const upstream = source === undefined ? {} : { upstream: { sources: [source], transparent: false } };
      await stage.tell({
        type: 'update',
        listener: { ...listener, plan: { ...listener.plan, ...upstream } },
      });
      client.send(String(i), port);
      await client.receives(String(i));
    }
    assert.deepEqual(
      backend.received.map(({ from }) => from.address),
      ['127.0.0.8', '127.0.0.9', '127.0.0.1', '127.0.0.8'],
    );
    assert.equal(stage.all('opened').length, 1);
  }),

  story('udp: news of other backends leaves a conversation where it is', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    await client.receives('one');
    await stage.tell({ type: 'move', backend: { ...backendView(backend.bind), id: 2 } });
    await moveTo(stage, backend);
    client.send('two', port);
    await client.receives('two');
    assert.equal(new Set(backend.received.map(({ from }) => from.port)).size, 1);
  }),
];
