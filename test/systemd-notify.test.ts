/** What a service manager hears (sd_notify(3)), on the socket it would listen on; and what SIGHUP means on a terminal. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { findCommand } from './support/packages.ts';
import { type Pinion, pinionMain, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { processTree } from './support/procfs.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';
import { UnixDatagrams } from './support/unix-datagrams.ts';

let manager: UnixDatagrams | undefined;

afterEach(async () => {
  await stopEverything();
  await stopServers();
  manager?.close();
  manager = undefined;
});

const watchdogMs = 4_000;

async function started(engine: 'epoll' | 'portable', path: string): Promise<Pinion> {
  manager = new UnixDatagrams(path);
  const text = configText({
    engine,
    workers: engine === 'epoll' ? 2 : 1,
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { health: noCheck, backends: backendsOf(await namedTcp(['a'])) } },
  });
  return startPinion(text, {
    env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: String(watchdogMs * 1_000), PINION_TEST_FAULTS: '1' },
  });
}

test.each(['epoll', 'portable'] as const)(
  'a manager hears all of a life with the %s engine',
  async (engine) => {
    const path = engine === 'epoll' ? `${temporaryFolder('notify')}/notify` : `@pinion-test-${process.pid}`;
    const pinion = await started(engine, path);
    const { texts } = manager!;
    await eventually('READY', () => manager!.last(/^READY=1$/m));
    expect(texts[0]).toBe('READY=1\nSTATUS=0 flows; 1 of 1 backends are up');
    const client = await tcpClient(pinion.port('front'));
    await eventually('a status with the client', () => manager!.last(/^STATUS=1 flows; /));

    const beforeUsec = process.hrtime.bigint() / 1_000n;
    const good = texts.length;
    pinion.process.signal('SIGHUP');
    const reloading = await eventually('RELOADING', () => manager!.last(/^RELOADING=1$/m, good));
    expect(BigInt(/^MONOTONIC_USEC=(\d+)$/m.exec(reloading)![1]!)).toBeGreaterThanOrEqual(beforeUsec);
    await eventually('READY again', () => manager!.last(/^READY=1\nSTATUS=1 flows;/, good));
    const bad = texts.length;
    writeFileSync(pinion.configPath, '\n- nothing\n');
    pinion.process.signal('SIGHUP');
    await eventually('the refusal', () =>
      manager!.last(/^READY=1\nSTATUS=.*the last reload was refused: \S+:2:/, bad),
    );

    const fed = (): number => texts.filter((text) => text === 'WATCHDOG=1').length;
    const before = fed();
    await eventually('food for the watchdog', () => fed() >= before + 2);
    await admin(pinion, 'POST', '/faults/workers/0/loop');
    await pinion.waitForLog(({ event, worker }) => event === 'worker-stuck' && worker === 0);
    // What was sent before it was noticed.
    const starved = await settled('food', fed, watchdogMs / 2);
    await sleep(watchdogMs / 2);
    expect(fed(), 'nothing while a worker hangs').toBe(starved);

    client.socket.destroy();
    await pinion.stop('SIGTERM');
    expect(manager!.last(/^STOPPING=1$/m)).toMatch(/^EXTEND_TIMEOUT_USEC=10000000$/m);
  },
);

test('a start that fails is said to the manager in words', async () => {
  const path = `${temporaryFolder('notify')}/notify`;
  manager = new UnixDatagrams(path);
  const [squatter] = await namedTcp(['squatter']);
  const text = configText({
    listeners: [{ ...listener('front', 'tcp', 'pool'), bind: `tcp://${squatter!.address}` }],
    pools: { pool: { health: noCheck, backends: [{ name: 'a', address: '127.0.0.1:9' }] } },
  });
  await expect(startPinion(text, { env: { NOTIFY_SOCKET: path } })).rejects.toThrow('EADDRINUSE');
  await eventually('why', () => manager!.last(/^STATUS=failed: listener front: cannot bind .*EADDRINUSE/));
  expect(manager.last(/READY/)).toBeUndefined();
});

test('on a terminal SIGHUP reads the file again, and the end of the terminal ends it', async () => {
  const script = findCommand('script');
  expect(script, 'script is missing: install bsdutils').toBeDefined();
  const file = temporaryFile(
    'pinion.yaml',
    configText({
      listeners: [listener('front', 'tcp', 'pool')],
      pools: { pool: { health: noCheck, backends: [{ name: 'a', address: '127.0.0.1:9' }] } },
    }),
  );
  const log = `${temporaryFolder('terminal')}/log`;
  const command = `exec ${process.execPath} ${pinionMain()} run ${file}`;
  const terminal = spawn(script!, ['--quiet', '--flush', '--command', command, log]);
  let shown = '';
  terminal.stdout.setEncoding('utf8').on('data', (text) => {
    shown += text;
  });
  await eventually('it to be ready', () => /ready/.test(shown));
  const pid = processTree(terminal.pid!).at(-1)!;
  process.kill(pid, 'SIGHUP');
  await eventually('a reload', () => /new configuration in use/.test(shown));
  terminal.kill('SIGKILL');
  await eventually('it to end', () => !existsSync(`/proc/${pid}`));
});
