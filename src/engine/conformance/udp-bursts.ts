/** Stories of more datagrams at once than an engine reads or sends at once: they arrive, and what the kernel drops is counted. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { DropReason } from '../engine.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import { newNamespace, runInside } from './namespace.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

const replyBytes = 1_200;
/** What the kernel books for one. */
const bookedBytes = 2_304;
/** 1,500, or as many as fit where this user gets smaller buffers (net.core.rmem_max, which is doubled). */
const replies = Math.min(
  1_500,
  Math.floor((1.8 * Number(readFileSync('/proc/sys/net/core/rmem_max', 'latin1'))) / bookedBytes),
);

function numbered(index: number): Buffer {
  const bytes = Buffer.alloc(replyBytes);
  bytes.writeUInt32BE(index);
  return bytes;
}

/** All that `act` sends waits in the kernel until it returns. */
async function whileStopped(stage: Stage, act: () => Promise<void>): Promise<void> {
  process.kill(stage.pid, 'SIGSTOP');
  try {
    await act();
  } finally {
    process.kill(stage.pid, 'SIGCONT');
  }
}

function sent(peer: UdpPeer, bytes: Buffer, port: number, ip: string): Promise<void> {
  return new Promise((resolve, reject) =>
    peer.socket.send(bytes, port, ip, (error) => (error === null ? resolve() : reject(error))),
  );
}

function droppedFor(stage: Stage, reason: DropReason): number {
  return stage
    .all('dropped')
    .filter((event) => event.reason === reason)
    .reduce((sum, event) => sum + event.count, 0);
}

export const udpBurstStories = [
  story('udp: a burst of 1,500 replies of 1,200 bytes arrives in order', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('go', port);
    const { from } = await backend.receives('go');
    await whileStopped(stage, async () => {
      for (let i = 0; i < replies; i++) await sent(backend, numbered(i), from.port, from.address);
    });
    await client.receivesCount(replies);
    assert.deepEqual(
      client.received.map(({ bytes }) => bytes.readUInt32BE()),
      Array.from({ length: replies }, (_, i) => i),
    );
    await stage.settle();
    assert.equal(stage.all('dropped').length, 0);
  }),

  story(
    'udp: what the kernel drops on the way from a backend is counted, each datagram once',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view], {
        udp: { backendReceiveBufferBytes: 16_384 },
      });
      const client = await UdpPeer.open(stage);
      client.send('go', port);
      const { from } = await backend.receives('go');
      let total = 0;
      for (const burst of [300, 200]) {
        await whileStopped(stage, async () => {
          for (let i = 0; i < burst; i++) await sent(backend, numbered(i), from.port, from.address);
        });
        total += burst;
        const before = client.received.length;
        backend.reply('last', { bytes: Buffer.alloc(0), from });
        total++;
        await client.receivesCount(before + 1);
      }
      const accounted = (): number =>
        client.received.length + droppedFor(stage, 'backend-receive-buffer-full');
      await stage.eventually('all accounted for', () => accounted() === total);
      assert.ok(client.received.length < total);
      await stage.tell({ type: 'terminate', flowId: 1, code: 'backend-removed' });
      assert.equal(accounted(), total);
      assert.equal(droppedFor(stage, 'receive-buffer-full'), 0);
    },
  ),

  story(
    'udp: what the kernel drops on the way from clients is counted, each datagram once',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port, listener } = await stage.listen('udp', [backend.view], {
        udp: { receiveBufferBytes: 16_384 },
      });
      const client = await UdpPeer.open(stage);
      client.send('hello', port);
      await backend.receives('hello');
      await whileStopped(stage, async () => {
        for (let i = 0; i < 400; i++) await sent(client, numbered(i), port, '127.0.0.1');
      });
      await stage.eventually(
        'all accounted for',
        () => backend.received.length - 1 + droppedFor(stage, 'receive-buffer-full') === 400,
      );
      assert.ok(backend.received.length < 400);
      await stage.tell({ type: 'unlisten', listenerId: listener.id });
      assert.equal(backend.received.length - 1 + droppedFor(stage, 'receive-buffer-full'), 400);
    },
  ),

  story(
    'udp: replies wait while the network takes no more, and keep their order',
    async (stage) => {
      const { port } = await stage.listen('udp', [backendView(loopback('127.0.0.1', 9999))], {
        udp: { sendBufferBytes: 32_768 },
      });
      const got = JSON.parse(await runInside(stage, slowNetworkProgram, [String(port)]));
      assert.deepEqual(
        got,
        Array.from({ length: 600 }, (_, i) => i),
      );
      await stage.settle();
      assert.equal(stage.all('dropped').length, 0);
    },
    // What has not left is on its socket's account.
    newNamespace([], ['tc qdisc add dev lo root tbf rate 30mbit burst 32kb latency 60s']),
  ),
];

/** In the namespace: a backend answers with 600 datagrams at once. Prints the numbers of those the client got. */
const slowNetworkProgram = `
  const dgram = require('node:dgram');
  const { once } = require('node:events');
  (async () => {
    const backend = dgram.createSocket({ type: 'udp4', sendBufferSize: 4 << 20 });
    backend.on('message', (bytes, from) => {
      for (let i = 0; i < 600; i++) {
        const reply = Buffer.alloc(1200);
        reply.writeUInt32BE(i);
        backend.send(reply, from.port, from.address);
      }
    });
    backend.bind(9999, '127.0.0.1');
    await once(backend, 'listening');
    const client = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    const got = [];
    let quiet;
    const done = new Promise((resolve) => {
      client.on('message', (bytes) => {
        got.push(bytes.readUInt32BE());
        clearTimeout(quiet);
        quiet = setTimeout(resolve, got.length === 600 ? 0 : 3000);
      });
    });
    client.send('go', Number(process.argv[1]), '127.0.0.1');
    await done;
    console.log(JSON.stringify(got));
    client.close();
    backend.close();
  })();
`;
