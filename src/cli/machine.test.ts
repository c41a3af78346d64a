import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Loaded, parsePlan } from '../config/load.ts';
import { lookAtMachine } from './machine.ts';

function loaded(pool: string, bind = 'tcp://127.0.0.1:0', more = ''): Loaded {
  const result = parsePlan(
    `listeners: [ { name: l, bind: "${bind}", pool: p } ]
pools:
  p:
    backends: [ { name: x, address: "127.0.0.1:9" } ]
    ${pool}
${more}
`,
    'f',
  );
  if (!('plan' in result)) throw new Error(JSON.stringify(result.problems));
  return result;
}

test('a reload is refused for what is new in it, and warns of what was missing before', async () => {
  const before = loaded('device: none0');
  const problem = expect.stringMatching(
    /^f:5:13: pools\.p\.device: there is no device none0; there are: .*\blo\b/,
  );
  expect(await lookAtMachine(before, 'epoll')).toEqual({ problems: [problem], warnings: [] });
  expect(await lookAtMachine(before, 'epoll', before.plan)).toEqual({ problems: [], warnings: [problem] });
  const next = loaded('device: none1');
  expect((await lookAtMachine(next, 'epoll', before.plan)).problems).toHaveLength(1);
});

test.each(['epoll', 'portable'] as const)(
  '%s: addresses that are not here, and one that is taken',
  async (engine) => {
    const sources = loaded('source: [ 127.0.0.2, 192.0.2.7, "2001:db8::7" ]');
    const { problems, warnings } = await lookAtMachine(sources, engine);
    const told =
      /^f:5:13: pools\.p\.source: 192\.0\.2\.7, 2001:db8::7 are no addresses of this machine; it has /;
    // The portable engine does not pass over one that is not there.
    expect({ epoll: warnings, portable: problems }[engine]).toEqual([expect.stringMatching(told)]);
    expect({ epoll: problems, portable: warnings }[engine]).toEqual([]);

    expect((await lookAtMachine(loaded('', 'udp://192.0.2.7:9'), engine)).problems).toEqual([
      expect.stringMatching(
        /^f:1:\d+: listeners\[0\]\.bind: EADDRNOTAVAIL; this machine has no such address/,
      ),
    ]);
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const nothing = { problems: [], warnings: [] };
    expect(await lookAtMachine(loaded('', `tcp://127.0.0.1:${port}`), engine)).toEqual(nothing);
    server.close();
  },
);

test('epoll: an address is judged on its device, by which alone a link-local one has a meaning', async () => {
  const all = loaded('device: lo\n    source: "fe80::77"', 'tcp://[fe80::77]:0", bind_device: "lo');
  // Elsewhere than on a device the kernel has EINVAL for it.
  const { problems } = await lookAtMachine(all, 'epoll');
  expect(problems).toEqual([
    expect.stringMatching(/^f:1:\d+: listeners\[0\]\.bind: EADDRNOTAVAIL; /),
    expect.stringMatching(/^f:6:13: pools\.p\.source: fe80::77 is no address of this machine; /),
  ]);
  // Told once, where the device is.
  const away = await lookAtMachine(loaded('', 'tcp://[fe80::77]:0", bind_device: "none0'), 'epoll');
  expect(away.problems).toEqual([expect.stringMatching(/bind_device: there is no device none0; /)]);
});

test('what waits for a restart is judged at the start alone; what one backend lacks is a warning', async () => {
  const wanting = loaded(
    'health: { type: redis, password_file: /nonexistent/a }',
    undefined,
    'cluster: { name: c, redis: { url: "redis://r:1", password_file: /nonexistent/b } }',
  );
  const warning = 'f:5:43: pools.p.health.password_file: /nonexistent/a: there is no such file';
  const problem = 'f:6:65: cluster.redis.password_file: /nonexistent/b: there is no such file';
  expect(await lookAtMachine(wanting, 'epoll')).toEqual({ problems: [problem], warnings: [warning] });
  expect(await lookAtMachine(wanting, 'epoll', loaded('').plan)).toEqual({
    problems: [],
    warnings: [warning, problem].sort(),
  });
});

test('links that lead nowhere are told, not thrown', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-machine-'));
  const path = join(folder, 'loop');
  symlinkSync(path, path);
  const text = `listeners: [ { name: l, bind: "tcp://127.0.0.1:0", pool: p } ]
pools: { p: { backends: [ { name: x, address: "unix:${path}" } ] } }
`;
  const plan = parsePlan(text, 'f');
  if (!('plan' in plan)) throw new Error(JSON.stringify(plan.problems));
  const { warnings, problems } = await lookAtMachine(plan, 'epoll');
  rmSync(folder, { recursive: true });
  expect([...problems, ...warnings]).toEqual([expect.stringMatching(/loop cannot be looked at: ELOOP$/)]);
});
