import { describe, expect, test } from 'vitest';
import {
  everywhere,
  formatWord,
  isNewer,
  latestMs,
  type OperatorRow,
  type OperatorTopic,
  parseWord,
} from '../core/operator-word.ts';
import { OperatorWords } from './operator-words.ts';

const nowMs = 1_790_000_000_000;
const row = (on: string, backend: string, value: string, atMs: number): OperatorRow => {
  const topic: OperatorTopic = /^(?:configured|\d+)$/.test(value) ? 'weight' : 'state';
  return { on, pool: 'p', backend, topic, word: { atMs, value } };
};
const all = (): boolean => true;

describe('a word', () => {
  test.each([
    ['state', 'drain-pinned'],
    ['state', 'maintenance'],
    ['weight', '0'],
    ['weight', '256'],
    ['weight', 'configured'],
  ] as const)('of %s, %s, reads as it was written', (topic, value) => {
    const word = { atMs: nowMs, value };
    expect(parseWord(topic, formatWord(word), nowMs)).toEqual(word);
  });

  test.each([
    ['state', ''],
    ['state', '5'],
    ['state', '5 gone'],
    ['state', '5 7'],
    ['state', 'x ready'],
    ['state', '0 ready'],
    ['state', '5 ready '],
    ['weight', '5 257'],
    ['weight', '5 -1'],
    ['weight', '5 ready'],
    ['state', `${'9'.repeat(20)} ready`],
    ['state', '999999999999999 drain'],
    ['state', `${latestMs(nowMs) + 1} drain`],
  ] as const)('that nobody of us wrote is none: %s %j', (topic, text) =>
    expect(parseWord(topic, text, nowMs)).toBeUndefined(),
  );

  test('is newer by its time, and among equals the same everywhere', () => {
    const [one, other] = [
      { atMs: 5, value: 'drain' },
      { atMs: 5, value: 'ready' },
    ];
    expect([isNewer(one, other), isNewer(other, one), isNewer(one, one)]).toEqual([false, true, false]);
    expect([isNewer(one, undefined), isNewer({ atMs: 6, value: 'a' }, other)]).toEqual([true, true]);
  });
});

describe('words', () => {
  test('change what the order names, and are newer than what they change', () => {
    const words = new OperatorWords('a', true);
    words.say('p', 'x', { state: 'drain', movesPinned: true }, false, 1_000);
    expect(words.of('p', 'x')).toEqual({ state: 'drain', weight: undefined, movesPinned: true, atMs: 1_000 });
    words.say('p', 'x', { weight: 5 }, false, 400);
    expect(words.of('p', 'x')).toMatchObject({ state: 'drain', weight: 5, movesPinned: true });
    // The clock was set back.
    expect(words.say('p', 'x', { state: 'drain' }, false, 400)[0]?.word.atMs).toBe(1_001);
    expect(words.of('p', 'x')).toMatchObject({ state: 'drain', movesPinned: false });
    words.say('p', 'x', { state: 'ready', weight: 'configured' }, false, 2_000);
    expect(words.of('p', 'x')).toMatchObject({ state: 'ready', weight: undefined });
  });

  test('for all and for one: the newer is in force, of each thing by itself', () => {
    const words = new OperatorWords('a', true);
    words.say('p', 'x', { state: 'drain' }, true, 10);
    words.say('p', 'x', { state: 'maintenance' }, false, 20);
    // A weight for all ends nobody's maintenance.
    expect(words.heard([row(everywhere, 'x', '5', 30)], all).changed).toEqual([['p', 'x']]);
    expect(words.of('p', 'x')).toMatchObject({ state: 'maintenance', weight: 5 });
    const said = words.say('p', 'x', { weight: 7 }, true, 40);
    expect(said).toEqual([row(everywhere, 'x', '7', 40)]);
    // What is older, what is for another instance and what says the same changes nothing.
    const same = [
      row(everywhere, 'x', 'drain', 15),
      row('b', 'x', 'drain', 99),
      row('a', 'x', 'maintenance', 50),
    ];
    expect(words.heard(same, all).changed).toEqual([]);
    expect(words.heard([row(everywhere, 'x', 'ready', 60), row('a', 'x', '1', 60)], all).changed).toEqual([
      ['p', 'x'],
    ]);
  });

  test('that the cluster does not have, or has an older one of, are to be told', () => {
    const words = new OperatorWords('a', true);
    const said = words.say('p', 'x', { state: 'drain' }, false, 10);
    const ofAll = words.say('p', 'y', { weight: 3 }, true, 10);
    expect(words.heard([], all).untold).toEqual([...said, ...ofAll]);
    expect(words.heard([row('a', 'x', 'ready', 5), ...ofAll], all)).toEqual({ changed: [], untold: said });
    expect(words.heard([...said, ...ofAll], all)).toEqual({ changed: [], untold: [] });
  });

  test('about backends that are not here are remembered as long as they are written down', () => {
    const words = new OperatorWords('a', true);
    const none = (): boolean => false;
    expect(words.heard([row(everywhere, 'later', 'drain', 5)], none)).toMatchObject({ untold: [] });
    expect(words.of('p', 'later').state).toBe('drain');
    // Somebody deleted it: it is not written back.
    expect(words.heard([], none)).toEqual({ changed: [], untold: [] });
    expect(words.of('p', 'later').state).toBe('ready');
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
