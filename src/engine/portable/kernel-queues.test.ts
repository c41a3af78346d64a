import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { KernelQueues } from './kernel-queues.ts';
import { readQueues } from './proc-net-tcp.ts';

test('the bytes to send are found by both ends, IPv4 also where IPv6 has it', () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0200007F:C350 01 0000ABCD:00000001 01:00000014 00000000     0        0 2 4 0 20 4 30 10 -1
   2: 0000000000000000FFFF00000100007F:1F91 0000000000000000FFFF00000200007F:C350 01 00000010:00000000 01
`;
  const queued = new Map([
    ['0100007F:1F90 0200007F:C350', 0],
    ['0100007F:1F91 0200007F:C350', 0],
    ['0100007F:1F92 0200007F:C350', 0],
  ]);
  readQueues(text, queued);
  expect([...queued.values()]).toEqual([0xabcd, 0x10, 0]);
});

/** There is no thread to be had there. */
const nowhere = new URL('./nowhere.js', import.meta.url);

test.each([
  ['127.0.0.1', undefined],
  ['::1', undefined],
  ['::', undefined],
  ['127.0.0.1', nowhere],
])(
  'a socket of %s whose peer does not read holds bytes, until it is read (thread: %s)',
  async (host, entry) => {
    const server = createServer({ pauseOnConnect: true }).listen(0, host);
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, host === '::' ? '127.0.0.1' : host);
    const [peer] = await accepted;
    peer.write(Buffer.alloc(64_000_000));
    const queues = new KernelQueues(entry);
    const ask = (): Promise<number> => new Promise((resolve) => queues.ask([peer, client], resolve));
    client.pause();
    await expect.poll(ask).toBeGreaterThan(0);
    client.resume();
    await expect.poll(ask, { timeout: 10_000 }).toBe(0);
    client.destroy();
    peer.destroy();
    server.close();
  },
);

test('many questions at once are answered in their order, each with its own', async () => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peers: Socket[] = [];
  const clients: Socket[] = [];
  for (let i = 0; i < 20; i++) {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    clients.push(connect((server.address() as AddressInfo).port, '127.0.0.1').pause());
    const [peer] = await accepted;
    if (i % 2 === 0) peer.write(Buffer.alloc(64_000_000));
    peers.push(peer);
  }
  await expect.poll(() => peers.every((peer, i) => i % 2 === 1 || peer.writableLength > 0)).toBe(true);
  const queues = new KernelQueues();
  const order: number[] = [];
  const ask = (i: number): Promise<number> =>
    new Promise((resolve) => {
      queues.ask([peers[i]!], (bytes) => {
        order.push(i);
        resolve(bytes);
      });
    });
  // Some are asked while others are answered.
  const answers = peers.map((_, i) => ask(i).then(async (first) => [first, await ask(i)]));
  for (const [i, bytes] of (await Promise.all(answers)).entries())
    expect(bytes.map((each) => each > 0)).toEqual(i % 2 === 0 ? [true, true] : [false, false]);
  expect(order.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  for (const socket of [...peers, ...clients]) socket.destroy();
  server.close();
});

test('what has no line, or no address any more, holds nothing', async () => {
  const { Socket: Unconnected } = await import('node:net');
  const queues = new KernelQueues();
  expect(await new Promise((resolve) => queues.ask([new Unconnected()], resolve))).toBe(0);
});

/** What a process says that does this with the built class, and with sockets. */
async function saidBy(script: string): Promise<string> {
  const built = new URL('../../../dist/src/engine/portable/kernel-queues.js', import.meta.url);
  const imports = `import { Socket } from 'node:net'; import { KernelQueues } from '${built.href}';`;
  const args = ['--input-type=module', '-e', imports + script];
  return (await promisify(execFile)(process.execPath, args, { timeout: 60_000 })).stdout;
}

test('a process whose work is done does not wait for the thread', async () => {
  const said = await saidBy(`
    const queues = new KernelQueues(undefined, 600_000);
    const timer = setInterval(() => {}, 1_000);
    queues.ask([new Socket()], (bytes) => {
      console.log(bytes);
      clearInterval(timer);
    });`);
  expect(said).toBe('0\n');
}, 90_000);

test('whoever fails at an answer costs the others nothing', async () => {
  const said = await saidBy(`
    process.on('uncaughtException', ({ message }) => console.log(message));
    const queues = new KernelQueues();
    for (let i = 0; i < 3; i++) {
      queues.ask([new Socket()], (bytes) => {
        if (i === 1) throw new Error('one failed');
        console.log(i, bytes);
      });
    }
    setTimeout(() => {}, 1_000);`);
  expect(said.trim().split('\n').sort()).toEqual(['0 0', '2 0', 'one failed']);
});

test('the thread ends when nobody asks, and comes again', async () => {
  const { Socket: Unconnected } = await import('node:net');
  const queues = new KernelQueues(undefined, 1);
  for (let round = 0; round < 4; round++) {
    expect(await new Promise((resolve) => queues.ask([new Unconnected()], resolve))).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, round * 20));
  }
});
