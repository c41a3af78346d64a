/** Stories of UDP clients whose address changes, and of strangers who say that theirs has. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { rebindSilenceMs } from '../../core/limits.ts';
import { openDoor } from './doors.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

const options = { identifies: true, rebinds: true } as const;

/** Nothing comes from the address that a client has. */
const silence = (): Promise<void> => sleep(rebindSilenceMs + 10);

/** A client of flow 1, whose backend answers when it is told to. */
async function begin(stage: Stage, ip = '127.0.0.1') {
  const backend = await UdpPeer.open(stage, ip);
  const bind = ip === '127.0.0.1' ? {} : { bind: loopback('::') };
  const { port, listener } = await stage.listen('udp', [backend.view], { ...options, ...bind });
  const client = await UdpPeer.open(stage, ip);
  client.send('#1 hello', port, ip);
  const question = await backend.receives('#1 hello');
  const answer = async (text: string, ...peers: UdpPeer[]): Promise<void> => {
    backend.reply(text, question);
    for (const peer of peers) await peer.receives(text);
  };
  await answer('welcome', client);
  const say = async (peer: UdpPeer, text: string): Promise<void> => {
    peer.send(text, port, ip);
    await backend.receives(text);
  };
  return { backend, client, answer, say, port, listener };
}

export const udpRebindStories = [
  ...['127.0.0.1', '::1'].map((ip) =>
    story(`udp rebinds: a client at another address keeps its conversation (${ip})`, async (stage) => {
      const { backend, client, answer, say } = await begin(stage, ip);
      const moved = await UdpPeer.open(stage, ip);
      await say(moved, '#1 again');
      await answer('to both', client, moved);
      await answer('to the old one', client);
      assert.deepEqual(moved.texts, ['to both']);
      await silence();
      await say(moved, '#1 and again');
      assert.equal((await stage.event('moved')).client, moved.name);
      await answer('to the new one', moved);
      // Known by its address from here on.
      await say(moved, 'without a token');
      await answer('still', moved);
      assert.deepEqual(client.texts, ['welcome', 'to both', 'to the old one']);
      assert.equal(new Set(backend.received.map(({ from }) => from.port)).size, 1);
      stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
      const { datagramsIn, datagramsOut } = await stage.closed(1);
      assert.deepEqual([datagramsIn, datagramsOut], [4, 5]);
      assert.equal(stage.all('opened').length, 1);
    }),
  ),

  story('udp rebinds: it may come back to the address it had', async (stage) => {
    const { client, answer, say } = await begin(stage);
    const other = await UdpPeer.open(stage);
    const places = [other, client, other];
    for (const [i, place] of places.entries()) {
      await say(place, `#1 here ${i}`);
      await answer(`where ${i}`, place);
      await silence();
      await say(place, `#1 there ${i}`);
      await stage.eventually('a move', () => stage.all('moved').length === i + 1);
    }
    assert.equal(stage.all('opened').length, 1);
  }),

  story('udp rebinds: nobody is moved who is still heard at the old address', async (stage) => {
    const { client, answer, say } = await begin(stage);
    const forger = await UdpPeer.open(stage);
    for (const round of ['a', 'b', 'c']) {
      await say(forger, `#1 forged ${round}`);
      await answer(`both ${round}`, client, forger);
      await say(client, `I am here ${round}`);
    }
    await silence();
    await say(forger, '#1 forged once more');
    await stage.settle();
    assert.deepEqual(stage.all('moved'), []);
    assert.equal(stage.all('opened').length, 1);
  }),

  story(
    'udp rebinds: nobody is moved who was heard a moment ago, however fast a forger is',
    async (stage) => {
      const { client, answer, say } = await begin(stage);
      let [home, forger] = [client, await UdpPeer.open(stage)];
      for (let round = 0, moves = 0; round - moves < 3; round++) {
        const sinceMs = performance.now();
        await say(home, 'I am here');
        await say(forger, '#1 forged');
        await answer('to both', home, forger);
        await say(forger, '#1 and at once again');
        await stage.settle();
        // On a machine so slow it was silent, and the forger is the client now.
        const isSlow = performance.now() - sinceMs >= rebindSilenceMs;
        if (stage.all('moved').length === moves) continue;
        assert.ok(isSlow, 'it was moved');
        moves++;
        [home, forger] = [forger, home];
      }
    },
  ),

  story('udp rebinds: nobody is moved before a reply, however often it is said', async (stage) => {
    const { client, answer, say } = await begin(stage);
    const forger = await UdpPeer.open(stage);
    await silence();
    for (const round of [1, 2, 3, 4]) await say(forger, `#1 forged ${round}`);
    await stage.settle();
    assert.deepEqual(stage.all('moved'), []);
    // Another one takes its place: whoever it is has to begin anew.
    const second = await UdpPeer.open(stage);
    await say(second, '#1 forged 5');
    await answer('one reply', client, second);
    await say(forger, '#1 forged 6');
    await answer('another', client, forger);
    await stage.settle();
    assert.deepEqual(stage.all('moved'), []);
    assert.deepEqual([forger.texts, second.texts], [['another'], ['one reply']]);
  }),

  story('udp rebinds: without a token a stranger has a conversation of its own, or none', async (stage) => {
    const { backend, client, port } = await begin(stage);
    const stranger = await UdpPeer.open(stage);
    stranger.send('#? dropped', port);
    stranger.send('#7 unknown', port);
    await backend.receives('#7 unknown');
    await stage.settle();
    assert.deepEqual([stage.all('opened').length, backend.texts], [2, ['#1 hello', '#7 unknown']]);
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    await stage.closed(1);
    const late = await UdpPeer.open(stage);
    late.send('#1 too late', port);
    await backend.receives('#1 too late');
    await stage.settle();
    assert.deepEqual([stage.all('opened').length, client.texts], [3, ['welcome']]);
  }),

  story(
    'udp rebinds: what is said at another address of the listener is a conversation there',
    async (stage) => {
      const { backend, client, answer, listener } = await begin(stage);
      const second = await openDoor(stage, listener, 'second');
      const other = await UdpPeer.open(stage);
      for (const text of ['#1 elsewhere', '#1 and there']) {
        other.send(text, second);
        const question = await backend.receives(text);
        backend.reply(`to ${text}`, question);
        assert.equal((await other.receives(`to ${text}`)).from.port, second);
      }
      await answer('here', client);
      await stage.settle();
      assert.deepEqual([stage.all('moved'), stage.all('opened').length], [[], 2]);
      // Nothing of it is left when it is over.
      stage.send({ type: 'terminate', flowId: 2, code: 'backend-removed' });
      await stage.closed(2);
      other.send('#2 anew', second);
      await backend.receives('#2 anew');
      await stage.settle();
      assert.equal(stage.all('opened').length, 3);
    },
  ),

  story(
    'udp rebinds: the host is shown replies while it learns, and each reaches its client',
    async (stage) => {
      const backend = await UdpPeer.echo(stage);
      const { port } = await stage.listen('udp', [backend.view], { ...options, learns: 2 });
      const client = await UdpPeer.open(stage);
      for (const text of ['one', 'two', 'three']) {
        client.send(text, port);
        await client.receives(text);
      }
      await stage.settle();
      assert.deepEqual(
        stage.all('answered').map(({ text }) => text),
        ['one', 'two'],
      );
    },
  ),
];
