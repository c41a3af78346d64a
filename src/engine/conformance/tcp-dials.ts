/** Stories of reaching a backend: the next one after a failure, waiting for a decision, and nobody there. */
import assert from 'node:assert/strict';
import { openBlackhole } from './blackhole.ts';
import { leaveDescriptors } from './descriptor-limit.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import { newNamespace } from './namespace.ts';
import { story } from './story.ts';
import { refusingPort, TcpBackend, TcpPeer } from './tcp-peer.ts';

export const tcpDialStories = [
  story('tcp: a refusing backend is passed over and the client never notices', async (stage) => {
    const refusing = backendView(await refusingPort(stage), 'refusing');
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [refusing, refusing, backend.named('third')]);
    const client = await TcpPeer.connect(stage, port);
    client.send('sent before any dial succeeded');
    await client.receives('sent before any dial succeeded');
    await stage.settle();
    assert.deepEqual(
      stage.all('dial-failed').map((event) => event.failure),
      ['backend-refused', 'backend-refused'],
    );
    assert.equal((await stage.event('dialed')).backend, 'third');
    client.finish();
    assert.equal(await client.outcome(), 'end');
  }),

  story('tcp: when every backend refuses the client is reset', async (stage) => {
    const refusing = backendView(await refusingPort(stage));
    const { port } = await stage.listen('tcp', [refusing, refusing, 'backend-refused']);
    const client = await TcpPeer.connect(stage, port);
    client.send('anybody?');
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.closed(1)).code, 'backend-refused');
    assert.equal(stage.all('dial-failed').length, 2);
  }),

  story(
    'tcp: the host hears where a dial leaves from, if it asks, before it hears that it connected',
    async (stage) => {
      const backend = await TcpBackend.echo(stage);
      const traced = { ...backend.named('traced'), loop: 'may-lead-back' } as const;
      const { port } = await stage.listen('tcp', [traced]);
      const client = await TcpPeer.connect(stage, port);
      client.send('hello');
      await client.receives('hello');
      await stage.settle();
      const order = stage.events.map(({ type }) => type);
      assert.ok(order.indexOf('dials-from') < order.indexOf('dialed'));
      const { remotePort } = (await backend.accepted()).socket;
      assert.equal((await stage.event('dials-from')).local, `127.0.0.1:${remotePort}`);
      await stage.behave([backend.view]);
      const other = await TcpPeer.connect(stage, port);
      other.send('hello');
      await other.receives('hello');
      await stage.settle();
      assert.equal(stage.all('dials-from').length, 1);
    },
  ),

  story('tcp: a defect of the host about where a dial leaves from leaves no descriptor', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const traced = { ...backend.view, loop: 'may-lead-back' } as const;
    const { port } = await stage.listen('tcp', [traced], { throwIn: 'first dialsFrom' });
    for (let flowId = 1; flowId <= 5; flowId++) {
      const client = await TcpPeer.connect(stage, port);
      client.send('x');
      assert.equal(await client.outcome(), 'reset');
      assert.equal((await stage.closed(flowId)).code, 'worker-error');
    }
  }),

  story('tcp: a backend without an address is unreachable', async (stage) => {
    const unresolved = { ...backendView(loopback()), target: undefined };
    const { port } = await stage.listen('tcp', [unresolved, 'no-backend']);
    const client = await TcpPeer.connect(stage, port);
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.event('dial-failed')).failure, 'backend-unreachable');
  }),

  story(
    'tcp: a network without a route is unreachable',
    async (stage) => {
      // The namespace has loopback only; its unix socket is the way in from here.
      const path = `${stage.directory()}/listener`;
      await stage.listen('tcp', [backendView(loopback('198.51.100.1', 9)), 'backend-unreachable'], {
        bind: { kind: 'unix', path },
      });
      const client = await TcpPeer.connect(stage, { kind: 'unix', path });
      await client.outcome();
      assert.equal((await stage.event('dial-failed')).failure, 'backend-unreachable');
      assert.equal((await stage.closed(1)).code, 'backend-unreachable');
    },
    newNamespace([]),
  ),

  story('tcp: a backend that does not answer times out, the next one serves', async (stage) => {
    const silent = backendView(await openBlackhole(stage), 'silent');
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [silent, backend.named('next')], {
      timeouts: { connectMs: 400 },
    });
    const client = await TcpPeer.connect(stage, port);
    client.send('patience');
    await client.receives('patience');
    await stage.settle();
    assert.deepEqual(
      stage.all('dial-failed').map((event) => [event.backend, event.failure]),
      [['silent', 'backend-timeout']],
    );
  }),

  story('tcp: a client gone while its backend does not answer is noticed', async (stage) => {
    const silent = backendView(await openBlackhole(stage));
    const { port } = await stage.listen('tcp', [silent], { timeouts: { connectMs: 300_000 } });
    const client = await TcpPeer.connect(stage, port);
    await stage.event('dialing');
    client.reset();
    assert.equal((await stage.closed(1)).code, 'client-reset');
  }),

  story('tcp: a client gone before the dial succeeds does not look like an end', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', ['wait', backend.view]);
    const client = await TcpPeer.connect(stage, port);
    await stage.event('waiting');
    client.reset();
    stage.send({ type: 'proceed', flowId: 1 });
    assert.equal((await stage.closed(1)).code, 'client-reset');
    for (const server of backend.peers) assert.equal(await server.outcome(), 'reset');
  }),

  story('tcp: a dial that is abandoned makes way for the next backend', async (stage) => {
    const silent = backendView(await openBlackhole(stage), 'silent');
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [silent, backend.named('next')]);
    const client = await TcpPeer.connect(stage, port);
    client.send('early');
    await stage.event('dialing');
    stage.send({ type: 'abandon-dial', flowId: 1 });
    await client.receives('early');
    await stage.settle();
    assert.deepEqual(
      stage.all('dial-failed').map((event) => [event.backend, event.failure]),
      [['silent', 'backend-unreachable']],
    );
    // It does not dial any more.
    stage.send({ type: 'abandon-dial', flowId: 1 });
    client.send('!');
    await client.receives('early!');
  }),

  story('tcp: terminate while dialling', async (stage) => {
    const silent = backendView(await openBlackhole(stage));
    const { port } = await stage.listen('tcp', [silent]);
    const client = await TcpPeer.connect(stage, port);
    await stage.event('dialing');
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    assert.equal((await stage.closed(1)).code, 'backend-removed');
    assert.equal(await client.outcome(), 'reset');
  }),

  story('tcp: terminate from inside each call', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const refusing = backendView(await refusingPort(stage));
    for (const call of ['dialFailed', 'dialed', 'replied'] as const) {
      const routes = call === 'dialFailed' ? [refusing, backend.view] : [backend.view];
      const { port, listener } = await stage.listen('tcp', routes, {
        terminateIn: { call, code: 'backend-removed' },
      });
      const client = await TcpPeer.connect(stage, port);
      client.send('x');
      assert.equal(await client.outcome(), 'reset');
      const { flowId } = await stage.firstOf(listener);
      assert.equal((await stage.closed(flowId)).code, 'backend-removed');
    }
  }),

  story('tcp: a flow told to wait proceeds when the host says so', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', ['wait', 'wait', backend.view]);
    const client = await TcpPeer.connect(stage, port);
    client.send('early');
    for (const round of [1, 2]) {
      await stage.eventually(`wait ${round}`, () => stage.all('waiting').length === round);
      assert.equal(backend.peers.length, 0);
      stage.send({ type: 'proceed', flowId: 1 });
    }
    await client.receives('early');
    // A second word to a flow that is being served is not an answer to anything.
    stage.send({ type: 'proceed', flowId: 1 });
    client.send('!');
    await client.receives('early!');
  }),

  story('tcp: a flow that proceeds while another is relayed does not touch its bytes', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const echo = await TcpBackend.echo(stage);
    const waiting = await stage.listen('tcp', ['wait', backend.view]);
    const waiter = await TcpPeer.connect(stage, waiting.port);
    await stage.event('waiting');
    const bytes = 60_000;
    const digest = await waiter.sendMany(bytes);
    const { port } = await stage.listen('tcp', [echo.view], { proceedInReplied: 1 });
    const client = await TcpPeer.connect(stage, port);
    client.send('its own');
    await client.receives('its own');
    const server = await backend.accepted();
    await server.receivesBytes(bytes);
    assert.equal(server.digest, digest);
  }),

  story('tcp: terminate while waiting', async (stage) => {
    const { port } = await stage.listen('tcp', ['wait']);
    const client = await TcpPeer.connect(stage, port);
    client.send('early');
    await stage.event('waiting');
    stage.send({ type: 'terminate', flowId: 1, code: 'limit-client' });
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.closed(1)).code, 'limit-client');
  }),

  story('tcp: a client that ended while it waited is served in full', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', ['wait', backend.view]);
    const client = await TcpPeer.connect(stage, port);
    client.send('question');
    client.finish();
    await stage.event('waiting');
    stage.send({ type: 'proceed', flowId: 1 });
    await client.receives('question');
    assert.equal(await client.outcome(), 'end');
    assert.equal((await stage.closed(1)).code, 'client-closed');
  }),

  story('tcp: a refusal by the host is a reset', async (stage) => {
    const { port } = await stage.listen('tcp', [], { refuse: 'limit-client' });
    const client = await TcpPeer.connect(stage, port);
    assert.equal(await client.outcome(), 'reset');
    await stage.settle();
    assert.equal(stage.all('refused').length, 1);
    assert.equal(stage.all('closed').length, 0);
  }),

  story('tcp: no route at all is a reset with its code', async (stage) => {
    const { port } = await stage.listen('tcp', ['no-backend']);
    const client = await TcpPeer.connect(stage, port);
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.closed(1)).code, 'no-backend');
  }),

  story('tcp: a dial without a descriptor is our fault, not the backend’s', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    // The time of a dial is also how long an engine may wait for a descriptor.
    const timeouts = { connectMs: 400 };
    const { port } = await stage.listen('tcp', ['wait', backend.view, 'local-fault'], { timeouts });
    const client = await TcpPeer.connect(stage, port);
    await stage.event('waiting');
    const restore = leaveDescriptors(stage, 0);
    stage.send({ type: 'proceed', flowId: 1 });
    assert.equal(await client.outcome(), 'reset');
    assert.equal((await stage.event('dial-failed')).failure, 'local-fault');
    restore();
  }),

  story(
    'tcp: a client accepted with the last descriptor waits for one more, and no other takes it',
    async (stage) => {
      const backend = await TcpBackend.echo(stage);
      const { port } = await stage.listen('tcp', [backend.view]);
      const restore = leaveDescriptors(stage, 1);
      const first = await TcpPeer.connect(stage, port);
      first.send('first');
      await stage.event('dialing');
      const second = await TcpPeer.connect(stage, port);
      second.send('second');
      await stage.event('accept-paused', (event) => event.paused);
      restore();
      await first.receives('first');
      await second.receives('second');
      assert.deepEqual(stage.all('dial-failed'), []);
      await stage.event('accept-paused', (event) => !event.paused);
    },
  ),

  story('tcp: a flow that waits for a descriptor can be ended', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const restore = leaveDescriptors(stage, 1);
    const client = await TcpPeer.connect(stage, port);
    await stage.event('dialing');
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    assert.equal((await stage.closed(1)).code, 'backend-removed');
    assert.equal(await client.outcome(), 'reset');
    restore();
    const next = await TcpPeer.connect(stage, port);
    next.send('next');
    await next.receives('next');
  }),

  story(
    'tcp: with descriptors for two all are served in turn, and of pauses little is said',
    async (stage) => {
      const backend = await TcpBackend.echo(stage);
      const { port, listener } = await stage.listen('tcp', [backend.view]);
      const restore = leaveDescriptors(stage, 5);
      const clients = await Promise.all(Array.from({ length: 60 }, () => TcpPeer.connect(stage, port)));
      for (const client of clients) {
        client.send('x');
        client.finish();
      }
      for (const client of clients) {
        assert.equal(await client.outcome(), 'end');
        assert.equal(client.text, 'x');
      }
      await stage.eventually('all closed', () => stage.all('closed').length === clients.length);
      assert.deepEqual(stage.all('dial-failed'), []);
      const told = stage.all('accept-paused').map((event) => event.paused);
      assert.ok(told.length > 0, 'they ran out');
      assert.ok(told.length < clients.length / 4, `told ${told.length} times`);
      await stage.tell({ type: 'unlisten', listenerId: listener.id });
      const all = stage.all('accept-paused').map((event) => event.paused);
      assert.deepEqual(
        all,
        all.map((_, index) => index % 2 === 0),
      );
      assert.equal(all.length % 2, 0, 'each pause had its end');
      restore();
    },
  ),

  story('tcp: accepting stops without descriptors, does not spin, and resumes', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view]);
    const restore = leaveDescriptors(stage, 0);
    const client = await TcpPeer.connect(stage, port);
    client.send('in the queue');
    await stage.event('accept-paused', (event) => event.paused);
    const before = stage.cpuMs();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(stage.cpuMs() - before < 800, 'the engine spins while it cannot accept');
    restore();
    await stage.event('accept-paused', (event) => !event.paused);
    await client.receives('in the queue');
  }),
];
