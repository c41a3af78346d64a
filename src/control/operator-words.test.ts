import { describe, expect, test } from 'vitest';
import {
  everywhere,
  formatWord,
  noWord,
  type OperatorRow,
  parseWord,
  wordAfter,
} from '../core/operator-word.ts';
import { OperatorWords } from './operator-words.ts';

const row = (
  on: string,
  backend: string,
  state: 'ready' | 'drain' | 'maintenance',
  atMs: number,
): OperatorRow => ({
  on,
  pool: 'p',
  backend,
  word: { state, weight: undefined, movesPinned: false, atMs },
});

describe('a word', () => {
  test('changes what the order names, and is newer than what it changes', () => {
    const drained = wordAfter(noWord, { state: 'drain', movesPinned: true }, 1_000);
    expect(drained).toEqual({ state: 'drain', weight: undefined, movesPinned: true, atMs: 1_000 });
    // The clock was set back.
    const light = wordAfter(drained, { weight: 5 }, 400);
    expect(light).toEqual({ state: 'drain', weight: 5, movesPinned: true, atMs: 1_001 });
    expect(wordAfter(light, { state: 'ready' }, 2_000)).toEqual({
      state: 'ready',
      weight: 5,
      movesPinned: false,
      atMs: 2_000,
    });
    expect(wordAfter(light, { state: 'drain' }, 2_000).movesPinned).toBe(false);
    expect(wordAfter(light, { weight: 'configured' }, 2_000).weight).toBeUndefined();
  });

  test('reads as it was written', () => {
    for (const word of [
      wordAfter(noWord, { state: 'drain', movesPinned: true }, 1_790_000_000_000),
      wordAfter(noWord, { state: 'maintenance', weight: 0 }, 5),
      wordAfter(noWord, { weight: 256 }, 5),
    ])
      expect(parseWord(formatWord(word))).toEqual(word);
  });

  test.each([
    '',
    '5',
    '5 drain',
    '5 gone - stay',
    '5 ready 257 stay',
    '5 ready -1 stay',
    'x ready - stay',
    '5 ready - stay ',
    `${'9'.repeat(20)} ready - stay`,
  ])('of somebody else is none: %j', (text) => expect(parseWord(text)).toBeUndefined());
});

describe('words', () => {
  test('for all and for one: the newer is in force', () => {
    const words = new OperatorWords('a', true);
    words.say('p', 'x', { state: 'drain' }, true, 10);
    words.say('p', 'x', { state: 'ready' }, false, 20);
    expect(words.of('p', 'x').state).toBe('ready');
    expect(words.heard([row(everywhere, 'x', 'maintenance', 30)]).changed).toHaveLength(1);
    expect(words.of('p', 'x').state).toBe('maintenance');
    // What is older, and what is for another instance, changes nothing.
    expect(words.heard([row(everywhere, 'x', 'drain', 10), row('b', 'x', 'drain', 99)]).changed).toEqual([]);
    expect(words.of('p', 'x').state).toBe('maintenance');
  });

  test('that the cluster does not have, or has an older one of, are to be told', () => {
    const words = new OperatorWords('a', true);
    const said = words.say('p', 'x', { state: 'drain' }, false, 10);
    const ofAll = words.say('p', 'y', { weight: 3 }, true, 10);
    expect(words.heard([]).untold).toEqual([said, ofAll]);
    expect(words.heard([row('a', 'x', 'ready', 5), ofAll])).toEqual({ changed: [], untold: [said] });
    expect(words.heard([said, ofAll])).toEqual({ changed: [], untold: [] });
  });

  test('are forgotten with their backend when nobody keeps them', () => {
    for (const areKept of [true, false]) {
      const words = new OperatorWords('a', areKept);
      words.say('p', 'x', { state: 'drain' }, false, 10);
      words.forget('p', 'x');
      expect(words.of('p', 'x').state).toBe(areKept ? 'drain' : 'ready');
    }
  });
});
