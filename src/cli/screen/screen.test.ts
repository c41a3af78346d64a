import { describe, expect, test } from 'vitest';
import { age, bytes, count, percent, rate, took } from './amounts.ts';
import { cut, cutLine, type Line, pad, paint, plain, printable, span, widthOf, wrapLine } from './line.ts';
import { type Cell, type Column, tableOf } from './table.ts';
import { terminalOf, textOf } from './terminal.ts';

describe('amounts', () => {
  test.each([
    [0, '0s'],
    [12_900, '12s'],
    [60_000, '1m'],
    [270_000, '4m30s'],
    [12 * 60_000 + 30_000, '12m'],
    [3 * 3_600_000 + 12 * 60_000, '3h12m'],
    [23 * 3_600_000 + 59 * 60_000, '23h'],
    [(3 * 24 + 4) * 3_600_000, '3d4h'],
    [40 * 86_400_000, '40d'],
    [-5, '0s'],
  ])('age(%d) is %s', (ms, text) => expect(age(ms)).toBe(text));

  test.each([
    [0, '0 B'],
    [812, '812 B'],
    [999.6, '1.0 kB'],
    [1_234_567, '1.2 MB'],
    [999_600_000, '1.0 GB'],
    [85e9, '85 GB'],
    [5e18, '5000 PB'],
  ])('bytes(%d) is %s', (value, text) => expect(bytes(value)).toBe(text));

  test('the rest', () => {
    expect([count(2_104.4), rate(0), rate(0.42), rate(2), rate(41.2), rate(20_000)]).toEqual([
      '2,104',
      '0',
      '0.4',
      '2',
      '41',
      '20,000',
    ]);
    expect([took(0.42), took(9.96), took(12), took(999.6), took(1_534), took(60_000)]).toEqual([
      '0.4 ms',
      '10 ms',
      '12 ms',
      '1.0 s',
      '1.5 s',
      '60 s',
    ]);
    expect([percent(0), percent(0.001), percent(0.52), percent(0.999), percent(1)]).toEqual([
      '0 %',
      '<1 %',
      '52 %',
      '>99 %',
      '100 %',
    ]);
  });
});

describe('lines', () => {
  test('what strangers say moves no cursor and turns no text', () => {
    const evil = 'a\x1b[2Jb\x07\u202ec\u200bd\te\x9bf';
    expect(printable(evil)).toBe('a\ufffd[2Jb\ufffd\ufffdc\ufffdd e\ufffdf');
  });

  test('width, cutting and padding go by columns', () => {
    expect([widthOf('abc'), widthOf('東京'), widthOf('e\u0301')]).toEqual([3, 4, 1]);
    expect([cut('backend', 4), cut('東京都', 4), cut('ab', 2), cut('ab', 0)]).toEqual([
      'bac…',
      '東…',
      'ab',
      '',
    ]);
    expect([pad('東', 4, 'left'), pad('7', 3, 'right')]).toEqual(['東  ', '  7']);
    const line: Line = [span('ab', 'good'), span('cdef')];
    expect([plain(cutLine(line, 4)), plain(cutLine(line, 9)), plain(cutLine(line, 2))]).toEqual([
      'abc…',
      'abcdef',
      'ab',
    ]);
  });

  test('a long line is broken between words, and keeps what they mean', () => {
    const line: Line = [span('why  ', 'dim'), span('pinned to one which is down', 'bad')];
    expect(wrapLine(line, 14).map(plain)).toEqual(['why  pinned to', 'one which is ', 'down']);
    expect(wrapLine(line, 14)[2]).toEqual([{ text: 'down', style: 'bad' }]);
    expect(wrapLine([span('unbreakable')], 5).map(plain)).toEqual(['unbr…']);
    expect(wrapLine([], 5)).toEqual([[]]);
  });

  test('without colour there is not a single escape, nor a space at the end', () => {
    const line: Line = [span('UP', 'good'), span('  ')];
    expect(paint(line, false)).toBe('UP');
    expect(paint(line, true)).toBe('\x1b[32mUP\x1b[m  ');
    const evil: Line = [span('a\x1b[2J', 'good'), span('b\n')];
    expect(paint(evil, false)).toBe('a\ufffd[2Jb');
    expect(paint(evil, true)).toBe('\x1b[32ma\ufffd[2J\x1b[mb ');
  });
});

describe('terminal', () => {
  const tty = { isTTY: true, columns: 100, rows: 30 };

  test.each([
    [tty, {}, true],
    [tty, { NO_COLOR: '1' }, false],
    [tty, { NO_COLOR: '' }, true],
    [tty, { TERM: 'dumb' }, false],
    [tty, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    [{ ...tty, isTTY: false }, {}, false],
    [{ ...tty, isTTY: false }, { FORCE_COLOR: '1' }, true],
    [{ ...tty, isTTY: false }, { FORCE_COLOR: '0' }, false],
  ])('%j with %j: colour %s', (stream, env, isColoured) => {
    expect(terminalOf(stream, env).isColoured).toBe(isColoured);
  });

  test('a pipe is as wide as it has to be', () => {
    expect(terminalOf({ ...tty, isTTY: false }, {}).width).toBe(Number.POSITIVE_INFINITY);
    expect(terminalOf(tty, {})).toMatchObject({ width: 100, height: 30 });
    expect(terminalOf({ ...tty, columns: 0, rows: 0 }, {})).toMatchObject({ width: 80, height: 24 });
  });
});

describe('table', () => {
  const columns: readonly Column[] = [
    { title: 'NAME', cutTo: 4 },
    { title: 'FLOWS', align: 'right' },
    { title: 'PINS', align: 'right', leaves: 2 },
    { title: 'WHY', leaves: 1, cutTo: 5 },
  ];
  const rows: readonly (readonly Cell[])[] = [
    ['pg/pg1', '812', '2,104', ''],
    ['pg/a-long-name', '0', '7', span('refused by it', 'bad')],
  ];
  const fields = columns.map((column, i) => ({ ...column, cell: (row: readonly Cell[]) => row[i]! }));
  const draw = (width: number): string[] =>
    textOf(tableOf(fields, rows, width), false)
      .trimEnd()
      .split('\n');

  test('all of it where there is room', () => {
    expect(draw(Number.POSITIVE_INFINITY)).toEqual([
      'NAME            FLOWS   PINS  WHY',
      'pg/pg1            812  2,104  -',
      'pg/a-long-name      0      7  refused by it',
    ]);
  });

  test('texts give way, the least important first, then columns as they say', () => {
    expect(draw(34)).toEqual([
      'NAME           FLOWS   PINS  WHY',
      'pg/pg1           812  2,104  -',
      'pg/a-long-na…      0      7  refu…',
    ]);
    expect(draw(18)).toEqual(['NAME  FLOWS  WHY', 'pg/…    812  -', 'pg/…      0  refu…']);
    expect(draw(11)).toEqual(['NAME  FLOWS', 'pg/…    812', 'pg/…      0']);
  });

  test('never wider than the terminal, as long as the columns that stay allow it', () => {
    for (let width = 11; width < 60; width++)
      for (const line of draw(width)) expect(widthOf(line), `${width}: ${line}`).toBeLessThanOrEqual(width);
  });
});
