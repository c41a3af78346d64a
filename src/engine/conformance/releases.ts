/** Stories of giving everything back: stop() in the middle of all kinds of work. Descriptors are counted after every story. */
import assert from 'node:assert/strict';
import { openBlackhole } from './blackhole.ts';
import { backendView } from './listener.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';
import { UdpPeer } from './udp-peer.ts';

export const releaseStories = [
  story('stop: ends relaying, waiting, dialling and half-closed flows with shutdown', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const silent = backendView(await openBlackhole(stage));
    const relaying = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, relaying.port);
    client.send('x');
    await client.receives('x');
    const quiet = await TcpBackend.open(stage);
    const halfClosed = await stage.listen('tcp', [quiet.view]);
    const half = await TcpPeer.connect(stage, halfClosed.port);
    half.finish();
    await (await quiet.accepted()).outcome();
    const dialling = await stage.listen('tcp', [silent]);
    const dialler = await TcpPeer.connect(stage, dialling.port);
    await stage.event('dialing', (event) => event.flowId === 3);
    const waiting = await stage.listen('tcp', ['wait']);
    const waiter = await TcpPeer.connect(stage, waiting.port);
    await stage.event('waiting');
    const datagrams = await UdpPeer.echo(stage);
    const udp = await stage.listen('udp', [datagrams.view]);
    const talker = await UdpPeer.open(stage);
    talker.send('x', udp.port);
    await talker.receives('x');
    await stage.stop();
    assert.deepEqual(
      stage.all('closed').map((event) => event.code),
      ['shutdown', 'shutdown', 'shutdown', 'shutdown', 'shutdown'],
    );
    for (const peer of [client, half, dialler, waiter]) assert.equal(await peer.outcome(), 'reset');
  }),

  story('stop: 300 connections that came and went leave nothing behind', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const before = stage.descriptors().length;
    for (let round = 0; round < 3; round++) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => TcpPeer.connect(stage, port)));
      for (const [index, client] of clients.entries()) {
        client.send('x');
        await client.receives('x');
        if (index % 3 === 0) client.finish();
        else if (index % 3 === 1) client.reset();
        else client.socket.destroy();
      }
    }
    await stage.eventually('300 flows closed', () => stage.all('closed').length === 300);
    // Engines may keep a few spare pipes; connections would be hundreds.
    assert.ok(stage.descriptors().length <= before + 64);
  }),
];
