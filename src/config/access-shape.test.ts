import { expect, test } from 'vitest';
import { parsePlan } from './load.ts';

function outcomeOf(keys: string, bind = 'tcp://127.0.0.1:0') {
  const text = `listeners: [ { name: l, bind: "${bind}", pool: p, ${keys} } ]\npools: { p: { backends: [ { name: a, address: "10.0.0.1:1" } ] } }\n`;
  const result = parsePlan(text, 'f');
  const told = [...('problems' in result ? result.problems : []), ...result.warnings];
  return {
    told: told.map(({ path, message }) => `${path}: ${message}`),
    plan: 'plan' in result ? result.plan.listeners[0] : undefined,
  };
}

test('what is written becomes networks and files', () => {
  const { plan, told } = outcomeOf(
    'allow: [ 203.0.113.9/24, "file:/etc/a.txt", "2001:db8::1", "file:/etc/a.txt" ], deny: [ 203.0.113.66 ], refuse: close',
  );
  expect(told).toEqual([]);
  expect(plan).toMatchObject({
    allow: { networks: ['203.0.113.0/24', '2001:db8::1'], files: ['/etc/a.txt'] },
    deny: { networks: ['203.0.113.66'], files: [] },
    refuse: 'close',
  });
  const { allow, deny, refuse } = outcomeOf('deny: [ 203.0.113.66 ]').plan!;
  expect({ allow, deny, refuse }).toEqual({ deny: { networks: ['203.0.113.66'], files: [] } });
});

test.each([
  ['allow: []', /^listeners\[0\].allow: must be a list of 1 to 1000/],
  ['allow: 10.0.0.0/8', /^listeners\[0\].allow: must be a list/],
  ['deny: [ 10.0.0.0/8, 10.0.0.0/33 ]', /^listeners\[0\].deny\[1\]: "10.0.0.0\/33" is neither/],
  ['deny: [ "file:list.txt" ]', /^listeners\[0\].deny\[0\]: needs an absolute path/],
  ['deny: [ /etc/list.txt ]', /^listeners\[0\].deny\[0\]: write a file as file:\/etc\/list.txt/],
  ['deny: [ 7 ]', /^listeners\[0\].deny\[0\]: must be an address, a network or file:\/path, not 7/],
  ['refuse: silently, deny: [ 10.0.0.1 ]', /must be one of reset, close, silence, not/],
  ['refuse: close', /^listeners\[0\].refuse: has no effect without allow or deny/],
])('%s', (keys, told) => {
  expect(outcomeOf(keys).told).toEqual([expect.stringMatching(told)]);
});

test('where there is no address, and where nothing can be refused', () => {
  expect(outcomeOf('allow: [ 10.0.0.1 ]', 'unix:/run/x.sock').told).toEqual([
    expect.stringMatching(/^listeners\[0\].allow: clients of a unix socket have no address/),
  ]);
  expect(outcomeOf('deny: [ 10.0.0.1 ], refuse: close', 'udp://127.0.0.1:0').told).toEqual([
    expect.stringMatching(/^listeners\[0\].refuse: has no effect on a UDP listener/),
  ]);
});
