import { describe, expect, test } from 'vitest';
import type { Change } from './journal.ts';
import { ShardReplica } from './shard-replica.ts';
import type { ApplyReply, Verdict } from './store.ts';

const me = 'me';

function bench() {
  const table = new Map<string, string>();
  const gaps: string[] = [];
  const replica = new ShardReplica(me, 100, {
    learn: (text, value) => {
      if (value === undefined) table.delete(text);
      else table.set(text, value.backend);
      return true;
    },
    gap: (why) => gaps.push(why),
  });
  replica.pulsed({ kind: 'ok', epoch: 'e', last: '10-0' }, 'seize', me, replica.known);
  replica.endScan(replica.beginScan());
  replica.trust();
  gaps.length = 0;
  return { table, gaps, replica };
}

function value(backend: string, writer = 'peer'): string {
  return `1 ${backend} ${writer} policy 1000 1`;
}

function entry(position: string, previous: string, text: string, backend: string, writer = 'peer') {
  return {
    position,
    previous,
    news: [{ text, pxMs: 1_000, value: backend === '' ? '' : value(backend, writer) }],
  };
}

function wish(expectation: string, backend: string, more: Partial<Change> = {}): Change {
  return {
    text: 'k',
    expect: expectation,
    backend,
    attempted: undefined,
    ttlMs: 1_000,
    expiresAtMs: 1_000,
    reason: 'policy',
    isSweep: false,
    waiters: undefined,
    ...more,
  };
}

function reply(last: string, verdict: Verdict, added = verdict.kind === 'written'): ApplyReply {
  return { kind: 'ok', epoch: 'e', last, added, verdicts: [verdict] };
}

describe('the order of what is learned', () => {
  test('an entry from before our step was decided is old news, one from after it is not', () => {
    const { replica, table } = bench();
    table.set('k', 'b');
    replica.note(wish('', 'b'));
    replica.nextBatch(9, 0);
    replica.answered(reply('13-0', { kind: 'written' }), me);
    replica.heard([entry('11-0', '10-0', 'k', 'a'), entry('12-0', '11-0', 'k', '')]);
    expect(table.get('k')).toBe('b');
    replica.heard([entry('13-0', '12-0', 'k', 'b'), entry('14-0', '13-0', 'k', 'c')]);
    expect(table.get('k')).toBe('c');
  });

  test('what the stream tells while a step is under way waits for the answer', () => {
    for (const [decidedAt, stands] of [
      ['10-5', 'a'],
      ['12-0', 'b'],
    ] as const) {
      const { replica, table } = bench();
      table.set('k', 'b');
      replica.note(wish('', 'b'));
      replica.nextBatch(9, 0);
      replica.heard([entry('11-0', '10-0', 'k', 'a')]);
      expect(table.get('k')).toBe('b');
      replica.answered(reply(decidedAt, { kind: 'written' }, false), me);
      expect(table.get('k')).toBe(stands);
    }
  });

  test('keys read by a scan do not undo what the stream told since', () => {
    const { replica, table } = bench();
    const scan = replica.beginScan();
    const knownThen = replica.known;
    replica.heard([entry('11-0', '10-0', 'k', 'new')]);
    const pins = [
      { text: 'k', pxMs: 9, value: value('old') },
      { text: 'l', pxMs: 9, value: value('l') },
    ];
    replica.scanned({ epoch: 'e', last: '10-0', pins }, knownThen);
    expect([...table]).toEqual([
      ['k', 'new'],
      ['l', 'l'],
    ]);
    expect(replica.endScan(scan)).toBe(true);
  });
});

describe('a wish against what stands', () => {
  test('a loser learns the winner and tells who waits', () => {
    const { replica, table } = bench();
    const heard: unknown[] = [];
    replica.note(wish('', 'b', { waiters: [(stands) => heard.push(stands)] }));
    replica.nextBatch(9, 0);
    replica.answered(reply('10-0', { kind: 'lost', value: value('a'), pxMs: 5 }), me);
    expect(table.get('k')).toBe('a');
    expect(heard).toEqual(['a']);
    expect(replica.journal.size).toBe(0);
  });

  test('one that has not been sent gives way to news it was not based on, and stays above news it was', () => {
    const { replica, table } = bench();
    replica.note(wish('a', 'b'));
    replica.heard([entry('11-0', '10-0', 'k', 'a')]);
    expect(replica.journal.get('k')).toMatchObject({ expect: 'a', backend: 'b' });
    expect(table.has('k')).toBe(false);
    replica.heard([entry('12-0', '11-0', 'k', 'c')]);
    expect(replica.journal.size).toBe(0);
    expect(table.get('k')).toBe('c');
  });

  test.each([
    ['by our own hand: the second half follows', me, [{ expect: 'b', backend: 'c' }]],
    ["by another's: it stands", 'peer', undefined],
  ])('of a step without an answer the first half may stand %s', (_, writer, next) => {
    const { replica, table } = bench();
    replica.note(wish('a', 'b'));
    replica.nextBatch(9, 0);
    replica.note(wish('b', 'c'));
    replica.cut();
    replica.pulsed({ kind: 'ok', epoch: 'e', last: '11-0' }, 'take', me, replica.known);
    replica.heard([entry('11-0', '10-0', 'k', 'b', writer)]);
    expect(replica.phase).toBe('live');
    const steps = replica.nextBatch(9, 0)?.map(({ expect: seen, backend }) => ({ expect: seen, backend }));
    expect(steps).toEqual(next);
    expect(table.get('k')).toBe(next === undefined ? 'b' : undefined);
  });

  test('a step without an answer that was taken, told of, and undone by another is not repeated', () => {
    const { replica, table } = bench();
    replica.note(wish('a', 'b'));
    replica.nextBatch(9, 0);
    replica.heard([entry('11-0', '10-0', 'k', 'b', me), entry('12-0', '11-0', 'k', 'a')]);
    replica.cut();
    expect(replica.journal.size).toBe(0);
    expect(table.get('k')).toBe('a');
  });

  test('a winner that is not here is moved from when a client was served, not when tables are compared', () => {
    for (const isSweep of [false, true]) {
      const replica = new ShardReplica(me, 9, { learn: () => false, gap: () => {} });
      replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'seize', me, '0-0');
      replica.note(wish('', 'b', { isSweep }));
      replica.nextBatch(9, 0);
      replica.answered(reply('0-0', { kind: 'lost', value: value('gone'), pxMs: 5 }), me);
      expect(replica.nextBatch(9, 0)?.[0]?.expect).toBe(isSweep ? undefined : 'gone');
    }
  });

  test.each([
    ['a mere use', { expect: 'b' }],
    ['a claim somebody waits for: it has served nobody', { waiters: [() => {}] }],
  ])('%s takes no pin over from a backend that is not here', (_, more) => {
    const replica = new ShardReplica(me, 9, { learn: () => false, gap: () => {} });
    replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'seize', me, '0-0');
    replica.note(wish('', 'b', more));
    replica.nextBatch(9, 0);
    replica.answered(reply('0-0', { kind: 'lost', value: value('gone'), pxMs: 5 }), me);
    expect(replica.nextBatch(9, 0)).toBeUndefined();
  });

  test('a pin that was used while it was removed is removed, also when the stream is slower than the answer', () => {
    for (const isSlow of [true, false]) {
      const { replica, table } = bench();
      const removal = entry('11-0', '10-0', 'k', '');
      table.set('k', 'b');
      replica.note(wish('b', 'b'));
      replica.nextBatch(9, 0);
      if (!isSlow) replica.heard([removal]);
      replica.answered(reply('11-0', { kind: 'gone' }), me);
      if (isSlow) expect(replica.nextBatch(9, 0)).toBeUndefined();
      replica.heard([removal]);
      expect(table.has('k')).toBe(false);
      expect(replica.nextBatch(9, 0)).toBeUndefined();
    }
  });

  test('one that was used after it had expired there, or was evicted, is claimed again', () => {
    const { replica } = bench();
    replica.note(wish('b', 'b'));
    replica.nextBatch(9, 0);
    replica.answered(reply('11-0', { kind: 'gone' }), me);
    expect(replica.nextBatch(9, 0)).toBeUndefined();
    replica.heard([entry('11-0', '10-0', 'l', 'x')]);
    expect(replica.nextBatch(9, 0)).toMatchObject([{ text: 'k', expect: '', backend: 'b' }]);
  });

  test('what is only compared does not bring back what somebody removes, a new client does', () => {
    for (const isSweep of [true, false]) {
      const { replica, table } = bench();
      table.set('k', 'b');
      replica.note(wish('', 'b', { isSweep }));
      replica.heard([entry('11-0', '10-0', 'k', '')]);
      expect(table.has('k')).toBe(!isSweep);
      expect(replica.nextBatch(9, 0) === undefined).toBe(isSweep);
    }
  });

  test('a sweep adds no slack to the expiry, a flow does', () => {
    for (const [isSweep, pxMs] of [
      [true, 1_000],
      [false, 1_250],
    ] as const) {
      const { replica } = bench();
      replica.note(wish('', 'b', { isSweep }));
      expect(replica.nextBatch(9, 0)?.[0]?.pxMs).toBe(pxMs);
    }
  });
});

describe('losing track', () => {
  test.each([
    ['a hole in the stream', (r: ShardReplica) => r.heard([entry('12-0', '11-0', 'k', 'a')])],
    [
      'another epoch',
      (r: ShardReplica) => r.pulsed({ kind: 'ok', epoch: 'f', last: '10-0' }, 'renew', me, r.known),
    ],
    [
      'a step back',
      (r: ShardReplica) => r.pulsed({ kind: 'ok', epoch: 'e', last: '9-0' }, 'renew', me, r.known),
    ],
    [
      'an acknowledged step that is gone',
      (r: ShardReplica) => {
        r.note(wish('', 'b'));
        r.nextBatch(9, 0);
        r.answered(reply('15-0', { kind: 'written' }), me);
        r.heard([entry('16-0', '10-0', 'l', 'x')]);
      },
    ],
    [
      'an acknowledged step that is gone, though a later one is there',
      (r: ShardReplica) => {
        for (const position of ['15-0', '20-0']) {
          r.note(wish('', 'b'));
          r.nextBatch(9, 0);
          r.answered(reply(position, { kind: 'written' }), me);
        }
        r.heard([entry('20-0', '10-0', 'k', 'b')]);
      },
    ],
    [
      'keys read at a position that is gone',
      (r: ShardReplica) => {
        r.scanned({ epoch: 'e', last: '15-0', pins: [] }, r.known);
        r.cut();
        r.pulsed({ kind: 'ok', epoch: 'e', last: '10-0' }, 'take', me, r.known);
      },
    ],
    [
      'a stream that was trimmed',
      (r: ShardReplica) => {
        r.cut();
        r.pulsed({ kind: 'ok', epoch: 'e', last: '19-0' }, 'take', me, r.known);
        r.foundNothing();
      },
    ],
  ])('%s is noticed', (_, lose) => {
    const { replica, gaps } = bench();
    lose(replica);
    expect(gaps).toHaveLength(1);
    expect(replica.needsScan).toBe(true);
  });

  test('the stream being faster than the answer is not a loss', () => {
    const { replica, gaps } = bench();
    replica.note(wish('', 'b'));
    replica.nextBatch(9, 0);
    replica.heard([entry('11-0', '10-0', 'k', 'b'), entry('12-0', '11-0', 'l', 'x')]);
    replica.answered(reply('11-0', { kind: 'written' }), me);
    replica.heard([entry('13-0', '12-0', 'l', 'y')]);
    expect(gaps).toEqual([]);
  });

  test('nothing is written before what was missed has been read', () => {
    const { replica } = bench();
    replica.cut();
    replica.note(wish('', 'b'));
    expect(replica.nextBatch(9, 0)).toBeUndefined();
    replica.pulsed({ kind: 'ok', epoch: 'e', last: '11-0' }, 'take', me, replica.known);
    expect(replica.phase).toBe('catching-up');
    expect(replica.nextBatch(9, 0)).toBeUndefined();
    replica.heard([entry('11-0', '10-0', 'l', 'x')]);
    expect(replica.nextBatch(9, 0)).toHaveLength(1);
  });

  test.each([
    ['is another', 'f', '10-0'],
    ['is gone', '', '0-0'],
    ['went back', 'e', '9-0'],
  ])('a scan of a Redis that %s meanwhile does not count', (_, epoch, last) => {
    const { replica, gaps } = bench();
    const scan = replica.beginScan();
    replica.scanned({ epoch, last, pins: [] }, replica.known);
    expect(replica.endScan(scan)).toBe(false);
    expect(gaps).toHaveLength(1);
  });

  test('a move that may have been decided before a gap was noticed is no more than a claim, one after it is one', () => {
    const { replica } = bench();
    replica.heard([entry('12-0', '11-0', 'l', 'x')]);
    replica.note(wish('a', 'b'));
    expect(replica.journal.get('k')).toMatchObject({ expect: '', backend: 'b' });
    replica.note(wish('a', 'b', { text: 'by hand', reason: 'operator' }));
    expect(replica.journal.get('by hand')).toMatchObject({ expect: 'a', backend: 'b' });
    replica.trust();
    expect(replica.needsScan).toBe(true);
    replica.note(wish('a', 'b', { text: 'm' }));
    expect(replica.journal.get('m')).toMatchObject({ expect: 'a', backend: 'b' });
  });

  test('without the lease nothing was done: the steps come back', () => {
    const { replica } = bench();
    replica.note(wish('a', 'b'));
    replica.nextBatch(9, 0);
    replica.answered({ kind: 'fenced', holder: '' }, me);
    expect(replica.phase).toBe('checking');
    expect(replica.journal.get('k')).toMatchObject({ expect: 'a', attempted: undefined });
    replica.pulsed({ kind: 'fenced', holder: 'somebody else' }, 'take', me, replica.known);
    expect(replica.phase).toBe('yielded');
  });
});
