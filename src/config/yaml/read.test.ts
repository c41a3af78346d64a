/**
 * The reader against what YAML 1.2 says, against the `yaml` package as a second opinion, and against its own limits.
 */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parseAllDocuments, stringify, type ToStringOptions } from 'yaml';
import { readYaml } from './read.ts';

function valueIn(text: string): unknown {
  const read = readYaml(text);
  if ('message' in read) throw new Error(`${read.offset}: ${read.message}`);
  return read.value;
}

function refusalOf(text: string): string {
  const read = readYaml(text);
  return 'message' in read
    ? `${read.offset}: ${read.message.replace('is not valid YAML here: ', '')}`
    : 'none';
}

describe('texts', () => {
  test.each([
    ['a: b # c', 'b'],
    ['a: b#c', 'b#c'],
    ['a: http://h:80/x', 'http://h:80/x'],
    ['a: one\n  two\n\n  three', 'one two\nthree'],
    ['a: - x', undefined],
    ["a: 'it''s'", "it's"],
    ["a: 'one\n  two'", 'one two'],
    ['a: "\\x41\\u00e9\\U0001F600\\t\\\\"', 'Aé😀\t\\'],
    ['a: "one \\\n  two"', 'one two'],
    ['a: "one\\\n\n  two"', 'one\ntwo'],
    ['a: "one\n\n\n  two"', 'one\n\ntwo'],
    ['a: |\n  one\n   two\n\n  three\n', 'one\n two\n\nthree\n'],
    ['a: |-\n  one\n\n', 'one'],
    ['a: |+\n  one\n\n', 'one\n\n'],
    [
      'a: >\n  one\n  two\n\n  three\n   more\n  last\n',
      'one two\n\nthree\n more\nlast\n'.replace('\n\n', '\n'),
    ],
    ['a: |2\n   one\n', ' one\n'],
    ['a: |\nb: 1', ''],
    ['a: !!str 5', '5'],
    ['a: !!int "5"', 5],
    ['a: ! 5', '5'],
    ['a:', null],
    ['a: ~', null],
    ['a: True', true],
    ['a: yes', 'yes'],
    ['a: 0o17', 15],
    ['a: 017', 17],
    ['a: 0x1f', 31],
    ['a: 1e3', 1000],
    ['a: .5', 0.5],
    ['a: -.inf', Number.NEGATIVE_INFINITY],
    ['a: 1_000', '1_000'],
    ['a: 12:30', '12:30'],
  ])('%j', (text, expected) => {
    if (expected === undefined) expect(readYaml(text)).toHaveProperty('message');
    else expect(valueIn(text)).toMatchObject({ a: expected });
  });
});

describe('lists and maps', () => {
  test.each([
    ['a:\n- b\n- c: 1\n  d: 2\n-\n  - e\ne: f', { a: ['b', { c: 1, d: 2 }, ['e']], e: 'f' }],
    ['- - a\n  - b\n- c', [['a', 'b'], 'c']],
    ['{a: 1, b, "c":2, d: [], }', { a: 1, b: null, c: 2, d: [] }],
    ['[a, {b: c}, d: e, "f": g,]', ['a', { b: 'c' }, { d: 'e' }, { f: 'g' }]],
    ['a: [\n  b, # c\n  d\n]\ne: {\n}', { a: ['b', 'd'], e: {} }],
    ['a: [\n  {b: 1}, # c\n  {b: 2} # d\n]', { a: [{ b: 1 }, { b: 2 }] }],
    ['a: [b # c\n  , d # e\n  ]', { a: ['b', 'd'] }],
    ['a: ["b" # c\n  , "d"\t# e\n  ]', { a: ['b', 'd'] }],
    ['a: [{b: 1} # c\n  , [2] # d\n  # e\n  , 3]', { a: [{ b: 1 }, [2], 3] }],
    ['a: &x b\nc: [*x # d\n  , e: 1 # f\n  ]', { a: 'b', c: ['b', { e: 1 }] }],
    ['a: {\n  b: 1 # c\n  , d # e\n  , "f" # g\n  }', { a: { b: 1, d: null, f: null } }],
    ['a: &x\n  b: 1\nc: *x\nd: &y 2\ne: [*y, *y]', { a: { b: 1 }, c: { b: 1 }, d: 2, e: [2, 2] }],
    ['&k a: *k', { a: 'a' }],
    ['%YAML 1.2\n--- # c\na: 1\n...\n# end\n', { a: 1 }],
    ['%YAML 1.2 # c\r\n---\r\na: 1\r\n', { a: 1 }],
    ['%YAML 1.2\t# c\n---\na: 1', { a: 1 }],
    ['a: [b:[::1]]', { a: [{ b: ['::1'] }] }],
    ['\ufeffa: 1\r\nb:\r\n  - 2\r\n', { a: 1, b: [2] }],
    ['"a b" : 1\n? : 2'.split('\n')[0]!, { 'a b': 1 }],
    ['1: a\nnull: b', { 1: 'a', null: 'b' }],
  ])('%j', (text, expected) => expect(valueIn(text)).toEqual(expected));
});

describe('what is refused, and where', () => {
  test.each([
    ['a: b: c', '3: a second colon in this line: put the value in quotes if the colon is part of it'],
    [
      'a: 1\n  b: 2',
      '7: this continues the text of the line before: a colon is missing there, or this line is indented too far',
    ],
    ['%YAML 1.2# c\n---\na: 1', '0: no directive but one %YAML 1.2 is supported'],
    ['a: [::1]:80', '3: put an IPv6 address in quotes: "[::1]:80"'],
    ['a:\n  - [2001:db8::]:80 # c', '7: put an IPv6 address in quotes: "[2001:db8::]:80"'],
    ['{ a: [::1]:80 }', '5: put an IPv6 address in quotes: "[::1]:80"'],
    ['{ a: tcp://[::]:80, b: c }', '5: put an IPv6 address in quotes: "tcp://[::]:80"'],
    ['a: [b, tcp://[::]:80]', '7: put an IPv6 address in quotes: "tcp://[::]:80"'],
    ['a: [[fe80::1%eth0]:80, b]', '4: put an IPv6 address in quotes: "[fe80::1%eth0]:80"'],
    ['{ a: redis://u:secret@[::1]:6379 }', '5: put an IPv6 address in quotes: "...[::1]:6379"'],
    ['a: [b]:80', '3: a key must be plain text, not a list or a map'],
    ['a:\n  - b: c\n    d: e\n\tf: g', '21: tabs are not allowed as indentation'],
    ['a: b\n\tc', '5: tabs are not allowed as indentation'],
    ['a:\n  - b\n\t- c', '9: tabs are not allowed as indentation'],
    ['a: |\n\tb', '5: tabs are not allowed as indentation'],
    ['a: [\n\tb\n]', '5: tabs are not allowed as indentation'],
    ['a: "b\n\tc"', '6: tabs are not allowed as indentation'],
    ['a: 1\nb:2\nc: 3', '6: a space is missing after this colon'],
    ['a:\n  - b:c\n    d: e', '8: a space is missing after this colon'],
    [
      'a: b:c\n  d: e',
      '9: this continues the text of the line before: a colon is missing there, or this line is indented too far',
    ],
    ['a:\n   b: 1\n  c: 2', '13: this line is indented unlike those around it'],
    ['a: "b" c', '7: nothing may follow the value in its line'],
    ['a: "b"#c', '6: a comment needs a space before it'],
    ['a: [b\nc: d', '3: the [ that opens here is not closed before a line that is not indented more'],
    ['a: {b: 1', '3: the { that opens here is not closed'],
    ['a: [b c: d}', '10: a comma or ] is missing'],
    ['a: ["b"#c\n ]', '7: a comma or ] is missing'],
    [`a: {b: \${C}:1}`, `7: pinion fills in no variables: write the value in place of \${C}`],
    [`a: [\${C_D}]`, `4: pinion fills in no variables: write the value in place of \${C_D}`],
    ['a: [$ {C}]', '6: a comma or ] is missing'],
    ['a: [,]', '4: there is no value before this comma'],
    ['a: "b\nc: "d"', '3: the quotes that open here are not closed before a line that is not indented more'],
    ["a: 'b", '3: the quotes that open here are not closed'],
    ['a: "\\q"', '4: quotes of this kind (") know no such escape; \\\\ is a backslash'],
    ['a: - b', '3: a list with - begins in a line of its own'],
    ['? a\n: b', '0: keys with ? are not supported: write key: value'],
    [': b', '0: there is no key before this colon'],
    ['[a]: b', '0: a key must be plain text, not a list or a map'],
    ['a: &x &y b', '6: a node can have at most one anchor'],
    ['a: !secret b', '3: unresolved tag: !secret'],
    ['a: !!int b', '3: this is no !!int'],
    ['a: !!map [b]', '3: this is a list, not !!map'],
    ['a: @b', '3: a text that starts with @ needs quotes'],
    [
      'a\nb: 1',
      '2: this continues the text of the line before: a colon is missing there, or this line is indented too far',
    ],
    ['%TAG !x! y\n---\na: 1', '0: no directive but one %YAML 1.2 is supported'],
    ['a: 1\n---\nb: 2', '5: a second YAML document starts here; a configuration is one document'],
    ['a: \u0007', '3: the character U+0007 is not allowed'],
    ['a: 1\rb: 2', '4: a line ends in a carriage return alone; save the file with line feeds'],
    [`a: ${'x'.repeat(70_000)}`, '3: is a text of more than 65536 characters'],
    [`${'k'.repeat(2_000)}: 1`, '0: a key has at most 1024 characters'],
  ])('%j', (text, expected) => expect(refusalOf(text)).toBe(expected));
});

const styles: ToStringOptions[] = [
  { lineWidth: 0 },
  { lineWidth: 0, collectionStyle: 'flow' },
  { lineWidth: 0, collectionStyle: 'flow', flowCollectionPadding: false, defaultStringType: 'QUOTE_DOUBLE' },
  { lineWidth: 0, indentSeq: false, indent: 4, defaultStringType: 'QUOTE_SINGLE' },
  { lineWidth: 0, defaultStringType: 'BLOCK_LITERAL' },
  { lineWidth: 40, collectionStyle: 'block', defaultStringType: 'BLOCK_FOLDED' },
];

it('reads what the yaml package writes, in every style', () => {
  const key = fc.oneof(
    fc.constantFrom('a', 'b c', '1', 'true', '#', '-', ' x ', 'q"'),
    fc.string({ maxLength: 8 }),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 40 }),
        fc.constantFrom(
          '',
          ' ',
          '- x',
          'a: b',
          '#c',
          "it's",
          '1',
          'null',
          'one\ntwo\n',
          '  lead',
          'trail ',
          '\n',
          '@',
        ),
        fc.boolean(),
        fc.integer(),
        fc.constant(null),
      ),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(value, fc.constantFrom(...styles), (json, style) => {
      // Keys of several lines need `?`, and characters that YAML does not allow are refused.
      const names: string[] = [];
      JSON.stringify(json, (name, part) => {
        names.push(name);
        return part;
      });
      fc.pre(names.every((name) => name !== '__proto__' && !/[\n\r\u0085\u2028\u2029]/.test(name)));
      const text = stringify({ root: json }, { ...style, aliasDuplicateObjects: false } as ToStringOptions);
      const read = readYaml(text);
      if ('message' in read && /character U\+|carriage/.test(read.message)) return;
      // The package does not read all that it writes (a block of blanks only).
      if (JSON.stringify(opinionOf(text)?.value) !== JSON.stringify({ root: json })) return;
      expect(valueIn(text)).toEqual({ root: json });
    }),
    { numRuns: 150 },
  );
});

/** A linear congruential generator (Numerical Recipes): the same texts in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const pieces = 'a b key 1 0x1F true ~ \'x\' "y" "\\n" [ ] { } , : - ? &a *a !!str #c | > |- >+ --- ...'
  .split(' ')
  .concat([' ', '  ', '\n', '\n  ', '\n    ', ': ', '- ', ' #c', '\n- ', 'k:\n', 'a: ', '\r\n', '"', "'"]);

/** The second opinion: undefined where it refuses. */
function opinionOf(text: string): { readonly value: unknown } | undefined {
  try {
    const documents = parseAllDocuments(text, {
      stringKeys: true,
      prettyErrors: false,
      resolveKnownTags: false,
    });
    if (!Array.isArray(documents) || documents.length !== 1) return undefined;
    const [document] = documents;
    const isFine = document!.errors.length + document!.warnings.length === 0;
    return isFine ? { value: document!.toJS({ maxAliasCount: 1_000 }) } : undefined;
  } catch {
    return undefined;
  }
}

it('where two readers both read a text they read the same', () => {
  const random = seeded(10);
  const base =
    'l:\n  - { n: a, "b": [1, 2] }\n  - n: &x b\n    t: |\n      one\n      two\n    u: >-\n      three\nm:\n  *x\n';
  let both = 0;
  for (let i = 0; i < 1_000; i++) {
    let text = i % 2 === 0 ? '' : base;
    for (let edits = random(8) + 1; edits > 0; edits--) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + pieces[random(pieces.length)] + text.slice(at + random(3));
    }
    // Blanks behind the last line, and line ends with a backslash, are read differently by the package and the specification.
    text = `${text.replace(/[ \t\r\n]+$/, '').replaceAll('\\\n', '\n')}\n`;
    const read = readYaml(text);
    const opinion = opinionOf(text);
    if ('message' in read) {
      expect(read.offset).toBeLessThanOrEqual(text.length);
      continue;
    }
    if (opinion === undefined || read.faults.length > 0) continue;
    both++;
    expect({ text, value: read.value }).toEqual({ text, value: opinion.value });
  }
  expect(both).toBeGreaterThan(100);
});
