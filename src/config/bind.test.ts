import { expect, test } from 'vitest';
import { readListenerBinds } from './bind.ts';

function placesOf(value: unknown): string[] {
  const reading = readListenerBinds(value);
  if (!('value' in reading)) throw new Error(JSON.stringify(reading));
  const { bind, all } = reading.value;
  expect(all[0]!.bind).toBe(bind);
  return all.map(({ bind: one }) => (one.kind === 'inet' ? `${one.ip} ${one.port}` : one.path));
}

test('all of IPv4 beside all of IPv6 is one socket, which serves both', () => {
  expect(placesOf(['tcp://0.0.0.0:443', 'tcp://[::]:443'])).toEqual([':: 443']);
  expect(placesOf(['tcp://[::]:443', 'tcp://0.0.0.0:443', 'unix:/run/x.sock'])).toEqual([
    ':: 443',
    '/run/x.sock',
  ]);
  expect(placesOf(['udp://0.0.0.0:7000-7002', 'udp://[::]:7001-7003'])).toEqual([
    '0.0.0.0 7000',
    ':: 7001',
    ':: 7002',
    ':: 7003',
  ]);
});

test('one address of IPv4 beside all of IPv6 stays, and is judged with the others', () => {
  expect(placesOf(['tcp://192.0.2.1:443', 'tcp://[::]:443'])).toEqual(['192.0.2.1 443', ':: 443']);
  expect(placesOf(['tcp://0.0.0.0:443', 'tcp://[2001:db8::1]:443'])).toEqual([
    '0.0.0.0 443',
    '2001:db8::1 443',
  ]);
  expect(placesOf('tcp://0.0.0.0:443')).toEqual(['0.0.0.0 443']);
});
