import { expect, test } from 'vitest';
import { close } from '../../linux/libc.ts';
import { Reactor } from '../../linux/reactor.ts';
import { Shortage, type Starved } from './tcp-shortage.ts';

function bench() {
  const fault = (error: unknown): never => {
    throw error;
  };
  const reactor = new Reactor({ nowMs: () => 0, onWake: () => 0, fault });
  const shortage = new Shortage(reactor);
  const asked: string[] = [];
  const starved = (name: string, answers: boolean[] = []): Starved => ({
    tryAgain() {
      asked.push(name);
      return answers.shift() ?? false;
    },
  });
  /** What is asked after something was given back. */
  const freed = (): string[] => {
    asked.length = 0;
    shortage.freed();
    reactor.turn(0);
    return [...asked];
  };
  const stop = (): void => {
    reactor.stop();
    close(reactor.wakeDescriptor);
  };
  return { shortage, starved, freed, stop };
}

test('listeners have their turn one after the other, however many clients the first has', () => {
  const { shortage, starved, freed, stop } = bench();
  for (const name of ['a', 'b', 'c']) shortage.addListener(starved(name));
  expect([freed(), freed(), freed(), freed()]).toEqual([['a'], ['b'], ['c'], ['a']]);
  stop();
});

test('flows come first, in the order they came, and listeners only when none of them waits', () => {
  const { shortage, starved, freed, stop } = bench();
  shortage.addListener(starved('listener', [true]));
  shortage.addFlow(starved('first', [false, true]));
  shortage.addFlow(starved('second', [false, true]));
  expect(freed()).toEqual(['first']);
  expect(freed()).toEqual(['first', 'second']);
  expect(freed()).toEqual(['second', 'listener']);
  expect(freed()).toEqual([]);
  stop();
});
