/** A story of a backend that is gone in one moment, with all its connections: nobody's last words are lost, and others are served. */
import assert from 'node:assert/strict';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { TcpBackend, TcpPeer } from './tcp-peer.ts';

/** More than two turns of a loop take (256 events, linux/reactor.ts). Descriptors of the engine: twice as many. */
const connections = 700;
const openingAtOnce = 100;

interface Pair {
  readonly client: TcpPeer;
  readonly server: TcpPeer;
}

async function openAll(stage: Stage, backend: TcpBackend, port: number): Promise<Pair[]> {
  const clients: TcpPeer[] = [];
  while (clients.length < connections) {
    const count = Math.min(openingAtOnce, connections - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: count }, () => TcpPeer.connect(stage, port)))));
  }
  for (const [index, client] of clients.entries()) client.send(`${index}?`);
  const isAsked = (): boolean => backend.peers.every(({ text }) => text.endsWith('?'));
  await stage.eventually('all questions', () => backend.peers.length === connections && isAsked());
  const pairs = backend.peers.map((server) => ({
    server,
    client: clients[Number.parseInt(server.text, 10)]!,
  }));
  for (const { server } of pairs) server.send('!');
  await stage.eventually('all answers', () => clients.every(({ text }) => text === '!'));
  return pairs;
}

export const tcpManyEndsStories = [
  story(
    'tcp: seven hundred connections end in one moment, each as it should, and others are served',
    async (stage) => {
      const [doomed, lives] = [await TcpBackend.open(stage), await TcpBackend.echo(stage)];
      const pairs = await openAll(stage, doomed, (await stage.listen('tcp', [doomed.view])).port);
      const other = await TcpPeer.connect(stage, (await stage.listen('tcp', [lives.view])).port);
      other.send('before');
      await other.receives('before');
      // All of it waits when the engine looks: in order, broken off, and from the client's side.
      await stage.whileStopped(async () => {
        for (const [index, { client, server }] of pairs.entries()) {
          if (index % 3 === 2) {
            client.send(' last');
            client.finish();
            continue;
          }
          server.send(' last');
          if (index % 3 === 0) server.finish();
          else server.reset();
        }
        other.send(' meanwhile');
      });
      await other.receives('before meanwhile');
      const halves = pairs.map(({ client, server }, index) => ({
        hearer: index % 3 === 2 ? server : client,
        teller: index % 3 === 2 ? client : server,
        isBroken: index % 3 === 1,
      }));
      for (const { hearer, isBroken } of halves) {
        assert.equal(await hearer.outcome(), isBroken ? 'reset' : 'end');
        assert.match(hearer.text, / last$/);
      }
      // The other half of those that ended in order is still open.
      const open = halves.filter(({ isBroken }) => !isBroken);
      for (const { hearer, teller } of open) {
        assert.equal(teller.ending, undefined);
        hearer.send(' heard');
        hearer.finish();
      }
      for (const { teller } of open) {
        assert.equal(await teller.outcome(), 'end');
        assert.match(teller.text, / heard$/);
      }
      await stage.eventually('all flows but one closed', () => stage.all('closed').length === connections);
      const codes = new Set(stage.all('closed').map(({ code }) => code));
      const expected = (['backend-closed', 'backend-reset', 'client-closed'] as const).map(
        stage.scene.codeOf,
      );
      assert.deepEqual(codes, new Set(expected));
      other.send(' after');
      await other.receives('before meanwhile after');
    },
  ),
];
