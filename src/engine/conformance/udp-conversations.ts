/** Stories of UDP conversations: how they begin, wait, expire, and what reaches them from outside. */
import assert from 'node:assert/strict';
import { waitingDatagramsMax } from '../../core/limits.ts';
import { leaveDescriptors } from './descriptor-limit.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

const textsBefore = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `early ${index}`);

/** A client whose conversation is open and, if `answered`, has had its reply. */
export async function conversation(
  stage: Stage,
  port: number,
  backend: UdpPeer,
  answered: boolean,
): Promise<UdpPeer> {
  const client = await UdpPeer.open(stage);
  const text = `hello from ${client.port}`;
  client.send(text, port);
  const request = await backend.receives(text);
  if (answered) {
    backend.reply('answer', request);
    await client.receives('answer');
  }
  return client;
}

export const udpConversationStories = [
  story('udp: a quiet conversation expires, the next datagram opens a new one', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], { timeouts: { idleMs: 2000 } });
    const client = await UdpPeer.open(stage);
    client.send('first', port);
    await client.receives('first');
    assert.equal((await stage.closed(1)).code, 'expired');
    client.send('second', port);
    await client.receives('second');
    await stage.settle();
    assert.deepEqual(
      stage.all('opened').map((event) => event.flowId),
      [1, 2],
    );
  }),

  story('udp: replies alone keep a conversation', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const idleMs = 3000;
    const { port } = await stage.listen('udp', [backend.view], { timeouts: { idleMs } });
    const client = await conversation(stage, port, backend, true);
    for (const startMs = performance.now(); performance.now() < startMs + 1.5 * idleMs; ) {
      const before = client.received.length;
      backend.reply('tick', backend.received[0]!);
      await client.receivesCount(before + 1);
    }
    await stage.settle();
    assert.equal(stage.all('closed').length, 0);
    assert.equal((await stage.closed(1)).code, 'expired');
  }),

  story('udp: the host hears where a conversation leaves from, if it asks', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const traced = { ...backend.view, loop: 'may-lead-back' } as const;
    const { port } = await stage.listen('udp', [traced]);
    const client = await UdpPeer.open(stage);
    client.send('hello', port);
    await client.receives('hello');
    assert.equal((await stage.event('dials-from')).local, `127.0.0.1:${backend.received[0]!.from.port}`);
  }),

  story('udp: datagrams wait for a route within bounds and keep their order', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', ['wait', backend.view]);
    const client = await UdpPeer.open(stage);
    for (const text of textsBefore(waitingDatagramsMax + 4)) client.send(text, port);
    await stage.eventually('4 dropped', () => stage.all('dropped').length === 4);
    assert.ok(stage.all('dropped').every((event) => event.reason === 'waiting-full'));
    stage.send({ type: 'proceed', flowId: 1 });
    await client.receivesCount(waitingDatagramsMax);
    assert.deepEqual(client.texts, textsBefore(waitingDatagramsMax));
    client.send('later', port);
    await client.receives('later');
  }),

  story('udp: a burst before the upstream is ready arrives in order', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    for (const text of textsBefore(waitingDatagramsMax)) client.send(text, port);
    await backend.receivesCount(waitingDatagramsMax);
    assert.deepEqual(backend.texts, textsBefore(waitingDatagramsMax));
  }),

  story('udp: a refusal by the host is silence', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], { refuse: 'limit-rate' });
    const client = await UdpPeer.open(stage);
    client.send('a', port);
    client.send('b', port);
    await stage.eventually('two refusals', () => stage.all('refused').length === 2);
    await stage.behave([backend.view]);
    client.send('c', port);
    await client.receives('c');
    assert.deepEqual(client.texts, ['c']);
  }),

  story('udp: no route ends the conversation with its code', async (stage) => {
    const { port } = await stage.listen('udp', ['no-backend']);
    const client = await UdpPeer.open(stage);
    client.send('a', port);
    assert.equal((await stage.closed(1)).code, 'no-backend');
    client.send('b', port);
    assert.equal((await stage.closed(2)).code, 'no-backend');
  }),

  story('udp: a backend without an address is passed over', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const unresolved = { ...backendView(loopback(), 'unresolved'), target: undefined };
    const { port } = await stage.listen('udp', [unresolved, backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('hello', port);
    await client.receives('hello');
    assert.equal((await stage.event('dial-failed')).failure, 'backend-unreachable');
  }),

  story('udp: no descriptor for the upstream is our fault', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view, 'local-fault']);
    const client = await UdpPeer.open(stage);
    const restore = leaveDescriptors(stage, 0);
    client.send('hello', port);
    assert.equal((await stage.event('dial-failed')).failure, 'local-fault');
    assert.equal((await stage.closed(1)).code, 'local-fault');
    restore();
  }),

  story('udp: an unreachable backend is reported and its conversation lives on', async (stage) => {
    const gone = await UdpPeer.openOutsideEphemeral(stage);
    const { port } = await stage.listen('udp', [gone.view]);
    await gone.close();
    const client = await UdpPeer.open(stage);
    client.send('anybody?', port);
    await stage.event('unreachable');
    client.send('anybody now?', port);
    await stage.eventually('a second report', () => stage.all('unreachable').length >= 2);
    assert.equal(stage.all('closed').length, 0);
    const back = await UdpPeer.open(stage, '127.0.0.1', undefined, gone.port);
    client.send('welcome back', port);
    await back.receives('welcome back');
    back.reply('thanks', back.received.at(-1)!);
    await client.receives('thanks');
    await stage.settle();
    assert.equal(stage.all('opened').length, 1);
  }),

  story('udp: the host may end the conversation of an unreachable backend', async (stage) => {
    const gone = await UdpPeer.openOutsideEphemeral(stage);
    await gone.close();
    const { port } = await stage.listen('udp', [gone.view], {
      terminateIn: { call: 'unreachable', code: 'backend-refused' },
    });
    const client = await UdpPeer.open(stage);
    client.send('anybody?', port);
    assert.equal((await stage.closed(1)).code, 'backend-refused');
  }),

  story('udp: only the backend is heard', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await conversation(stage, port, backend, true);
    const upstream = backend.received[0]!;
    const stranger = await UdpPeer.open(stage);
    stranger.reply('forged', upstream);
    const neighbour = await UdpPeer.open(stage, '127.0.0.2');
    neighbour.reply('forged', upstream);
    backend.reply('genuine', upstream);
    await client.receives('genuine');
    assert.deepEqual(client.texts, ['answer', 'genuine']);
  }),

  story('udp: terminate forgets, the next datagram is a new conversation', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('one', port);
    await client.receives('one');
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    assert.equal((await stage.closed(1)).code, 'backend-removed');
    client.send('two', port);
    await client.receives('two');
    await stage.settle();
    assert.equal(stage.all('opened').length, 2);
  }),

  story('udp: terminate from inside each call', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    for (const call of ['dialed', 'replied'] as const) {
      const { port } = await stage.listen('udp', [backend.view], {
        terminateIn: { call, code: 'backend-removed' },
      });
      const client = await UdpPeer.open(stage);
      client.send('x', port);
      const { flowId } = await stage.opened(client.name);
      assert.equal((await stage.closed(flowId)).code, 'backend-removed');
    }
  }),

  story(
    'udp: the host hears what a client says while it waits, and lets it go on from inside',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const traits = { identifies: true, hearsUntil: 'three' };
      const { port } = await stage.listen('udp', ['wait', backend.view], traits);
      const client = await UdpPeer.open(stage);
      for (const text of ['one', 'two', 'three', 'four']) {
        client.send(text, port);
        if (text !== 'four') await stage.event('heard', (event) => event.text === text);
      }
      await client.receivesCount(4);
      assert.deepEqual(client.texts, ['one', 'two', 'three', 'four']);
      assert.equal(
        stage.all('heard').some(({ text }) => text === 'four'),
        false,
      );
      // What does not fit is heard all the same.
      const talker = await UdpPeer.open(stage);
      for (const text of textsBefore(waitingDatagramsMax + 1)) {
        talker.send(text, port);
        await stage.event('heard', (event) => event.text === text);
      }
      talker.send('three', port);
      await talker.receivesCount(waitingDatagramsMax);
    },
  ),

  story('udp: terminate while waiting', async (stage) => {
    const { port } = await stage.listen('udp', ['wait']);
    const client = await UdpPeer.open(stage);
    client.send('x', port);
    await stage.event('waiting');
    stage.send({ type: 'terminate', flowId: 1, code: 'limit-client' });
    assert.equal((await stage.closed(1)).code, 'limit-client');
    stage.send({ type: 'proceed', flowId: 1 });
  }),

  story('udp: unlisten ends its conversations', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port, listener } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('x', port);
    await client.receives('x');
    // The socket that is given up is the one replies would leave from.
    stage.send({ type: 'unlisten', listenerId: listener.id });
    assert.equal((await stage.closed(1)).code, 'listener-removed');
  }),

  story('udp: a defect in the host costs one conversation', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], { throwIn: 'route' });
    const unlucky = await UdpPeer.open(stage);
    unlucky.send('x', port);
    assert.equal((await stage.closed(1)).code, 'worker-error');
    assert.equal((await stage.event('fault')).flowId, 1);
    await stage.behave([backend.view]);
    const lucky = await UdpPeer.open(stage);
    lucky.send('y', port);
    await lucky.receives('y');
  }),

  ...(['first', 'later'] as const).map((which) =>
    story(
      `udp: a defect of the host about where a ${which} dial leaves from leaves no descriptor`,
      async (stage) => {
        const [backend, elsewhere] = [await UdpPeer.echo(stage), await UdpPeer.echo(stage)];
        const traced = { ...backend.view, loop: 'may-lead-back' } as const;
        const { port } = await stage.listen('udp', [traced], { throwIn: `${which} dialsFrom` });
        for (let flowId = 1; flowId <= 5; flowId++) {
          const client = await UdpPeer.open(stage);
          client.send('x', port);
          if (which === 'later') {
            await client.receives('x');
            await stage.tell({ type: 'move', backend: elsewhere.view });
            client.send('y', port);
          }
          assert.equal((await stage.closed(flowId)).code, 'worker-error');
          await stage.tell({ type: 'move', backend: traced });
        }
      },
    ),
  ),

  story('udp: a thousand conversations at once', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const clients: UdpPeer[] = [];
    for (let i = 0; i < 1000; i++) clients.push(await UdpPeer.open(stage, `127.7.${i >> 8}.${i & 255 || 1}`));
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < clients.length; i += 50)
        await Promise.all(
          clients
            .slice(i, i + 50)
            .map((client) => client.request(Buffer.from(`${round}/${client.name}`), port)),
        );
    await stage.settle();
    assert.equal(stage.all('opened').length, 1000);
    assert.equal(new Set(stage.all('opened').map((event) => event.client)).size, 1000);
  }),
];
