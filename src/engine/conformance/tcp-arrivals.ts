/**
 * Stories of clients that tell who they are before they have a flow (identifier.ts): in one piece, byte by byte, too late, never.
 */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { digestOf, payload } from './payload.ts';
import type { ListenOptions, Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';
import { UdpPeer } from './udp-peer.ts';

const told = '192.0.2.7:4711';
const line = `IAM ${told}\n`;
const identifying = (identify: NonNullable<ListenOptions['identify']> = {}): ListenOptions => ({
  identifies: true,
  identify,
});

/** How those ended that had no flow, in order. */
async function unidentified(stage: Stage): Promise<string[]> {
  await stage.settle();
  return stage.all('unidentified').map(({ code }) => code);
}

export const tcpArrivalStories = [
  story(
    'arrivals: a client is who it says, and only what it says behind that reaches the backend',
    async (stage) => {
      const backend = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [backend.view], identifying());
      for (let round = 0; round < 5; round++) {
        const client = await TcpPeer.connect(stage, port);
        client.send(`${line}hello`);
        await client.receives('hello');
        const opened = await stage.event('opened', (event) => event.flowId === round + 1);
        assert.deepEqual([opened.client, opened.peer], [told, client.name]);
        client.send(' and more');
        await client.receives('hello and more');
        client.finish();
        assert.equal(await client.outcome(), 'end');
        const { code, bytesIn, bytesOut } = await stage.closed(round + 1);
        assert.deepEqual([code, bytesIn, bytesOut], ['client-closed', 14, 14]);
      }
    },
  ),

  story('arrivals: byte by byte, and not opened before the last of them', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    const client = await TcpPeer.connect(stage, port);
    for (const byte of line.slice(0, -1)) {
      client.send(byte);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await stage.settle();
    assert.equal(stage.all('opened').length, 0);
    client.send('\n');
    assert.equal((await stage.event('opened')).client, told);
    client.send('hello');
    await client.receives('hello');
  }),

  story('arrivals: the line alone, and the backend speaks first', async (stage) => {
    const backend = await TcpBackend.open(stage);
    backend.server.on('connection', (socket) => socket.write('welcome'));
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    const client = await TcpPeer.connect(stage, port);
    client.send(line);
    await client.receives('welcome');
    client.send('thanks');
    await (await backend.accepted()).receives('thanks');
  }),

  story('arrivals: words and an end in one go are both passed on', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    for (let round = 0; round < 5; round++) {
      const client = await TcpPeer.connect(stage, port);
      await stage.whileStopped(async () => {
        client.send(`${line}question`);
        client.finish();
      });
      await client.receives('question');
      assert.equal(await client.outcome(), 'end');
      assert.equal((await stage.closed(round + 1)).code, 'client-closed');
    }
  }),

  story('arrivals: a host that has nothing to read opens at once', async (stage) => {
    const backend = await TcpBackend.open(stage);
    backend.server.on('connection', (socket) => socket.write('welcome'));
    const { port } = await stage.listen('tcp', [backend.view], { identifies: true });
    const client = await TcpPeer.connect(stage, port);
    await client.receives('welcome');
    const { client: name, peer } = await stage.event('opened');
    assert.deepEqual([name, peer], [client.name, client.name]);
  }),

  story('arrivals: an answer is said to the client, and it goes on', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    const client = await TcpPeer.connect(stage, port);
    client.send('ASK\n');
    await client.receives('WHO?\n');
    client.send(`${line}hello`);
    await client.receives('WHO?\nhello');
    const hasty = await TcpPeer.connect(stage, port);
    hasty.send(`ASK\nASK\n${line}hello`);
    await hasty.receives('WHO?\nWHO?\nhello');
    hasty.finish();
    assert.equal(await hasty.outcome(), 'end');
    assert.deepEqual([(await stage.closed(2)).bytesIn, stage.all('closed')[0]?.bytesOut], [5, 5]);
  }),

  story(
    'arrivals: one that says nothing in time is reset, or opened if its identifier says so',
    async (stage) => {
      const backend = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [backend.view], identifying({ timeoutMs: 300 }));
      const mute = await TcpPeer.connect(stage, port);
      const slow = await TcpPeer.connect(stage, port);
      slow.send('IAM 192');
      assert.equal(await mute.outcome(), 'reset');
      assert.equal(await slow.outcome(), 'reset');
      assert.deepEqual(await unidentified(stage), ['unidentified', 'unidentified']);
      await stage.behave([backend.view], { identify: { timeoutMs: 300, opensWhen: ['late'] } });
      const heard = await TcpPeer.connect(stage, port);
      heard.send('not a line');
      await heard.receives('not a line');
      assert.equal((await stage.opened(heard.name)).peer, heard.name);
    },
  ),

  story('arrivals: a client that ends or resets before it has told is nobody', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    for (const words of ['', 'IAM 192']) {
      const ends = await TcpPeer.connect(stage, port);
      if (words !== '') ends.send(words);
      ends.finish();
      await ends.outcome();
      const resets = await TcpPeer.connect(stage, port);
      if (words !== '') resets.send(words);
      await stage.event('identifying', ({ peer }) => peer === resets.name);
      resets.reset();
      await stage.event('unidentified', ({ peer }) => peer === resets.name);
    }
    assert.deepEqual((await unidentified(stage)).sort(), [
      'client-closed',
      'client-closed',
      'client-reset',
      'client-reset',
    ]);
    assert.equal(backend.peers.length, 0);
  }),

  story('arrivals: more than is read of anybody', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying({ bytesMax: 100 }));
    const client = await TcpPeer.connect(stage, port);
    client.send('x'.repeat(99));
    await stage.event('identifying');
    await stage.settle();
    assert.deepEqual(await unidentified(stage), []);
    client.send('x');
    assert.equal(await client.outcome(), 'reset');
    assert.deepEqual(await unidentified(stage), ['unidentified']);
    await stage.behave([backend.view], { identify: { bytesMax: 100, opensWhen: ['full'] } });
    const other = await TcpPeer.connect(stage, port);
    const words = 'y'.repeat(5_000);
    other.send(words);
    await other.receives(words);
  }),

  story('arrivals: a refusal, and a defect, cost that one client', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    for (const words of ['GO AWAY\n', 'BREAK\n']) {
      for (const pieces of [[words], [words.slice(0, 3), words.slice(3)]]) {
        const client = await TcpPeer.connect(stage, port);
        for (const piece of pieces) {
          client.send(piece);
          await stage.settle();
        }
        assert.equal(await client.outcome(), 'reset');
      }
    }
    assert.deepEqual(await unidentified(stage), [
      'limit-client',
      'limit-client',
      'worker-error',
      'worker-error',
    ]);
    await stage.behave([backend.view], { identify: {}, refuse: 'limit-flows' });
    const refused = await TcpPeer.connect(stage, port);
    refused.send(`${line}hello`);
    assert.equal(await refused.outcome(), 'reset');
    await stage.behave([backend.view], { identify: {}, throwIn: 'open' });
    const broken = await TcpPeer.connect(stage, port);
    broken.send(`${line}hello`);
    assert.equal(await broken.outcome(), 'reset');
    await stage.behave([backend.view], { identify: {} });
    const client = await TcpPeer.connect(stage, port);
    client.send(`${line}hello`);
    await client.receives('hello');
  }),

  story('arrivals: when too many are waited for the oldest is given up, and nobody else', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    await stage.tell({ type: 'limit-arrivals', count: 10 });
    const served = await TcpPeer.connect(stage, port);
    served.send(`${line}here`);
    await served.receives('here');
    const crowd: TcpPeer[] = [];
    for (let i = 0; i < 30; i++) {
      const peer = await TcpPeer.connect(stage, port);
      await stage.event('identifying', (event) => event.peer === peer.name);
      crowd.push(peer);
    }
    for (const [i, peer] of crowd.entries()) {
      if (i < 20) assert.equal(await peer.outcome(), 'reset');
      else assert.equal(peer.ending, undefined);
    }
    assert.deepEqual(await unidentified(stage), Array(20).fill('limit-arrivals'));
    for (const peer of crowd.slice(20)) peer.send(`${line}me too`);
    for (const peer of crowd.slice(20)) await peer.receives('me too');
    served.send(' still');
    await served.receives('here still');
  }),

  story('arrivals: they outlive their listener, and end with the engine', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port, listener } = await stage.listen('tcp', [backend.view], identifying());
    const client = await TcpPeer.connect(stage, port);
    const other = await TcpPeer.connect(stage, port);
    client.send('IAM 192.0');
    await stage.event('identifying', ({ peer }) => peer === client.name);
    await stage.event('identifying', ({ peer }) => peer === other.name);
    await stage.tell({ type: 'unlisten', listenerId: listener.id });
    client.send('.2.7:4711\nhello');
    await client.receives('hello');
    await stage.stop();
    assert.equal(await client.outcome(), 'reset');
    assert.equal(await other.outcome(), 'reset');
    assert.deepEqual(await unidentified(stage), ['shutdown']);
  }),

  story('arrivals: much behind the line, to a backend that reads late, arrives as it was', async (stage) => {
    const backend = await TcpBackend.open(stage, undefined, true);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    const client = await TcpPeer.connect(stage, port);
    const words = payload(32 * 1024 * 1024, 7);
    client.socket.write(Buffer.concat([Buffer.from(line), words]));
    const server = await backend.accepted();
    // The engine holds little of it: the client is stopped while the backend does not read.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(client.socket.writableLength > 0);
    server.resume();
    await server.receivesBytes(words.length);
    assert.equal(server.digest, digestOf(words));
  }),

  story('arrivals: what came behind the line is said again to the next backend', async (stage) => {
    const bad = await TcpBackend.open(stage);
    const good = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [bad.named('bad'), good.named('good')], {
      ...identifying(),
      retries: true,
    });
    const client = await TcpPeer.connect(stage, port);
    client.send(`${line}question`);
    const server = await bad.accepted();
    await server.receives('question');
    server.reset();
    await client.receives('question');
    assert.equal((await stage.event('broke-early')).isHeld, true);
  }),

  story('arrivals: on a unix socket', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const bind = { kind: 'unix', path: `${stage.directory()}/front` } as const;
    await stage.listen('tcp', [backend.view], { ...identifying(), bind });
    for (const pieces of [[`${line}hello`], ['IAM 192', '.0.2.7:4711\nhel', 'lo']]) {
      const client = await TcpPeer.connect(stage, bind);
      for (const piece of pieces) {
        client.send(piece);
        await stage.settle();
      }
      await client.receives('hello');
    }
    assert.deepEqual(
      stage.all('opened').map(({ client, peer }) => [client, peer]),
      Array(2).fill([told, '[::]:0']),
    );
  }),

  story('arrivals: every way to split what is said', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    const words = `ASK\n${line}ab`;
    for (let at = 1; at < words.length; at++) {
      const client = await TcpPeer.connect(stage, port);
      client.send(words.slice(0, at));
      await stage.event('identifying', ({ peer }) => peer === client.name);
      await stage.settle();
      client.send(words.slice(at));
      await client.receives('WHO?\nab');
      client.finish();
      assert.equal(await client.outcome(), 'end');
    }
  }),

  story('arrivals: a thousand that come and go at once leave nothing behind', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], identifying());
    const before = stage.descriptors().length;
    const gone = Array.from({ length: 1_000 }, (_, i) => {
      const socket = new Socket();
      socket.on('error', () => {});
      socket.connect(port, '127.0.0.1', () => {
        if (i % 3 === 0) socket.resetAndDestroy();
        else if (i % 3 === 1) socket.end('IAM');
        else socket.end(line);
      });
      return new Promise<void>((resolve) => socket.once('close', () => resolve()).resume());
    });
    await Promise.all(gone);
    await stage.eventually('no descriptor more', () => stage.descriptors().length <= before);
    await stage.settle();
    const { length: opened } = stage.all('opened');
    assert.equal(opened + stage.all('unidentified').length, stage.all('identifying').length);
  }),

  story(
    'arrivals: udp: the host sees the first datagram, and says what of it is not for the backend',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [backend.view], { identifies: true, consumes: 4 });
      const client = await UdpPeer.open(stage);
      client.send('hdr:one', port);
      await client.receives('one');
      client.send('hdr:two', port);
      await client.receives('hdr:two');
      assert.equal((await stage.opened(client.name)).first, 'hdr:one');
      await stage.settle();
      assert.equal(stage.all('opened').length, 1);
      await stage.behave(['wait', backend.view], { consumes: 4 });
      const patient = await UdpPeer.open(stage);
      patient.send('hdr:', port);
      const { flowId } = await stage.event('waiting');
      stage.send({ type: 'proceed', flowId });
      await patient.receives('');
    },
  ),
];
