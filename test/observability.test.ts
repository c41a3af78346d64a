/** What an operator sees: the pages, the log line of a flow, explain, and the commands that only print. */
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, askUdp, clientAddresses, tcpClient } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { admin, backendsOf, configText, listener, noCheck, workersHave } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

async function config(more = {}): Promise<string> {
  const [tcp, udp] = [await namedTcp(['a', 'b', 'c']), await namedUdp(['x', 'y'])];
  return configText({
    listeners: [
      listener('front', 'tcp', 'pool'),
      listener('game', 'udp', 'arena', { timeouts: { idle: '500ms' } }),
    ],
    pools: {
      pool: { policy: 'maglev', health: noCheck, backends: backendsOf(tcp) },
      arena: { policy: 'rendezvous', health: noCheck, backends: backendsOf(udp) },
    },
    ...more,
  });
}

async function page(pinion: Pinion, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${pinion.port('metrics')}${path}`);
  return { status: response.status, text: await response.text() };
}

describe('the pages', () => {
  test('/metrics counts what happened, in a form Prometheus reads', async () => {
    const pinion = await startPinion(await config());
    const name = await askTcp(pinion.port('front'));
    await askUdp(pinion.port('game'));
    await pinion.waitForLog((record) => record.event === 'flow' && record.protocol === 'udp');
    await expect.poll(() => pinion.metric('pinion_listener_flows_total', { listener: 'front' })).toBe(1);
    await expect
      .poll(() => pinion.metric('pinion_listener_bytes_total', { listener: 'front', direction: 'out' }))
      .toBe(2);
    await expect
      .poll(() => pinion.metric('pinion_listener_datagrams_total', { listener: 'game', direction: 'in' }))
      .toBe(1);
    await expect
      .poll(() => pinion.metric('pinion_listener_ended_total', { listener: 'front', code: 'client-closed' }))
      .toBe(1);
    await expect
      .poll(() => pinion.metric('pinion_listener_ended_total', { listener: 'game', code: 'expired' }))
      .toBe(1);
    await expect
      .poll(() => pinion.metric('pinion_backend_flows_total', { pool: 'pool', backend: name }))
      .toBe(1);
    await expect.poll(() => pinion.metric('pinion_backend_up')).toBe(5);
    await expect.poll(() => pinion.metric('pinion_pins')).toBe(2);
    await expect.poll(() => pinion.metric('pinion_build_info')).toBe(1);
    const text = await pinion.metrics();
    const line =
      /^(# (HELP|TYPE) [a-z_0-9]+ .+|[a-zA-Z_:][\w:]*(\{[^}]*\})? [-+.\deE]+|[\w:]+(\{[^}]*\})? (NaN|Nan|[+-]Inf))$/;
    expect(text.split('\n').filter((row) => row !== '' && !line.test(row))).toEqual([]);
    expect(text).toMatch(/^# TYPE pinion_listener_flows_total counter$/m);
  });

  test('/healthz and /readyz; a drain is not ready and still alive', async () => {
    const pinion = await startPinion(await config({ shutdown: { drain: '30s' } }));
    expect(await page(pinion, '/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect(await page(pinion, '/readyz')).toEqual({ status: 200, text: 'ready\n' });
    const client = await tcpClient(pinion.port('front'));
    await client.line();
    pinion.process.signal('SIGTERM');
    await pinion.waitForLog((record) => record.event === 'shutdown');
    // What a page says of control may be a tenth of a second old.
    const { text } = await eventually('not ready', async () => {
      const now = await page(pinion, '/readyz');
      return now.status === 503 ? now : undefined;
    });
    expect(text).toBe('not ready: it is starting or draining\n');
    expect((await page(pinion, '/healthz')).status).toBe(200);
    await client.leave();
    expect((await pinion.process.exited).code).toBe(0);
  });

  test('/readyz?in-step is no until the shared pins were read; without a cluster there are none', async () => {
    const alone = await startPinion(await config());
    expect(await page(alone, '/readyz?in-step')).toEqual({ status: 200, text: 'ready\n' });
    const cluster = { name: 'nobody', redis: `redis://127.0.0.1:${await freePort()}` };
    const pinion = await startPinion(await config({ cluster }));
    expect(await page(pinion, '/readyz')).toEqual({ status: 200, text: 'ready\n' });
    const { status, text } = await page(pinion, '/readyz?in-step');
    expect(text).toMatch(/^not ready: it has not read the shared pins yet \(\S+\)\n$/);
    expect(status).toBe(503);
    const at = ['ready', '--in-step', '--admin', `127.0.0.1:${pinion.port('admin')}`];
    expect(await pinionCommand(at), 'the command says the same').toMatchObject({ status: 1, stdout: text });
  });

  test('are only for who asks by address: a foreign Host is turned away, unknown paths and methods are named', async () => {
    const pinion = await startPinion(await config());
    const ask = (path: string, method: string, host: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const port = pinion.port('metrics');
        const call = request({ host: '127.0.0.1', port, path, method, headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        call.on('error', reject).end();
      });
    expect(await ask('/metrics', 'GET', 'evil.example')).toBe(421);
    expect(await ask('/nothing', 'GET', 'localhost')).toBe(404);
    expect(await ask('/metrics', 'POST', 'localhost')).toBe(405);
    expect(await ask('/faults/main', 'POST', 'localhost'), 'faults are for tests').toBe(404);
    expect((await admin(pinion, 'POST', '/faults/main')).status).toBe(404);
  });
});

test('connections lists as many as asked for, and says which numbers it takes', async () => {
  const pinion = await startPinion(await config());
  const client = await tcpClient(pinion.port('front'), { from: '127.3.2.9' });
  await client.line();
  const at = ['--admin', `127.0.0.1:${pinion.port('admin')}`];
  const { status, stdout } = await pinionCommand(['connections', ...at, '--json', '--most', '5']);
  expect({ status, listed: JSON.parse(stdout).connections.length }).toEqual({ status: 0, listed: 1 });
  for (const most of ['abc', '0', '-1', '1.5', '100001', '']) {
    expect(await pinionCommand(['connections', ...at, '--most', most])).toEqual({
      status: 2,
      stdout: '',
      stderr: `--most ${most}: must be a whole number from 1 to 100000\n`,
    });
  }
  expect(await admin(pinion, 'GET', '/connections?most=abc')).toEqual({
    status: 400,
    body: { error: 'most: must be a whole number from 1 to 100000' },
  });
});

test('the log has one line for each finished flow, with everything an operator asks for', async () => {
  const pinion = await startPinion(await config());
  const client = await tcpClient(pinion.port('front'), { from: '127.3.2.1' });
  const name = await client.line();
  client.socket.write('12345');
  await eventually('the echo', () => client.text === `${name}\n12345`);
  await client.leave();
  // Another worker may write the second flow's line: without waiting it may come first.
  await eventually('its line', () => pinion.events('flow').length === 1);
  await askTcp(pinion.port('front'), '127.3.2.1');
  await eventually('two lines', () => pinion.events('flow').length === 2);
  const [first, second] = pinion.events('flow');
  expect(first).toMatchObject({
    level: 30,
    event: 'flow',
    listener: 'front',
    protocol: 'tcp',
    client: expect.stringMatching(/^127\.3\.2\.1:\d+$/),
    pool: 'pool',
    backend: name,
    reason: 'policy',
    tries: 1,
    bytesIn: 5,
    bytesOut: 7,
    durationMs: expect.any(Number),
    connectMs: expect.any(Number),
    code: 'client-closed',
  });
  expect(second).toMatchObject({ backend: name, reason: 'pin' });
  const life = pinion.logs
    .map(({ event }) => event)
    .filter((event) => event !== 'flow' && event !== 'listening');
  expect(life).toEqual(['starting', 'ready']);
});

test('log.flows: off logs none, and sample: 0 too', async () => {
  for (const flows of [{ level: 'off' }, { sample: 0 }]) {
    const pinion = await startPinion(await config({ log: { flows } }));
    await askTcp(pinion.port('front'));
    await eventually(
      'the flow counted',
      async () => (await pinion.metric('pinion_listener_ended_total', { listener: 'front' })) === 1,
    );
    await pinion.stop();
    expect(pinion.events('stopped').length).toBe(1);
    expect(pinion.events('flow')).toEqual([]);
  }
});

test('log.level and log.flows follow a reload', async () => {
  const text = await config({ log: { level: 'info', flows: { level: 'off' } } });
  const pinion = await startPinion(text);
  const reload = async (next: string) => {
    writeFileSync(pinion.configPath, next);
    const { body } = await admin(pinion, 'POST', '/v1/reload');
    expect(body).toMatchObject({ needRestart: [] });
    await workersHave(pinion);
  };
  // What is logged of a flow is decided at its end.
  const ended = () => pinion.metric('pinion_listener_ended_total', { listener: 'front' });
  await askTcp(pinion.port('front'), '127.4.0.1');
  await expect.poll(ended).toBe(1);
  await reload(text.replace('off', 'debug'));
  await askTcp(pinion.port('front'), '127.4.0.2');
  await expect.poll(ended).toBe(2);
  await reload(text.replace('off', 'debug').replace('info', 'debug'));
  await askTcp(pinion.port('front'), '127.4.0.3');
  expect(await pinion.waitForLog(({ event }) => event === 'flow')).toMatchObject({
    level: 20,
    client: expect.stringMatching(/^127\.4\.0\.3:/),
  });
  await pinion.stop();
  expect(pinion.events('flow')).toHaveLength(1);
});

describe('explain', () => {
  test('asks the running instance: by policy first, by pin once the client was here, and where it would go', async () => {
    const pinion = await startPinion(await config());
    const at = [
      '--admin',
      `127.0.0.1:${pinion.port('admin')}`,
      '--listener',
      'front',
      '--client',
      '127.4.0.1',
      '--json',
    ];
    const explain = async (...more: string[]) => {
      const { status, stdout, stderr } = await pinionCommand(['explain', ...at, ...more]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return JSON.parse(stdout);
    };
    const before = await explain();
    expect(before).toMatchObject({
      by: 'policy',
      pinned: null,
      policy: 'maglev',
      listener: 'front',
      pool: 'pool',
    });
    expect(await askTcp(pinion.port('front'), '127.4.0.1')).toBe(before.backend);
    const after = await explain();
    expect(after).toMatchObject({ by: 'pin', backend: before.backend, pinned: before.backend });
    expect(after.without).toMatchObject({ lost: before.backend, backend: expect.stringMatching(/^[abc]$/) });
    expect(after.without.backend).not.toBe(before.backend);
    const other = ['a', 'b', 'c'].find((name) => name !== before.backend)!;
    expect((await explain('--without', other)).without).toEqual({ lost: other, backend: before.backend });
    const inWords = await pinionCommand(['explain', ...at.filter((word) => word !== '--json')]);
    expect(inWords.stdout).toMatch(
      /^pin +written by instance \S+ \(policy\), confirmed, expires in \d+ s unless used$/m,
    );
    const wrong = await pinionCommand(['explain', ...at, '--without', 'nobody']);
    expect(wrong).toMatchObject({ status: 1, stderr: 'pool pool has no backend nobody\n' });
  });

  test('without an instance it answers from the file, and the instance then agrees', async () => {
    const text = await config();
    const path = temporaryFile('pinion.yaml', text.replace(/"admin": \{[^}]*\},/, ''));
    const clients = clientAddresses(5);
    const foretold: string[] = [];
    for (const client of clients) {
      const { stdout } = await pinionCommand([
        'explain',
        '--config',
        path,
        '--listener',
        'front',
        '--client',
        client,
      ]);
      expect(stdout).toMatch(/^source +.*no instance asked/m);
      foretold.push(/^backend +(\S+)$/m.exec(stdout)?.[1] ?? '');
    }
    const pinion = await startPinion(text);
    expect(await Promise.all(clients.map((client) => askTcp(pinion.port('front'), client)))).toEqual(
      foretold,
    );
  });
});

test('status, connections and drain speak with a running instance', async () => {
  const pinion = await startPinion(await config());
  const at = ['--admin', `127.0.0.1:${pinion.port('admin')}`];
  const client = await tcpClient(pinion.port('front'), { from: '127.4.0.2' });
  const name = await client.line();
  const status = JSON.parse((await pinionCommand(['status', '--json', ...at])).stdout);
  expect(status).toMatchObject({ ready: true, flows: 1, config: pinion.configPath });
  const flows = JSON.parse((await pinionCommand(['connections', '--json', ...at])).stdout);
  expect(flows.connections).toMatchObject([
    { listener: 'front', backend: name, client: expect.stringMatching(/^127\.4\.0\.2:/) },
  ]);
  expect((await pinionCommand(['drain', `pool/${name}`, ...at])).status).toBe(0);
  // Who has changed something is not shown the page of before.
  expect((await page(pinion, '/metrics')).text).toMatch(
    new RegExp(`^pinion_backend_draining\\{[^}]*backend="${name}"[^}]*\\} 1$`, 'm'),
  );
  expect(await pinionCommand(['drain', 'pool/nobody', ...at])).toMatchObject({ status: 1 });
  expect((await pinionCommand(['undrain', `pool/${name}`, ...at])).status).toBe(0);
  await expect.poll(() => pinion.metric('pinion_backend_draining', { pool: 'pool', backend: name })).toBe(0);
  await client.leave();
  await pinion.stop();
  const gone = await pinionCommand(['status', ...at]);
  expect(gone).toMatchObject({ status: 1, stderr: expect.stringMatching(/^no pinion answers on /) });
});

describe('commands that only print', () => {
  test('schema is a JSON Schema that names every section', async () => {
    const { status, stdout } = await pinionCommand(['schema']);
    const schema = JSON.parse(stdout);
    expect(status).toBe(0);
    expect(schema.$schema).toMatch(/^https?:\/\/json-schema\.org\//);
    const sections = [
      'engine',
      'workers',
      'log',
      'metrics',
      'admin',
      'shutdown',
      'limits',
      'listeners',
      'pools',
    ];
    expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(sections));
    expect(schema.additionalProperties).toBe(false);
  });

  test('--version and --help', async () => {
    const version = await pinionCommand(['--version']);
    expect(version).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: '',
    });
    const help = await pinionCommand(['--help']);
    expect(help.status).toBe(0);
    for (const command of [
      'run',
      'check',
      'demo',
      'schema',
      'explain',
      'status',
      'connections',
      'drain',
      'undrain',
      'reload',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
      expect((await pinionCommand([command, '--help'])).stdout).toMatch(
        new RegExp(`^Usage: pinion ${command}`),
      );
    }
  });
});
