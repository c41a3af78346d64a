// What the engine does on sockets is in the conformance suite (test/conformance-portable.test.ts).
import { Socket, type SocketConstructorOpts } from 'node:net';
import { expect, test } from 'vitest';
import { pendingBytesMax } from '../../core/limits.ts';
import { highWaterMark } from './bounds.ts';
import { dialFailureOf } from './dial-failure.ts';
import { reusePortSupported } from './portable.ts';

test('ports are shared from the versions that can', () => {
  const versions = {
    '20.20.2': false,
    '22.11.0': false,
    '22.12.0': true,
    '23.0.0': false,
    '23.1.0': true,
    '24.0.0': true,
  };
  for (const [version, expected] of Object.entries(versions))
    expect(reusePortSupported(version)).toBe(expected);
});

test('the mark keeps a direction within its bound, and Node takes it', () => {
  const readBytes = 64 * 1024;
  const writableMost = highWaterMark - 1 + readBytes;
  const readableMost = highWaterMark - 1 + readBytes;
  expect(writableMost + readableMost).toBeLessThanOrEqual(pendingBytesMax);
  const options: SocketConstructorOpts & { highWaterMark: number } = { highWaterMark };
  const socket = new Socket(options);
  expect([socket.readableHighWaterMark, socket.writableHighWaterMark]).toEqual([
    highWaterMark,
    highWaterMark,
  ]);
});

test('only what the network said counts against a backend', () => {
  const failures = [
    'ECONNREFUSED',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'EADDRNOTAVAIL',
    'EMFILE',
    'ENFILE',
    'ENOMEM',
    'EPERM',
  ];
  expect(failures.map((code) => dialFailureOf(code, false))).toEqual([
    'backend-refused',
    'backend-timeout',
    'backend-unreachable',
    'backend-unreachable',
    'local-fault',
    'local-fault',
    'local-fault',
    'local-fault',
    'local-fault',
  ]);
  expect(dialFailureOf('ENOENT', true)).toBe('backend-refused');
  expect(dialFailureOf('EAGAIN', true)).toBe('backend-unreachable');
  expect(dialFailureOf('EAGAIN', false)).toBe('local-fault');
  expect(dialFailureOf(undefined, false)).toBe('local-fault');
});
