import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Address } from '../../core/address.ts';
import { collectDrops, keyOf } from './kernel-drops.ts';

test.each([
  ['udp4', '127.0.0.1', 'udp'],
  ['udp4', '0.0.0.0', 'udp'],
  ['udp6', '::1', 'udp6'],
  ['udp6', '::', 'udp6'],
] as const)('a %s socket on %s is found in /proc/net/%s', async (type, ip, table) => {
  const socket = createSocket(type);
  socket.bind(0, ip);
  await once(socket, 'listening');
  const { address, port } = socket.address();
  const key = keyOf(Address.parse(address, port)!, type === 'udp6');
  const text = readFileSync(`/proc/net/${table}`, 'latin1');
  socket.close();
  expect(text).toContain(`: ${key} `);
});

test('only lines with drops count, and those of one address together', () => {
  const line = (local: string, drops: number): string =>
    ` 1234: ${local} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0 ${drops}        `;
  const text = [
    '  sl  local_address rem_address ... drops',
    line('A:1', 0),
    line('B:2', 7),
    line('B:2', 30),
    line('C:3', 100),
  ];
  const found = new Map<string, number>();
  collectDrops(text.join('\n'), found);
  expect([...found]).toEqual([
    ['B:2', 37],
    ['C:3', 100],
  ]);
});
