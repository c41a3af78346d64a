import { expect, test } from 'vitest';
import { type Tokens, tokenGate } from './gate.ts';

const tokens = { read: 'r'.repeat(32), write: 'w'.repeat(32) };

function ask(authorization: string | undefined, remoteAddress: string, known: Tokens = tokens) {
  const headers = authorization === undefined ? {} : { authorization };
  return tokenGate(() => known)({ headers, socket: { remoteAddress } } as Parameters<
    ReturnType<typeof tokenGate>
  >[0]);
}

test.each([
  [undefined, '127.0.0.1', 'read'],
  [undefined, '127.8.8.8', 'read'],
  [undefined, '::1', 'read'],
  [undefined, '::ffff:127.0.0.1', 'read'],
  [undefined, '192.0.2.1', 'none'],
  [undefined, '::ffff:192.0.2.1', 'none'],
  [undefined, '2001:db8::1', 'none'],
  [`Bearer ${tokens.read}`, '192.0.2.1', 'read'],
  [`bearer ${tokens.write}`, '192.0.2.1', 'write'],
  [`Bearer ${tokens.write}`, '127.0.0.1', 'write'],
  [`Bearer ${tokens.write}x`, '127.0.0.1', 'wrong-token'],
  [`Bearer ${tokens.write.slice(1)}`, '127.0.0.1', 'wrong-token'],
  ['Bearer ', '127.0.0.1', 'wrong-token'],
  ['', '127.0.0.1', 'wrong-token'],
  [`Basic ${tokens.write}`, '127.0.0.1', 'wrong-token'],
  [tokens.write, '127.0.0.1', 'wrong-token'],
])('%s from %s: %s', (authorization, from, may) => {
  expect(ask(authorization, from)).toBe(may);
});

test('behind a proxy on this machine nobody is of this machine', () => {
  for (const name of ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via']) {
    const request = { headers: { [name]: 'for=192.0.2.1' }, socket: { remoteAddress: '127.0.0.1' } };
    expect(tokenGate(() => tokens)(request as never)).toBe('none');
  }
});

test('with a file of the token for reading this machine needs it, too, whether or not that file can be used', () => {
  const here = { headers: {}, socket: { remoteAddress: '127.0.0.1' } };
  expect(tokenGate(() => tokens, true)(here as never)).toBe('none');
  expect(tokenGate(() => ({ read: undefined, write: undefined }), true)(here as never)).toBe('none');
  const withToken = { ...here, headers: { authorization: `Bearer ${tokens.read}` } };
  expect(tokenGate(() => tokens, true)(withToken as never)).toBe('read');
});

test('a token that there is not opens nothing', () => {
  const none = { read: undefined, write: undefined };
  for (const token of ['', 'undefined', 'null', '0', 'x'.repeat(32)]) {
    expect(ask(`Bearer ${token}`, '192.0.2.1', none)).toBe('wrong-token');
  }
  expect(ask(`Bearer ${tokens.read}`, '192.0.2.1', { ...none, read: tokens.read })).toBe('read');
});
