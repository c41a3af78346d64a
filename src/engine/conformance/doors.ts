/** Stories of a listener with several addresses: it is one listener, and each address comes and goes by itself. */
import assert from 'node:assert/strict';
import type { BackendView, ListenerView } from '../../core/snapshot.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { refuses, TcpBackend, TcpPeer } from './tcp-peer.ts';
import { UdpPeer } from './udp-peer.ts';

/** Opens one more address of `listener`. @returns its port */
export async function openDoor(stage: Stage, listener: ListenerView, door: string): Promise<number> {
  stage.send({
    type: 'listen',
    door,
    listener: { ...listener, plan: { ...listener.plan, bind: loopback() } },
  });
  const { port } = await stage.eventually(`door ${door}`, () =>
    stage.all('listening').find((event) => event.door === door),
  );
  return port;
}

/** The same server, reached on the port that the client came to plus what lies between `from` and its own. */
function shifted(view: BackendView, from: number): BackendView {
  const { target } = view;
  assert.ok(target?.kind === 'inet');
  return { ...view, target: { ...target, port: 0, portShift: target.port - from } };
}

export const doorStories = [
  story('doors: one listener at two addresses, of which one is given up', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port, listener } = await stage.listen('tcp', [backend.view]);
    const second = await openDoor(stage, listener, 'second');
    const clients = [await TcpPeer.connect(stage, port), await TcpPeer.connect(stage, second)];
    for (const client of clients) {
      client.send('hello');
      await client.receives('hello');
    }
    await stage.settle();
    const opened = stage.all('opened');
    assert.deepEqual(
      opened.map(({ listenerId, local }) => [listenerId, local]),
      [port, second].map((at) => [listener.id, `127.0.0.1:${at}`]),
    );
    stage.send({ type: 'unlisten', listenerId: listener.id, doors: ['second'] });
    while (!(await refuses(stage, second))) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const client of clients) {
      client.send(' again');
      await client.receives('hello again');
    }
    const third = await TcpPeer.connect(stage, port);
    third.send('third');
    await third.receives('third');
  }),

  story('doors: udp, a client has one conversation at each, and is answered from each', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const second = await openDoor(stage, listener, 'second');
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    assert.equal((await client.receives('one')).from.port, port);
    client.send('two', second);
    assert.equal((await client.receives('two')).from.port, second);
    await stage.settle();
    assert.deepEqual(
      stage.all('opened').map(({ local }) => local),
      [`127.0.0.1:${port}`, `127.0.0.1:${second}`],
    );
    stage.send({ type: 'unlisten', listenerId: listener.id, doors: ['second'] });
    assert.equal((await stage.closed(2)).code, 'listener-removed');
    client.send('three', port);
    assert.equal((await client.receives('three')).from.port, port);
    await stage.settle();
    assert.equal(stage.all('opened').length, 2);
  }),

  story('doors: a backend on the port that the client came to', async (stage) => {
    const tcp = await TcpBackend.echo(stage);
    const front = await stage.listen('tcp', []);
    await stage.behave([shifted(tcp.view, front.port)]);
    const client = await TcpPeer.connect(stage, front.port);
    client.send('hello');
    await client.receives('hello');
    const other = await openDoor(stage, front.listener, 'other');
    await stage.behave([shifted(tcp.view, front.port), shifted(tcp.view, other)]);
    const next = await TcpPeer.connect(stage, other);
    next.send('there');
    await next.receives('there');

    const udp = await UdpPeer.echo(stage);
    const games = await stage.listen('udp', []);
    await stage.behave([shifted(udp.view, games.port)]);
    const player = await UdpPeer.open(stage);
    player.send('move', games.port);
    await player.receives('move');
    await stage.behave([
      {
        ...shifted(udp.view, games.port),
        target: { kind: 'inet', ip: '127.0.0.1', port: 0, portShift: 65_535 },
      },
    ]);
    const lost = await UdpPeer.open(stage);
    lost.send('nowhere', games.port);
    await stage.eventually('no such port', () =>
      stage.all('dial-failed').find(({ failure }) => failure === 'backend-unreachable'),
    );
  }),
];
