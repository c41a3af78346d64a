/** Faults of the process itself: rows 42 to 44 and 46 of the reliability table. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { admin, adminAt, backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type Pinion, pinionMain, startPinion } from './support/pinion.ts';
import { freePort, isBound } from './support/ports.ts';
import { startProcess, stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, udpServer } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

async function start(more: Section = {}, env: NodeJS.ProcessEnv = {}): Promise<Pinion> {
  const servers = await namedTcp(['a', 'b', 'c']);
  const text = configText({
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { policy: 'round-robin', health: noCheck, backends: backendsOf(servers) } },
    ...more,
  });
  return startPinion(text, { env: { PINION_TEST_FAULTS: '1', ...env } });
}

describe('row 42: a worker that dies', () => {
  test('takes only its own connections with it, and another takes its place', async () => {
    const pinion = await start({ workers: 2 });
    const port = pinion.port('front');
    const workers = (await pinion.metric('pinion_workers')) ?? 0;
    const addresses = clientAddresses(64);
    const open = await inParallel(addresses, (from) => tcpClient(port, { from }));
    const names = await Promise.all(open.map((client) => client.line()));

    await admin(pinion, 'POST', '/faults/workers/0/exit');
    await pinion.waitForLog((record) => record.event === 'worker-died' && record.worker === 0);
    await pinion.waitForLog((record) => record.event === 'worker-restarted' && record.worker === 0);
    // Each one is either served on or closed; none hangs.
    for (const client of open) client.socket.write('.');
    const fates = await Promise.all(
      open.map((client, i) =>
        Promise.race([client.outcome, eventually('the echo', () => client.text === `${names[i]}\n.`)]),
      ),
    );
    const served = fates.filter((fate) => fate === true).length;
    if (workers === 1) expect(served).toBe(0);
    else expect(served, 'the other worker went on').toBeGreaterThan(0);
    expect(served, 'the dead one had some').toBeLessThan(64);
    expect(
      await eventually(
        'the flows of the dead counted off',
        async () => (await pinion.metric('pinion_flows')) === served,
      ),
    ).toBe(true);
    const again = await inParallel(addresses, (from) => askTcp(port, from));
    expect(again, 'pins outlive the worker').toEqual(names);
    await expect.poll(() => pinion.metric('pinion_worker_restarts_total')).toBe(1);
  });

  test('before the instance is ready is told everything when it has started again', async () => {
    const [server] = await namedTcp(['a']);
    const env = { PINION_TEST_FAULTS: '1' };
    const dieEarly = async (): Promise<Pinion> => {
      const [adminPort, nobody] = [await freePort(), await freePort()];
      // Without Redis the start waits two seconds for the shared pins.
      const text = configText({
        workers: 2,
        admin: adminAt(`127.0.0.1:${adminPort}`),
        cluster: { name: 'test', redis: `redis://127.0.0.1:${nobody}` },
        listeners: [listener('front', 'tcp', 'pool')],
        pools: { pool: { health: noCheck, backends: backendsOf([server!]) } },
      });
      const pinion = await startPinion(text, {
        env,
        readyWhenBound: { transport: 'tcp', port: adminPort },
      });
      await pinion.waitForLog((record) => record.event === 'listening' && record.listener === 'admin');
      await admin(pinion, 'POST', '/faults/workers/0/exit');
      await pinion.waitForLog((record) => record.event === 'worker-died');
      return pinion;
    };
    let pinion = await dieEarly();
    // On a busy machine the start may have been over.
    for (let tries = 1; pinion.events('ready').length > 0; tries++) {
      expect(tries).toBeLessThan(10);
      await pinion.stop('SIGKILL');
      pinion = await dieEarly();
    }
    await pinion.waitForLog((record) => record.event === 'ready');
    const port = pinion.port('front');
    expect(new Set(await inParallel(clientAddresses(64), (from) => askTcp(port, from)))).toEqual(
      new Set(['a']),
    );
  });

  test('again and again ends the process, so that the service manager sees it', async () => {
    const pinion = await start();
    const breaker = setInterval(() => {
      void admin(pinion, 'POST', '/faults/workers/0/exit').catch(() => {});
    }, 20);
    const status = await pinion.process.exited;
    clearInterval(breaker);
    expect(status).toEqual({ code: 70, signal: null });
    expect(pinion.events('failed')).toMatchObject([
      { msg: expect.stringMatching(/worker 0 died 6 times in a row/) },
    ]);
  });

  test('without a chance to close its sockets ends the process: the kernel would go on sending clients to them', async () => {
    const pinion = await start({ workers: 2, engine: 'epoll' }, { NODE_OPTIONS: '--max-old-space-size=64' });
    const client = await tcpClient(pinion.port('front'));
    await client.line();
    await admin(pinion, 'POST', '/faults/workers/0/heap');
    expect(await pinion.process.exited).toEqual({ code: 70, signal: null });
    expect(pinion.events('failed')).toMatchObject([
      { msg: expect.stringMatching(/worker 0 died and left its sockets open: .*memory/) },
    ]);
    expect(await client.outcome).not.toBe('closed here');
  });

  test('while serving one flow gives up that flow alone', async () => {
    const pinion = await start({ workers: 1 });
    const bystander = await tcpClient(pinion.port('front'), { from: '127.8.0.1' });
    const name = await bystander.line();
    await admin(pinion, 'POST', '/faults/flow');
    // The worker may accept one more before it hears of it.
    let fate = 'served';
    for (let client = 2; fate === 'served' && client < 20; client++) {
      const victim = await tcpClient(pinion.port('front'), { from: `127.8.0.${client}` });
      const served = eventually('a name', () => victim.text !== '').then(
        () => 'served',
        () => 'silent',
      );
      fate = await Promise.race([victim.outcome, served]);
    }
    expect(fate).toBe('ECONNRESET');
    await pinion.waitForLog((record) => record.event === 'flow-fault');
    await pinion.waitForLog((record) => record.event === 'flow' && record.code === 'worker-error');
    bystander.socket.write('still here');
    await eventually('the echo', () => bystander.text === `${name}\nstill here`);
    expect(await askTcp(pinion.port('front'), '127.8.0.99')).toMatch(/^[abc]$/);
  });
});

test('row 43: an uncaught exception is logged and ends the process with status 70', async () => {
  const pinion = await start();
  const client = await tcpClient(pinion.port('front'));
  await client.line();
  await admin(pinion, 'POST', '/faults/main');
  expect(await pinion.process.exited).toEqual({ code: 70, signal: null });
  expect(await client.outcome).not.toBe('closed here');
  const last = pinion.events('failed').at(-1);
  expect(last).toMatchObject({ level: 60, msg: expect.stringMatching(/thrown on request/) });
});

describe('row 44: signals', () => {
  test('SIGTERM lets an open connection finish, refuses new ones and ends with status 0', async () => {
    const pinion = await start({ shutdown: { drain: '20s' } });
    const port = pinion.port('front');
    const client = await tcpClient(port);
    const name = await client.line();
    pinion.process.signal('SIGTERM');
    await pinion.waitForLog((record) => record.event === 'shutdown');
    await eventually('the listener closed', () => !isBound('tcp', port, pinion.pid));
    client.socket.write('one more question');
    await eventually('its answer', () => client.text === `${name}\none more question`);
    await client.leave();
    expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
    expect(await pinion.waitForLog((record) => record.event === 'flow')).toMatchObject({
      code: 'client-closed',
    });
    expect(pinion.events('stopped').length).toBe(1);
  });

  test('the drain deadline ends what is still open', async () => {
    const pinion = await start({ shutdown: { drain: '500ms' } });
    const client = await tcpClient(pinion.port('front'));
    await client.line();
    pinion.process.signal('SIGTERM');
    expect(await client.outcome).toBe('ECONNRESET');
    expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
    expect(pinion.events('flow')).toMatchObject([{ code: 'shutdown' }]);
  });

  test('a second SIGTERM ends at once', async () => {
    const pinion = await start({ shutdown: { drain: '1h' } });
    const client = await tcpClient(pinion.port('front'));
    await client.line();
    pinion.process.signal('SIGTERM');
    await pinion.waitForLog((record) => record.event === 'shutdown');
    pinion.process.signal('SIGTERM');
    expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
    expect(await client.outcome).toBe('ECONNRESET');
  });

  test('SIGTERM while it starts ends it as quietly as later, with status 0', async () => {
    const [server] = await namedTcp(['a']);
    const text = configText({
      workers: 3,
      listeners: [listener('front', 'tcp', 'pool'), listener('udp', 'udp', 'pool')],
      pools: { pool: { health: noCheck, backends: backendsOf([server!]) } },
    });
    const config = temporaryFile('pinion.yaml', text);
    for (const delayMs of [0, 5, 10, 20, 40, 60, 80, 100, 150, 200]) {
      const args = [pinionMain(), 'run', '--config', config];
      const pinion = startProcess({ name: 'pinion', command: process.execPath, args });
      await pinion.waitForOutput(/"event":"starting"/);
      await sleep(delayMs);
      pinion.signal('SIGTERM');
      expect(await pinion.exited, pinion.output()).toEqual({ code: 0, signal: null });
      expect(pinion.output().match(/"event":"[a-z-]+"/g)).toContain('"event":"stopped"');
      expect(pinion.output()).not.toMatch(/cannot bind|"failed"/);
    }
  });

  test('storms of SIGHUP, SIGPIPE and SIGTERM are survived', async () => {
    const pinion = await start({ shutdown: { drain: '1h' } });
    const client = await tcpClient(pinion.port('front'));
    const name = await client.line();
    const baseline = await settled('descriptors', () => pinion.descriptors());
    for (let i = 0; i < 200; i++) {
      pinion.process.signal('SIGHUP');
      pinion.process.signal('SIGPIPE');
      if (i % 20 === 0) await sleep(10);
    }
    await eventually('a reload', () => pinion.events('reloaded').length > 0);
    expect(await askTcp(pinion.port('front'))).toBe(name);
    expect(await settled('descriptors', () => pinion.descriptors())).toBe(baseline);
    client.socket.write('?');
    await eventually('the echo', () => client.text === `${name}\n?`);
    // Signals that are not taken in between are one signal (signal(7)), so they come with pauses.
    const storm = setInterval(() => pinion.process.signal('SIGTERM'), 5);
    expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
    clearInterval(storm);
    expect(pinion.events('shutdown').length).toBe(1);
  });
});

describe('row 46: addresses that cannot be bound', () => {
  async function configOf(binds: Readonly<Record<string, string>>): Promise<string> {
    const [server] = await namedTcp(['a']);
    const listeners = Object.entries(binds).map(([name, bind]) => ({ name, bind, pool: 'pool' }));
    const pools = { pool: { health: noCheck, backends: backendsOf([server!]) } };
    return temporaryFile('pinion.yaml', configText({ listeners, pools }));
  }

  test.each(['tcp', 'udp'] as const)(
    'a %s port in use names its listener and leaves nothing bound',
    async (protocol) => {
      const free = await freePort();
      const [other] = protocol === 'tcp' ? await namedTcp(['other']) : [undefined];
      let port = other?.port ?? 0;
      if (protocol === 'udp') {
        port = (await udpServer(() => {})).port;
      }
      const config = await configOf({
        good: `tcp://127.0.0.1:${free}`,
        bad: `${protocol}://127.0.0.1:${port}`,
      });
      const { status, stderr } = await pinionCommand(['run', '--config', config]);
      expect(status).toBe(1);
      expect(stderr).toBe(
        `pinion: listener bad: cannot bind ${protocol}://127.0.0.1:${port}: EADDRINUSE; ` +
          'another process has this address; stop it, or choose another port\n',
      );
      const server = createServer().listen(free, '127.0.0.1');
      await once(server, 'listening');
      server.close();
    },
  );

  test('an address this machine does not have', async () => {
    const config = await configOf({ far: `tcp://192.0.2.77:${await freePort()}` });
    const { status, stderr } = await pinionCommand(['run', '--config', config]);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^\/.*:\d+:\d+: listeners\[0\]\.bind: EADDRNOTAVAIL; this machine has no such address/,
    );
  });

  test('a privileged port without the right to it says what is needed', async () => {
    const config = await configOf({ web: 'tcp://127.0.0.1:81' });
    const noRights = ['setpriv', '--bounding-set=-net_bind_service', '--inh-caps=-net_bind_service', '--'];
    const wrapper = process.getuid?.() === 0 ? noRights : [];
    const { status, stderr } = await pinionCommand(['run', '--config', config], wrapper);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^\/.*:\d+:\d+: listeners\[0\]\.bind: EACCES: port 81 needs CAP_NET_BIND_SERVICE/);
  });
});
