/** Stories of bytes over TCP: they arrive whole, in order, and no side is buffered without bound. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { backendView } from './listener.ts';
import { digestOf, payload } from './payload.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';
import { connectUrgent, openUrgentBackend } from './urgent.ts';

const bulkBytes = 50_000_000;

/**
 * What two TCP connections can hold in the kernel when nobody reads: the largest send and receive buffer of each.
 * What an engine holds itself comes on top, and is small.
 */
function kernelBytesMax(): number {
  const largest = (name: string): number =>
    Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/)[2]);
  return 2 * (largest('tcp_rmem') + largest('tcp_wmem'));
}

/** The fast side sends to one that does not read; then it reads, and everything is there. */
async function slowReader(fast: TcpPeer, slow: TcpPeer): Promise<void> {
  const heldBytesMax = kernelBytesMax() + (8 << 20);
  const total = heldBytesMax + (32 << 20);
  slow.pause();
  const sending = fast.sendMany(total);
  let before = -1;
  while (fast.sentBytes !== before || before === 0) {
    before = fast.sentBytes;
    await sleep(1000);
  }
  assert.ok(fast.sentBytes < heldBytesMax, `${fast.sentBytes} bytes were taken from a sender nobody read`);
  slow.resume();
  const digest = await sending;
  fast.finish();
  await slow.receivesBytes(total);
  assert.equal(await slow.outcome(), 'end');
  assert.equal(slow.receivedBytes, total);
  assert.equal(slow.digest, digest);
}

export const tcpRelayStories = [
  story('tcp: a small echo', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, port);
    client.send('hello');
    await client.receives('hello');
    client.finish();
    assert.equal(await client.outcome(), 'end');
    const opened = await stage.opened(client.name);
    assert.equal(opened.local, `127.0.0.1:${port}`);
    assert.equal(opened.clientFamily, 4);
    const closed = await stage.closes(opened.flowId, 'client-closed');
    stage.scene.assertMoved(closed, { bytesIn: 5, bytesOut: 5 });
    assert.equal(stage.all('dialed').length, 1);
    assert.equal(stage.all('replied').length, 1);
  }),

  story('tcp: a backend that speaks first', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, port);
    (await backend.accepted()).send('welcome');
    await client.receives('welcome');
    client.finish();
    (await backend.accepted()).finish();
    assert.equal(await client.outcome(), 'end');
  }),

  story('tcp: 200 connections at once', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const clients = await Promise.all(Array.from({ length: 200 }, () => TcpPeer.connect(stage, port)));
    for (const [index, client] of clients.entries()) client.send(`client ${index}`);
    for (const [index, client] of clients.entries()) await client.receives(`client ${index}`);
    for (const client of clients) client.finish();
    for (const client of clients) assert.equal(await client.outcome(), 'end');
    await stage.eventually('200 flows closed', () => stage.all('closed').length === 200);
    assert.equal(new Set(stage.all('closed').map((event) => event.flowId)).size, 200);
    for (const event of stage.all('closed')) assert.equal(event.code, stage.scene.codeOf('client-closed'));
  }),

  story('tcp: 50 MB each way at once, whole and in order', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, port);
    const server = await backend.accepted();
    const [up, down] = await Promise.all([client.sendMany(bulkBytes), server.sendMany(bulkBytes)]);
    client.finish();
    server.finish();
    assert.equal(await client.outcome(), 'end');
    assert.equal(await server.outcome(), 'end');
    assert.deepEqual([client.digest, server.digest], [down, up]);
    stage.scene.assertMoved(await stage.closed(1), { bytesIn: bulkBytes, bytesOut: bulkBytes });
  }),

  story('tcp: a client that does not read stops the backend', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, port);
    await slowReader(await backend.accepted(), client);
  }),

  story('tcp: a backend that does not read stops the client', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, port);
    await slowReader(client, await backend.accepted());
  }),

  story('tcp: data and an immediate end arrive whole', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const lengths = [1, 1460, 65_536, 65_537, 1_000_003];
    for (const [index, length] of lengths.entries()) {
      const bytes = payload(length, index);
      const client = await TcpPeer.connect(stage, port);
      client.socket.end(bytes);
      const server = await backend.accepted(index);
      assert.equal(await server.outcome(), 'end');
      assert.equal(server.digest, digestOf(bytes));
      server.socket.end(bytes);
      assert.equal(await client.outcome(), 'end');
      assert.equal(client.digest, digestOf(bytes));
    }
    for (const index of lengths.keys()) await stage.closes(index + 1, 'client-closed');
  }),

  story('tcp: urgent bytes stay where they are in the stream', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const up = await stage.listen('tcp', [backend.view]);
    connectUrgent(stage, up.port);
    const server = await backend.accepted();
    assert.equal(await server.outcome(), 'end');
    assert.equal(server.text, 'abcXdef');
    server.finish();
    await stage.closes(1, 'client-closed');
    const down = await stage.listen('tcp', [backendView(await openUrgentBackend(stage))]);
    const client = await TcpPeer.connect(stage, down.port);
    assert.equal(await client.outcome(), 'end');
    assert.equal(client.text, 'abcXdef');
  }),

  story('tcp: many small writes keep their order', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const client = await TcpPeer.connect(stage, port);
    let text = '';
    for (let i = 0; i < 3000; i++) {
      const piece = `${i},`;
      text += piece;
      client.send(piece);
      if (i % 100 === 0) await sleep(1);
    }
    client.finish();
    const server = await backend.accepted();
    assert.equal(await server.outcome(), 'end');
    assert.equal(server.text, text);
    server.finish();
    assert.equal(await client.outcome(), 'end');
  }),
];
