/**
 * Real configurations with something wrong in them: whatever it is, it is told with its place, and nothing throws. A
 * file that is still good gives a plan that prints, and that reads back from the same text as the same.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { diffPlans } from './diff.ts';
import { parsePlan, problemLines, warningLines } from './load.ts';
import { printPlan } from './print.ts';

const golden = fileURLToPath(new URL('golden/', import.meta.url));
const examples = fileURLToPath(new URL('../../config/', import.meta.url));
const files = [
  ...readdirSync(golden).map((name) => readFileSync(golden + name, 'utf8').split('---8<---\n')[0]!),
  ...['demo.yaml', 'pinion.yaml'].map((name) => readFileSync(examples + name, 'utf8')),
];

const piece = fc.oneof(
  fc.constantFrom(...'\n -:[]{}&*!|>\'"%@`?#~,\t\r\0/'),
  fc.constantFrom(
    '\n  ',
    ': ',
    '- ',
    '*x',
    '&x ',
    '!!str ',
    '<<: *x',
    'listeners',
    'pools:',
    '0',
    '-1',
    '1e999',
    '~',
  ),
  fc.constantFrom(
    'redis://user:password@host',
    'localhost',
    '[::ffff:127.0.0.1]:80',
    '9'.repeat(40),
    '__proto__: 1\n',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);
/** What happens at a place of the text: so many characters are replaced by these. */
const edit = fc.record({ at: fc.nat(5_000), length: fc.oneof(fc.constant(0), fc.nat(80)), piece });
/** Lines that are taken out, doubled, or moved by some columns. */
const lineEdit = fc.record({
  line: fc.nat(80),
  what: fc.constantFrom('remove', 'double', 'indent', 'outdent'),
});

function edited(text: string, edits: readonly { at: number; length: number; piece: string }[]): string {
  return edits.reduce((before, { at, length, piece: added }) => {
    const place = at % (before.length + 1);
    return before.slice(0, place) + added + before.slice(place + length);
  }, text);
}

function withLines(text: string, edits: readonly { line: number; what: string }[]): string {
  const lines = text.split('\n');
  for (const { line, what } of edits) {
    // The only one may have been taken out.
    if (lines.length === 0) break;
    const at = line % lines.length;
    const old = lines[at]!;
    const now = {
      remove: [],
      double: [old, old],
      indent: [`  ${old}`],
      outdent: [old.replace(/^ {1,2}/, '')],
    }[what]!;
    lines.splice(at, 1, ...now);
  }
  return lines.join('\n');
}

test('every mistake in a real file is told with its place', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(edit, { maxLength: 4 }),
      fc.array(lineEdit, { maxLength: 2 }),
      (file, edits, lineEdits) => {
        const text = withLines(edited(file, edits), lineEdits);
        const result = parsePlan(text, 'f');
        const lineCount = text.split('\n').length;
        for (const { line, column, message } of 'problems' in result ? result.problems : []) {
          const isWhole = message.startsWith('is empty');
          expect(isWhole || (line >= 1 && line <= lineCount && column >= 1)).toBe(true);
        }
        const told = 'problems' in result ? problemLines(result) : [printPlan(result.plan)];
        expect(told.length).toBeGreaterThan(0);
        expect([...told, ...warningLines(result)].every((line) => line.length < 100_000)).toBe(true);
        if ('problems' in result) return;
        const again = parsePlan(text, 'f');
        expect('plan' in again && diffPlans(result.plan, again.plan).empty).toBe(true);
      },
    ),
    { numRuns: 400 },
  );
});
