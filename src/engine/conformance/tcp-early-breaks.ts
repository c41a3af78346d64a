/**
 * Stories of backends that accept and break before their first byte: the client is served by another one, which hears all that the
 * client has said, or the flow ends like any other whose backend broke.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Bind } from '../../core/plan.ts';
import type { BackendView } from '../../core/snapshot.ts';
import { digestOf, payload } from './payload.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';

/** A backend that resets each connection once it has read `bytes` of it, 0: as soon as it is accepted. */
async function breaking(stage: Stage, name: string, bytes = 0): Promise<BackendView> {
  const backend = await TcpBackend.open(stage);
  backend.server.on('connection', (socket) => {
    if (bytes === 0) socket.resetAndDestroy();
    else socket.on('data', () => socket.bytesRead >= bytes && socket.resetAndDestroy());
  });
  return backend.named(name);
}

/** How often the engine has told of a backend that broke, whether it found out while it dialled or after. */
function breaks(stage: Stage): string[] {
  return stage.events.flatMap((event) =>
    event.type === 'broke-early' || event.type === 'dial-failed' ? [event.backend] : [],
  );
}

const retries = { retries: true } as const;

export const tcpEarlyBreakStories = [
  story('tcp: a backend that accepts and resets costs a silent client nothing', async (stage) => {
    const bad = await breaking(stage, 'bad');
    const good = await TcpBackend.open(stage);
    good.server.on('connection', (socket) => socket.write('welcome'));
    const { port } = await stage.listen('tcp', [bad, bad, good.named('good')], retries);
    for (let round = 0; round < 20; round++) {
      const client = await TcpPeer.connect(stage, port);
      await client.receives('welcome');
      client.finish();
      const server = await good.accepted(round);
      assert.equal(await server.outcome(), 'end');
      server.finish();
      assert.equal(await client.outcome(), 'end');
    }
    await stage.settle();
    assert.equal(breaks(stage).length, 40);
    for (const { code, bytesOut } of stage.all('closed'))
      assert.deepEqual([code, bytesOut], ['client-closed', 7]);
  }),

  story(
    'tcp: what a client said to a backend that broke is said to the next, and counts once',
    async (stage) => {
      const words = ['first', ' second', ' third'];
      const whole = words.join('');
      const bad = await TcpBackend.open(stage);
      const worse = await breaking(stage, 'worse', whole.length);
      const good = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [bad.named('bad'), worse, good.named('good')], retries);
      const client = await TcpPeer.connect(stage, port);
      const server = await bad.accepted();
      for (let i = 0; i < words.length; i++) {
        client.send(words[i]!);
        await server.receives(words.slice(0, i + 1).join(''));
      }
      server.reset();
      await client.receives(whole);
      client.send('!');
      await client.receives(`${whole}!`);
      client.finish();
      assert.equal(await client.outcome(), 'end');
      const { code, bytesIn, bytesOut } = await stage.closed(1);
      assert.deepEqual([code, bytesIn, bytesOut], ['client-closed', whole.length + 1, whole.length + 1]);
      assert.deepEqual(
        stage.all('broke-early').map(({ backend, how, isHeld }) => [backend, how, isHeld]),
        [
          ['bad', 'reset', true],
          ['worse', 'reset', true],
        ],
      );
      assert.equal(stage.all('replied').length, 1);
    },
  ),

  story('tcp: what is said while a backend breaks is lost to nobody', async (stage) => {
    const bad = await TcpBackend.open(stage);
    const good = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [bad.named('bad'), good.named('good')], retries);
    for (let round = 0; round < 10; round++) {
      const client = await TcpPeer.connect(stage, port);
      const server = await bad.accepted(round);
      client.send('before ');
      await server.receives('before ');
      // Both wait when the engine runs on: the write to the backend finds out, or the read of it.
      await stage.whileStopped(async () => {
        client.send('meanwhile');
        server.reset();
        await once(server.socket, 'close');
      });
      await client.receives('before meanwhile');
    }
  }),

  story(
    'tcp: a client that has ended waits for its answer, and the next backend hears the end',
    async (stage) => {
      const bad = await TcpBackend.open(stage);
      const good = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [bad.named('bad'), good.named('good')], retries);
      const client = await TcpPeer.connect(stage, port);
      client.send('question');
      client.finish();
      const server = await bad.accepted();
      assert.equal(await server.outcome(), 'end');
      server.reset();
      await client.receives('question');
      assert.equal(await client.outcome(), 'end');
      assert.equal((await stage.closed(1)).code, 'client-closed');
      assert.deepEqual(
        stage.all('broke-early').map(({ backend }) => backend),
        ['bad'],
      );
    },
  ),

  story(
    'tcp: nobody is told of a backend that breaks when its client has gone without a word',
    async (stage) => {
      const bad = await TcpBackend.open(stage);
      const { port } = await stage.listen('tcp', [bad.named('bad'), 'no-backend'], retries);
      const client = await TcpPeer.connect(stage, port);
      const server = await bad.accepted();
      client.finish();
      assert.equal(await server.outcome(), 'end');
      server.reset();
      assert.equal(await client.outcome(), 'reset');
      assert.equal((await stage.closed(1)).code, 'backend-reset');
      assert.deepEqual(stage.all('broke-early'), []);
    },
  ),

  story('tcp: more than is kept has been said: the client is reset', async (stage) => {
    const bytes = 40_000;
    const bad = await breaking(stage, 'bad', bytes);
    const good = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [bad, good.named('good')], retries);
    const client = await TcpPeer.connect(stage, port);
    client.socket.write(payload(bytes, 3));
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.closed(1)).code, 'backend-reset');
    assert.deepEqual(
      stage.all('broke-early').map(({ isHeld }) => isHeld),
      [false],
    );
    assert.equal(good.peers.length, 0);
  }),

  story('tcp: as much as is kept is said again as it was', async (stage) => {
    // In pieces, so that it is put together.
    const words = payload(16 * 1024, 5);
    const bad = await TcpBackend.open(stage);
    const good = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [bad.named('bad'), good.named('good')], retries);
    const client = await TcpPeer.connect(stage, port);
    const server = await bad.accepted();
    for (const end of [1, 3_000, 4_096, 9_000, words.length]) {
      client.socket.write(words.subarray(server.receivedBytes, end));
      await server.receivesBytes(end);
    }
    server.reset();
    const next = await good.accepted();
    await next.receivesBytes(words.length);
    assert.equal(next.digest, digestOf(words));
    next.send('taken');
    await client.receives('taken');
  }),

  story('tcp: a backend that broke after its first byte is not left', async (stage) => {
    const bad = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [bad.named('bad'), 'no-backend'], retries);
    for (let round = 0; round < 3; round++) {
      const client = await TcpPeer.connect(stage, port);
      const server = await bad.accepted(round);
      client.send('question');
      await server.receives('question');
      // The answer has not been read when a write to the backend fails.
      await stage.whileStopped(async () => {
        client.send(' and more');
        server.send('answer');
        server.reset();
        await once(server.socket, 'close');
      });
      assert.equal(await client.outcome(), 'reset');
      assert.equal(client.text, 'answer');
      assert.equal((await stage.closed(round + 1)).code, 'backend-reset');
    }
    assert.deepEqual(stage.all('broke-early'), []);
  }),

  story(
    'tcp: when all backends break early the client is reset once, with the code of a reset',
    async (stage) => {
      const bad = await breaking(stage, 'bad', 1);
      const { port } = await stage.listen('tcp', [bad, bad, 'backend-reset'], retries);
      const client = await TcpPeer.connect(stage, port);
      client.send('anybody?');
      assert.equal(await client.outcome(), 'reset');
      assert.equal((await stage.closed(1)).code, 'backend-reset');
      assert.deepEqual(breaks(stage), ['bad', 'bad']);
    },
  ),

  story('tcp: without a retry an early break is passed on as any other', async (stage) => {
    const bad = await breaking(stage, 'bad', 1);
    const { port } = await stage.listen('tcp', [bad]);
    const client = await TcpPeer.connect(stage, port);
    client.send('x');
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.closed(1)).code, 'backend-reset');
    assert.equal(stage.all('broke-early').length, 1);
  }),

  story('tcp: an end without a word is told to the host, and passed on or left as it says', async (stage) => {
    const mute = await TcpBackend.open(stage);
    const good = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [mute.named('mute'), good.named('good')], retries);
    const client = await TcpPeer.connect(stage, port);
    client.send('question');
    const server = await mute.accepted();
    await server.receives('question');
    server.finish();
    await client.receives('question');
    assert.deepEqual(
      stage.all('broke-early').map(({ how, isHeld }) => [how, isHeld]),
      [['end', true]],
    );
    await stage.behave([mute.named('mute')]);
    const other = await TcpPeer.connect(stage, port);
    other.send('question');
    const again = await mute.accepted(1);
    await again.receives('question');
    again.finish();
    assert.equal(await other.outcome(), 'end');
    other.send(' and more');
    await again.receives('question and more');
    other.finish();
    assert.equal((await stage.closed(2)).code, 'backend-closed');
  }),

  story('tcp: a unix backend that closes on words it has not read is left for the next', async (stage) => {
    const bind: Bind = { kind: 'unix', path: `${stage.directory()}/bad` };
    const bad = await TcpBackend.open(stage, bind, true);
    const good = await TcpBackend.echo(stage, { kind: 'unix', path: `${stage.directory()}/good` });
    const { port } = await stage.listen('tcp', [bad.named('bad'), good.named('good')], retries);
    const client = await TcpPeer.connect(stage, port);
    client.send('question');
    const server = await bad.accepted();
    // Paused, it stops reading after what one read brings.
    server.socket.resume();
    await stage.eventually('it there', () => server.socket.bytesRead > 0);
    server.pause();
    client.send(' and more');
    server.socket.destroy();
    // With or without something unread, so broken off or ended: both are told, and both are left here.
    await client.receives('question and more');
    assert.equal(stage.all('broke-early').length, 1);
  }),

  story('tcp: the host ends the flow, or has a defect, when it hears of an early break', async (stage) => {
    const bad = await breaking(stage, 'bad', 1);
    const good = await TcpBackend.echo(stage);
    const routes = [bad, good.named('good')];
    const terminateIn = { call: 'brokeEarly', code: 'backend-removed' } as const;
    for (const [options, code] of [
      [{ terminateIn, retries: true }, 'backend-removed'],
      [{ terminateIn }, 'backend-removed'],
      [{ throwIn: 'brokeEarly', retries: true }, 'worker-error'],
    ] as const) {
      const { port, listener } = await stage.listen('tcp', routes, options);
      const client = await TcpPeer.connect(stage, port);
      client.send('x');
      assert.equal(await client.outcome(), 'reset');
      const { flowId } = await stage.firstOf(listener);
      assert.equal((await stage.closed(flowId)).code, code);
    }
    assert.equal(good.peers.length, 0);
  }),

  story('tcp: a client that resets while its next backend is dialled is noticed or served', async (stage) => {
    const bad = await breaking(stage, 'bad', 1);
    const good = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [bad, 'wait', good.named('good')], retries);
    const client = await TcpPeer.connect(stage, port);
    client.send('x');
    await stage.event('waiting');
    client.reset();
    stage.send({ type: 'proceed', flowId: 1 });
    assert.equal((await stage.closed(1)).code, 'client-reset');
  }),

  story('tcp: nothing is kept of who has been waiting for longer than a dial may take', async (stage) => {
    const slow = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [slow.named('slow'), 'no-backend'], {
      timeouts: { connectMs: 300 },
      ...retries,
    });
    const client = await TcpPeer.connect(stage, port);
    const server = await slow.accepted();
    client.send('question');
    await server.receives('question');
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    server.reset();
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.closed(1)).code, 'backend-reset');
    assert.deepEqual(
      stage.all('broke-early').filter(({ isHeld }) => isHeld),
      [],
    );
  }),
];
