import { expect, test } from 'vitest';
import { readHosts } from '../core/hosts.ts';
import { parsePlan } from './load.ts';
import { anyMachine, type LocalNames, thisMachine } from './machine.ts';

test('localhost is loopback on every machine, another name is nowhere', () => {
  for (const host of ['localhost', 'db.localhost']) expect(anyMachine.ipOf(host)).toBe('127.0.0.1');
  for (const host of ['localhost.example.org', 'notlocalhost', 'db'])
    expect(anyMachine.ipOf(host)).toBeUndefined();
  expect(thisMachine().ipOf('localhost')).toBeDefined();
});

test('the lines of a hosts file', () => {
  const hosts = readHosts(
    '# a comment\n127.0.1.1\tmine mine.example.org # another\n\n::1 six both\n10.0.0.9 both BIG\nnonsense x\n10.0.0.1 mine\n',
  );
  expect(Object.fromEntries(hosts)).toEqual({
    mine: '127.0.1.1',
    'mine.example.org': '127.0.1.1',
    six: '::1',
    both: '10.0.0.9', // IPv4 before IPv6, as the dial has it
    big: '10.0.0.9',
  });
});

const names: LocalNames = {
  ipOf: (host) => ({ mine: '127.0.1.1', outer: '10.0.0.9', localhost: '127.0.0.1' })[host],
  isOwn: (ip) => ip === '10.0.0.9' || ip === '2001:db8::9',
};

function toldOf(bind: string, address: string): string {
  const file = `listeners: [{ name: a, bind: "${bind}", pool: p }]
pools: { p: { backends: [{ name: b, address: "${address}" }, { name: c, address: "10.0.0.1:80" }] } }
`;
  const result = parsePlan(file, 'f', names);
  if ('problems' in result) return 'refused';
  return result.warnings.length > 0 ? 'warned' : 'good';
}

test.each([
  ['tcp://0.0.0.0:80', 'mine:80', 'refused'],
  ['tcp://0.0.0.0:80', 'MINE.:80', 'refused'],
  ['tcp://127.0.0.1:80', 'mine:80', 'good'],
  ['tcp://0.0.0.0:80', 'mine:81', 'good'],
  ['udp://[::]:80', 'mine:80', 'refused'],
  // Another machine may have the address that this one has; the name alone would not lead here there.
  ['tcp://0.0.0.0:80', 'outer:80', 'warned'],
  ['tcp://10.0.0.9:80', 'outer:80', 'refused'],
  ['tcp://0.0.0.0:80', '10.0.0.9:80', 'warned'],
  ['tcp://[::]:80', '[2001:db8::9]:80', 'warned'],
  ['tcp://0.0.0.0:80', '[2001:db8::9]:80', 'good'],
  ['tcp://0.0.0.0:80', 'elsewhere:80', 'good'],
])('%s with a backend at %s is %s', (bind, address, told) => expect(toldOf(bind, address)).toBe(told));
