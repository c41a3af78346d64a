/** Stories of binding: what is bound, what may not be, what stays when it is released, and unix sockets and IPv6. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Bind, Protocol } from '../../core/plan.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';
import { refuses, TcpBackend, TcpPeer } from './tcp-peer.ts';
import { UdpPeer } from './udp-peer.ts';

async function bindFailure(stage: Stage, protocol: Protocol, bind: Bind): Promise<string> {
  const listener = stage.view(protocol, { bind });
  stage.send({ type: 'listen', listener });
  const result = await stage.bound(listener);
  assert.equal(result.type, 'bind-failed');
  return result.type === 'bind-failed' ? result.code : '';
}

async function echoes(stage: Stage, to: number | Bind): Promise<TcpPeer> {
  const client = await TcpPeer.connect(stage, to);
  client.send('hello');
  await client.receives('hello');
  return client;
}

export const listeningStories = [
  story('listen: a port in use', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    assert.equal(await bindFailure(stage, 'tcp', backend.bind), 'EADDRINUSE');
    const peer = await UdpPeer.open(stage);
    assert.equal(await bindFailure(stage, 'udp', peer.bind), 'EADDRINUSE');
    const { port } = await stage.listen('udp', [], { bind: loopback('0.0.0.0') });
    assert.equal(await bindFailure(stage, 'udp', loopback('0.0.0.0', port)), 'EADDRINUSE');
  }),

  story('listen: an address this machine does not have', async (stage) => {
    const foreign = loopback('198.51.100.7', 4000);
    assert.equal(await bindFailure(stage, 'tcp', foreign), 'EADDRNOTAVAIL');
    assert.equal(await bindFailure(stage, 'udp', foreign), 'EADDRNOTAVAIL');
    // libuv says EACCES where bind(2) says ENOENT.
    const nowhere: Bind = { kind: 'unix', path: '/nonexistent/pinion.sock' };
    assert.match(await bindFailure(stage, 'tcp', nowhere), /^(ENOENT|EACCES)$/);
  }),

  story(
    'listen: a privileged port without the privilege',
    async (stage) => {
      assert.equal(await bindFailure(stage, 'tcp', loopback('127.0.0.1', 81)), 'EACCES');
      assert.equal(await bindFailure(stage, 'udp', loopback('127.0.0.1', 81)), 'EACCES');
    },
    process.getuid?.() === 0
      ? { wrapper: ['setpriv', '--bounding-set=-net_bind_service', '--inh-caps=-net_bind_service'] }
      : {},
  ),

  story('listen: unlisten refuses newcomers and keeps open flows', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port, listener } = await stage.listen('tcp', [backend.view]);
    const client = await echoes(stage, port);
    stage.send({ type: 'unlisten', listenerId: listener.id });
    stage.send({ type: 'unlisten', listenerId: 999 });
    while (!(await refuses(stage, port))) await new Promise((resolve) => setTimeout(resolve, 10));
    client.send(' again');
    await client.receives('hello again');
    client.finish();
    assert.equal(await client.outcome(), 'end');
  }),

  story('listen: a released address can be taken again at once', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const first = await stage.listen('tcp', [backend.view]);
    const held = await echoes(stage, first.port);
    stage.send({ type: 'unlisten', listenerId: first.listener.id });
    const second = await stage.listen('tcp', [backend.view], { bind: loopback('127.0.0.1', first.port) });
    assert.equal(second.port, first.port);
    await echoes(stage, second.port);
    held.send('!');
    await held.receives('hello!');
    const udp = await stage.listen('udp', []);
    stage.send({ type: 'unlisten', listenerId: udp.listener.id });
    const again = await stage.listen('udp', [], { bind: loopback('127.0.0.1', udp.port) });
    assert.equal(again.port, udp.port);
  }),

  story('listen: update changes the view of later flows only', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port, listener } = await stage.listen('tcp', [backend.view], { name: 'before' });
    await echoes(stage, port);
    await stage.tell({
      type: 'update',
      listener: { ...listener, plan: { ...listener.plan, name: 'after' } },
    });
    await echoes(stage, port);
    await stage.settle();
    assert.deepEqual(
      stage.all('opened').map((event) => event.listenerName),
      ['before', 'after'],
    );
  }),

  story('listen: IPv6 client and IPv6 backend', async (stage) => {
    const backend = await TcpBackend.echo(stage, loopback('::1'));
    const { port } = await stage.listen('tcp', [backend.view], { bind: loopback('::1') });
    const client = await echoes(stage, loopback('::1', port));
    const opened = await stage.opened(client.name);
    assert.equal(opened.clientFamily, 6);
    assert.equal(opened.local, `[::1]:${port}`);
  }),

  story('listen: an IPv4 client of [::] has an IPv4 address', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], { bind: loopback('::') });
    const client = await echoes(stage, port);
    const opened = await stage.opened(client.name);
    assert.equal(opened.clientFamily, 4);
    assert.equal(opened.local, `127.0.0.1:${port}`);
    assert.equal((await stage.opened((await echoes(stage, loopback('::1', port))).name)).clientFamily, 6);
  }),

  story('listen: a wildcard knows the address the client used', async (stage) => {
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [backend.view], { bind: loopback('0.0.0.0') });
    const client = await echoes(stage, loopback('127.0.0.9', port));
    assert.equal((await stage.opened(client.name)).local, `127.0.0.9:${port}`);
  }),

  story('listen: unix listener and unix backend', async (stage) => {
    const directory = stage.directory();
    const backend = await TcpBackend.echo(stage, { kind: 'unix', path: `${directory}/backend` });
    const bind: Bind = { kind: 'unix', path: `${directory}/listener` };
    const { port, listener } = await stage.listen('tcp', [backend.view], { bind });
    assert.equal(port, 0);
    const client = await echoes(stage, bind);
    client.finish();
    assert.equal(await client.outcome(), 'end');
    assert.equal((await stage.closed(1)).code, 'client-closed');
    assert.equal((await stage.event('opened')).client, '[::]:0');
    stage.send({ type: 'unlisten', listenerId: listener.id });
    await stage.eventually('the socket file removed', () => !existsSync(bind.path));
  }),

  story('listen: a unix backend nobody serves is refused', async (stage) => {
    const gone = backendView({ kind: 'unix', path: `${stage.directory()}/nobody` });
    const backend = await TcpBackend.echo(stage);
    const { port } = await stage.listen('tcp', [gone, backend.view]);
    await echoes(stage, port);
    assert.equal((await stage.event('dial-failed')).failure, 'backend-refused');
  }),

  story('listen: terminate on unix sockets ends both sides', async (stage) => {
    const directory = stage.directory();
    const backend = await TcpBackend.echo(stage, { kind: 'unix', path: `${directory}/backend` });
    const bind: Bind = { kind: 'unix', path: `${directory}/listener` };
    await stage.listen('tcp', [backend.view], { bind });
    const client = await echoes(stage, bind);
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    assert.equal((await stage.closed(1)).code, 'backend-removed');
    // Unix sockets know no reset: the peer sees an end (unix(7)).
    await client.outcome();
    await (await backend.accepted()).outcome();
  }),

  story('listen: a stale unix socket is replaced, a served one is not, a file never', async (stage) => {
    const directory = stage.directory();
    const backend = await TcpBackend.echo(stage);
    const stale: Bind = { kind: 'unix', path: `${directory}/stale` };
    await leaveStaleSocket(stale.path);
    await stage.listen('tcp', [backend.view], { bind: stale });
    await echoes(stage, stale);
    const served = await TcpBackend.open(stage, { kind: 'unix', path: `${directory}/served` });
    assert.equal(await bindFailure(stage, 'tcp', served.bind), 'EADDRINUSE');
    writeFileSync(`${directory}/file`, 'precious');
    assert.equal(await bindFailure(stage, 'tcp', { kind: 'unix', path: `${directory}/file` }), 'EADDRINUSE');
    assert.ok(existsSync(`${directory}/file`));
  }),
];

/** A socket file whose owner died without removing it: renamed away before Node removes the old name. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { renameSync } = await import('node:fs');
  const server = createServer().listen(`${path}.live`);
  await new Promise((resolve) => server.once('listening', resolve));
  renameSync(`${path}.live`, path);
  await new Promise((resolve) => server.close(resolve));
}
