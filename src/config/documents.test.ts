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

describe('options of a check that do not go together', () => {
  const problemOf = (health: string): string[] => {
    const pool = `p: { health: ${health}, backends: [ { name: a, address: "127.0.0.1:1" } ] }`;
    const result = parsePlan(
      `listeners: [ { name: l, bind: "tcp://127.0.0.1:0", pool: p } ]\npools: { ${pool} }\n`,
      'f',
    );
    return 'problems' in result ? result.problems.map(({ path, message }) => `${path}: ${message}`) : [];
  };

  test.each([
    ['{ type: redis, user: monitor }', ['pools.p.health.user: needs password_file']],
    [
      '{ type: postgres, role: primary }',
      ['pools.p.health.role: needs a user: the server says it in a session only'],
    ],
    [
      '{ type: mysql, donor: up }',
      ['pools.p.health.donor: needs a user: the server says it in a session only'],
    ],
    [
      '{ type: mysql, user: monitor, role: primary, max_lag: 1s }',
      ['pools.p.health.max_lag: has no effect with role: primary'],
    ],
    ['{ type: redis, verify: true }', ['pools.p.health.verify: has no effect without tls: true']],
    [
      '{ type: http, method: HEAD, body: well }',
      ['pools.p.health.body: needs method GET: an answer to HEAD has none to look at'],
    ],
    ['{ type: http, body: well }', []],
    ['{ type: send-expect }', ['pools.p.health.steps: is missing']],
    [
      '{ type: exec, command: [ true ] }',
      [expect.stringMatching(/^pools.p.health.command: must be a list: the path/)],
    ],
    ['{ type: postgers }', [expect.stringMatching(/did you mean postgres\?$/)]],
    ['{ type: dns, path: / }', [expect.stringMatching(/^pools.p.health.path: unknown key/)]],
  ])('%s', (health, problems) => {
    expect(problemOf(health)).toEqual(problems);
  });
});

describe('a pool that finds its backends', () => {
  const outcomeOf = (pool: string, more = ''): string[] => {
    const text = `${more}listeners: [ { name: l, bind: "udp://127.0.0.1:0", pool: p } ]\npools: { p: ${pool} }\n`;
    const result = parsePlan(text, 'f');
    const problems = 'problems' in result ? result.problems : [];
    return [...problems, ...result.warnings].map(({ path, message }) => `${path}: ${message}`);
  };
  const file = 'discovery: { type: file, path: /list.yaml }';

  test.each([
    [`{ ${file} }`, []],
    [`{ ${file}, backends: [ { name: a, address: "10.0.0.1:1", backup: true } ] }`, []],
    [`{ ${file}, backends: [ { name: a, address: "10.0.0.1:1", weight: 0 } ] }`, []],
    [`{ ${file}, spill_below: 50% }`, []],
    ['{ policy: ring }', ['pools.p.backends: is missing']],
    ['{ backends: 5 }', [expect.stringMatching(/^pools.p.backends: must be a list of backends/)]],
    ['{ discovery: { type: file } }', ['pools.p.discovery.path: is missing']],
    ['{ discovery: { type: fiel, path: /a } }', [expect.stringMatching(/^pools.p.discovery.type: must be /)]],
    ['{ discovery: { type: dns, name: a.test, port: 1 } }', []],
    [
      '{ discovery: { type: dns, name: _a._udp.a.test., record: SRV, servers: [ 10.0.0.2, "[::1]:53" ] } }',
      [],
    ],
    [
      '{ discovery: { type: dns, name: a.test } }',
      ['pools.p.discovery.port: is missing: A+AAAA records have none'],
    ],
    [
      '{ discovery: { type: dns, name: a.test, record: SRV, port: 1 } }',
      ['pools.p.discovery.port: has no effect: SRV records have their own'],
    ],
    [
      '{ discovery: { type: dns, name: 10.0.0.1, port: 1 } }',
      [expect.stringMatching(/^pools.p.discovery.name: must be a name that the DNS knows/)],
    ],
    [
      '{ discovery: { type: dns, name: a.test, port: 1, refresh: { min: 100ms } } }',
      ['pools.p.discovery.refresh: min must be at least 1s'],
    ],
    [
      '{ discovery: { type: dns, name: a.test, port: 1, refresh: { min: 10m } } }',
      ['pools.p.discovery.refresh: min is longer than max'],
    ],
    [
      '{ discovery: { type: dns, name: a.test, port: 1, refresh: { mni: 10s } } }',
      [expect.stringMatching(/^pools.p.discovery.refresh.mni: unknown key; did you mean min/)],
    ],
    [
      '{ discovery: { type: dns, name: a.test, port: 1, servers: [ "localhost:53" ] } }',
      [expect.stringMatching(/^pools.p.discovery.servers: must be a list of up to 16 IP addresses/)],
    ],
    [
      '{ discovery: { type: dns, name: a.test, port: 1, records_max: 5000 } }',
      ['pools.p.discovery.records_max: must be a whole number from 1 to 4096, not 5000'],
    ],
    ['{ discovery: 5 }', ['pools.p.discovery: must be a map of keys and values, not 5']],
    [
      '{ discovery: { type: file, path: a } }',
      ['pools.p.discovery.path: must be an absolute path, such as /etc/pinion/arena.yaml'],
    ],
    [
      '{ discovery: { type: file, path: /a, pth: /b } }',
      [expect.stringMatching(/^pools.p.discovery.pth: unknown key/)],
    ],
  ])('%s', (pool, outcome) => {
    expect(outcomeOf(pool)).toEqual(outcome);
  });

  test('a zone may be that of one that is found', () => {
    expect(outcomeOf(`{ ${file} }`, 'zone: z\n')).toEqual([]);
  });
});
