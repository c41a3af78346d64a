/**
 * docs/MONITORING.md against the code: everything that can be seen is there, and nothing else. So is what the dashboard and the
 * alerts in config/ ask for. `PINION_GOLDEN=write` writes the table of metrics.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { claimOutcomes } from '../cluster/claims.ts';
import { redisFaults } from '../cluster/errors.ts';
import { terminationCodes } from '../core/termination.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { eventLevels } from './in-words.ts';
import { ownEventLevels } from './log.ts';
import { familiesOf } from './metrics.ts';

const read = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8');
const page = read('../../docs/MONITORING.md');

/** What the first column of a section's tables names. */
function named(section: string): string[] {
  const text = page.split(`\n## ${section}\n`)[1]!.split('\n## ')[0]!;
  return [...text.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].map(([, word]) => word!),
  );
}

const families = familiesOf({
  views: createSharedMemory(1, 1_024),
  state: () => {
    throw new Error('nobody asks for the page');
  },
  version: '1.2.3',
  httpRefusals: () => ({}),
  isShared: true,
});

test('metrics, with their labels and help', () => {
  const rows = families.map(({ name, labels, help }) => `| \`${name}\` | ${labels.join(', ')} | ${help} |`);
  const file = new URL('../../docs/MONITORING.md', import.meta.url);
  const table = /(?<=\n\| metric \| labels \| is \|\n\|---\|---\|---\|\n)(\| .*\n)*/;
  if (process.env.PINION_GOLDEN === 'write')
    writeFileSync(
      file,
      page.replace(table, () => `${rows.join('\n')}\n`),
    );
  else expect(table.exec(page)![0].split('\n').slice(0, -1)).toEqual(rows);
});

test('help is a sentence an operator reads, and says more than the name', () => {
  for (const { name, help } of families) {
    expect(help, name).toMatch(/^[A-Z0-9][^|\n]+\.$/);
    expect(help.length, name).toBeGreaterThan(20);
  }
});

test('cluster states', () => {
  const states = /states = \[([^\]]+)\]/.exec(read('./cluster-metrics.ts'))![1]!.match(/[a-z-]+/g)!;
  expect(named('Metrics').filter((name) => !name.startsWith('pinion_'))).toEqual(states);
});

/** What Node and prom-client add to the page. */
const added = /^pinion_(process|nodejs)_\w+$/;

test.each(['grafana.json', 'alerts.yaml'])(
  'every series of config/%s exists, with the labels it is asked by',
  (name) => {
    const text = read(`../../config/${name}`).replaceAll('\\"', '"');
    const asked = [...text.matchAll(/\b(pinion_\w+)(?:\{([^}]*)\})?/g)];
    expect(asked.length).toBeGreaterThan(10);
    for (const [, series, selectors = ''] of asked) {
      if (added.test(series!)) continue;
      const family = families.find(
        (one) =>
          one.name === series ||
          (one.type === 'histogram' && new RegExp(`^${one.name}_(bucket|sum|count)$`).test(series!)),
      );
      expect(family?.name, `${series} exists`).toBeDefined();
      const labels = [...selectors.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label!);
      const known = [...family!.labels, 'job', 'instance', 'le'];
      expect(
        labels.filter((label) => !known.includes(label)),
        series,
      ).toEqual([]);
    }
  },
);

test('events, with their levels', () => {
  const rows = [...page.matchAll(/^\| (`[^|]+) \| ([a-z, ]+) \| /gm)].flatMap(([, cell, levels]) => {
    const names = [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    const each = levels!.split(', ');
    return names.map((name, i) => [name, each[i] ?? each[0]]);
  });
  const events = Object.fromEntries(rows.filter(([name]) => named('Log').includes(name!)));
  expect(events).toEqual({ ...eventLevels, ...ownEventLevels, failed: 'fatal' });
});

test('termination codes, kinds of faults and outcomes of claims', () => {
  expect(named('Termination codes').sort()).toEqual([...terminationCodes].sort());
  for (const word of [...redisFaults, ...claimOutcomes]) expect(page).toContain(`\`${word}\``);
});
