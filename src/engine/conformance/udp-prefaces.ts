/** Stories of proxies that say whose datagrams they bring, and of backends that are told. */
import assert from 'node:assert/strict';
import { waitingDatagramsMax } from '../../core/limits.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

/** The most a UDP datagram over IPv4 carries: 65,535 without the headers of IP (20) and UDP (8). */
const payloadBytesMax = 65_507;

export const udpPrefaceStories = [
  story('udp prefaces: one sender has a conversation for each client it names', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], {
      identifies: true,
      hasPrefaces: true,
      consumes: 3,
    });
    const [proxy, other] = [await UdpPeer.open(stage), await UdpPeer.open(stage)];
    for (const text of ['[a]1', '[b]2', '[a]3', '[b]4', '[a]']) {
      proxy.send(text, port);
      await proxy.receives(text.slice(3));
    }
    other.send('[a]5', port);
    await other.receives('5');
    await stage.settle();
    const opened = stage.all('opened').map(({ client, first }) => [client, first]);
    assert.deepEqual(opened, [
      [proxy.name, '[a]1'],
      [proxy.name, '[b]2'],
      [other.name, '[a]5'],
    ]);
    const sources = backend.received.map(({ from }) => from.port);
    assert.equal(new Set(sources).size, 3);
    assert.deepEqual([sources[2], sources[3], sources[4]], [sources[0], sources[1], sources[0]]);
    // The one that is over is nobody's any more; the other goes on.
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    const { bytesIn, datagramsIn } = await stage.closed(1);
    assert.deepEqual([bytesIn, datagramsIn], [2, 3]);
    for (const text of ['[b]6', '[a]7', '[c]8']) {
      proxy.send(text, port);
      await proxy.receives(text.slice(3));
    }
    await stage.settle();
    assert.deepEqual(
      stage
        .all('opened')
        .slice(3)
        .map(({ first }) => first),
      ['[a]7', '[c]8'],
    );
  }),

  story('udp prefaces: who has to name a client and does not is dropped and opens nothing', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], { identifies: true, hasPrefaces: true });
    const client = await UdpPeer.open(stage);
    client.send('!', port);
    client.send('own', port);
    await client.receives('own');
    client.send('!', port);
    client.send('own again', port);
    await client.receives('own again');
    assert.deepEqual(client.texts, ['own', 'own again']);
    await stage.settle();
    assert.equal(stage.all('opened').length, 1);
  }),

  story('udp prefaces: IPv6 senders, and one that names nobody beside those it names', async (stage) => {
    const backend = await UdpPeer.echo(stage, '::1');
    const options = { bind: loopback('::'), identifies: true, hasPrefaces: true };
    const { port } = await stage.listen('udp', [backend.view], options);
    const proxy = await UdpPeer.open(stage, '::1');
    for (const text of ['plain', '[a]one', 'more']) {
      proxy.send(text, port, '::1');
      await proxy.receives(text);
    }
    await stage.settle();
    assert.equal(stage.all('opened').length, 2);
  }),

  story('udp prefaces: what a first datagram began with is dropped before later ones too', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const options = { identifies: true, consumes: 4, repeats: true };
    const { port } = await stage.listen('udp', [backend.view], options);
    const proxy = await UdpPeer.open(stage);
    const said = ['hdr:one', 'two', 'hdr:three', 'hdr', 'hdr!four', 'hdr:', 'hdr:hdr:five'];
    const told = ['one', 'two', 'three', 'hdr', 'hdr!four', '', 'hdr:five'];
    for (const [i, text] of said.entries()) {
      proxy.send(text, port);
      await proxy.receives(told[i]!);
    }
    assert.deepEqual(backend.texts, told);
    await stage.settle();
    assert.equal(stage.all('opened').length, 1);
  }),

  story('udp prefaces: a backend is told until it has answered', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view], { opening: { send: 'hdr:' } });
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    client.send('two', port);
    const question = await backend.receives('hdr:two');
    backend.reply('answer', question);
    await client.receives('answer');
    client.send('three', port);
    await backend.receives('three');
    assert.deepEqual(backend.texts, ['hdr:one', 'hdr:two', 'three']);
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    const { bytesIn, datagramsIn } = await stage.closed(1);
    assert.deepEqual([bytesIn, datagramsIn], [11, 3]);
  }),

  story('udp prefaces: one that is to be told in each datagram is', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    await stage.listen('udp', []);
    const { port } = await stage.listen('udp', ['wait', backend.view], {
      opening: { send: 'hdr:', isInEach: true },
    });
    const client = await UdpPeer.open(stage);
    const waiting = Array.from({ length: waitingDatagramsMax }, (_, i) => `${i}`);
    for (const text of waiting) client.send(text, port);
    const { flowId } = await stage.event('waiting');
    await stage.settle();
    stage.send({ type: 'proceed', flowId });
    await client.receives(`hdr:${waiting.length - 1}`);
    for (const text of ['later', '']) {
      client.send(text, port);
      await client.receives(`hdr:${text}`);
    }
    assert.deepEqual(
      backend.texts,
      [...waiting, 'later', ''].map((text) => `hdr:${text}`),
    );
  }),

  story('udp prefaces: at another address a backend is told again', async (stage) => {
    const [first, second] = [await UdpPeer.open(stage), await UdpPeer.open(stage, '127.0.0.2')];
    const { port } = await stage.listen('udp', [first.view], { opening: { send: 'hdr:' } });
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    const question = await first.receives('hdr:one');
    first.reply('answer one', question);
    await client.receives('answer one');
    await stage.tell({ type: 'move', backend: backendView(second.bind) });
    client.send('two', port);
    const asked = await second.receives('hdr:two');
    // The old address knows who it is, which says nothing about the new one.
    first.reply('late answer', question);
    await client.receives('late answer');
    client.send('three', port);
    await second.receives('hdr:three');
    second.reply('answer two', asked);
    await client.receives('answer two');
    client.send('four', port);
    await second.receives('four');
  }),

  story('udp prefaces: a backend whose port was closed is told again', async (stage) => {
    const backend = await UdpPeer.openOutsideEphemeral(stage);
    const { port } = await stage.listen('udp', [backend.view], { opening: { send: 'hdr:' } });
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    backend.reply('answer', await backend.receives('hdr:one'));
    await client.receives('answer');
    await backend.close();
    client.send('lost', port);
    await stage.event('unreachable');
    const restarted = await UdpPeer.open(stage, '127.0.0.1', undefined, backend.port);
    client.send('two', port);
    await restarted.receives('hdr:two');
  }),

  story('udp prefaces: what is too long with its preface is dropped and told', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], {
      opening: { send: 'x'.repeat(100), isInEach: true },
    });
    const client = await UdpPeer.open(stage);
    for (const length of [payloadBytesMax - 99, payloadBytesMax - 20]) {
      client.send(Buffer.alloc(length), port);
      await stage.eventually('a drop', () =>
        stage.all('dropped').some(({ reason, count }) => reason === 'too-long' && count === 1),
      );
      stage.events.splice(
        stage.events.findIndex(({ type }) => type === 'dropped'),
        1,
      );
    }
    client.send(Buffer.alloc(payloadBytesMax - 100), port);
    await backend.receivesCount(1);
    assert.equal(backend.received[0]!.bytes.length, payloadBytesMax);
    assert.deepEqual(stage.all('dropped'), []);
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    assert.equal((await stage.closed(1)).datagramsIn, 1);
  }),
];
