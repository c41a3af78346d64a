/** Whom a full table gives up: a flood of any kind before anybody who is real. */
import { expect, test } from 'vitest';
import type { Flow } from '../core/flow.ts';
import { listenerView } from './conformance/listener.ts';
import { EvictionOrder, type Ordered } from './eviction-order.ts';

const idleMs = 10_000;

interface Played extends Ordered {
  readonly name: string;
  movedAtMs: number;
}

function stage(proves: (name: string) => boolean = () => true) {
  const ended: string[] = [];
  const names = new Map<Flow, string>();
  const order = new EvictionOrder((flow) => proves(names.get(flow)!));
  const clock = { nowMs: 0 };
  const come = (name: string, listenerId = 0): Played => {
    const flow = { listener: listenerView(listenerId, 'udp', { timeouts: { idleMs } }) } as Flow;
    names.set(flow, name);
    const played: Played = {
      name,
      flow,
      movedAtMs: ++clock.nowMs,
      standing: undefined,
      isAnswered: false,
      enteredAtMs: 0,
      older: undefined,
      newer: undefined,
      evict: () => {
        ended.push(name);
        order.leave(played);
      },
    };
    order.enter(played);
    return played;
  };
  const moved = (played: Played): void => {
    played.movedAtMs = ++clock.nowMs;
  };
  const answer = (played: Played): Played => {
    moved(played);
    order.answered(played);
    return played;
  };
  const speak = (played: Played): Played => {
    moved(played);
    order.spoke(played);
    return played;
  };
  /** Makes room so often; who left. */
  const room = (times: number, quietToo = false, listenerId = 0): string[] => {
    const before = ended.length;
    for (let i = 0; i < times; i++) order.evict(listenerId, quietToo, clock.nowMs);
    return ended.slice(before);
  };
  return { ended, order, clock, come, answer, speak, moved, room };
}

test('those that spoke once go first, the oldest of them; who spoke after an answer never goes for them', () => {
  const { come, answer, speak, room } = stage();
  const known = speak(answer(come('known')));
  for (const name of ['a', 'b', 'c']) answer(come(name));
  expect(room(5)).toEqual(['a', 'b', 'c']);
  expect(known.standing).toBe('proved');
});

test('a flood that is answered takes its own, and not the newcomer whose answer is under way', () => {
  const { come, answer, room } = stage();
  for (let i = 0; i < 10; i++) answer(come(`flood ${i}`));
  come('newcomer');
  expect(room(9)).toEqual(Array.from({ length: 9 }, (_, i) => `flood ${i}`));
});

test('a flood that is never answered takes its own, and not who was answered', () => {
  const { come, answer, room } = stage();
  answer(come('resolver'));
  for (let i = 0; i < 10; i++) come(`flood ${i}`);
  expect(room(9)).toEqual(Array.from({ length: 9 }, (_, i) => `flood ${i}`));
});

test('who sends on without an answer stays longer than who sent once, unless they are the flood', () => {
  const { come, speak, room } = stage();
  speak(come('reporter'));
  for (let i = 0; i < 5; i++) come(`once ${i}`);
  expect(room(4)).toEqual(['once 0', 'once 1', 'once 2', 'once 3']);
  for (let i = 0; i < 20; i++) speak(come(`flood ${i}`));
  come('newcomer');
  expect(room(15)).not.toContain('newcomer');
});

test('one that goes on stays where others that began with it go', () => {
  const { come, answer, moved, clock, room } = stage();
  const stream = answer(come('stream'));
  for (const name of ['a', 'b']) answer(come(name));
  clock.nowMs += 5_000;
  moved(stream);
  expect(room(2)).toEqual(['a', 'b']);
});

test('one that is proved goes when it has long been silent, few others are left, and the client is of its listener', () => {
  const { come, answer, speak, moved, clock, room } = stage();
  const [busy, ...silent] = ['busy', 'silent 1', 'silent 2', 'silent 3'].map((name) =>
    speak(answer(come(name))),
  );
  expect(silent.length).toBe(3);
  clock.nowMs += idleMs / 2 - 10;
  moved(busy!);
  expect(room(1, true), 'not so long').toEqual([]);
  clock.nowMs += 10;
  expect(room(1, false), 'not for others').toEqual([]);
  expect(room(4, true)).toEqual(['silent 1', 'silent 2', 'silent 3']);
  answer(come('one datagram'));
  speak(answer(come('known')));
  expect(room(2, true)).toEqual(['one datagram']);
});

test('whoever cannot be proved, as its place was given away, stays among those that go', () => {
  let given = true;
  const { come, answer, speak, room } = stage(() => !given);
  const conversation = speak(answer(come('given away')));
  expect(conversation.standing).toBe('answered');
  given = false;
  speak(conversation);
  expect(conversation.standing).toBe('proved');
  expect(room(1)).toEqual([]);
});

test('a listener gives up its own; a full table those of the listener that has most', () => {
  const { order, come, room, clock } = stage();
  come('a', 1);
  for (const name of ['b', 'c', 'd']) come(name, 2);
  expect(room(2, false, 1)).toEqual(['a']);
  expect(order.count).toBe(3);
  expect(order.evictFor(1, clock.nowMs)).toBe(true);
  const own = come('own', 2);
  expect(order.evictBeside(own, clock.nowMs)).toBe(true);
  expect([order.count, own.standing]).toEqual([2, 'unanswered']);
  expect(order.evictBeside(come('alone', 3), clock.nowMs)).toBe(true);
  expect(order.count).toBe(2);
});

test('a full table with nobody unproved gives up a quiet one of the listener somebody comes to', () => {
  const { order, come, answer, speak, clock, ended } = stage();
  come('the first ever', 1).evict();
  for (const name of ['quiet 1', 'quiet 2']) speak(answer(come(name, 2)));
  clock.nowMs += idleMs / 2;
  expect(order.evictFor(1, clock.nowMs), 'listener 1 has nobody').toBe(false);
  expect(order.evictFor(2, clock.nowMs)).toBe(true);
  expect(ended).toEqual(['the first ever', 'quiet 1']);
});

test('a full table ends nobody who is proved for a client of another listener', () => {
  const { order, come, answer, speak, clock, ended } = stage();
  for (const name of ['proved 1', 'proved 2', 'proved 3', 'proved 4', 'proved 5']) {
    speak(answer(come(name, 1)));
    speak(answer(come(`other ${name}`, 2)));
  }
  clock.nowMs += idleMs / 2;
  come('unproved', 1);
  expect(order.evictFor(2, clock.nowMs)).toBe(true);
  expect(ended).toEqual(['unproved']);
  // For one of the same listener the quiet go before the few that are new.
  come('new', 2);
  expect(order.evictFor(2, clock.nowMs)).toBe(true);
  expect(ended).toEqual(['unproved', 'other proved 1']);
});
