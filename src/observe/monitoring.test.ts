/** docs/MONITORING.md against the code: everything that can be seen is there, and nothing else. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { claimOutcomes } from '../cluster/claims.ts';
import { redisFaults } from '../cluster/errors.ts';
import { terminationCodes } from '../core/termination.ts';
import { eventLevels } from './in-words.ts';

const read = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8');
const page = read('../../docs/MONITORING.md');

/** What the first column of a section's tables names. */
function named(section: string): string[] {
  const text = page.split(`\n## ${section}\n`)[1]!.split('\n## ')[0]!;
  return [...text.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].map(([, word]) => word!),
  );
}

test('metrics and cluster states', () => {
  const metrics = ['./metrics.ts', './cluster-metrics.ts'].flatMap(
    (file) => read(file).match(/pinion_\w+(?=')/g)!,
  );
  const families = metrics.filter((name) => name !== 'pinion_');
  const states = /states = \[([^\]]+)\]/.exec(read('./cluster-metrics.ts'))![1]!.match(/[a-z-]+/g)!;
  expect(named('Metrics').sort()).toEqual([...families, ...states].sort());
});

test('events, with their levels', () => {
  const rows = [...page.matchAll(/^\| (`[^|]+) \| ([a-z, ]+) \| /gm)].flatMap(([, cell, levels]) => {
    const names = [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    const each = levels!.split(', ');
    return names.map((name, i) => [name, each[i] ?? each[0]]);
  });
  const events = Object.fromEntries(rows.filter(([name]) => named('Log').includes(name!)));
  expect(events).toEqual({ ...eventLevels, failed: 'fatal' });
});

test('termination codes, kinds of faults and outcomes of claims', () => {
  expect(named('Termination codes').sort()).toEqual([...terminationCodes].sort());
  for (const word of [...redisFaults, ...claimOutcomes]) expect(page).toContain(`\`${word}\``);
});
