/**
 * The rules of `relay: kernel`, by the kernel itself: a client, two balancers and servers, each in a network namespace. That nft takes
 * the text, that clients reach the server their bucket or pin says, over IPv4 and IPv6, and what limits, ends and a takeover do.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Address } from '../src/core/address.ts';
import { bucketSeed, kernelBucket } from '../src/core/kernel-bucket.ts';
import type { Ruleset } from '../src/kernel/form.ts';
import { markOf } from '../src/kernel/layout.ts';
import { countersOf, readPresent } from '../src/kernel/present.ts';
import { wantedOf } from '../src/kernel/ruleset.ts';
import { TargetNumbers } from '../src/kernel/target-numbers.ts';
import { elementsTransaction, removal, transaction } from '../src/kernel/transaction.ts';
import type { NftResult } from '../src/linux/nft.ts';
import { pinionCommand } from './support/command.ts';
import { type Given, viewOf } from './support/kernel-view.ts';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';
import { startTalker, stopTalkers, type Talker } from './support/talker.ts';
import { temporaryFile } from './support/temporary.ts';

const text = `
listeners:
  - { name: web, bind: ["tcp://10.9.0.100:8080", "tcp://[fd09::100]:8080"], relay: kernel, pool: web }
  - { name: dns, bind: "udp://10.9.0.100:53", relay: kernel, pool: dns, affinity: { key: client-subnet, prefix_v4: 30 } }
  - { name: strict, bind: "tcp://10.9.0.100:8081", relay: kernel, pool: strict, deny: [10.9.0.20/31], limits: { flows_per_client: 2, new_flows_per_client: 50 } }
  - { name: slow, bind: "udp://10.9.0.100:54", relay: kernel, pool: slow, limits: { datagrams_per_client: 3 } }
  - { name: far, bind: "tcp://[::]:9090", relay: kernel, pool: far, source: masquerade }
  - { name: ports, bind: "udp://10.9.0.100:7000-7003", relay: kernel, pool: ports }
pools:
  web: { table_size: 1009, backends: [ { name: a, address: "10.9.1.2:80" }, { name: b, address: "10.9.1.3:80" }, { name: c, address: "[fd0a::2]:80" }, { name: d, address: "[fd0a::3]:80" } ] }
  dns: { table_size: 1009, backends: [ { name: a, address: "10.9.1.2:53" }, { name: b, address: "10.9.1.3:53" } ] }
  strict: { table_size: 1009, backends: [ { name: a, address: "10.9.1.2:81" } ] }
  slow: { table_size: 1009, backends: [ { name: a, address: "10.9.1.2:54" } ] }
  far: { table_size: 1009, backends: [ { name: a, address: "10.9.1.2:90" } ] }
  ports: { table_size: 1009, health: { type: none }, backends: [ { name: a, address: "10.9.1.2:same" } ] }
`;
const clients4 = Array.from({ length: 12 }, (_, i) => `10.9.0.${10 + i}`);
const clients6 = clients4.map((_, i) => `fd09::${(16 + i).toString(16)}`);
const table = 'pinion_test';
const isPossible = hostsWork();

let world: Namespaces;
let client: Talker;
let servers: Talker;

async function nft(host: string, commands: string): Promise<void> {
  const file = temporaryFile('rules.nft', commands);
  await world.run(host, 'nft', '-f', file);
}

async function list(host: string, command: string): Promise<NftResult> {
  try {
    return { ok: true, output: await world.run(host, 'nft', '-j', ...command.split(' ')) };
  } catch (error) {
    return { ok: false, error: String(error) };
  }
}

async function present(host: string): Promise<Ruleset | undefined> {
  return readPresent((command) => list(host, command), table);
}

/** Both balancers have it, as the instances of a pair do. */
function rules(given?: Given): { readonly ruleset: Ruleset; readonly numbers: TargetNumbers } {
  const numbers = new TargetNumbers();
  return { ruleset: wantedOf(viewOf(text, given), numbers), numbers };
}

/** Pins one client, in `ruleset`. @param target undefined: its bucket says where it is led @returns text for nft */
function pinned(
  { ruleset, numbers }: ReturnType<typeof rules>,
  ip: string,
  target: string | undefined,
): string {
  const name = `pins/web/${ip.includes(':') ? 6 : 4}`;
  const content = ruleset.collections.get(name)!.content;
  if (content.kind !== 'elements') throw new Error(content.kind);
  const { elements } = content;
  const changed = new Map([[ip, elements.get(ip)]]);
  if (target === undefined) elements.delete(ip);
  else elements.set(ip, String(numbers.of(target)));
  return elementsTransaction(table, [[name, { kind: 'elements', elements, changed }]]);
}

/** Of the two servers of a family, the one the bucket of a client says; the fixture gives buckets in turn. */
function serverOf(ip: string, down?: 1): string {
  const address = Address.parse(ip, 0)!;
  const how = { key: 'client-ip', prefixV4: 24, prefixV6: 64, seed: bucketSeed, modulus: 1009 } as const;
  const second = down === undefined && kernelBucket(address, how) % 2 === 1;
  return address.family === 4 ? `10.9.1.${second || down === 1 ? 3 : 2}` : `fd0a::${second ? 3 : 2}`;
}

const vip = (ip: string): string => (ip.includes(':') ? 'fd09::100' : '10.9.0.100');

beforeAll(async () => {
  if (!isPossible) return;
  world = await createNamespaces('client', 'lb1', 'lb2', 'servers');
  for (const [i, lb] of ['lb1', 'lb2'].entries()) {
    await world.link('client', [`10.8.${i}.2/24`, `fd08:${i}::2/64`], lb, [
      `10.8.${i}.1/24`,
      `fd08:${i}::1/64`,
    ]);
    await world.link('servers', [`10.7.${i}.2/24`, `fd07:${i}::2/64`], lb, [
      `10.7.${i}.1/24`,
      `fd07:${i}::1/64`,
    ]);
    for (const [family, clients, ours] of [
      ['-4', '10.9.0.0/25', '10.9.1.0/24'],
      ['-6', 'fd09::/112', 'fd0a::/64'],
    ] as const) {
      const at = family === '-4' ? ['10.8.', '10.7.', '.2'] : ['fd08:', 'fd07:', '::2'];
      await world.ip(lb, family, 'route', 'add', clients, 'via', `${at[0]}${i}${at[2]}`);
      await world.ip(lb, family, 'route', 'add', ours, 'via', `${at[1]}${i}${at[2]}`);
    }
    for (const name of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
      await world.sysctl(lb, name, 1);
  }
  for (const ip of [...clients4, ...clients6])
    await world.ip('client', 'address', 'add', `${ip}/${ip.includes(':') ? 128 : 32}`, 'dev', 'lo');
  for (const ip of ['10.9.1.2', '10.9.1.3', 'fd0a::2', 'fd0a::3'])
    await world.ip('servers', 'address', 'add', `${ip}/${ip.includes(':') ? 128 : 32}`, 'dev', 'lo');
  await moveRoutes(0);
  client = startTalker(world, 'client');
  servers = startTalker(world, 'servers');
  for (const ip of ['10.9.1.2', '10.9.1.3', 'fd0a::2', 'fd0a::3']) await servers.serve(ip, 80);
  for (const port of [53, 81, 54, 90, 7001])
    for (const ip of ['10.9.1.2', '10.9.1.3']) await servers.serve(ip, port);
});

afterAll(() => {
  stopTalkers();
  if (isPossible) world.close();
});

/** Of the client's open connections from an address. */
async function portsOf(ip: string): Promise<number[]> {
  const listed = await world.run('client', 'ss', '-tnH', 'src', ip, 'dst', '10.9.0.100');
  return [...listed.matchAll(/:(\d+)\s+10\.9\.0\.100:/g)].map(([, port]) => Number(port));
}

/** All that goes through goes through this balancer. */
async function moveRoutes(i: number): Promise<void> {
  await world.ip('client', '-4', 'route', 'replace', 'default', 'via', `10.8.${i}.1`);
  await world.ip('client', '-6', 'route', 'replace', 'default', 'via', `fd08:${i}::1`);
  await world.ip('servers', '-4', 'route', 'replace', 'default', 'via', `10.7.${i}.1`);
  await world.ip('servers', '-6', 'route', 'replace', 'default', 'via', `fd07:${i}::1`);
}

test.skipIf(!isPossible)(
  'clients reach the server of their bucket, or that of their pin, and it sees them',
  async () => {
    const { ruleset, numbers } = rules();
    await nft('lb1', transaction(undefined, ruleset));
    for (const ip of [...clients4, ...clients6])
      expect(await client.open(ip, ip, vip(ip), 8080)).toBe(`${serverOf(ip)} ${ip}`);
    expect(await client.ask('10.9.0.13', 4000, '10.9.0.100', 53)).toMatch(
      /^10\.9\.1\.[23] 10\.9\.0\.13 4000$/,
    );
    // A port of a range stays as it is.
    expect(await client.ask('10.9.0.13', 4001, '10.9.0.100', 7001)).toBe('10.9.1.2 10.9.0.13 4001');
    expect(await client.ask('10.9.0.13', 4001, '10.9.0.100', 7002)).toBe('silence');

    const pin = (ip: string, target?: string) => pinned({ ruleset, numbers }, ip, target);
    for (const [ip, one, other] of [
      ['10.9.0.10', '10.9.1.2', '10.9.1.3'],
      ['fd09::10', 'fd0a::2', 'fd0a::3'],
    ] as const) {
      const [home, away] = serverOf(ip) === one ? [one, other] : [other, one];
      await nft('lb1', pin(ip, `${away} . 80`));
      expect(await client.open('pinned', ip, vip(ip), 8080)).toBe(`${away} ${ip}`);
      await nft('lb1', pin(ip, `${home} . 80`));
      expect(await client.open('moved', ip, vip(ip), 8080)).toBe(`${home} ${ip}`);
      const gone = pin(ip);
      await nft('lb1', gone);
      expect(await client.open('unpinned', ip, vip(ip), 8080)).toBe(`${home} ${ip}`);
      // Whoever does not know how it is hears so: what is to be deleted is not there, and what is added is there otherwise.
      await expect(nft('lb1', gone)).rejects.toThrow(/No such file/);
      await nft('lb1', pin(ip, `${away} . 80`));
      const twice = `add element inet ${table} pins/web/${ip.includes(':') ? 6 : 4} { ${ip} : 9 }\n`;
      await expect(nft('lb1', twice)).rejects.toThrow(/File exists/);
      await nft('lb1', pin(ip));
    }
  },
);

test.skipIf(!isPossible)(
  'who may not come in, and who has enough, is refused; and how many is counted',
  async () => {
    expect(await client.open('denied', '10.9.0.20', '10.9.0.100', 8081)).toBe('ECONNREFUSED');
    for (const id of ['one', 'two'])
      expect(await client.open(id, '10.9.0.10', '10.9.0.100', 8081)).toBe('10.9.1.2 10.9.0.10');
    expect(await client.open('three', '10.9.0.10', '10.9.0.100', 8081)).toBe('ECONNREFUSED');
    expect(await client.open('other', '10.9.0.11', '10.9.0.100', 8081)).toBe('10.9.1.2 10.9.0.11');
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => client.ask('10.9.0.12', 5000 + i, '10.9.0.100', 54)),
    );
    expect(answers.filter((answer) => answer !== 'silence')).toHaveLength(3);
    const counted = await list('lb1', `list counters table inet ${table}`);
    const counts = countersOf(JSON.parse(counted.ok ? counted.output : ''), table);
    expect(counts.get('refused/denied/strict')).toBe(1);
    expect(counts.get('refused/limit-client/strict')).toBe(1);
    expect(counts.get('refused/no-backend/web')).toBe(0);
  },
);

test.skipIf(!isPossible)(
  'masquerade, a listener on any address, and clients on the balancer itself',
  async () => {
    expect(await client.open('far', '10.9.0.10', '10.8.0.1', 9090)).toBe('10.9.1.2 10.7.0.1');
    // No server has an address of IPv6.
    expect(await client.open('far6', 'fd09::10', 'fd08:0::1', 9090)).toBe('ECONNREFUSED');
    const own = startTalker(world, 'lb1');
    expect(await own.open('own', '10.8.0.1', '10.9.0.100', 8080)).toMatch(/^10\.9\.1\.[23] 10\.7\.0\.1$/);
    expect(await own.open('own6', 'fd08:0::1', 'fd09::100', 8080)).toMatch(/^fd0a::[23] fd07::1$/);
  },
);

test.skipIf(!isPossible)(
  'a server that is down gets no new clients; what is open stays; the same table has nothing to do',
  async () => {
    const { ruleset, numbers } = rules();
    expect(transaction(ruleset, wantedOf(viewOf(text), numbers))).toBe('');
    const without = wantedOf(viewOf(text, { down: [1] }), numbers);
    const change = transaction(ruleset, without);
    expect(
      change
        .trim()
        .split('\n')
        .map((line) => line.slice(0, 54)),
    ).toEqual([
      expect.stringMatching(/^delete element inet pinion_test buckets\/web\/1009\/4 /),
      expect.stringMatching(/^add element inet pinion_test buckets\/web\/1009\/4 /),
    ]);
    await nft('lb1', change);
    for (const ip of clients4)
      expect(await client.open(`new ${ip}`, ip, vip(ip), 8080)).toBe(`10.9.1.3 ${ip}`);
    for (const ip of clients4) expect(await client.say(ip, 'still')).toBe('still');
    await nft('lb1', transaction(without, ruleset));
  },
);

test.skipIf(!isPossible)('a successor takes over the table it finds, whatever is open', async () => {
  const found = (await present('lb1'))!;
  const numbers = new TargetNumbers(found);
  const want = wantedOf(viewOf(text), numbers);
  const change = transaction(found, want);
  // Rules and networks are written anew; of all else nothing is another.
  expect(
    change.split('\n').filter((line) => /^(add|delete) (element|map|set|chain|ct|counter)/.test(line)),
  ).toEqual(['add element inet pinion_test deny/strict/4 { 10.9.0.20/31 }']);
  await nft('lb1', change);
  for (const ip of [...clients4, ...clients6]) expect(await client.say(ip, 'after')).toBe('after');
  for (const ip of [...clients4, ...clients6])
    expect(await client.open(`again ${ip}`, ip, vip(ip), 8080)).toBe(`${serverOf(ip)} ${ip}`);
  // Of another layout: all of it is replaced.
  expect(await present('lb2')).toBeUndefined();
  await nft('lb2', `${removal(table)}table inet ${table} { set layout/0 { type mark; }\n }`);
  const foreign = (await present('lb2'))!;
  await nft('lb2', transaction(foreign, wantedOf(viewOf(text), new TargetNumbers(foreign))));
});

test.skipIf(!isPossible)(
  'another balancer with the same rules carries what is open, whoever speaks first',
  async () => {
    await moveRoutes(1);
    // The first half of the clients is silent.
    const talking = [...clients4.slice(6), ...clients6.slice(6)];
    for (const ip of talking) expect(await client.say(ip, 'moved')).toBe('moved');
    await servers.push('hello');
    for (const ip of [...clients4, ...clients6]) expect(await client.hear(ip)).toBe('hello');
    for (const ip of [...clients4, ...clients6]) expect(await client.say(ip, 'there')).toBe('there');
  },
);

test.skipIf(!isPossible)(
  'a connection that is to end is reset with its next packet, and no other one',
  async () => {
    const numbers = new TargetNumbers();
    const calm = wantedOf(viewOf(text), numbers);
    await nft('lb2', transaction(calm, wantedOf(viewOf(text, { isEnding: true }), numbers)));
    const own = await portsOf('10.9.0.14');
    for (const port of own)
      await nft(
        'lb2',
        `add element inet ${table} gone/4 { 10.9.0.14 . ${port} . ${serverOf('10.9.0.14')} . 80 timeout 60s }\n`,
      );
    // As pinion does then: packets that come now belong to no entry.
    const { mark, mask } = markOf(table);
    const probe = fileURLToPath(new URL('../dist/test/support/kernel-means-probe.js', import.meta.url));
    await world.run('lb2', process.execPath, probe, 'forget', String(mark), String(mask));
    expect(await client.say('10.9.0.14', 'x')).toBe('ECONNRESET');
    expect(await client.say('10.9.0.15', 'x')).toBe('x');
    expect(await client.open('fresh', '10.9.0.14', '10.9.0.100', 8080)).toBe(
      `${serverOf('10.9.0.14')} 10.9.0.14`,
    );
    // The same ports again are a new connection.
    const left = await portsOf('10.9.0.14');
    const port = own.find((one) => !left.includes(one))!;
    expect(await client.open('again', '10.9.0.14', '10.9.0.100', 8080, port)).toBe(
      `${serverOf('10.9.0.14')} 10.9.0.14`,
    );
    expect(await client.say('again', 'y')).toBe('y');
    await nft('lb2', transaction(wantedOf(viewOf(text, { isEnding: true }), numbers), calm));
    await nft('lb2', removal(table));
    expect(await world.run('lb2', 'nft', 'list', 'tables')).toBe('');
  },
);

test.skipIf(!isPossible)(
  'pinion kernel says how the table is and how it should be, and takes it away',
  async () => {
    const file = temporaryFile('test.yaml', text);
    const run = (...args: string[]) => pinionCommand(['kernel', file, ...args], world.wrapper('lb1'));
    await nft('lb1', `delete element inet ${table} doors/4 { 10.9.0.100 . udp . 54 }\n`);
    const shown = await run();
    expect(shown.stdout).toContain('# elements: 1009');
    expect(shown.stdout).toMatch(
      /# to be as \S+test\.yaml .*\nadd element inet pinion_test doors\/4 \{ 10.9.0.100 . udp . 54 : goto clients\/slow\/4 \}\n$/,
    );
    expect(await run('--remove')).toMatchObject({
      status: 0,
      stdout: 'the table inet pinion_test is gone\n',
    });
    await nft('lb1', (await run('--wanted')).stdout);
    expect((await present('lb1'))?.chains.has('clients/slow/4')).toBe(true);
  },
);
