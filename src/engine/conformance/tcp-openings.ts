/**
 * Stories of backends that hear something before the client's bytes, and may have to answer it (`flow.opening`).
 */
import assert from 'node:assert/strict';
import type { BackendView } from '../../core/snapshot.ts';
import { openBlackhole } from './blackhole.ts';
import { backendView } from './listener.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';

const asks = { opening: { send: 'SSL?', expect: 'yes' } } as const;

/** A backend that says `answers`, each in a segment of its own, once it has heard the question. */
async function answering(stage: Stage, name: string, answers: readonly string[]): Promise<BackendView> {
  const backend = await TcpBackend.open(stage);
  backend.server.on('connection', (socket) => {
    socket.setNoDelay(true);
    socket.once('data', async () => {
      for (const answer of answers) {
        socket.write(answer);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    });
  });
  return backend.named(name);
}

export const tcpOpeningStories = [
  story('openings: a backend hears it first, and it counts nowhere', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view], { opening: { send: 'HEADER ' } });
    const hasty = await TcpPeer.connect(stage, port);
    hasty.send('hello');
    await (await backend.accepted()).receives('HEADER hello');
    // One that says nothing is announced all the same.
    const mute = await TcpPeer.connect(stage, port);
    const server = await backend.accepted(1);
    await server.receives('HEADER ');
    server.send('welcome');
    await mute.receives('welcome');
    mute.send('thanks');
    await server.receives('HEADER thanks');
    mute.finish();
    assert.equal(await server.outcome(), 'end');
    server.finish();
    const { code, bytesIn, bytesOut } = await stage.closed(2);
    assert.deepEqual([code, bytesIn, bytesOut], ['client-closed', 6, 7]);
  }),

  story('openings: on a unix socket, and behind one that refuses', async (stage) => {
    const backend = await TcpBackend.open(stage, { kind: 'unix', path: `${stage.directory()}/back` });
    const nobody = { ...backend.view, target: { kind: 'unix', path: '/nonexistent/socket' } } as const;
    const { port } = await stage.listen('tcp', [nobody, backend.view], { opening: { send: 'HEADER ' } });
    const client = await TcpPeer.connect(stage, port);
    client.send('hello');
    await (await backend.accepted()).receives('HEADER hello');
  }),

  story('openings: the answer is swallowed, and nothing else', async (stage) => {
    for (const [i, answers] of [
      ['yes'],
      ['y', 'e', 's'],
      ['yeswelcome'],
      ['ye', 'swelcome'],
      ['y', 'eswel', 'come'],
    ].entries()) {
      const { port, listener } = await stage.listen(
        'tcp',
        [await answering(stage, `backend ${i}`, answers)],
        asks,
      );
      const client = await TcpPeer.connect(stage, port);
      const greeting = answers.join('').slice('yes'.length);
      if (greeting !== '') await client.receives(greeting);
      const { flowId } = await stage.firstOf(listener);
      await stage.event('dialed', (event) => event.flowId === flowId);
      await stage.settle();
      const hasReplied = stage.all('replied').some((event) => event.flowId === flowId);
      assert.equal(hasReplied, greeting !== '');
      assert.equal(client.text, greeting);
    }
  }),

  story('openings: what the client says meanwhile waits for the answer', async (stage) => {
    const backend = await TcpBackend.open(stage);
    const { port } = await stage.listen('tcp', [backend.view], asks);
    const client = await TcpPeer.connect(stage, port);
    client.send('hel');
    const server = await backend.accepted();
    await server.receives('SSL?');
    client.send('lo');
    await stage.settle();
    assert.equal(stage.all('dialed').length, 0);
    assert.equal(server.text, 'SSL?');
    server.send('yes');
    await server.receives('SSL?hello');
    server.send('welcome');
    await client.receives('welcome');
    client.finish();
    assert.equal(await server.outcome(), 'end');
    server.finish();
    const { bytesIn, bytesOut } = await stage.closed(1);
    assert.deepEqual([bytesIn, bytesOut], [5, 7]);
  }),

  story(
    'openings: another answer, an end or a reset is a dial that failed, and the next is asked',
    async (stage) => {
      const wrong = await answering(stage, 'wrong', ['no!']);
      const almost = await answering(stage, 'almost', ['ye', 'p']);
      const short = await TcpBackend.open(stage);
      short.server.on('connection', (socket) => socket.once('data', () => socket.end('ye')));
      const breaks = await TcpBackend.open(stage);
      breaks.server.on('connection', (socket) => socket.once('data', () => socket.resetAndDestroy()));
      const good = await TcpBackend.open(stage);
      good.server.on('connection', (socket) => socket.once('data', () => socket.write('yes')));
      const routes = [wrong, almost, short.named('short'), breaks.named('breaks'), good.named('good')];
      const { port } = await stage.listen('tcp', routes, asks);
      const client = await TcpPeer.connect(stage, port);
      client.send('hello');
      await (await good.accepted()).receives('SSL?hello');
      await stage.settle();
      assert.deepEqual(
        stage.all('dial-failed').map(({ backend, failure }) => [backend, failure]),
        [
          ['wrong', 'backend-refused'],
          ['almost', 'backend-refused'],
          ['short', 'backend-refused'],
          ['breaks', 'backend-reset'],
        ],
      );
      assert.equal(client.text, '');
    },
  ),

  story('openings: one that does not answer has as long as a dial may take', async (stage) => {
    const silent = await TcpBackend.open(stage);
    const hole = backendView(await openBlackhole(stage), 'hole');
    const good = await answering(stage, 'good', ['yes', 'welcome']);
    const { port } = await stage.listen('tcp', [silent.named('silent'), hole, good], {
      ...asks,
      timeouts: { connectMs: 300 },
    });
    const client = await TcpPeer.connect(stage, port);
    await client.receives('welcome');
    assert.deepEqual(
      stage.all('dial-failed').map(({ failure }) => failure),
      ['backend-timeout', 'backend-timeout'],
    );
  }),

  story(
    'openings: it is said again when a backend breaks early, before what the client said',
    async (stage) => {
      const bad = await TcpBackend.open(stage);
      const good = await TcpBackend.open(stage);
      const { port } = await stage.listen('tcp', [bad.named('bad'), good.named('good')], {
        opening: { send: 'HEADER ' },
        retries: true,
      });
      const client = await TcpPeer.connect(stage, port);
      client.send('hello');
      const server = await bad.accepted();
      await server.receives('HEADER hello');
      server.reset();
      await (await good.accepted()).receives('HEADER hello');
    },
  ),

  story(
    'openings: a flow can be ended, or sent elsewhere, while its backend has not answered',
    async (stage) => {
      const silent = await TcpBackend.open(stage);
      const good = await answering(stage, 'good', ['yes', 'welcome']);
      const { port } = await stage.listen('tcp', [silent.view, silent.view], asks);
      const client = await TcpPeer.connect(stage, port);
      await (await silent.accepted()).receives('SSL?');
      await stage.tell({ type: 'terminate', flowId: 1, code: 'backend-removed' });
      assert.equal(await client.outcome(), 'reset');
      await stage.behave([silent.view, good], asks);
      const other = await TcpPeer.connect(stage, port);
      await (await silent.accepted(1)).receives('SSL?');
      await stage.tell({ type: 'abandon-dial', flowId: 2 });
      await other.receives('welcome');
    },
  ),

  story('openings: one of many kilobytes, to a backend that reads late', async (stage) => {
    const header = 'h'.repeat(8 * 1024);
    const backend = await TcpBackend.open(stage, undefined, true);
    const { port } = await stage.listen('tcp', [backend.view], { opening: { send: header } });
    const client = await TcpPeer.connect(stage, port);
    client.send('hello');
    const server = await backend.accepted();
    server.resume();
    await server.receives(`${header}hello`);
  }),
];
