/**
 * Stories of last words: what a side had said before it broke, and what was accepted before a flow was idle, is passed on while the
 * other side takes it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bind } from '../../core/plan.ts';
import { KernelQueues } from '../portable/kernel-queues.ts';
import { openSleeper } from './blackhole.ts';
import { backendView } from './listener.ts';
import { digestOf, payload } from './payload.ts';
import type { ListenOptions, Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';

const answer = `too large, go away${'x'.repeat(4_000)}end`;

interface Pair {
  readonly client: TcpPeer;
  readonly server: TcpPeer;
  readonly flowId: number;
}

/** Both ends of a relayed connection. */
async function pair(stage: Stage, options: ListenOptions = {}, bind?: Bind): Promise<Pair> {
  const backend = await TcpBackend.open(stage, bind);
  const { port } = await stage.listen('tcp', [backend.view], options);
  const client = await TcpPeer.connect(stage, port);
  const server = await backend.accepted();
  return { client, server, flowId: (await stage.opened(client.name)).flowId };
}

/** Waits until the engine's kernel has all that `peer` has sent. */
async function taken(stage: Stage, peer: TcpPeer): Promise<void> {
  const queues = new KernelQueues();
  let queuedBytes = Number.POSITIVE_INFINITY;
  await stage.eventually('nothing left to send', () => {
    queues.ask([peer.socket], (bytes) => {
      queuedBytes = bytes;
    });
    return peer.socket.writableLength + queuedBytes === 0;
  });
}

/** Reads in small portions with pauses between them, 64 KiB at most every 100 ms, until told to stop. */
function sip(peer: TcpPeer): () => void {
  const { socket } = peer;
  let isOver = false;
  const onData = (): void => {
    socket.pause();
    setTimeout(() => isOver || socket.resume(), 100);
  };
  socket.on('data', onData);
  return () => {
    isOver = true;
    socket.off('data', onData);
  };
}

export const tcpLastWordStories = [
  ...(['TCP', 'unix'] as const).map((kind) =>
    story(
      `tcp: the answer of a ${kind} backend that breaks off while its client sends arrives`,
      async (stage) => {
        const bind: Bind | undefined =
          kind === 'TCP' ? undefined : { kind: 'unix', path: `${stage.directory()}/backend` };
        const { client, server, flowId } = await pair(stage, {}, bind);
        client.send('question');
        await server.receives('question');
        server.pause();
        client.send(' and more');
        // Unread at the backend, so that a unix socket breaks off too.
        await stage.eventually('it there', () => server.socket.bytesRead > 'question'.length);
        // More of the client waits before the answer does: it is read first, and written to a connection that has gone.
        await stage.whileStopped(async () => {
          client.send(' and still more');
          await taken(stage, client);
          server.send(answer);
          await taken(stage, server);
          if (kind === 'TCP') server.reset();
          else server.socket.destroy();
        });
        await client.receivesBytes(answer.length);
        assert.equal(client.text, answer);
        client.finish();
        const { code } = await stage.closed(flowId);
        // A unix socket has no reset: who comes to read before it writes sees an end.
        if (kind === 'TCP') assert.equal(code, 'backend-reset');
        else assert.ok(code === 'backend-reset' || code === 'backend-closed', code);
      },
    ),
  ),

  story(
    'tcp: the answer of a backend that ends while its client sends is followed by no reset',
    async (stage) => {
      for (let round = 0; round < 5; round++) {
        const { client, server, flowId } = await pair(stage);
        const sending = client.sendMany(40_000_000);
        await server.receivesBytes(1);
        server.pause();
        server.socket.end(answer);
        await once(server.socket, 'finish');
        server.socket.destroy();
        assert.equal(await client.outcome(), 'end');
        assert.equal(client.text, answer);
        // It may say all it had to say.
        await sending;
        assert.equal(client.sentBytes, 40_000_000);
        client.finish();
        assert.equal((await stage.closed(flowId)).code, 'backend-reset');
        assert.equal(client.error, undefined);
      }
    },
  ),

  story('tcp: a client that never stops sending to a backend that has gone is reset', async (stage) => {
    const { client, server, flowId } = await pair(stage, { timeouts: { idleMs: 1_000 } });
    client.send('question');
    await server.receives('question');
    server.socket.end(answer);
    await once(server.socket, 'finish');
    server.socket.destroy();
    await client.receivesBytes(answer.length);
    assert.equal(client.text, answer);
    const more = setInterval(() => client.send('more'), 20);
    try {
      await stage.closes(flowId, 'backend-reset');
      await client.breaks();
    } finally {
      clearInterval(more);
    }
  }),

  ...(['client', 'backend'] as const).map((who) =>
    story(`tcp: what a ${who} said before its reset arrives, however late it is read`, async (stage) => {
      const { client, server, flowId } = await pair(stage);
      const [speaker, reader] = who === 'client' ? [client, server] : [server, client];
      const words = payload(1_000_000, 7);
      reader.pause();
      speaker.socket.write(words);
      await taken(stage, speaker);
      speaker.reset();
      await sleep(300);
      reader.resume();
      assert.equal(await reader.outcome(), 'reset');
      assert.deepEqual([reader.receivedBytes, reader.digest], [words.length, digestOf(words)]);
      assert.equal((await stage.closed(flowId)).code, `${who}-reset`);
    }),
  ),

  ...(['client', 'backend'] as const).map((who) =>
    story(
      `tcp: what a ${who} said before its reset arrives though its reader had long stalled`,
      async (stage) => {
        const { client, server, flowId } = await pair(stage);
        const [speaker, reader] = who === 'client' ? [client, server] : [server, client];
        // More than the reader's kernel has room for, less than that and our own: nothing is held by the relay.
        const words = payload(400_000, 11);
        reader.pause();
        speaker.socket.write(words);
        await taken(stage, speaker);
        await sleep(2_500);
        speaker.reset();
        await sleep(700);
        reader.resume();
        assert.equal(await reader.outcome(), 'reset');
        assert.deepEqual([reader.receivedBytes, reader.digest], [words.length, digestOf(words)]);
        assert.equal((await stage.closed(flowId)).code, `${who}-reset`);
      },
    ),
  ),

  story('tcp: what is left of a reset flow when nobody takes it is given up', async (stage) => {
    const { client, server, flowId } = await pair(stage, { timeouts: { idleMs: 1_000 } });
    client.pause();
    server.socket.write(payload(3_500_000, 9));
    await taken(stage, server);
    server.reset();
    assert.equal((await stage.closed(flowId)).code, 'backend-reset');
    client.resume();
    assert.equal(await client.outcome(), 'reset');
    assert.ok(client.receivedBytes < 3_500_000);
  }),

  story(
    'tcp: what a backend said that broke off before its connection was noticed arrives',
    async (stage) => {
      const sleeper = await openSleeper(stage, 'sorry');
      const { port } = await stage.listen('tcp', [backendView(sleeper.bind)]);
      const client = await TcpPeer.connect(stage, port);
      await stage.event('dialing');
      await stage.settle();
      await stage.whileStopped(async () => {
        sleeper.wake();
        await stage.eventually('the connection', () => sleeper.accepted() === 1);
        await sleep(100);
      });
      await client.receives('sorry');
      assert.equal(await client.outcome(), 'reset');
      assert.equal((await stage.closed(1)).code, 'backend-reset');
    },
  ),

  story('tcp: a reader that drains the kernel slowly is not idle, one that stops is', async (stage) => {
    const { client, server, flowId } = await pair(stage, { timeouts: { idleMs: 1_200 } });
    void server.sendMany(100_000_000);
    const stop = sip(client);
    await client.receivesBytes(4_000_000);
    assert.deepEqual(stage.all('closed'), []);
    stop();
    client.pause();
    assert.equal((await stage.closed(flowId)).code, 'idle');
    client.resume();
    assert.equal(await client.outcome(), 'reset');
  }),

  story('tcp: a half-closed client that drains its answer slowly gets it', async (stage) => {
    const { client, server, flowId } = await pair(stage, { timeouts: { halfCloseMs: 1_200 } });
    client.finish();
    assert.equal(await server.outcome(), 'end');
    const words = payload(7_000_000, 3);
    const stop = sip(client);
    server.socket.end(words);
    await client.receivesBytes(words.length);
    stop();
    client.resume();
    assert.equal(await client.outcome(), 'end');
    assert.equal(client.digest, digestOf(words));
    await stage.closes(flowId, 'client-closed');
  }),

  story('tcp: what was accepted before a flow is idle is not lost with it', async (stage) => {
    const idleMs = 1_500;
    const { client, server, flowId } = await pair(stage, { timeouts: { idleMs } });
    const words = payload(3_000_000, 5);
    client.pause();
    server.socket.write(words);
    await taken(stage, server);
    await sleep(1.5 * idleMs);
    client.resume();
    assert.equal(await client.outcome(), 'reset');
    assert.deepEqual([client.receivedBytes, client.digest], [words.length, digestOf(words)]);
    assert.equal((await stage.closed(flowId)).code, 'idle');
  }),
];
