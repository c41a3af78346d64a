/**
 * Golden files: each golden/*.golden (no .yaml: a formatter would move the columns) has a configuration above the cut and below it what comes of it: the plan with
 * every default filled in, or the problems. After a wanted change, PINION_GOLDEN=write rewrites what is below the
 * cut; read the difference before you commit it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { formatProblem, parsePlan } from './load.ts';

const folder = fileURLToPath(new URL('golden/', import.meta.url));
const cut = '---8<---\n';
const names = readdirSync(folder).filter((name) => name.endsWith('.golden'));

function outcomeOf(text: string, name: string): string {
  const result = parsePlan(text, name);
  const lines = result.warnings.map((warning) => `warning: ${formatProblem(warning)}\n`);
  if ('problems' in result)
    return [...result.problems.map((problem) => `${formatProblem(problem)}\n`), ...lines].join('');
  // Cloned: the stringifier would turn what is shared into aliases.
  return lines.join('') + stringify(JSON.parse(JSON.stringify(result.plan)), { lineWidth: 0 });
}

describe('golden configurations', () => {
  it('are there', () => expect(names.length).toBeGreaterThan(8));

  it.each(names)('%s', (name) => {
    const [config = '', expected = ''] = readFileSync(folder + name, 'utf8').split(cut);
    const outcome = outcomeOf(config, name);
    if (process.env.PINION_GOLDEN === 'write') writeFileSync(folder + name, `${config}${cut}${outcome}`);
    else expect(outcome).toBe(expected);
  });
});
