/**
 * Socket options as a user sets them, seen from outside: by the other side of a connection, by ss(8), or by a
 * network that is cut. In network namespaces, for they need addresses, devices and settings of their own.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { configText, listener, noCheck, quickCheck, reload, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { createNetwork, type Network } from './support/hosts.ts';
import { namespacesWork, namespaceWrapper, runInNamespaceOf } from './support/namespace.ts';
import { hostsWork } from './support/namespaces.ts';
import { type Pinion, pinionMain, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { runToEnd, stopEverything } from './support/processes.ts';

afterEach(stopEverything);

/** A backend that tells each client the address it sees: over TCP a line and then silence, over UDP a datagram. */
const backendProgram = `
  const net = require('node:net');
  const dgram = require('node:dgram');
  const startBackend = (host) => new Promise((resolve) => {
    net.createServer((socket) => {
      socket.write(socket.remoteAddress + '\\n');
      socket.on('data', () => {});
      socket.on('error', () => {});
    }).listen(9000, host, () => udp.bind(9000, host, () => resolve(console.log('listening'))));
    const udp = dgram.createSocket({ type: host.includes(':') ? 'udp6' : 'udp4' });
    udp.on('message', (bytes, from) => udp.send(from.address, from.port, from.address));
  });
`;

/** ask: one TCP connection that stays, or one datagram; gives what the backend saw, or undefined. */
const clientProgram = `
  const tcp = (host, options = {}) => new Promise((resolve) => {
    const socket = require('node:net').connect({ port: 7000, host, ...options });
    socket.once('data', (bytes) => resolve({ socket, seen: String(bytes).trim() }));
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
  const udp = (host, port = 0) => new Promise((resolve) => {
    const socket = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('message', (bytes) => { socket.close(); resolve(String(bytes)); });
    socket.bind(port, () => socket.send('hello', 7000, host));
  });
`;

function config(backend: string, front: Section, pool: Section, more: Section = {}): string {
  const bind = front.bind ?? 'tcp://127.0.0.1:7000';
  return configText({
    workers: 1,
    // A port somebody listens on is no source port for anyone: these are outside the small ranges below.
    metrics: { listen: '127.0.0.1:9464' },
    admin: { listen: '127.0.0.1:9465' },
    engine: 'epoll',
    listeners: [{ name: 'front', pool: 'pool', affinity: 'none', ...front, bind }],
    pools: { pool: { health: noCheck, backends: [{ name: 'a', address: backend }], ...pool } },
    ...more,
  });
}

const both = [
  { name: 'front', bind: 'tcp://127.0.0.1:7000', pool: 'pool', affinity: 'none' },
  { name: 'front-udp', bind: 'udp://127.0.0.1:7000', pool: 'pool', affinity: 'none' },
];

async function inside(pinion: Pinion, program: string): Promise<unknown> {
  const text = `${backendProgram}${clientProgram}
    (async () => { console.log('\\n' + JSON.stringify(await (async () => { ${program} })())); process.exit(); })();`;
  return JSON.parse((await runInNamespaceOf(pinion.pid, text)).trim().split('\n').at(-1)!);
}

/** What ss(8) of the pinion's namespace prints, a line for each socket. */
async function sockets(pinion: Pinion, ...args: readonly string[]): Promise<string[]> {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  const enter = ['--target', String(pinion.pid), '--net', ...user, 'ss', '-nmHO', ...args];
  return (await runToEnd({ command: 'nsenter', args: enter })).trim().split('\n');
}

describe.skipIf(!namespacesWork())('in a namespace', () => {
  const fewPorts = namespaceWrapper(['echo 50000 50009 > /proc/sys/net/ipv4/ip_local_port_range']);
  const sources = ['127.0.1.1', '127.0.1.2', '127.0.1.3'];

  const asks = { tcp: `(await tcp('127.0.0.1')).seen`, udp: `await udp('127.0.0.1')` };
  test.each([
    { protocol: 'tcp', engine: 'epoll' },
    { protocol: 'udp', engine: 'epoll' },
    { protocol: 'tcp', engine: 'portable' },
    { protocol: 'udp', engine: 'portable' },
  ] as const)('source addresses are used in turn: $protocol, $engine', async ({ protocol, engine }) => {
    const front = { bind: `${protocol}://127.0.0.1:7000` };
    const text = config('127.0.0.1:9000', front, { source: sources }, { engine });
    const pinion = await startPinion(text, { wrapper: namespaceWrapper() });
    const seen = await inside(
      pinion,
      `await startBackend('127.0.0.1');
       const seen = [];
       for (let i = 0; i < 6; i++) seen.push(${asks[protocol]});
       return seen;`,
    );
    expect(seen).toEqual([...sources, ...sources]);
  });

  test('each has its own ports, and when all are used up the backend stays up', async () => {
    const pool = { source: sources, health: quickCheck };
    const pinion = await startPinion(config('127.0.0.1:9000', {}, pool), { wrapper: fewPorts });
    const answer = (await inside(
      pinion,
      `await startBackend('127.0.0.1');
       // Its own ports are outside the range, so the clients do not use them up.
       const open = (i) => tcp('127.0.0.1', { localAddress: '127.0.5.1', localPort: 20000 + i });
       let ports = 0;
       let first;
       while (first === undefined) first = await open(ports++);
       const held = [first];
       for (let i = 0; i < 40; i++) held.push(await open(ports++));
       const seen = held.filter(Boolean).map((one) => one.seen);
       const count = {};
       for (const one of seen) count[one] = (count[one] ?? 0) + 1;
       const page = await (await fetchFresh('http://127.0.0.1:9464/metrics')).text();
       for (const one of held) one?.socket.destroy();
       return { count, up: /pinion_backend_up\\{[^}]*\\} (\\d)/.exec(page)?.[1],
         faults: Number(/code="local-fault"\\} (\\d+)/.exec(page)?.[1]) };`,
    )) as { count: Record<string, number>; up: string; faults: number };
    expect(answer.count).toEqual({ '127.0.1.1': 10, '127.0.1.2': 10, '127.0.1.3': 10 });
    expect(answer.faults).toBeGreaterThanOrEqual(11);
    expect(answer.up).toBe('1');
  });

  test('a source that has no port left is passed over', async () => {
    const backends = [{ name: 'a', address: '127.0.0.1:9000' }];
    const pools = {
      pool: { health: noCheck, source: sources, backends },
      greedy: { health: noCheck, source: sources[1], backends },
      checked: {
        health: quickCheck,
        source: sources[1],
        backends: [{ name: 'b', address: '127.0.0.1:9100' }],
      },
    };
    const greedy = { ...both[0]!, name: 'greedy', bind: 'tcp://127.0.0.1:7001', pool: 'greedy' };
    const checked = { ...both[0]!, name: 'checked', bind: 'tcp://127.0.0.1:7002', pool: 'checked' };
    const listeners = [both[0]!, greedy, checked];
    const pinion = await startPinion(config('', {}, {}, { listeners, pools }), { wrapper: fewPorts });
    const seen = await inside(
      pinion,
      `await startBackend('127.0.0.1');
       net.createServer((socket) => socket.on('error', () => {}).end()).listen(9100, '127.0.0.1');
       const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
       const isUp = async () => {
         const page = await (await fetchFresh('http://127.0.0.1:9464/metrics')).text();
         return /pinion_backend_up\\{[^}]*backend="b"[^}]*\\} (\\d)/.exec(page)?.[1];
       };
       for (let i = 0; i < 300 && await isUp() !== '1'; i++) await pause(50);
       let ports = 20000;
       const ask = (port) => tcp('127.0.0.1', { port, localAddress: '127.0.5.1', localPort: ports++ });
       // A check may have one of the ports for a moment: three refusals in a row mean that all are held.
       let held = 0;
       for (let refused = 0; refused < 3; ) {
         if (await ask(7001) === undefined) refused++;
         else [held, refused] = [held + 1, 0];
       }
       const seen = [];
       for (let i = 0; i < 6; i++) seen.push((await ask(7000))?.seen);
       await pause(3000); // several checks
       for (let i = 0; i < 300 && await isUp() !== '1'; i++) await pause(50);
       return [await isUp(), held, ...seen];`,
    );
    const [up, held, ...used] = seen as [string, number, ...string[]];
    expect(up, 'a check that finds no port for itself says nothing about its backend').toBe('1');
    expect(held).toBe(10);
    // The second's turn is taken by the third.
    expect(used.sort()).toEqual([sources[0], sources[0], sources[2], sources[2], sources[2], sources[2]]);
  });

  test('over UDP as well: the eleventh conversation of a source goes to the next', async () => {
    const front = { bind: 'udp://127.0.0.1:7000' };
    const pinion = await startPinion(config('127.0.0.1:9000', front, { source: sources }), {
      wrapper: fewPorts,
    });
    const seen = await inside(
      pinion,
      `await startBackend('127.0.0.1');
       const seen = {};
       for (let i = 0; i < 30; i++) {
         const source = await udp('127.0.0.1', 20000 + i);
         seen[source] = (seen[source] ?? 0) + 1;
       }
       // One more, which nobody answers.
       await new Promise((resolve) => dgram.createSocket('udp4').bind(20030, () => resolve()).send('hello', 7000, '127.0.0.1'));
       return seen;`,
    );
    expect(seen).toEqual({ '127.0.1.1': 10, '127.0.1.2': 10, '127.0.1.3': 10 });
    // The first one asked once and was answered, which proves nothing: its source is the newcomer's.
    const flow = await pinion.waitForLog((record) => record.event === 'flow');
    expect(flow).toMatchObject({ code: 'evicted', client: '127.0.0.1:20000' });
    expect(pinion.events('flow-fault'), 'a source that is full is no news').toEqual([]);
    expect(pinion.events('flow').length).toBe(1);
  });

  // The backend's port is one that the kernel gives to dials, and nobody listens on it.
  test.each(['epoll', 'portable'])('no dial is connected with itself: %s', async (engine) => {
    const passive = { failures: 0 };
    const listeners = [both[0]!, { ...both[1]!, timeouts: { idle: '100ms' } }];
    const text = config('127.0.0.1:50002', {}, { passive }, { listeners, engine });
    const pinion = await startPinion(text, { wrapper: fewPorts });
    const answers = await inside(
      pinion,
      `const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
       const answers = [];
       const place = (i) => ({ localAddress: '127.0.5.1', localPort: 20000 + i });
       for (let i = 0; i < 40; i++) {
         const socket = net.connect({ port: 7000, host: '127.0.0.1', ...place(i) });
         socket.on('connect', () => socket.write('hello')).on('error', () => {});
         socket.on('data', (bytes) => { answers.push('tcp ' + bytes); socket.destroy(); });
         await new Promise((resolve) => socket.once('close', resolve));
       }
       for (let i = 0; i < 100; i++) {
         const socket = dgram.createSocket('udp4');
         socket.on('message', (bytes) => answers.push('udp ' + bytes));
         socket.bind(20000 + i, '127.0.5.1', () => socket.send('hello', 7000, '127.0.0.1'));
         await pause(30);
         socket.close();
       }
       return answers;`,
    );
    expect(answers).toEqual([]);
    // Those over UDP that were refused at once are told of together.
    const refused = (): number =>
      pinion.events('clients-refused').reduce((sum, { count }) => sum + Number(count), 0);
    await eventually('all flows', () => pinion.events('flow').length + refused() === 140);
    for (const { code } of pinion.events('clients-refused')) expect(code).toBe('backend-refused');
    const codesOf = (protocol: string) =>
      new Set(
        pinion
          .events('flow')
          .filter((flow) => flow.protocol === protocol)
          .map(({ code }) => code),
      );
    expect(codesOf('tcp')).toEqual(new Set(['backend-refused']));
    expect(codesOf('udp')).toEqual(new Set(['expired']));
  });

  test('keepalive is set also where the backend has sent an urgent byte', async () => {
    const front = { timeouts: { connect: '200ms' }, tcp: { keepalive: '200s' } };
    const pinion = await startPinion(config('127.0.0.1:9000', front, {}), { wrapper: namespaceWrapper() });
    const urgent = String.raw`use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
      bind($s, pack_sockaddr_in(9000, inet_aton('127.0.0.1'))) && listen($s, 8) or die $!; print "up\n"; close STDOUT;
      accept(my $c, $s) or die $!; send($c, 'X', MSG_OOB); 1 while sysread($c, my $b, 4096);`;
    const client = inside(
      pinion,
      `const perl = require('node:child_process').spawn('perl', ['-e', ${JSON.stringify(urgent)}], { stdio: ['ignore', 'pipe', 'inherit'] });
       await new Promise((resolve) => perl.stdout.once('data', resolve));
       const { socket, seen } = await tcp('127.0.0.1');
       await new Promise((resolve) => socket.once('close', resolve));
       perl.kill();
       return seen;`,
    );
    await eventually('keepalive towards the backend', async () => {
      const lines = await sockets(pinion, '-tio', 'state', 'established', 'dport = :9000');
      return lines.some((line) => /timer:\(keepalive,(2min|3min)/.test(line));
    });
    await pinion.stop();
    expect(await client).toBe('X');
  });

  test('a reload changes the source of new connections', async () => {
    const text = (source: string): string => config('127.0.0.1:9000', {}, { source });
    const pinion = await startPinion(text('127.0.1.1'), { wrapper: namespaceWrapper() });
    const ask = `return (await tcp('127.0.0.1'))?.seen;`;
    const backend = inside(pinion, `await startBackend('127.0.0.1'); await new Promise(() => {});`);
    const first = await eventually('a backend', async () => inside(pinion, ask).catch(() => undefined));
    expect(first).toBe('127.0.1.1');
    await reload(pinion, text('127.0.1.2'));
    expect(await inside(pinion, ask)).toBe('127.0.1.2');
    await Promise.all([stopEverything(), expect(backend).rejects.toThrow('ended')]);
  });

  test('a source that is not of this machine is named once, and another one serves', async () => {
    const pinion = await startPinion(config('127.0.0.1:9000', {}, { source: ['192.0.2.7', '127.0.1.2'] }), {
      wrapper: namespaceWrapper(),
    });
    const seen = await inside(
      pinion,
      `await startBackend('127.0.0.1');
       const seen = [];
       for (let i = 0; i < 4; i++) seen.push((await tcp('127.0.0.1'))?.seen);
       return seen;`,
    );
    expect(seen).toEqual(['127.0.1.2', '127.0.1.2', '127.0.1.2', '127.0.1.2']);
    await saidOnce(pinion, 'source 192.0.2.7: bind: EADDRNOTAVAIL; it is no address of this machine');
    expect(pinion.events('flow-fault'), 'no defect').toEqual([]);
  });

  test('a device that goes away is told once, of all workers, and again after a reload, which it does not refuse', async () => {
    const text = config('127.0.0.1:9000', {}, { device: 'none0' }, { workers: 2 });
    const pinion = await startPinion(text, {
      wrapper: namespaceWrapper(['ip link add none0 type veth peer name none1']),
    });
    await inside(
      pinion,
      `require('node:child_process').execFileSync('ip', ['link', 'del', 'none0']); return null;`,
    );
    const ask = `return await Promise.all(Array.from({ length: 20 }, () => tcp('127.0.0.1')));`;
    const refused = Array(20).fill(null);
    expect(await inside(pinion, ask)).toEqual(refused);
    await eventually('all flows', () => pinion.events('flow').length === 20);
    await expect
      .poll(() => pinion.events('pool-fault'))
      .toMatchObject([
        { level: 50, msg: 'pool pool cannot connect as configured: there is no device none0' },
      ]);
    await reload(pinion, text);
    expect(await inside(pinion, ask)).toEqual(refused);
    await eventually('all flows', () => pinion.events('flow').length === 40);
    await expect.poll(() => pinion.events('pool-fault').length).toBe(2);
    expect(pinion.events('flow-fault'), 'no defect').toEqual([]);
  });

  test('buffers, keepalive and its absence, as ss shows them', async () => {
    const tcp = { keepalive: '200s', receive_buffer: '96KiB', send_buffer: '72KiB' };
    const udp = {
      receive_buffer: '100KiB',
      send_buffer: '80KiB',
      backend_receive_buffer: '120KiB',
      backend_send_buffer: '90KiB',
    };
    const listeners = [
      { ...both[0]!, tcp, timeouts: { connect: '200ms' } },
      { ...both[1]!, udp },
    ];
    const pinion = await startPinion(config('127.0.0.1:9000', {}, {}, { listeners }), {
      wrapper: namespaceWrapper(),
    });
    const client = inside(
      pinion,
      `await startBackend('127.0.0.1');
       const one = await tcp('127.0.0.1');
       await udp('127.0.0.1');
       await new Promise((resolve) => one.socket.once('close', resolve));
       return one.seen;`,
    );
    // The kernel stores twice what it is asked for: socket(7).
    const tcpMemory = new RegExp(`rb${2 * 96 * 1024},.*tb${2 * 72 * 1024},`);
    const keepAlive = /timer:\(keepalive,(2min|3min)/;
    for (const filter of ['sport = :7000', 'dport = :9000']) {
      const [line] = await eventually(`a connection with ${filter}`, async () => {
        const lines = await sockets(pinion, '-tio', 'state', 'established', filter);
        return lines.length === 1 && keepAlive.test(lines[0]!) && lines;
      });
      expect(line).toMatch(tcpMemory);
    }
    const [listener] = await sockets(pinion, '-ua', 'sport = :7000');
    expect(listener).toMatch(new RegExp(`rb${2 * 100 * 1024},.*tb${2 * 80 * 1024},`));
    const [upstream] = await eventually('a socket towards the backend', async () => {
      const lines = await sockets(pinion, '-u', 'dport = :9000');
      return lines[0]?.includes('rb') && lines;
    });
    expect(upstream).toMatch(new RegExp(`rb${2 * 120 * 1024},.*tb${2 * 90 * 1024},`));
    await pinion.stop();
    expect(await client).toBe('127.0.0.1');
  });

  test('fast open: the first bytes of a client come with its handshake', async () => {
    // 1 + 2: both sides; 4 and 0x200: without a cookie.
    const wrapper = namespaceWrapper(['echo 519 > /proc/sys/net/ipv4/tcp_fastopen']);
    const pinion = await startPinion(config('127.0.0.1:9000', { tcp: { fast_open: 16 } }, {}), { wrapper });
    const libc = pathToFileURL(pinionMain().replace(/main\.js$/, 'linux/'));
    const connectOption = 30; // TCP_FASTOPEN_CONNECT: connect(2) waits for the first send.
    await inside(
      pinion,
      `const { socket, setOption, connect, send, close } = await import('${libc}libc.js');
       const { Arena } = await import('${libc}arena.js');
       const region = new Arena(128).cut(64);
       region.view.setUint16(0, 2, true);
       region.view.setUint16(2, 7000);
       region.view.setUint32(4, 0x7f000001);
       const fd = socket(2, 1);
       const answers = [setOption(fd, 6, ${connectOption}, 1), connect(fd, region, 16), send(fd, region, 0, 8)];
       await new Promise((resolve) => setTimeout(resolve, 300));
       close(fd);
       return answers;`,
    );
    const [names, values] = readFileSync(`/proc/${pinion.pid}/net/netstat`, 'latin1')
      .split('\n')
      .map((row) => row.split(' '));
    expect(values![names!.indexOf('TCPFastOpenPassive')]).toBe('1');
  });

  test('the portable engine says what it goes without', async () => {
    const text = config(
      '127.0.0.1:9000',
      { bind_device: 'lo', tcp: { fast_open: 1 } },
      { mark: 7 },
      { engine: 'portable' },
    );
    const pinion = await startPinion(text, { wrapper: namespaceWrapper() });
    expect(pinion.events('listener-fault')).toMatchObject([
      { message: 'the portable engine goes without bind_device, tcp.fast_open, mark of its pool' },
    ]);
    expect(pinion.events('flow-fault'), 'no defect').toEqual([]);
  });

  test('a listener for a device that does not exist does not start', async () => {
    const start = startPinion(config('127.0.0.1:9000', { bind_device: 'none0' }, {}), {
      wrapper: namespaceWrapper(),
    });
    await expect(start).rejects.toThrow('device none0');
  });
});

test('health checks leave from a source that is of this machine', async () => {
  const seen = new Set<string>();
  const server = createServer((socket) => {
    // A check that waits for us is still there when it is looked at.
    seen.add(socket.remoteAddress ?? 'nobody');
    socket.on('error', () => {}).end('hello');
  });
  await once(server.listen(await freePort(), '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const source = ['fd00::7', '192.0.2.7', '127.0.1.2'];
  const backends = [{ name: 'a', address: `127.0.0.1:${port}` }];
  await startPinion(
    configText({
      listeners: [listener('front', 'tcp', 'pool')],
      pools: { pool: { health: { type: 'send-expect', steps: [{ expect: 'hello' }] }, source, backends } },
    }),
  );
  await eventually('a check', () => seen.size > 0);
  expect([...seen]).toEqual(['127.0.1.2']);
  server.close();
});

/** The log speaks of it in one line. */
async function saidOnce(pinion: Pinion, text: string): Promise<void> {
  const lines = (): number => pinion.logs.filter((record) => JSON.stringify(record).includes(text)).length;
  await eventually(`a line with ${text}`, () => lines() > 0);
  expect(lines()).toBe(1);
}

describe.skipIf(!hostsWork())('among hosts', () => {
  let network: Network;

  beforeEach(async () => {
    network = await createNetwork({
      client: '10.77.0.1/24',
      lb: '10.77.0.2/24',
      backend: '10.77.0.3/24',
    });
    for (const [host, ip] of Object.entries({ client: 'fd77::1', lb: 'fd77::2', backend: 'fd77::3' }))
      await network.ip(host, 'address', 'add', `${ip}/64`, 'dev', 'eth0', 'nodad');
    return () => network.close();
  });

  async function startBackend(host: string): Promise<void> {
    const program = `${backendProgram} startBackend('${host}');`;
    const backend = network.start('backend', { command: process.execPath, args: ['-e', program] });
    await backend.waitForOutput(/listening/);
  }

  /** Runs a program on a host; it ends with what the program returns. */
  async function on(host: string, program: string): Promise<unknown> {
    const text = `${clientProgram}
      (async () => { console.log(JSON.stringify(await (async () => { ${program} })())); process.exit(); })();`;
    const [command, ...args] = network.wrapper(host);
    return JSON.parse(await runToEnd({ command: command!, args: [...args, process.execPath, '-e', text] }));
  }

  function start(text: string): Promise<Pinion> {
    return startPinion(text, { wrapper: network.wrapper('lb') });
  }

  test.each([
    { family: '-4', client: '10.77.0.1', lb: '10.77.0.2', backend: '10.77.0.3', any: '0.0.0.0/0', wide: 32 },
    { family: '-6', client: 'fd77::1', lb: 'fd77::2', backend: 'fd77::3', any: '::/0', wide: 128 },
  ])('transparent: the backend sees the client ($family)', async (at) => {
    const { family, client, lb, backend } = at;
    const host = (ip: string): string => (ip.includes(':') ? `[${ip}]` : ip);
    // Answers come here instead of to the client, and are delivered although the address is not ours:
    // https://docs.kernel.org/networking/tproxy.html
    await network.ip('backend', family, 'route', 'add', `${client}/${at.wide}`, 'via', lb);
    await network.ip('lb', family, 'rule', 'add', 'from', backend, 'to', client, 'lookup', '100');
    await network.ip('lb', family, 'route', 'add', 'local', at.any, 'dev', 'lo', 'table', '100');
    await startBackend(backend);
    const listeners = both.map((one) => ({ ...one, bind: one.bind.replace('127.0.0.1', host(lb)) }));
    const pools = {
      pool: {
        health: noCheck,
        transparent: true,
        backends: [{ name: 'a', address: `${host(backend)}:9000` }],
      },
    };
    const pinion = await start(config('', {}, {}, { listeners, pools }));
    const seen = await on('client', `return [(await tcp('${lb}'))?.seen, await udp('${lb}')];`);
    expect(seen).toEqual([client, client]);
    expect(pinion.events('flow-fault')).toEqual([]);
  });

  test('mark and device choose the route', async () => {
    // 10.99.0.1 is behind the backend; only marked packets know the way.
    await network.ip('backend', 'address', 'add', '10.99.0.1/32', 'dev', 'lo');
    await network.ip('lb', 'rule', 'add', 'fwmark', '42', 'lookup', '200');
    await network.ip('lb', 'route', 'add', '10.99.0.1/32', 'via', '10.77.0.3', 'table', '200');
    await startBackend('0.0.0.0');
    const backends = [{ name: 'a', address: '10.99.0.1:9000' }];
    const near = [{ name: 'a', address: '10.77.0.3:9000' }];
    const pools = {
      marked: { health: noCheck, mark: 42, backends },
      plain: { health: noCheck, backends },
      right: { health: noCheck, device: 'eth0', backends: near },
      wrong: { health: noCheck, device: 'lo', backends: near },
    };
    const listeners = Object.keys(pools).map((pool, i) => ({
      name: pool,
      bind: `tcp://10.77.0.2:${7000 + i}`,
      pool,
      affinity: 'none',
      timeouts: { connect: '1s' },
    }));
    await start(config('', {}, {}, { listeners, pools }));
    const ask = (i: number): string => `(await tcp('10.77.0.2', { port: ${7000 + i} }))?.seen ?? 'none'`;
    const seen = await on('client', `return [${ask(0)}, ${ask(1)}, ${ask(2)}, ${ask(3)}];`);
    expect(seen).toEqual(['10.77.0.2', 'none', '10.77.0.2', 'none']);
  });

  test('bind_device: a client that comes in another way finds nobody', async () => {
    await startBackend('10.77.0.3');
    await start(config('10.77.0.3:9000', { bind: 'tcp://0.0.0.0:7000', bind_device: 'eth0' }, {}));
    expect(await on('client', `return (await tcp('10.77.0.2'))?.seen;`)).toBe('10.77.0.2');
    const refused = `return new Promise((resolve) =>
      require('node:net').connect(7000, '127.0.0.1').once('connect', () => resolve('open')).once('error', (e) => resolve(e.code)));`;
    expect(await on('lb', refused)).toBe('ECONNREFUSED');
  });

  // Without these options it would be 75 s or more (keepalive) and a quarter of an hour (retransmission): longer than
  // the wait below.
  const keepAlive = { keepalive: '1s', keepalive_interval: '8s', keepalive_probes: 1 };
  const userTimeout = { keepalive: 0, user_timeout: '1s' };
  test.each([
    { what: 'keepalive', tcp: keepAlive, cut: 'client', code: 'client-reset', sends: false },
    { what: 'keepalive', tcp: keepAlive, cut: 'backend', code: 'backend-reset', sends: false },
    { what: 'user_timeout', tcp: userTimeout, cut: 'backend', code: 'backend-reset', sends: true },
  ])('$what: a $cut that is gone is given up', async ({ tcp, cut, code, sends }) => {
    await startBackend('10.77.0.3');
    const front = { bind: 'tcp://10.77.0.2:7000', tcp, timeouts: { connect: '500ms' } };
    const pinion = await start(config('10.77.0.3:9000', front, {}));
    const program = `${clientProgram}
      tcp('10.77.0.2').then(({ socket, seen }) => {
        console.log(seen);
         if (${sends}) setInterval(() => socket.write('x'), 200);
        socket.on('error', () => {});
      });`;
    const client = network.start('client', { command: process.execPath, args: ['-e', program] });
    await client.waitForOutput(/10\.77\.0\.2/);
    await network.cable(cut, 'down');
    const flow = await pinion.waitForLog((record) => record.event === 'flow', 60_000);
    expect(flow.code).toBe(code);
  });

  test('user_timeout: a client that takes nothing more is given up', async () => {
    const program = `require('node:net').createServer((socket) => {
        setInterval(() => socket.write('x'), 200);
        socket.on('error', () => {});
      }).listen(9000, '10.77.0.3', () => console.log('listening'));`;
    const backend = network.start('backend', { command: process.execPath, args: ['-e', program] });
    await backend.waitForOutput(/listening/);
    const pinion = await start(
      config('10.77.0.3:9000', { bind: 'tcp://10.77.0.2:7000', tcp: userTimeout }, {}),
    );
    const listening = `${clientProgram} tcp('10.77.0.2').then(({ seen, socket }) => { console.log('seen', seen); socket.resume(); });`;
    const client = network.start('client', { command: process.execPath, args: ['-e', listening] });
    await client.waitForOutput(/seen/);
    await network.cable('client', 'down');
    const flow = await pinion.waitForLog((record) => record.event === 'flow', 60_000);
    expect(flow.code).toBe('client-reset');
  });
});
