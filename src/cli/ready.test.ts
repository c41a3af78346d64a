import { describe, expect, test } from 'vitest';
import { refusalIn } from './ready.ts';

const answer = (body: object) => ({ status: 200, body });

describe('ready', () => {
  test('follows what the instance says of itself', () => {
    expect(refusalIn(answer({ ready: true }), false)).toBeUndefined();
    expect(refusalIn(answer({ ready: false }), false)).toMatch('starting or draining');
    expect(refusalIn({ status: 500, body: { error: 'broken' } }, false)).toMatch('500');
  });

  test('an instance that shares pins has to have read them once, if asked', () => {
    const away = { ready: true, cluster: { state: 'away', caughtUp: false } };
    expect(refusalIn(answer(away), false)).toBeUndefined();
    expect(refusalIn(answer(away), true)).toMatch('away');
    const lostRedis = { ready: true, cluster: { state: 'away', caughtUp: true } };
    expect(refusalIn(answer(lostRedis), true)).toBeUndefined();
    expect(refusalIn(answer({ ready: true }), true)).toBeUndefined();
  });
});
