/** Stories of UDP conversations that make room: for a newcomer of a full table, a full listener, a dial without a socket. */
import assert from 'node:assert/strict';
import { leaveDescriptors } from './descriptor-limit.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { conversation } from './udp-conversations.ts';
import { UdpPeer } from './udp-peer.ts';

/** A client that has spoken after an answer. */
async function provedConversation(stage: Stage, port: number, backend: UdpPeer): Promise<UdpPeer> {
  const client = await conversation(stage, port, backend, true);
  const before = stage.all('proved').length;
  await speaks(client, port, backend);
  await stage.eventually('proof', () => stage.all('proved').length > before);
  return client;
}

async function speaks(client: UdpPeer, port: number, backend: UdpPeer): Promise<void> {
  const text = `${client.port} again, ${performance.now()}`;
  client.send(text, port);
  await backend.receives(text);
}

/** The flows that were evicted, in this order. */
async function evicted(stage: Stage, flowIds: readonly number[]): Promise<void> {
  await stage.eventually('evictions', () => stage.all('closed').length >= flowIds.length);
  await stage.settle();
  const closed = stage.all('closed').map(({ flowId, code }) => `${flowId} ${code}`);
  assert.deepEqual(
    closed,
    flowIds.map((flowId) => `${flowId} evicted`),
  );
}

export const udpEvictionStories = [
  story(
    'udp: a full table evicts the oldest that was never answered',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const answered = await conversation(stage, port, backend, true);
      await conversation(stage, port, backend, false);
      await conversation(stage, port, backend, false);
      await conversation(stage, port, backend, true);
      await evicted(stage, [2]);
      await speaks(answered, port, backend);
      assert.equal(stage.all('opened').length, 4);
    },
    { start: { conversationsMax: 3 } },
  ),

  story(
    'udp: a client that spoke once makes room though it was answered, one that spoke after an answer does not',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const known = await provedConversation(stage, port, backend);
      // As a resolver that takes another port for each question.
      for (let i = 0; i < 6; i++) await conversation(stage, port, backend, true);
      await evicted(stage, [2, 3, 4, 5]);
      await speaks(known, port, backend);
      assert.equal(stage.all('opened').length, 7);
    },
    { start: { conversationsMax: 3 } },
  ),

  story(
    'udp: one whose answer is under way is not evicted for a flood of those that were answered',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      for (let i = 0; i < 4; i++) await conversation(stage, port, backend, true);
      await conversation(stage, port, backend, false);
      for (let i = 0; i < 3; i++) await conversation(stage, port, backend, true);
      await evicted(stage, [1, 2, 3, 4]);
    },
    { start: { conversationsMax: 4 } },
  ),

  story(
    'udp: one that sends again and again without an answer stays longer than those that sent once',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const reporter = await conversation(stage, port, backend, false);
      await speaks(reporter, port, backend);
      for (let i = 0; i < 4; i++) await conversation(stage, port, backend, false);
      await evicted(stage, [2, 3]);
      await speaks(reporter, port, backend);
      assert.equal(stage.all('opened').length, 5);
      assert.equal(stage.all('proved').length, 0);
    },
    { start: { conversationsMax: 3 } },
  ),

  story(
    'udp: a table full of proved conversations turns newcomers away, until one has long been silent',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const idleMs = 8_000;
      const { port } = await stage.listen('udp', [backend.view], { timeouts: { idleMs } });
      const silent = await provedConversation(stage, port, backend);
      const busy = await provedConversation(stage, port, backend);
      const silentSinceMs = performance.now();
      const late = await UdpPeer.open(stage);
      late.send('too late', port);
      await stage.event('dropped');
      assert.equal(stage.all('opened').length, 2);
      // Half of the idle time makes it quiet.
      while (performance.now() < silentSinceMs + idleMs / 2) await speaks(busy, port, backend);
      late.send('in time', port);
      await backend.receives('in time');
      await evicted(stage, [1]);
      assert.notEqual(silent.port, busy.port);
    },
    { start: { conversationsMax: 2 } },
  ),

  story('udp: a listener at its limit gives up its own conversations only', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const other = await stage.listen('udp', [backend.view]);
    await conversation(stage, other.port, backend, false);
    const full = await stage.listen('udp', [backend.view]);
    await conversation(stage, full.port, backend, false);
    await stage.behave([backend.view], { refuse: 'limit-listener' });
    const late = await UdpPeer.open(stage);
    late.send('may I?', full.port);
    await evicted(stage, [2]);
    // Now there is nobody of its own left to give up.
    late.send('may I now?', full.port);
    await stage.eventually('two refusals', () => stage.all('refused').length === 2);
    await evicted(stage, [2]);
  }),

  story(
    'udp: a full table spares a conversation that is trusted though it was never answered',
    async (stage) => {
      const backend = await UdpPeer.open(stage);
      const { port } = await stage.listen('udp', [backend.view]);
      const exporter = await conversation(stage, port, backend, false);
      await stage.tell({ type: 'trust', flowId: 1 });
      await conversation(stage, port, backend, false);
      await conversation(stage, port, backend, false);
      const closed = await stage.event('closed');
      assert.deepEqual([closed.flowId, closed.code], [2, 'evicted']);
      // Should its backend answer one day, that is its first reply.
      exporter.send('records', port);
      backend.reply('thanks', await backend.receives('records'));
      await exporter.receives('thanks');
      assert.equal((await stage.event('replied')).flowId, 1);
      stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
      await stage.closed(1);
      await stage.tell({ type: 'trust', flowId: 1 });
    },
    { start: { conversationsMax: 2 } },
  ),

  story('udp: without descriptors a client is served with that of one that is not proved', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    await provedConversation(stage, port, backend);
    await conversation(stage, port, backend, true);
    const late = await UdpPeer.open(stage);
    const restore = leaveDescriptors(stage, 0);
    late.send('hello', port);
    await backend.receives('hello');
    restore();
    await evicted(stage, [2]);
    assert.equal(stage.all('dial-failed').length, 0);
  }),
];
