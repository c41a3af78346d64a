import { expect, test } from 'vitest';
import type { Flow } from '../../core/flow.ts';
import { ConversationCensus, type Counted } from './conversation-census.ts';

function newcomers(census: ConversationCensus): {
  enter: (name: string, listenerId?: number) => Counted;
  ended: string[];
} {
  const ended: string[] = [];
  let entered = 0;
  const enter = (name: string, listenerId = 0): Counted => {
    const conversation: Counted = {
      flow: { listener: { id: listenerId }, startedAtMs: entered++ } as Flow,
      older: undefined,
      newer: undefined,
      isUnanswered: false,
      proceed: () => {},
      end: () => {
        ended.push(name);
        census.leave(conversation);
      },
    };
    census.enter(conversation);
    return conversation;
  };
  return { enter, ended };
}

test('the oldest unanswered conversation makes room, whatever order answers come in', () => {
  const census = new ConversationCensus(4);
  const { enter, ended } = newcomers(census);
  const [a, b, , d] = ['a', 'b', 'c', 'd'].map((name) => enter(name));
  census.answered(b!);
  census.answered(b!);
  expect(census.makeRoom()).toBe(true);
  expect(ended).toEqual(['a']);
  expect(a!.isUnanswered).toBe(false);
  enter('e');
  census.answered(d!);
  expect([census.makeRoom(), ended]).toEqual([true, ['a', 'c']]);
  enter('f');
  expect([census.makeRoom(), ended]).toEqual([true, ['a', 'c', 'e']]);
});

test('when all are answered there is no room until one leaves', () => {
  const census = new ConversationCensus(2);
  const { enter, ended } = newcomers(census);
  const [a, b] = ['a', 'b'].map((name) => enter(name));
  census.answered(a!);
  census.answered(b!);
  expect(census.makeRoom()).toBe(false);
  expect(ended).toEqual([]);
  census.leave(b!);
  expect(census.makeRoom()).toBe(true);
  enter('c');
  expect(census.makeRoom()).toBe(true);
  expect(ended).toEqual(['c']);
});

test('a listener at its limit gives up its own, a full table the oldest of all', () => {
  const census = new ConversationCensus(4);
  const { enter, ended } = newcomers(census);
  enter('old', 1);
  enter('middle', 2);
  enter('young', 1);
  expect([census.evict(2), census.evict(2), census.evict(3), ended]).toEqual([
    true,
    false,
    false,
    ['middle'],
  ]);
  expect([census.evict(), census.evict(), census.evict(), ended]).toEqual([
    true,
    true,
    false,
    ['middle', 'old', 'young'],
  ]);
});
