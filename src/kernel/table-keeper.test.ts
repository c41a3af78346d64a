/** The table as it is kept, against an nft that is made up. */
import { describe, expect, test } from 'vitest';
import type { NftResult } from '../linux/nft.ts';
import { TableKeeper, type TableNews } from './table-keeper.ts';

/** A table is a word; a transaction says from what to what. */
function worldOf(present: string | undefined) {
  const ran: string[] = [];
  const news: TableNews[] = [];
  const state = {
    nowMs: 0,
    want: 'a',
    elements: '',
    present,
    answer: { ok: true, output: '' } as NftResult,
    reads: 0,
    wanted: 0,
  };
  const keeper = new TableKeeper<string>({
    run: async (commands) => {
      ran.push(commands);
      if (commands !== 'probe') return state.answer;
      return state.present === undefined ? { ok: false, error: 'no such table' } : { ok: true, output: '' };
    },
    read: async () => {
      state.reads++;
      return state.present;
    },
    want: () => {
      state.wanted++;
      if (state.want === 'too much') throw new RangeError('more than 65535 addresses of backends');
      return state.want;
    },
    elements: () => state.elements,
    transaction: (from, to) => (from === to ? '' : `${from ?? 'nothing'} -> ${to}`),
    probe: 'probe',
    nowMs: () => state.nowMs,
    told: (what) => news.push(what),
  });
  const turn = async (): Promise<void> => {
    keeper.turn();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { keeper, state, ran, news, turn };
}

describe('the table', () => {
  test('is read once, and then only what differs is said', async () => {
    const { keeper, state, ran, turn } = worldOf(undefined);
    const done: (string | undefined)[] = [];
    keeper.change((error) => done.push(error));
    await turn();
    state.want = 'b';
    keeper.change();
    keeper.change();
    await turn();
    keeper.change();
    await turn();
    expect(ran).toEqual(['nothing -> a', 'a -> b']);
    expect(done).toEqual([undefined]);
    expect(state.reads).toBe(1);
  });

  test('of a predecessor is taken over as it is', async () => {
    const { keeper, ran, turn } = worldOf('a');
    keeper.change();
    await turn();
    expect(ran).toEqual([]);
  });

  test('is read again after a transaction that failed, a while later', async () => {
    const { keeper, state, ran, news, turn } = worldOf(undefined);
    const done: (string | undefined)[] = [];
    state.answer = { ok: false, error: 'no room' };
    keeper.change((error) => done.push(error));
    await turn();
    await turn();
    expect(ran).toEqual(['nothing -> a']);
    expect(done).toEqual(['no room']);
    expect(news).toEqual([{ type: 'failed', message: 'no room' }]);
    state.answer = { ok: true, output: '' };
    state.present = 'half';
    state.nowMs = 1_000;
    await turn();
    expect(ran.at(-1)).toBe('half -> a');
  });

  test('that cannot be said is told, and tried again', async () => {
    const { keeper, state, ran, news, turn } = worldOf(undefined);
    const done: (string | undefined)[] = [];
    state.want = 'too much';
    keeper.change((error) => done.push(error));
    await turn();
    expect(ran).toEqual([]);
    expect(done).toEqual(['more than 65535 addresses of backends']);
    expect(news).toEqual([{ type: 'failed', message: 'more than 65535 addresses of backends' }]);
    await turn();
    expect(news).toHaveLength(1);
    state.want = 'a';
    state.nowMs = 1_000;
    await turn();
    expect(ran).toEqual(['nothing -> a']);
    // One that can be said no more leaves the table as it is.
    state.want = 'too much';
    keeper.change((error) => done.push(error));
    await turn();
    expect(done).toHaveLength(2);
    expect(ran).toEqual(['nothing -> a']);
  });

  test('that somebody deletes is made again', async () => {
    const { keeper, state, ran, news, turn } = worldOf('a');
    keeper.change();
    await turn();
    state.nowMs = 1_000;
    await turn();
    state.present = undefined;
    state.nowMs = 2_000;
    await turn();
    await turn();
    expect(ran).toEqual(['probe', 'probe', 'nothing -> a']);
    expect(news[0]).toEqual({ type: 'gone' });
  });

  test('of which only elements have changed is not made anew, and what is wanted of it is not asked', async () => {
    const { keeper, state, ran, news, turn } = worldOf('a');
    keeper.change();
    await turn();
    state.elements = '+x';
    keeper.changeElements();
    keeper.changeElements();
    await turn();
    await turn();
    state.elements = '';
    keeper.changeElements();
    await turn();
    expect([ran, state.wanted, state.reads]).toEqual([['+x'], 1, 1]);
    expect(news).toEqual([{ type: 'changed', isMade: false }]);
    // Both are due: the one is part of the other.
    state.elements = '+y';
    state.want = 'b';
    keeper.changeElements();
    keeper.change();
    await turn();
    await turn();
    expect(ran).toEqual(['+x', 'a -> b']);
  });

  test('whose elements were refused is read and compared as a whole', async () => {
    const { keeper, state, ran, news, turn } = worldOf('a');
    keeper.change();
    await turn();
    state.elements = '-x';
    state.answer = { ok: false, error: 'no such element' };
    keeper.changeElements();
    const settled = keeper.settled().then(() => 'settled');
    await turn();
    expect(await settled).toBe('settled');
    expect(news).toEqual([{ type: 'failed', message: 'no such element' }]);
    state.answer = { ok: true, output: '' };
    state.present = 'half';
    keeper.changeElements();
    await turn();
    expect(ran).toEqual(['-x']);
    state.nowMs = 1_000;
    await turn();
    expect([ran, state.reads]).toEqual([['-x', 'half -> a'], 2]);
  });

  test('is settled once what was under way is done, and what came meanwhile', async () => {
    const { keeper, state, ran, turn } = worldOf('a');
    let isSettled = false;
    const settle = (): void => void keeper.settled().then(() => (isSettled = true));
    keeper.change();
    await turn();
    settle();
    await Promise.resolve();
    expect(isSettled).toBe(true);
    isSettled = false;
    state.elements = '+x';
    keeper.changeElements();
    keeper.turn();
    settle();
    await turn();
    // Of those that had begun before nobody knows whether they are all.
    state.elements = '+y';
    expect(isSettled).toBe(false);
    await turn();
    expect([isSettled, ran]).toEqual([true, ['+x', '+y']]);
  });

  test('is left alone once its keeper is closed', async () => {
    const { keeper, ran, turn } = worldOf(undefined);
    keeper.change();
    // It is being read.
    keeper.turn();
    keeper.close();
    keeper.change();
    await turn();
    expect(ran).toEqual([]);
  });
});
