import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { removeTemporaryFolders, temporaryFolder } from '../../test/support/temporary.ts';
import { excerptOf } from './load.ts';

afterAll(removeTemporaryFolders);

const notYaml = 'is not valid YAML here: so it is';

function excerpt(text: string, line: number, column: number, message = notYaml): string {
  const file = join(temporaryFolder('excerpt'), 'f.yaml');
  writeFileSync(file, text);
  return excerptOf(file, { file, line, column, path: '', message });
}

test('the mark stands under the place', () =>
  expect(excerpt('a: 1\n  b: 2\n', 2, 3)).toBe('      b: 2\n      ^\n'));

test('of a long line the part around the place is shown', () => {
  const [shown, mark] = excerpt(`a: ${'x'.repeat(500)}!${'y'.repeat(500)}`, 1, 504).split('\n');
  expect(shown!.length).toBeLessThan(130);
  expect(shown![mark!.indexOf('^')]).toBe('!');
});

test.each([
  ['a password', 'redis: redis://:geheim@host', notYaml],
  ['what moves a cursor', 'a: \u001b[2J', notYaml],
  ['a problem of another kind', 'a: 1', 'there is no pool'],
])('not shown: %s', (_, text, message) => expect(excerpt(text, 1, 1, message)).toBe(''));

test('a file that is gone', () =>
  expect(excerptOf('/nonexistent', { file: 'f', line: 1, column: 1, path: '', message: notYaml })).toBe(''));
