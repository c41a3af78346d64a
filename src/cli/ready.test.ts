import { describe, expect, test } from 'vitest';
import { notReadyBecause } from './ready.ts';

const answer = (body: object) => ({ status: 200, body });

describe('ready', () => {
  test('follows what the instance says of itself', () => {
    expect(notReadyBecause(answer({ ready: true }), false)).toBeUndefined();
    expect(notReadyBecause(answer({ ready: false }), false)).toMatch('starting or draining');
    expect(notReadyBecause(undefined, false)).toMatch('no pinion');
    expect(notReadyBecause({ status: 500, body: { error: 'broken' } }, false)).toMatch('500');
  });

  test('an instance that shares pins has to have read them once, if asked', () => {
    const away = { ready: true, cluster: { state: 'away', caughtUp: false } };
    expect(notReadyBecause(answer(away), false)).toBeUndefined();
    expect(notReadyBecause(answer(away), true)).toMatch('away');
    const lostRedis = { ready: true, cluster: { state: 'away', caughtUp: true } };
    expect(notReadyBecause(answer(lostRedis), true)).toBeUndefined();
    expect(notReadyBecause(answer({ ready: true }), true)).toBeUndefined();
  });
});
