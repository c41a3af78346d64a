/** Stories of how TCP connections end: in order, broken off, or half. A reset never becomes an end, nor the reverse. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ListenOptions, Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';

/** More than is read at once, and less than one connection takes of a sender that nobody reads. */
const unreadBytes = 100_000;

/** A relayed connection with one byte moved each way. */
export async function connection(
  stage: Stage,
  options: ListenOptions = {},
): Promise<{ client: TcpPeer; server: TcpPeer; flowId: number }> {
  const backend = await TcpBackend.open(stage);
  const { port } = await stage.listen('tcp', [backend.view], options);
  const client = await TcpPeer.connect(stage, port);
  const server = await backend.accepted();
  client.send('?');
  await server.receives('?');
  server.send('!');
  await client.receives('!');
  return { client, server, flowId: (await stage.opened(client.name)).flowId };
}

export const tcpEndStories = [
  story('tcp: the client ends first and still gets the answer', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.send('question');
    client.finish();
    assert.equal(await server.outcome(), 'end');
    assert.equal(server.text, '?question');
    assert.equal(client.ending, undefined);
    server.send('answer');
    await client.receives('!answer');
    server.finish();
    assert.equal(await client.outcome(), 'end');
    await stage.closes(flowId, 'client-closed');
  }),

  story('tcp: the backend ends first and still gets the rest', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    server.send('last words');
    server.finish();
    assert.equal(await client.outcome(), 'end');
    assert.equal(client.text, '!last words');
    assert.equal(server.ending, undefined);
    client.send('more');
    await server.receives('?more');
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await stage.closes(flowId, 'backend-closed');
  }),

  story('tcp: both sides end at once', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.finish();
    server.finish();
    assert.deepEqual([await client.outcome(), await server.outcome()], ['end', 'end']);
    const codes = (['client-closed', 'backend-closed'] as const).map((code) => stage.scene.codeOf(code));
    assert.ok(codes.includes((await stage.closed(flowId)).code));
  }),

  story('tcp: a reset by the client reaches the backend as a reset', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.reset();
    assert.equal(await server.outcome(), 'reset');
    await stage.closes(flowId, 'client-reset');
  }),

  story('tcp: a reset by the backend reaches the client as a reset', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    server.reset();
    assert.equal(await client.outcome(), 'reset');
    await stage.closes(flowId, 'backend-reset');
  }),

  story('tcp: a backend reset in the middle of a stream is not an end', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    void server.sendMany(100_000_000);
    await client.receivesBytes(5_000_000);
    server.reset();
    assert.equal(await client.outcome(), 'reset');
    assert.ok(client.receivedBytes < 100_000_000);
    await stage.closes(flowId, 'backend-reset');
  }),

  story('tcp: a client reset behind unread data reaches the backend as a reset', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    server.pause();
    void client.sendMany(100_000_000);
    await stage.eventually('bytes on their way', () => client.sentBytes > unreadBytes);
    client.reset();
    server.resume();
    assert.equal(await server.outcome(), 'reset');
    await stage.closes(flowId, 'client-reset');
  }),

  story('tcp: a backend reset behind unread data reaches the client as a reset', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.pause();
    void server.sendMany(100_000_000);
    await stage.eventually('bytes on their way', () => server.sentBytes > unreadBytes);
    server.reset();
    client.resume();
    assert.equal(await client.outcome(), 'reset');
    await stage.closes(flowId, 'backend-reset');
  }),

  story('tcp: a reset behind unread data after a half-close is not an end', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.finish();
    assert.equal(await server.outcome(), 'end');
    void server.sendMany(100_000_000);
    await client.receivesBytes(3_000_000);
    server.reset();
    assert.equal(await client.outcome(), 'reset');
    await stage.closes(flowId, 'backend-reset');
  }),

  story('tcp: a truncated answer never looks whole, whenever the reset comes', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const rounds = 40;
    for (let round = 0; round < rounds; round++) {
      const client = await TcpPeer.connect(stage, port);
      const server = await backend.accepted(round);
      if (round % 2 === 0) {
        client.finish();
        await server.outcome();
      }
      server.send('x'.repeat(1 + round * 997));
      await client.receivesBytes(1);
      server.send('y'.repeat(1 + round * 997));
      server.reset();
      assert.equal(await client.outcome(), 'reset');
    }
    for (let round = 0; round < rounds; round++) await stage.closes(round + 1, 'backend-reset');
  }),

  story('tcp: a reset after a half-close is passed on', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.finish();
    assert.equal(await server.outcome(), 'end');
    server.reset();
    assert.equal(await client.outcome(), 'reset');
    await stage.closes(flowId, 'backend-reset');
  }),

  story('tcp: terminate while relaying resets both sides', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    stage.send({ type: 'terminate', flowId, code: 'backend-removed' });
    assert.deepEqual([await client.outcome(), await server.outcome()], ['reset', 'reset']);
    await stage.closes(flowId, 'backend-removed');
    stage.send({ type: 'terminate', flowId, code: 'backend-removed' });
    stage.send({ type: 'proceed', flowId });
    await stage.stop();
    assert.equal(stage.all('closed').length, 1);
  }),

  story('tcp: terminate while half closed resets the open side', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.finish();
    assert.equal(await server.outcome(), 'end');
    stage.send({ type: 'terminate', flowId, code: 'backend-down' });
    await stage.closes(flowId, 'backend-down');
    assert.equal(await client.outcome(), 'reset');
    await server.breaks();
  }),

  story('tcp: terminate with unread data in flight is a reset, not an end', async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.pause();
    void server.sendMany(100_000_000);
    await stage.eventually('bytes on their way', () => server.sentBytes > unreadBytes);
    stage.send({ type: 'terminate', flowId, code: 'backend-removed' });
    await stage.closed(flowId);
    client.resume();
    assert.equal(await client.outcome(), 'reset');
    await server.breaks();
  }),

  story('tcp: an idle connection is reset', async (stage) => {
    const { client, server, flowId } = await connection(stage, { timeouts: { idleMs: 3000 } });
    assert.deepEqual([await client.outcome(), await server.outcome()], ['reset', 'reset']);
    await stage.closes(flowId, 'idle');
  }),

  story('tcp: bytes in one direction keep a connection from idling', async (stage) => {
    const idleMs = 3000;
    const { server, client, flowId } = await connection(stage, { timeouts: { idleMs } });
    for (const startMs = performance.now(); performance.now() < startMs + 1.5 * idleMs; ) {
      const before = client.receivedBytes;
      server.send('x');
      await client.receivesBytes(before + 1);
    }
    await stage.settle();
    assert.equal(stage.all('closed').length, 0);
    await stage.closes(flowId, 'idle');
  }),

  story('tcp: a half-closed connection that falls silent is reset', async (stage) => {
    const { client, server, flowId } = await connection(stage, { timeouts: { halfCloseMs: 400 } });
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await stage.closes(flowId, 'half-close-timeout');
    assert.equal(await client.outcome(), 'reset');
    await server.breaks();
  }),

  story('tcp: an end after a long silence leaves the other side its time to answer', async (stage) => {
    const halfCloseMs = 2_000;
    const { client, server, flowId } = await connection(stage, { timeouts: { halfCloseMs } });
    await sleep(1.5 * halfCloseMs);
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await sleep(halfCloseMs / 4);
    server.send(' late');
    server.finish();
    await client.receives('! late');
    assert.equal(await client.outcome(), 'end');
    await stage.closes(flowId, 'client-closed');
  }),

  story('tcp: a half-closed connection has no longer than an open one', async (stage) => {
    const { client, server, flowId } = await connection(stage, { timeouts: { idleMs: 2_000 } });
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await stage.closes(flowId, 'idle');
    assert.equal(await client.outcome(), 'reset');
    await server.breaks();
  }),

  story('tcp: a defect in the host costs one flow', async (stage) => {
    const { client, server } = await connection(stage);
    const other = await TcpBackend.open(stage);
    const { port, listener } = await stage.listen('tcp', [other.view], { throwIn: 'dialed' });
    const unlucky = await TcpPeer.connect(stage, port);
    assert.equal(await unlucky.outcome(), 'reset');
    assert.equal((await stage.event('fault')).flowId, (await stage.firstOf(listener)).flowId);
    assert.equal((await stage.event('closed')).code, 'worker-error');
    client.send('still here');
    await server.receives('?still here');
  }),
];
