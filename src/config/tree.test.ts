import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatProblem, parsePlan } from './load.ts';
import { formatPath } from './problem.ts';
import { readTree } from './tree.ts';

function problemsOf(text: string): string[] {
  const result = parsePlan(text, 'f');
  return 'problems' in result ? result.problems.map(formatProblem) : [];
}

/** Nine words, then each level nine times the one before: 9^12 values when written out. */
function aliasBomb(): string {
  const levels = ['l0: &l0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 12; i++)
    levels.push(
      `l${i}: &l${i} [${Array(9)
        .fill(`*l${i - 1}`)
        .join(', ')}]`,
    );
  return levels.join('\n');
}

describe('text that is not a configuration', () => {
  it.each([
    ['nothing', '', 'f: is empty: it needs listeners and pools'],
    ['only comments', '# a\n\n# b\n', 'f: is empty: it needs listeners and pools'],
    ['an empty document', '---\n...\n', 'f: is empty: it needs listeners and pools'],
    ['a word', 'hello', 'f:1:1: must be a map of keys and values, not "hello"'],
    ['a list', '- a\n- b', 'f:1:1: must be a map of keys and values, not a list'],
    [
      'two documents',
      'a: 1\n---\nb: 2\n',
      'f:2:1: a second YAML document starts here; a configuration is one document',
    ],
    ['an alias to nothing', 'a:\n  - *x\n', 'f:2:5: a[0]: there is no anchor &x before this alias'],
    [
      'an alias to what is around it',
      'a: &a\n  b: *a\n',
      'f:2:6: a.b: the alias *a is inside of what it stands for',
    ],
    [
      'a key that is a map',
      '{ a: 1 }: b\n',
      'f:1:1: is not valid YAML here: a key must be plain text, not a list or a map',
    ],
    ['a tag', 'a: !secret b\n', 'f:1:4: is not valid YAML here: unresolved tag: !secret'],
    ['a tab', 'a:\n\tb: 1\n', 'f:2:1: is not valid YAML here: tabs are not allowed as indentation'],
  ])('%s', (_, text, problem) => expect(problemsOf(text)).toEqual([problem]));

  it.each([
    ['flow lists', '['.repeat(100_000)],
    ['flow maps', '{a: '.repeat(100_000)],
    ['lists on one line', '- '.repeat(100_000)],
    ['indented maps', Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ])('%s without an end', (_, text) => {
    expect(problemsOf(text)).toEqual([expect.stringContaining('is nested more than 64 levels deep')]);
  });

  it('aliases that multiply', () => {
    expect(problemsOf(aliasBomb())).toEqual([
      expect.stringContaining('has more than 500000 keys and values'),
    ]);
  });

  it('an unclosed list is told once, not once for each line after it', () => {
    expect(problemsOf(`listeners: [\n${'  - name: a\n'.repeat(50)}`)).toHaveLength(1);
  });

  it('a key that JavaScript treats specially', () => {
    expect(problemsOf('__proto__: { engine: auto }\n')[0]).toBe('f:1:1: __proto__: is not allowed as a key');
    expect(problemsOf('constructor: 1\n').some((line) => line.includes('constructor: unknown key'))).toBe(
      true,
    );
  });

  it('a key that is joined to its value, which is YAML in braces', () => {
    const problems = problemsOf('metrics: { listen:127.0.0.1:9464 }\n');
    expect(problems).toContain(
      'f:1:12: metrics["listen:127.0.0.1:9464"]: unknown key; a space is missing after listen:',
    );
  });

  it('never throws, whatever the text', () => {
    const piece = fc.oneof(
      fc.constantFrom(...'\n -:[]{}&*!|>\'"%@`?#~,\t', 'listeners', 'pools', '&a ', '*a', '- ', ': '),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        expect(problemsOf(pieces.join('')).length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe('places', () => {
  const tree = readTree('a:\n  - b: 1\n    c: &c { d: 2 }\n  - *c\n  -\ne:\n', 'f');
  if (!('value' in tree)) throw new Error('expected a tree');

  it.each([
    [['a'], 'key', 1, 1],
    [['a', 0], 'value', 2, 5],
    [['a', 0, 'b'], 'key', 2, 5],
    [['a', 0, 'b'], 'value', 2, 8],
    [['a', 0, 'c', 'd'], 'value', 3, 16],
    [['a', 1, 'd'], 'value', 3, 16], // behind the alias: where it is written
    [['a', 2], 'value', 5, 4],
    [['e'], 'value', 6, 1], // empty: its key
    [['a', 0, 'c', 'gone'], 'value', 3, 5], // missing: the key it belongs to
    [['a', 0, 'gone'], 'value', 2, 5],
    [['gone', 'further'], 'key', 1, 1],
  ] as const)('%j (%s) is at %i:%i', (path, at, line, column) => {
    expect(tree.place(path, at)).toEqual({ line, column });
  });

  it('paths are written as one would write them', () => {
    expect(formatPath(['listeners', 0, 'affinity', 'ttl'])).toBe('listeners[0].affinity.ttl');
    expect(formatPath(['pools', 'a.b', 'backends', 1])).toBe('pools["a.b"].backends[1]');
    expect(formatPath([])).toBe('');
  });
});
