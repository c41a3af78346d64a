import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { parseRedisUrl } from '../../config/redis-url.ts';
import { RedisNode } from './node.ts';
import { ReplyBudget } from './reply-guard.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A node that asks as soon as it may, and how often it has connected. */
async function nodeTo(serve: (socket: Socket) => void) {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {});
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const node = new RedisNode({
    plan: parseRedisUrl(`redis://127.0.0.1:${port}`) as never,
    role: 'server',
    blockMs: 0,
    database: 0,
    budget: new ReplyBudget(1_000_000),
    find: () => ({ host: '127.0.0.1', port }),
    ready: () => {
      for (let i = 0; i < 3; i++) node.ask((redis) => redis.get('x')).catch(() => {});
    },
    closed: () => {},
    failed: () => {},
  });
  ends.push(
    () => node.close(),
    () => server.close(),
  );
  return () => connections;
}

const busyMs = 1_500;

test.each([
  ['closes', ''],
  ['says why and closes', '-DENIED Redis is running in protected mode\r\n'],
  ['has too many clients', '-ERR max number of clients reached\r\n'],
])('a server that accepts and %s is connected to less and less often', async (_how, words) => {
  const connections = await nodeTo((socket) => void socket.end(words));
  await sleep(busyMs);
  // At 0, 50, 150, 350, 750 ms at the earliest, and the next after 1,550.
  expect(connections()).toBeLessThanOrEqual(5);
  expect(connections()).toBeGreaterThan(2);
});

test('a server that answers before it closes is connected to again at once', async () => {
  const connections = await nodeTo((socket) => {
    socket.once('data', () => void socket.end('$-1\r\n'));
  });
  await sleep(busyMs);
  expect(connections()).toBeGreaterThan(8);
});
