import { expect, test } from 'vitest';
import { parseRedisUrl } from './redis-url.ts';

test.each([
  [
    'redis://127.0.0.1:6380',
    { form: { kind: 'single', node: { host: '127.0.0.1', port: 6380 } }, database: 0 },
  ],
  [
    'redis://redis.example.org',
    { form: { kind: 'single', node: { host: 'redis.example.org', port: 6379 } } },
  ],
  ['redis://[::1]:6380/4', { form: { kind: 'single', node: { host: '::1', port: 6380 } }, database: 4 }],
  ['redis://pinion:p%40ss:w@h', { username: 'pinion', password: 'p@ss:w', tls: undefined }],
  ['redis://:p@ss@h', { username: undefined, password: 'p@ss', form: { node: { host: 'h' } } }],
  ['redis://:secret@h', { username: undefined, password: 'secret' }],
  ['rediss://h', { tls: { caFile: undefined, serverName: undefined } }],
  ['unix:/run/redis/redis.sock?db=2', { form: { kind: 'unix', path: '/run/redis/redis.sock' }, database: 2 }],
  [
    'redis+sentinel://a,b:26380/main/1',
    {
      form: {
        kind: 'sentinel',
        nodes: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 26_380 },
        ],
        master: 'main',
      },
      database: 1,
    },
  ],
  [
    'rediss+cluster://a:1,b:2',
    {
      form: {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    },
  ],
])('reads %s', (text, expected) => {
  expect(parseRedisUrl(text)).toMatchObject(expected);
});

test.each([
  '',
  'http://h',
  'redis://',
  'redis://a,b',
  'redis://h:0',
  'redis://h:70000',
  'redis://h/x',
  'redis://h/1/2',
  'redis+sentinel://a',
  'redis+cluster://a/1',
  'unix:relative',
  'redis://h h',
  'redis://%zz@h',
])('refuses %j', (text) => expect(() => parseRedisUrl(text)).toThrow(RangeError));

test.each([
  ['redis://u:secret@a,b', 'several hosts'],
  ['redis://:sec/ret@h', 'percent-encoded'],
  ['redis://:secret#x@h h', 'percent-encoded'],
  ['redis+sentinel://:sec/ret@h/main', 'percent-encoded'],
])('a refusal of %s does not repeat the password', (text, says) => {
  let message = '';
  try {
    parseRedisUrl(text);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain(says);
  expect(message).not.toContain('sec');
});

test.each(['127.0.0.1:6379', 'redis.example.org:6380', '[::1]:6379'])('%s is told with its scheme', (text) =>
  expect(() => parseRedisUrl(text)).toThrow(`write redis://${text}`),
);

test.each(['geheim', 'user:geheim:6379', ':geheim:6379', '-geheim:1'])('%s is not repeated', (text) =>
  expect(() => parseRedisUrl(text)).toThrow(/^(?!.*geheim)/),
);
