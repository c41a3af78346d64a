/**
 * Socket activation: a socket that somebody else has bound is used, and stays theirs. `systemd-socket-activate` is systemd's own end
 * of it; where a socket has to outlive two pinions the test is the one who has it.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Bind } from '../src/core/plan.ts';
import { Arena } from '../src/linux/arena.ts';
import { AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from '../src/linux/constants.ts';
import { encodeEndpoint } from '../src/linux/endpoint.ts';
import { bind, close, type Descriptor, listen, socket, socketName } from '../src/linux/libc.ts';
import { decodePort } from '../src/wire/sockaddr.ts';
import { askTcp, askUdp, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, noCheck, reload, type Section } from './support/config.ts';
import { findCommand } from './support/packages.ts';
import { type Pinion, pinionMain, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { startProcess, stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

/** Open, and inherited by what this process starts: they have no O_CLOEXEC. */
const held: Descriptor[] = [];

afterEach(async () => {
  await stopEverything();
  await stopServers();
  for (const fd of held.splice(0)) close(fd);
});

interface Held {
  readonly fd: Descriptor;
  readonly port: number;
}

/** A listening unix socket at a path. */
function holdUnix(path: string): Descriptor {
  const name = new Arena(128).cut(128);
  const endpoint = encodeEndpoint({ kind: 'unix', path })!;
  const fd = socket(AF_UNIX, SOCK_STREAM);
  held.push(fd);
  name.bytes.set(endpoint.bytes);
  expect(bind(fd, name, endpoint.length)).toBe(0);
  expect(listen(fd, 64)).toBe(0);
  return fd;
}

/** A socket on a free port, bound as a service manager would. */
function holdSocket(protocol: 'tcp' | 'udp', ip = '127.0.0.1'): Held {
  const name = new Arena(128).cut(128);
  const at: Bind = { kind: 'inet', ip, port: 0 };
  const endpoint = encodeEndpoint(at)!;
  const fd = socket(AF_INET, protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM);
  held.push(fd);
  name.bytes.set(endpoint.bytes);
  expect(bind(fd, name, endpoint.length)).toBe(0);
  if (protocol === 'tcp') expect(listen(fd, 64)).toBe(0);
  expect(socketName(fd, name)).toBe(0);
  return { fd, port: decodePort(name.view, 0) };
}

/** Passes sockets as systemd does: from descriptor 3 on, for this process id, with their names. Bash: sh knows no descriptor 10. */
function passing(sockets: readonly { readonly fd: number; readonly name?: string }[]): string[] {
  const moves = sockets.map(({ fd }, i) => `${3 + i}<&${fd}`).join(' ');
  const names = sockets.map(({ name }) => name ?? 'pinion.socket').join(':');
  const variables = `LISTEN_PID=$$ LISTEN_FDS=${sockets.length} LISTEN_FDNAMES=${names}`;
  return ['bash', '-c', `exec ${moves}; ${variables} exec "$@"`, 'passing'];
}

const at = (name: string, protocol: string, port: number, ip = '127.0.0.1'): Section => ({
  name,
  bind: `${protocol}://${ip}:${port}`,
  pool: protocol,
});

async function config(listeners: readonly Section[], more: Section = {}): Promise<string> {
  const tcp = { health: noCheck, backends: backendsOf(await namedTcp(['a'])) };
  const udp = { health: noCheck, backends: backendsOf(await namedUdp(['u'])) };
  const protocols = new Set(listeners.map(({ pool }) => pool));
  const pools = { ...(protocols.has('tcp') ? { tcp } : {}), ...(protocols.has('udp') ? { udp } : {}) };
  return configText({ listeners, pools, ...more });
}

test.each(['epoll', 'portable'] as const)(
  'sockets that are passed outlive workers, reloads and restarts with the %s engine',
  async (engine) => {
    const [web, games, other] = [holdSocket('tcp'), holdSocket('udp'), holdSocket('tcp')];
    const wrapper = passing([{ ...web, name: 'web' }, games, { ...other, name: 'other' }]);
    const [front, arena] = [at('web', 'tcp', web.port), at('games', 'udp', games.port)];
    const text = await config([front, arena], { engine, workers: 2 });
    const start = (): Promise<Pinion> => startPinion(text, { wrapper, env: { PINION_TEST_FAULTS: '1' } });
    const first = await start();
    await expect
      .poll(() => first.process.output())
      .toMatch(
        new RegExp(
          `warning: tcp://127\\.0\\.0\\.1:${other.port} \\(other\\) is passed, and no listener has this address`,
        ),
      );
    const serves = async (): Promise<void> => {
      expect(await askTcp(web.port)).toBe('a');
      expect(await askUdp(games.port)).toMatch(/^u/);
    };
    await serves();
    for (const worker of [0, 1]) {
      if (engine === 'portable' && worker === 1) break;
      await admin(first, 'POST', `/faults/workers/${worker}/exit`);
      await first.waitForLog((record) => record.event === 'worker-restarted' && record.worker === worker);
      await serves();
    }
    await reload(first, text.replace(/"name": "web"/, '"name": "shop"'));
    await serves();
    const descriptors = first.descriptors();
    for (let i = 0; i < 3; i++) {
      await reload(first, await config([arena], { engine, workers: 2 }));
      await reload(first, text);
    }
    await serves();
    expect(first.descriptors(), 'nothing is left open').toBeLessThanOrEqual(descriptors + 4);

    // Who comes while nobody serves waits in the socket, which is not closed.
    await first.stop('SIGTERM');
    const early = await tcpClient(web.port);
    const second = await start();
    expect(await early.line()).toBe('a');
    early.socket.destroy();
    await serves();
    await second.stop('SIGTERM');
  },
);

test.each(['epoll', 'portable'] as const)(
  'a unix socket that is passed serves, and its path stays, with the %s engine',
  async (engine) => {
    const path = join(temporaryFolder('passed'), 'web.sock');
    const wrapper = passing([{ fd: holdUnix(path) }]);
    const front = { name: 'web', bind: `unix:${path}`, pool: 'tcp' };
    const [text, without] = [
      await config([front], { engine }),
      await config([at('other', 'tcp', await freePort())], { engine }),
    ];
    const pinion = await startPinion(text, { wrapper });
    const serves = async (): Promise<void> => {
      const client = connect(path);
      expect(String((await once(client, 'data'))[0])).toMatch(/^a/);
      client.destroy();
    };
    await serves();
    await reload(pinion, without);
    await reload(pinion, text);
    await serves();
    const flags = readFileSync(`/proc/${pinion.process.pid}/fdinfo/3`, 'utf8').match(/^flags:\s*(\d+)/m)![1]!;
    expect(Number.parseInt(flags, 8) & 0o2000000, 'no program that it starts has it').not.toBe(0);
    await pinion.stop();
    expect(existsSync(path)).toBe(true);
  },
);

test('what does not fit a listener is refused with its place, and what is passed to another process is let be', async () => {
  const [web, again] = [holdSocket('tcp'), holdSocket('tcp')];
  const other = await freePort();
  const named = await config([at('web', 'tcp', other)]);
  const refused = startPinion(named, { wrapper: passing([{ ...web, name: 'web' }]) });
  await expect(refused).rejects.toThrow(
    new RegExp(
      `pinion.yaml:\\d+:\\d+: listeners\\[0\\].bind: the socket that is passed under this listener's name is tcp://127.0.0.1:${web.port} \\(web\\)`,
    ),
  );
  const wrapper = ['bash', '-c', `LISTEN_PID=1 LISTEN_FDS=1 exec "$@" 3<&${again.fd}`, 'passing'];
  const pinion = await startPinion(named, { wrapper });
  expect(await askTcp(other)).toBe('a');
  await pinion.stop();
});

// Not installed for the sake of a test: the package of a service manager changes more than it brings.
const activate = findCommand('systemd-socket-activate');
const canDrop = process.getuid?.() === 0 && existsSync('/usr/bin/setpriv');

test.skipIf(process.env.CI !== 'true' && (activate === undefined || !canDrop))(
  "systemd's own activation: a port below 1024, by name, without the right to it",
  async () => {
    expect(activate, 'systemd-socket-activate is missing: install systemd').toBeDefined();
    expect(canDrop, 'needs root and setpriv').toBe(true);
    // An address of its own: nobody else has its low ports.
    const ip = '127.83.0.7';
    const file = temporaryFile(
      'pinion.yaml',
      await config([at('low', 'tcp', 443, ip)], { admin: undefined }),
    );
    // It may not bind a port below 1024 by itself.
    const drop = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
    const run = [...drop, process.execPath, pinionMain(), 'run', '--config', file];
    const args = ['--listen', `${ip}:443`, '--fdname', 'low', ...run];
    const activation = startProcess({ name: 'activation', command: activate!, args });
    await activation.waitForOutput(/Listening on/);
    const client = await tcpClient(443, { host: ip });
    expect(await client.line()).toBe('a');
    client.socket.destroy();
    await activation.stop('SIGTERM');
  },
);
