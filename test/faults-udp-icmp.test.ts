/**
 * ICMP messages about a UDP backend, from a real router between pinion and its backends: what speaks of the backend counts
 * against it, what speaks of the path does not, and neither costs the datagram behind it (row 38 of the reliability table).
 *
 *     lb (pinion, client) --- router --- two backends        the router's way to them takes 1300 bytes
 */
import { afterEach, expect, test } from 'vitest';
import { configText, listener, noCheck } from './support/config.ts';
import { createNetwork, type Network } from './support/hosts.ts';
import { runInNamespaceOf } from './support/namespace.ts';
import { hostsWork } from './support/namespaces.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

let network: Network | undefined;

afterEach(async () => {
  await stopEverything();
  network?.close();
  network = undefined;
});

const echoProgram = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(9000, () => console.log('ready'));
`;

/** Sends each word (a number: so many bytes), and prints what came back until the last one had. */
function askProgram(port: number, words: readonly (string | number)[]): string {
  return `
    const socket = require('node:dgram').createSocket('udp4');
    const got = [];
    const isOver = new Promise((resolve) => {
      setTimeout(resolve, 10_000).unref();
      socket.on('message', (bytes) => {
        got.push(bytes.length > 100 ? bytes.length : bytes.toString());
        if (got.at(-1) === ${JSON.stringify(words.at(-1))}) resolve();
      });
    });
    (async () => {
      for (const word of ${JSON.stringify(words)}) {
        if (word === 'pause') await new Promise((resolve) => setTimeout(resolve, 300));
        else socket.send(typeof word === 'number' ? Buffer.alloc(word) : word, ${port}, '127.0.0.1');
      }
      await isOver;
      console.log(JSON.stringify(got));
      socket.close();
    })();
  `;
}

async function between(engine: string, rejectedAs?: string): Promise<Pinion> {
  network = await createNetwork({
    lb: '10.77.0.1/24',
    router: '10.77.0.2/24',
    b1: '10.78.0.11/24',
    b2: '10.78.0.12/24',
  });
  const inside = (host: string, ...words: readonly string[]): Promise<string> => {
    const [command, ...args] = [...network!.wrapper(host), ...words];
    return runToEnd({ command: command!, args });
  };
  await network.ip('router', 'address', 'add', '10.78.0.2/24', 'dev', 'eth0');
  await network.ip('router', 'route', 'replace', '10.78.0.0/24', 'dev', 'eth0', 'mtu', 'lock', '1300');
  for (const setting of ['ip_forward=1', 'conf.all.send_redirects=0', 'conf.eth0.send_redirects=0'])
    await inside('router', 'sysctl', '-qw', `net.ipv4.${setting}`);
  await network.ip('lb', 'route', 'add', '10.78.0.0/24', 'via', '10.77.0.2');
  for (const host of ['b1', 'b2']) {
    await network.ip(host, 'route', 'add', '10.77.0.0/24', 'via', '10.78.0.2');
    const echo = network.start(host, { command: process.execPath, args: ['-e', echoProgram] });
    await echo.waitForOutput(/ready/);
  }
  if (rejectedAs !== undefined) {
    // 4 bytes of payload and the UDP header.
    const rule = `ip protocol udp udp length 12 reject with icmp type ${rejectedAs}`;
    const hook = '{ type filter hook forward priority 0 ; }';
    await inside('router', 'nft', `add table ip t; add chain ip t c ${hook}; add rule ip t c ${rule}`);
  }
  return startPinion(
    configText({
      engine,
      workers: 1,
      listeners: [listener('front', 'udp', 'pool')],
      pools: {
        pool: {
          health: noCheck,
          passive: { failures: 3, eject: '20s' },
          backends: [
            { name: 'b1', address: '10.78.0.11:9000' },
            { name: 'b2', address: '10.78.0.12:9000' },
          ],
        },
      },
    }),
    { wrapper: network.wrapper('lb') },
  );
}

async function unreachable(pinion: Pinion): Promise<number> {
  const page = await runInNamespaceOf(
    pinion.pid,
    `fetchFresh('http://127.0.0.1:${pinion.port('metrics')}/metrics').then((one) => one.text()).then(console.log)`,
  );
  const counts = [...page.matchAll(/^pinion_backend_unreachable_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

requirePackage('iproute2', 'nftables')('a router between pinion and its backends', () => {
  const need = hostsWork() ? test : test.skip;

  need.each(['epoll', 'portable'])(
    '%s: a path with a smaller MTU is no fault of the backend',
    async (engine) => {
      const pinion = await between(engine);
      // More than `passive.failures` conversations meet it, each once: the kernel then knows the way's size.
      for (let i = 0; i < 5; i++) {
        await runToEnd({ command: 'ip', args: ['-n', network!.namespace('lb'), 'route', 'flush', 'cache'] });
        const words = ['hello', 'pause', 1_400, 'small-1', 'small-2', 'pause', 'small-3'];
        const answers = await runInNamespaceOf(pinion.pid, askProgram(pinion.port('front'), words));
        expect(JSON.parse(answers).filter((one: unknown) => typeof one === 'string')).toEqual([
          'hello',
          'small-1',
          'small-2',
          'small-3',
        ]);
      }
      expect(await unreachable(pinion)).toBe(0);
      expect(pinion.events('backend-down')).toEqual([]);
    },
  );

  need.each([
    ['epoll', 'admin-prohibited'],
    ['portable', 'admin-prohibited'],
    ['epoll', 'port-unreachable'],
    ['portable', 'port-unreachable'],
  ])('%s: %s is counted, and the datagram behind it arrives', async (engine, kind) => {
    const pinion = await between(engine, kind);
    const words = ['hello', 'pause', 'evil', 'pause', 'good-1', 'pause', 'good-2'];
    const answers = await runInNamespaceOf(pinion.pid, askProgram(pinion.port('front'), words));
    expect(JSON.parse(answers)).toEqual(['hello', 'good-1', 'good-2']);
    await expect.poll(() => unreachable(pinion)).toBe(1);
  });
});
