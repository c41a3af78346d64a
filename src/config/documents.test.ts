/** Every configuration in the documents is one that pinion takes. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parsePlan } from './load.ts';

const root = new URL('../../', import.meta.url);
const documents = ['README.md', ...readdirSync(new URL('docs', root)).map((name) => `docs/${name}`)];
const examples = documents
  .filter((name) => name.endsWith('.md'))
  .flatMap((name) => {
    const text = readFileSync(new URL(name, root), 'utf8');
    return [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, yaml = ''], i) => ({ name, i, yaml }));
  })
  .filter(({ yaml }) => /^listeners:/m.test(yaml) && /^pools:/m.test(yaml));

describe('examples', () => {
  test.each(examples)('$name, number $i', ({ name, yaml }) => {
    const result = parsePlan(yaml, name);
    expect('problems' in result ? result.problems : []).toEqual([]);
  });

  test('there are some', () => {
    expect(examples.length).toBeGreaterThan(7);
  });
});
