import { expect, test } from 'vitest';
import { demandsOf } from './demands.ts';
import { parsePlan } from './load.ts';

test('what a plan asks of its machine, where it is written, and what becomes of a start without it', () => {
  const loaded = parsePlan(
    `
metrics: { listen: 127.0.0.1:9464 }
admin: { listen: "unix:/run/pinion/admin.sock" }
cluster: { name: c, redis: { url: "rediss://r:1", password_file: "credential:redis", tls: { ca_file: /ca.pem } } }
listeners:
  - { name: a, bind: "tcp://10.0.0.1:443", bind_device: eth0, pool: p, deny: [192.0.2.1, "file:/denied"] }
  - { name: b, bind: "unix:/run/b.sock", pool: q }
pools:
  p:
    source: [10.0.0.1, 10.0.0.2]
    transparent: false
    mark: 7
    device: eth1
    health: { type: redis, password_file: /secret }
    backends: [ { name: x, address: "10.0.0.9:1" } ]
  q:
    health: { type: exec, command: [/usr/lib/check, "{path}"] }
    backends: [ { name: x, address: "10.0.0.9:1" }, { name: y, address: "unix:/run/y.sock" } ]
  r: { transparent: true, discovery: { type: file, path: /list.yaml } }
`,
    'f',
  );
  if (!('plan' in loaded)) throw new Error(JSON.stringify(loaded.problems));
  const tcp = (ip: string, port: number) => ({
    asks: 'bind',
    protocol: 'tcp',
    bind: { kind: 'inet', ip, port },
  });
  expect(
    demandsOf(loaded.plan).map(({ path, want, refuses }) => [path.join('.'), refuses, want] as const),
  ).toMatchObject([
    ['metrics.listen', 'start', tcp('127.0.0.1', 9464)],
    ['admin.listen', 'start', { asks: 'socket', file: '/run/pinion/admin.sock' }],
    ['cluster.redis.password_file', 'start', { asks: 'file', file: 'credential:redis' }],
    ['cluster.redis.tls.ca_file', 'start', { asks: 'file', file: '/ca.pem' }],
    ['listeners.0.bind', 'always', tcp('10.0.0.1', 443)],
    ['listeners.0.bind_device', 'always', { asks: 'device', device: 'eth0' }],
    ['listeners.0.deny', 'always', { asks: 'file', file: '/denied' }],
    ['listeners.1.bind', 'always', { asks: 'socket', file: '/run/b.sock' }],
    ['pools.p.source', 'always', { asks: 'sources', ips: ['10.0.0.1', '10.0.0.2'] }],
    ['pools.p.mark', 'always', { asks: 'mark', mark: 7 }],
    ['pools.p.device', 'always', { asks: 'device', device: 'eth1' }],
    ['pools.p.health.password_file', 'never', { asks: 'file', file: '/secret' }],
    ['pools.q.health.command', 'never', { asks: 'program', file: '/usr/lib/check' }],
    ['pools.q.backends.1.address', 'never', { asks: 'server', file: '/run/y.sock' }],
    ['pools.r.transparent', 'always', { asks: 'transparent' }],
    ['pools.r.discovery.path', 'never', { asks: 'file', file: '/list.yaml' }],
  ]);
});

test('of a range of ports the lowest is asked for, and of several addresses each is', () => {
  const loaded = parsePlan(
    `
listeners:
  - { name: a, bind: ["udp://10.0.0.1:700-799", "udp://10.0.0.2:69", "udp://10.0.0.1:500"], pool: p }
pools: { p: { backends: [ { name: x, address: "10.0.0.9:same" } ] } }
`,
    'f',
  );
  if (!('plan' in loaded)) throw new Error(JSON.stringify(loaded.problems));
  const bindAt = (ip: string, port: number) => ({
    path: ['listeners', 0, 'bind'],
    want: { asks: 'bind', protocol: 'udp', bind: { kind: 'inet', ip, port }, isOneOfSeveral: true },
    refuses: 'always',
  });
  expect(demandsOf(loaded.plan)).toEqual([bindAt('10.0.0.1', 500), bindAt('10.0.0.2', 69)]);
});

test('relay: kernel asks for rules and settings of the kernel, once, and binds nothing', () => {
  const loaded = parsePlan(
    `
limits: { flows: 50000 }
listeners:
  - { name: u, bind: "tcp://10.0.0.1:79", pool: p }
  - { name: a, bind: "tcp://10.0.0.1:80", relay: kernel, pool: p }
  - { name: b, bind: "tcp://10.0.0.1:81", relay: kernel, pool: p }
pools: { p: { backends: [ { name: x, address: "10.0.0.9:1" } ] } }
`,
    'f',
  );
  if (!('plan' in loaded)) throw new Error(JSON.stringify(loaded.problems));
  const asked = demandsOf(loaded.plan).map(({ path, want, refuses }) => [path.join('.'), refuses, want]);
  const conntrack = (what: string, least = 1): unknown => [
    'listeners.1.relay',
    'never',
    expect.objectContaining({ asks: 'setting', name: `net.netfilter.nf_conntrack_${what}`, least }),
  ];
  expect(asked).toEqual([
    ['listeners.0.bind', 'always', expect.objectContaining({ asks: 'bind' })],
    ['listeners.1.relay', 'always', { asks: 'rules' }],
    ['listeners.1.relay', 'always', expect.objectContaining({ name: 'net.ipv4.ip_forward', least: 1 })],
    conntrack('max', 50_000),
    conntrack('acct'),
    conntrack('tcp_loose'),
    conntrack('tcp_be_liberal'),
  ]);
});
