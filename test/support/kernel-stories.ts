/**
 * Stories of the conformance suite as they are where the kernel relays packets: the same behaviour under the same title, where what the
 * suite tells cannot be so for it. Each says what is different.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Protocol } from '../../src/core/plan.ts';
import type { BackendView, ListenerView } from '../../src/core/snapshot.ts';
import type { TerminationCode } from '../../src/core/termination.ts';
import { openBlackhole } from '../../src/engine/conformance/blackhole.ts';
import { openDoor } from '../../src/engine/conformance/doors.ts';
import { backendView } from '../../src/engine/conformance/listener.ts';
import { loopback } from '../../src/engine/conformance/messages.ts';
import type { Stage, StageOptions } from '../../src/engine/conformance/stage.ts';
import { type Story, story } from '../../src/engine/conformance/story.ts';
import { connection } from '../../src/engine/conformance/tcp-ends.ts';
import { TcpBackend, TcpPeer } from '../../src/engine/conformance/tcp-peer.ts';
import { conversation } from '../../src/engine/conformance/udp-conversations.ts';
import { UdpPeer } from '../../src/engine/conformance/udp-peer.ts';

export interface RetoldStory extends Story {
  /** A sentence: what is different. */
  readonly why: string;
}

function retold(
  name: string,
  why: string,
  run: (stage: Stage) => Promise<void>,
  options: StageOptions = {},
): RetoldStory {
  return { ...story(name, run, options), why };
}

/** Nobody on the host of clients and backends listens there. */
const refusing = backendView(loopback('127.0.0.1', 9), 'refusing');
const unresolved = { ...backendView(loopback(), 'unresolved'), target: undefined };
const crowd = 50;
/** The same server, on the port that the client came to. */
const samePort: BackendView = {
  ...backendView(loopback(), 'same port'),
  target: { kind: 'inet', ip: '127.0.0.1', port: 0, portShift: 0 },
};

async function echoes(client: TcpPeer, text: string): Promise<void> {
  const before = client.text;
  client.send(text);
  await client.receives(before + text);
}

/** A client whose SYN nobody may answer. */
function knock(stage: Stage, port: number): Socket {
  const socket = connect({ host: stage.scene.front('127.0.0.1'), port });
  socket.on('error', () => {});
  stage.onClose(() => void socket.destroy());
  return socket;
}

/** Binds a listener that takes one flow of each client. */
async function listenToOne(
  stage: Stage,
  protocol: Protocol,
  backend: BackendView,
): Promise<{ readonly port: number; readonly listener: ListenerView }> {
  await stage.behave([backend]);
  const view = stage.view(protocol);
  const listener = {
    ...view,
    plan: { ...view.plan, limits: { ...view.plan.limits, flowsPerClient: 1 } },
  };
  stage.send({ type: 'listen', listener });
  const bound = await stage.bound(listener);
  assert.ok(bound.type === 'listening');
  return { port: bound.port, listener };
}

/** Until the one that the flow is of hears of it with its next packet. */
async function isReset(...peers: readonly TcpPeer[]): Promise<void> {
  for (const peer of peers) {
    await peer.breaks();
    assert.equal(peer.error, 'reset');
  }
}

/** An order about a dial that nobody answers: the client's next SYN is led anew. */
async function ledAnew(
  stage: Stage,
  order: 'terminate' | 'abandon-dial',
  code: TerminationCode,
): Promise<void> {
  const silent = backendView(await openBlackhole(stage), 'silent');
  const backend = await TcpBackend.echo(stage);
  const { port } = await stage.listen('tcp', [silent]);
  const socket = knock(stage, port);
  const client = new TcpPeer(stage, socket);
  await stage.event('dialing');
  await stage.behave([backend.named('next')]);
  stage.send(
    order === 'terminate' ? { type: order, flowId: 1, code: 'backend-removed' } : { type: order, flowId: 1 },
  );
  await stage.closes(1, code);
  await echoes(client, 'patience');
  assert.equal((await stage.event('dialed')).backend, 'next');
  assert.deepEqual(stage.all('dial-failed'), []);
}

const atNextPacket = 'a side learns of a reset with its next packet';
const forgotten = 'a connection that was idle is forgotten and not ended: it goes on when somebody speaks';
const goesOn = 'the kernel goes on while the process stands still, and after it';
const notOpened = 'whom rules refuse never becomes a flow: counters of the table tell how many there were';
const twoFamilies =
  'the kernel does not translate between IPv4 and IPv6: clients of each find backends of their own';

const tcpStories = [
  retold('tcp: terminate while relaying resets both sides', atNextPacket, async (stage) => {
    const { client, server, flowId } = await connection(stage);
    stage.send({ type: 'terminate', flowId, code: 'backend-removed' });
    await stage.closes(flowId, 'backend-removed');
    await isReset(client, server);
    stage.send({ type: 'terminate', flowId, code: 'backend-removed' });
    stage.send({ type: 'proceed', flowId });
    await stage.stop();
    assert.equal(stage.all('closed').length, 1);
  }),

  retold('tcp: terminate while half closed resets the open side', atNextPacket, async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.finish();
    assert.equal(await server.outcome(), 'end');
    stage.send({ type: 'terminate', flowId, code: 'backend-removed' });
    await stage.closes(flowId, 'backend-removed');
    await isReset(server);
    assert.equal(client.text, '!');
  }),

  retold('tcp: an idle connection is reset', forgotten, async (stage) => {
    const { client, server, flowId } = await connection(stage, { timeouts: { idleMs: 1_000 } });
    await stage.closes(flowId, 'idle');
    client.send(' again');
    await server.receives('? again');
    server.send(' heard');
    await client.receives('! heard');
    await stage.eventually('it is followed again', () => stage.all('dialed').length === 2);
    assert.equal((await stage.event('opened', (event) => event.flowId === 2)).client, client.name);
  }),

  retold('tcp: a half-closed connection that falls silent is reset', forgotten, async (stage) => {
    const { client, server, flowId } = await connection(stage, { timeouts: { halfCloseMs: 1_000 } });
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await stage.closes(flowId, 'closed');
    server.send(' late');
    await client.receives('! late');
    assert.equal(client.ending, undefined);
  }),

  retold(
    'tcp: a half-closed connection has no longer than an open one',
    'how a connection that is forgotten had ended the kernel does not say',
    async (stage) => {
      const { client, server, flowId } = await connection(stage, { timeouts: { idleMs: 2_000 } });
      client.finish();
      assert.equal(await server.outcome(), 'end');
      await stage.closes(flowId, 'closed');
      assert.equal(client.ending, undefined);
    },
  ),

  retold(
    'tcp: a defect in the host costs one flow',
    `${atNextPacket}, and a flow has no descriptor that would be closed`,
    async (stage) => {
      const { client, server } = await connection(stage);
      const other = await TcpBackend.open(stage);
      const { port, listener } = await stage.listen('tcp', [other.view], { throwIn: 'dialed' });
      const unlucky = await TcpPeer.connect(stage, port);
      const { flowId } = await stage.firstOf(listener);
      assert.equal((await stage.event('fault')).flowId, flowId);
      await stage.closes(flowId, 'worker-error');
      await isReset(unlucky);
      client.send('still here');
      await server.receives('?still here');
    },
  ),

  retold(
    'tcp: when every backend refuses the client is reset',
    'the kernel tries one backend, and its refusal is what the client hears',
    async (stage) => {
      const { port } = await stage.listen('tcp', [refusing]);
      const client = await TcpPeer.connect(stage, port);
      assert.equal(await client.outcome(), 'ECONNREFUSED');
      await stage.closes(1, 'backend-refused');
      assert.deepEqual(
        stage.all('dial-failed').map(({ failure }) => failure),
        ['backend-refused'],
      );
      assert.deepEqual(stage.all('dialed'), []);
    },
  ),

  retold('tcp: a backend without an address is unreachable', notOpened, async (stage) => {
    const { port } = await stage.listen('tcp', [unresolved]);
    const client = await TcpPeer.connect(stage, port);
    assert.equal(await client.outcome(), 'ECONNREFUSED');
    assert.equal((await stage.event('refused')).code, 'no-backend');
    assert.deepEqual(stage.all('opened'), []);
  }),

  retold(
    'tcp: a network without a route is unreachable',
    'the kernel itself tells the client, and the connection never begins',
    async (stage) => {
      const { port } = await stage.listen('tcp', [backendView(loopback('198.51.100.1', 9))]);
      const client = await TcpPeer.connect(stage, port);
      assert.match(await client.outcome(), /^E(NET|HOST)UNREACH$/);
      await stage.settle();
      assert.deepEqual(stage.all('opened'), []);
    },
  ),

  retold(
    'tcp: a backend that does not answer times out, the next one serves',
    'the kernel tries one backend: the next one serves with the client’s next attempt',
    async (stage) => {
      const silent = backendView(await openBlackhole(stage), 'silent');
      const backend = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [silent], { timeouts: { connectMs: 1_000 } });
      const socket = knock(stage, port);
      assert.equal((await stage.event('dial-failed')).failure, 'backend-timeout');
      socket.destroy();
      await stage.closes(1, 'backend-timeout');
      await stage.behave([backend.named('next')]);
      await echoes(await TcpPeer.connect(stage, port), 'patience');
      await stage.settle();
      assert.deepEqual(
        stage.all('dialed').map((event) => event.backend),
        ['next'],
      );
    },
  ),

  retold(
    'tcp: a dial that is abandoned makes way for the next backend',
    'the client’s next SYN is led anew',
    (stage) => ledAnew(stage, 'abandon-dial', 'backend-unreachable'),
  ),

  retold('tcp: terminate while dialling', 'the client’s next SYN is led anew', (stage) =>
    ledAnew(stage, 'terminate', 'backend-removed'),
  ),

  retold('tcp: terminate from inside each call', atNextPacket, async (stage) => {
    const backend = await TcpBackend.echo(stage);
    for (const call of ['dialed', 'replied'] as const) {
      const { port, listener } = await stage.listen('tcp', [backend.view], {
        terminateIn: { call, code: 'backend-removed' },
      });
      const client = await TcpPeer.connect(stage, port);
      await stage.closes((await stage.firstOf(listener)).flowId, 'backend-removed');
      await isReset(client);
    }
  }),

  retold('tcp: a refusal by the host is a reset', notOpened, async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port, listener } = await listenToOne(stage, 'tcp', backend.view);
    const first = await TcpPeer.connect(stage, port);
    await echoes(first, 'one');
    const client = await TcpPeer.connect(stage, port);
    assert.equal(await client.outcome(), 'ECONNREFUSED');
    const refused = await stage.event('refused');
    assert.deepEqual([refused.listenerId, refused.code], [listener.id, 'limit-client']);
    await echoes(await TcpPeer.connect(stage, port, '127.0.0.2'), 'another');
    await echoes(first, ' more');
    assert.deepEqual([stage.all('opened').length, stage.all('closed').length], [2, 0]);
  }),

  retold('tcp: no route at all is a reset with its code', notOpened, async (stage) => {
    const { port } = await stage.listen('tcp', ['no-backend']);
    const client = await TcpPeer.connect(stage, port);
    assert.equal(await client.outcome(), 'ECONNREFUSED');
    assert.equal((await stage.event('refused')).code, 'no-backend');
    assert.deepEqual(stage.all('opened'), []);
  }),

  retold(
    'tcp: without a retry an early break is passed on as any other',
    'when a backend has said its first byte the kernel does not tell',
    async (stage) => {
      const bad = await TcpBackend.open(stage);
      bad.server.on('connection', (socket) => socket.on('data', () => socket.resetAndDestroy()));
      const { port } = await stage.listen('tcp', [bad.view]);
      const client = await TcpPeer.connect(stage, port);
      client.send('x');
      assert.equal(await client.outcome(), 'reset');
      await stage.closes(1, 'backend-reset');
      assert.deepEqual(stage.all('broke-early'), []);
    },
  ),

  retold('tcp: clients that went on while the process stood still are not idle', goesOn, async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const clients = await Promise.all(Array.from({ length: crowd }, () => TcpPeer.connect(stage, port)));
    for (const client of clients) await echoes(client, 'a');
    await stage.whileStopped(async () => {
      for (const client of clients) await echoes(client, 'b');
      await echoes(await TcpPeer.connect(stage, port), 'a newcomer');
    });
    await stage.settle();
    assert.deepEqual([stage.all('opened').length, stage.all('closed').length], [crowd + 1, 0]);
  }),

  retold('tcp: an answer that came while the process stood still is not too late', goesOn, async (stage) => {
    const { client, server, flowId } = await connection(stage);
    client.finish();
    assert.equal(await server.outcome(), 'end');
    await stage.whileStopped(async () => {
      server.send(' answer');
      server.finish();
      await client.receives('! answer');
      assert.equal(await client.outcome(), 'end');
    });
    await stage.closes(flowId, 'client-closed');
  }),

  retold(
    'tcp: a dial that was answered while the process stood still has connected',
    goesOn,
    async (stage) => {
      const connectMs = 1_000;
      const backend = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [backend.view], { timeouts: { connectMs } });
      await stage.whileStopped(async () => {
        await TcpPeer.connect(stage, port);
        await backend.accepted();
        await sleep(1.5 * connectMs);
      });
      await stage.event('dialed');
      await stage.settle();
      assert.deepEqual(stage.all('dial-failed'), []);
    },
  ),
];

const listeningStories = [
  retold(
    'listen: a privileged port without the privilege',
    'the kernel binds nothing, so a low port takes no privilege but that of the table',
    async (stage) => {
      const backend = await TcpBackend.echo(stage);
      const bind = loopback('127.0.0.1', 81);
      await stage.listen('tcp', [backend.view], { bind });
      await echoes(await TcpPeer.connect(stage, bind), 'hello');
    },
    { wrapper: ['setpriv', '--bounding-set=-net_bind_service', '--inh-caps=-net_bind_service'] },
  ),

  retold('listen: an IPv4 client of [::] has an IPv4 address', twoFamilies, async (stage) => {
    const four = await TcpBackend.echo(stage);
    const six = await TcpBackend.echo(stage, loopback('::1'));
    const { port } = await stage.listen('tcp', [four.view, six.view], { bind: loopback('::') });
    for (const [ip, family, local] of [
      ['127.0.0.1', 4, '127.0.0.1'],
      ['::1', 6, '[::1]'],
    ] as const) {
      const client = await TcpPeer.connect(stage, loopback(ip, port));
      await echoes(client, 'hello');
      const opened = await stage.opened(client.name);
      assert.deepEqual([opened.clientFamily, opened.local], [family, `${local}:${port}`]);
    }
  }),

  retold(
    'doors: a backend on the port that the client came to',
    'a backend on the client’s port has it for all doors, and a shift of it one door alone',
    async (stage) => {
      const { port } = await stage.listen('tcp', []);
      const backend = await TcpBackend.echo(stage, loopback('127.0.0.1', port));
      await stage.behave([samePort]);
      await echoes(await TcpPeer.connect(stage, port), 'hello');

      const { port: udpPort, listener } = await stage.listen('udp', [samePort]);
      const second = await openDoor(stage, listener, 'second');
      for (const at of [udpPort, second]) {
        const server = await UdpPeer.open(stage, '127.0.0.1', undefined, at);
        const client = await UdpPeer.open(stage);
        client.send('hello', at);
        server.reply('there', await server.receives('hello'));
        assert.equal((await client.receives('there')).from.port, at);
      }
      assert.equal(backend.peers.length, 1);
    },
  ),

  retold(
    'stop: ends relaying, waiting, dialling and half-closed flows with shutdown',
    'a stop leaves the table where it is: flows are told as ended, and go on',
    async (stage) => {
      const { client, server } = await connection(stage);
      const half = await connection(stage);
      half.client.finish();
      assert.equal(await half.server.outcome(), 'end');
      const datagrams = await UdpPeer.open(stage);
      const udp = await stage.listen('udp', [datagrams.view]);
      const talker = await conversation(stage, udp.port, datagrams, true);
      await stage.settle();
      await stage.stop();
      assert.deepEqual(
        stage.all('closed').map((event) => event.code),
        ['shutdown', 'shutdown', 'shutdown'],
      );
      client.send(' on');
      await server.receives('? on');
      half.server.send(' on');
      half.server.finish();
      await half.client.receives('! on');
      assert.equal(await half.client.outcome(), 'end');
      talker.send('on', udp.port);
      datagrams.reply('and on', await datagrams.receives('on'));
      await talker.receives('and on');
      const stranger = await conversation(stage, udp.port, datagrams, true);
      assert.deepEqual(stranger.texts, ['answer']);
    },
  ),
];

const udpStories = [
  retold(
    'udp: [::] serves both families, IPv4 clients keep their IPv4 address',
    twoFamilies,
    async (stage) => {
      const backends = [await UdpPeer.echo(stage), await UdpPeer.echo(stage, '::1')];
      const routes = backends.map(({ view }) => view);
      const { port } = await stage.listen('udp', routes, { bind: loopback('::') });
      for (const [ip, local] of [
        ['127.0.0.1', '127.0.0.1'],
        ['::1', '[::1]'],
      ] as const) {
        const client = await UdpPeer.open(stage, ip, { kind: 'inet', ip, port });
        client.sendConnected('hello');
        await client.receives('hello');
        assert.equal((await stage.opened(client.name)).local, `${local}:${port}`);
      }
    },
  ),

  ...(
    [
      'udp: one client asks two addresses, and is answered from each',
      'udp: a wildcard replies from the address the client used',
    ] as const
  ).map((name, isConnected) =>
    retold(name, 'a backend has one address, and sees the client’s own', async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view], { bind: loopback('0.0.0.0') });
      const ips = ['127.0.0.1', '127.0.0.3', '127.0.0.4'];
      const one = await UdpPeer.open(stage);
      for (const ip of ips) {
        const to = { kind: 'inet', ip, port } as const;
        const client = isConnected === 1 ? await UdpPeer.open(stage, '127.0.0.1', to) : one;
        if (isConnected === 1) client.sendConnected(`to ${ip}`);
        else client.send(`to ${ip}`, port, ip);
        backend.reply(`from ${ip}`, await backend.receives(`to ${ip}`));
        const { from } = await client.receives(`from ${ip}`);
        assert.deepEqual([from.address, from.port], [stage.scene.front(ip), port]);
      }
      await stage.settle();
      assert.deepEqual(
        stage.all('opened').map(({ local }) => local),
        ips.map((ip) => `${ip}:${port}`),
      );
    }),
  ),

  retold(
    'udp: a wildcard replies from an address that came later',
    'a backend has one address, and sees the client’s own',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [backend.view], { bind: loopback('0.0.0.0') });
      const later = '172.31.9.9';
      const client = await UdpPeer.open(stage, '127.0.0.1', { kind: 'inet', ip: later, port });
      const [command, ...args] = [...stage.scene.wrapper, 'ip', 'address', 'add', `${later}/32`, 'dev', 'lo'];
      await promisify(execFile)(command!, args);
      client.sendConnected('hello');
      await client.receives('hello');
      assert.equal((await stage.opened(client.name)).local, `${later}:${port}`);
    },
  ),

  retold('udp: a refusal by the host is silence', notOpened, async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port, listener } = await listenToOne(stage, 'udp', backend.view);
    const first = await UdpPeer.open(stage);
    first.send('one', port);
    await first.receives('one');
    const second = await UdpPeer.open(stage);
    second.send('two', port);
    const refused = await stage.event('refused');
    assert.deepEqual([refused.listenerId, refused.code], [listener.id, 'limit-client']);
    const other = await UdpPeer.open(stage, '127.0.0.2');
    other.send('three', port);
    await other.receives('three');
    assert.deepEqual([second.texts, backend.texts], [[], ['one', 'three']]);
  }),

  retold('udp: no route ends the conversation with its code', notOpened, async (stage) => {
    const { port } = await stage.listen('udp', ['no-backend']);
    const client = await UdpPeer.open(stage);
    client.send('a', port);
    client.send('b', port);
    await stage.eventually('two refusals', () => stage.all('refused').length === 2);
    assert.ok(stage.all('refused').every(({ code }) => code === 'no-backend'));
    assert.deepEqual(stage.all('opened'), []);
  }),

  retold(
    'udp: a backend without an address is passed over',
    'no bucket leads to it, so no dial fails',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [unresolved, backend.view]);
      for (let i = 1; i <= 20; i++) {
        const client = await UdpPeer.open(stage, `127.0.0.${i}`);
        client.send('hello', port);
        await client.receives('hello');
      }
      assert.deepEqual(stage.all('dial-failed'), []);
    },
  ),

  retold(
    'udp: an unreachable backend is reported and its conversation lives on',
    'the kernel passes the report on to the client, and tells nobody else',
    async (stage) => {
      const gone = await UdpPeer.openOutsideEphemeral(stage);
      const { port } = await stage.listen('udp', [gone.view]);
      await gone.close();
      const client = await UdpPeer.open(stage, '127.0.0.1', { kind: 'inet', ip: '127.0.0.1', port });
      let reports = 0;
      client.socket.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') reports++;
      });
      client.sendConnected('anybody?');
      await stage.eventually('a report', () => reports > 0);
      const back = await UdpPeer.open(stage, '127.0.0.1', undefined, gone.port);
      client.sendConnected('welcome back');
      back.reply('thanks', await back.receives('welcome back'));
      await client.receives('thanks');
      await stage.settle();
      assert.deepEqual([stage.all('opened').length, stage.all('unreachable').length], [1, 0]);
    },
  ),

  retold(
    'udp: only the backend is heard',
    'a backend answers the client’s own address: what strangers send there comes from them, and not from the listener',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const client = await UdpPeer.open(stage, '127.0.0.1', { kind: 'inet', ip: '127.0.0.1', port });
      client.sendConnected('hello');
      const upstream = await backend.receives('hello');
      for (const ip of ['127.0.0.1', '127.0.0.2']) (await UdpPeer.open(stage, ip)).reply('forged', upstream);
      backend.reply('genuine', upstream);
      await client.receives('genuine');
      assert.deepEqual(client.texts, ['genuine']);
    },
  ),

  retold(
    'udp: terminate from inside each call',
    'a flow is told when its first packet has been led, so there is no dial to end it from',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [backend.view], {
        terminateIn: { call: 'replied', code: 'backend-removed' },
      });
      const client = await UdpPeer.open(stage);
      client.send('x', port);
      await stage.closes((await stage.opened(client.name)).flowId, 'backend-removed');
      await stage.behave([backend.view]);
      client.send('y', port);
      await client.receives('y');
      await stage.settle();
      assert.equal(stage.all('opened').length, 2);
    },
  ),

  retold(
    'udp: a defect in the host costs one conversation',
    'the kernel asks the host for no route, so the defect is in what it is told',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [backend.view], { throwIn: 'replied' });
      const unlucky = await UdpPeer.open(stage);
      unlucky.send('x', port);
      await stage.closes(1, 'worker-error');
      assert.equal((await stage.event('fault')).flowId, 1);
      // One that cannot be followed at all is left to the kernel.
      await stage.behave([backend.view], { throwIn: 'open' });
      const unknown = await UdpPeer.open(stage);
      unknown.send('z', port);
      await unknown.receives('z');
      assert.equal((await stage.event('fault', ({ flowId }) => flowId === undefined)).flowId, undefined);
      await stage.behave([backend.view]);
      const lucky = await UdpPeer.open(stage);
      lucky.send('y', port);
      await lucky.receives('y');
      await stage.opened(lucky.name);
    },
  ),

  retold(
    'udp: a conversation follows its backend to another address with its next datagram',
    'the conversation ends, and the next datagram begins one with the new address',
    async (stage) => {
      const [first, second] = [await UdpPeer.echo(stage), await UdpPeer.echo(stage, '127.0.0.2')];
      const { port } = await stage.listen('udp', [first.view]);
      const client = await UdpPeer.open(stage);
      client.send('one', port);
      await client.receives('one');
      await stage.tell({ type: 'move', backend: second.view });
      await stage.closes(1, 'address-changed');
      for (const text of ['two', 'three']) {
        client.send(text, port);
        await client.receives(text);
      }
      await stage.tell({ type: 'move', backend: first.view });
      await stage.closes(2, 'address-changed');
      client.send('four', port);
      await client.receives('four');
      assert.deepEqual(
        [first.texts, second.texts],
        [
          ['one', 'four'],
          ['two', 'three'],
        ],
      );
      stage.scene.assertMoved(await stage.closed(2), {
        bytesIn: 8,
        bytesOut: 8,
        datagramsIn: 2,
        datagramsOut: 2,
      });
    },
  ),

  retold(
    'udp: a burst right after a move arrives in order',
    'the conversation ends, and the next datagram begins one with the new address',
    async (stage) => {
      const [first, second] = [await UdpPeer.open(stage), await UdpPeer.open(stage)];
      const { port } = await stage.listen('udp', [first.view]);
      const client = await UdpPeer.open(stage);
      client.send('hello', port);
      await first.receives('hello');
      await stage.tell({ type: 'move', backend: second.view });
      await stage.closes(1, 'address-changed');
      const texts = Array.from({ length: 8 }, (_, i) => `after ${i}`);
      for (const text of texts) client.send(text, port);
      await second.receivesCount(texts.length);
      assert.deepEqual([first.texts, second.texts], [['hello'], texts]);
    },
  ),

  retold(
    'udp: what clients sent while the process did not run keeps their conversations',
    goesOn,
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const clients = await Promise.all(Array.from({ length: crowd }, () => UdpPeer.open(stage)));
      for (const client of clients) await client.request(Buffer.from('before'), port);
      await stage.whileStopped(async () => {
        for (const client of clients) await client.request(Buffer.from('meanwhile'), port);
      });
      await stage.settle();
      assert.deepEqual([stage.all('opened').length, stage.all('closed').length], [crowd, 0]);
    },
  ),

  retold(
    'udp: what backends sent while the process did not run reaches their clients',
    goesOn,
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const client = await UdpPeer.open(stage);
      await stage.whileStopped(async () => {
        client.send('hello', port);
        backend.reply('late', await backend.receives('hello'));
        await client.receives('late');
      });
      await stage.event('replied');
      assert.equal((await stage.event('opened')).client, client.name);
    },
  ),

  retold('udp: a listener that shuts down serves whom it knows, and nobody new', goesOn, async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const known = await conversation(stage, port, backend, true);
    await stage.tell({ type: 'unlisten', listenerId: listener.id, code: 'shutdown' });
    known.send('after', port);
    backend.reply('to it', await backend.receives('after'));
    await known.receives('to it');
    await conversation(stage, port, backend, true);
    assert.deepEqual([stage.all('dropped').length, stage.all('closed').length], [0, 0]);
  }),

  retold(
    'udp: an answer under way arrives after its listener was told to shut down',
    goesOn,
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port, listener } = await stage.listen('udp', [backend.view]);
      const client = await UdpPeer.open(stage);
      client.send('question', port);
      const question = await backend.receives('question');
      await stage.tell({ type: 'unlisten', listenerId: listener.id, code: 'shutdown' });
      await stage.stop();
      backend.reply('answer', question);
      await client.receives('answer');
    },
  ),
];

export const retoldStories: readonly RetoldStory[] = [...tcpStories, ...listeningStories, ...udpStories];
