/** Stories of datagrams: each arrives as it was sent, at whom it was meant for, from where it was expected. */
import assert from 'node:assert/strict';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import { newNamespace, runInside } from './namespace.ts';
import { payload } from './payload.ts';
import { story } from './story.ts';
import { UdpPeer } from './udp-peer.ts';

export const udpRelayStories = [
  story('udp: an echo', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    for (const text of ['one', 'two', 'three']) {
      client.send(text, port);
      const { from } = await client.receives(text);
      assert.deepEqual([from.address, from.port], ['127.0.0.1', port]);
    }
    const opened = await stage.opened(client.name);
    assert.equal(opened.local, `127.0.0.1:${port}`);
    await stage.settle();
    assert.equal(stage.all('opened').length, 1);
    assert.equal(stage.all('replied').length, 1);
    stage.send({ type: 'terminate', flowId: opened.flowId, code: 'operator' });
    const closed = await stage.closed(opened.flowId);
    const { bytesIn, bytesOut, datagramsIn, datagramsOut } = closed;
    assert.deepEqual([bytesIn, bytesOut, datagramsIn, datagramsOut], [11, 11, 3, 3]);
  }),

  story('udp: clients are told apart by address and by port', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const ips = ['127.0.0.1', '127.0.0.1', '127.1.2.3', '127.200.255.254', '127.0.1.1'];
    const clients = await Promise.all(ips.map((ip) => UdpPeer.open(stage, ip)));
    for (const [index, client] of clients.entries()) client.send(`from ${index}`, port);
    for (const [index, client] of clients.entries()) {
      await client.receives(`from ${index}`);
      assert.equal(client.received.length, 1);
      await stage.opened(client.name);
    }
    const sources = new Set(backend.received.map(({ from }) => from.port));
    assert.equal(sources.size, clients.length);
  }),

  story('udp: several replies to one request, and late ones nobody asked for', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('subscribe', port);
    const request = await backend.receives('subscribe');
    for (let i = 0; i < 5; i++) backend.reply(`news ${i}`, request);
    for (let i = 0; i < 5; i++) await client.receives(`news ${i}`);
    assert.deepEqual(client.texts, ['news 0', 'news 1', 'news 2', 'news 3', 'news 4']);
    backend.reply('late', request);
    await client.receives('late');
    await stage.settle();
    assert.equal(stage.all('replied').length, 1);
  }),

  story('udp: requests without a reply go on to the same backend', async (stage) => {
    const backend = await UdpPeer.open(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    for (let i = 0; i < 5; i++) {
      client.send(`n${i}`, port);
      await backend.receives(`n${i}`);
    }
    assert.equal(new Set(backend.received.map(({ from }) => from.port)).size, 1);
    await stage.settle();
    assert.equal(stage.all('replied').length, 0);
  }),

  story('udp: empty datagrams both ways', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    client.send('', port);
    await client.receivesCount(1);
    assert.equal(client.received[0]?.bytes.length, 0);
    assert.equal(backend.received[0]?.bytes.length, 0);
    client.send('full', port);
    await client.receives('full');
    client.send('', port);
    await client.receivesCount(3);
    assert.equal(client.received[2]?.bytes.length, 0);
    stage.send({ type: 'terminate', flowId: 1, code: 'operator' });
    const { datagramsIn, datagramsOut, bytesIn } = await stage.closed(1);
    assert.deepEqual([datagramsIn, datagramsOut, bytesIn], [3, 3, 4]);
  }),

  story('udp: every size up to 65507 bytes, unchanged', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view]);
    const client = await UdpPeer.open(stage);
    const sizes = [
      1, 2, 3, 511, 512, 1199, 1200, 1471, 1472, 1473, 2047, 2048, 2049, 4096, 9000, 16_384, 32_768, 65_506,
      65_507,
    ];
    for (const size of sizes) await client.request(payload(size, size), port);
  }),

  story('udp: IPv6 client and backend', async (stage) => {
    const backend = await UdpPeer.echo(stage, '::1');
    const { port } = await stage.listen('udp', [backend.view], { bind: loopback('::1') });
    const client = await UdpPeer.open(stage, '::1');
    client.send('six', port, '::1');
    await client.receives('six');
    assert.equal((await stage.opened(client.name)).clientFamily, 6);
  }),

  story('udp: [::] serves both families, IPv4 clients keep their IPv4 address', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], { bind: loopback('::') });
    const four = await UdpPeer.open(stage);
    four.send('four', port);
    await four.receives('four');
    const opened = await stage.opened(four.name);
    assert.equal(opened.clientFamily, 4);
    assert.equal(opened.local, `127.0.0.1:${port}`);
    const six = await UdpPeer.open(stage, '::1', { kind: 'inet', ip: '::1', port });
    six.sendConnected('six');
    await six.receives('six');
    assert.equal((await stage.opened(six.name)).local, `[::1]:${port}`);
  }),

  story(
    'udp: a wildcard replies from the address the client used',
    async (stage) => {
      const { port } = await stage.listen('udp', [backendView(loopback('127.0.0.1', 9999))], {
        bind: loopback('::'),
      });
      assert.deepEqual(
        JSON.parse(await runInside(stage, wildcardProgram, [String(port), ...wildcardIps])),
        wildcardIps,
      );
      await stage.settle();
      assert.deepEqual(
        stage.all('opened').map((event) => event.local),
        wildcardIps.map((ip) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
      );
    },
    newNamespace(['10.77.0.1/32', '10.77.0.2/32', 'fd77::1/128', 'fd77::2/128']),
  ),

  story(
    'udp: a wildcard replies from an address that came later',
    async (stage) => {
      const { port } = await stage.listen('udp', [backendView(loopback('127.0.0.1', 9999))], {
        bind: loopback('0.0.0.0'),
      });
      // The program asks again and again: an engine may take a while to learn of an address.
      const added = JSON.parse(
        await runInside(stage, wildcardProgram, [String(port), '10.77.0.3', '+10.77.0.3/32']),
      );
      assert.deepEqual(added, ['10.77.0.3']);
    },
    newNamespace([]),
  ),

  story('udp: a wildcard replies from any address of 127.0.0.0/8', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const { port } = await stage.listen('udp', [backend.view], { bind: loopback('0.0.0.0') });
    const client = await UdpPeer.open(stage, '127.0.0.1', { kind: 'inet', ip: '127.0.0.7', port });
    client.sendConnected('to .7');
    await client.receives('to .7');
    assert.equal((await stage.opened(client.name)).local, `127.0.0.7:${port}`);
  }),
];

const wildcardIps = ['127.0.0.1', '10.77.0.1', '10.77.0.2', '::1', 'fd77::1', 'fd77::2'];

/**
 * In the namespace: an echo backend on 9999, then one connected client per address, which asks until it is
 * answered; prints those that were. An argument with a plus is an address (CIDR) to be added first.
 */
const wildcardProgram = `
  const dgram = require('node:dgram');
  const { execFileSync } = require('node:child_process');
  const { once } = require('node:events');
  const [port, ...words] = process.argv.slice(1);
  for (const word of words) {
    if (word.startsWith('+')) execFileSync('ip', ['addr', 'add', word.slice(1), 'dev', 'lo']);
  }
  const ask = async (ip) => {
    const client = dgram.createSocket(ip.includes(':') ? 'udp6' : 'udp4');
    client.on('error', () => {});
    // From another address than the one asked: a reply to oneself would leave from the right one by itself.
    client.bind(0, ip.includes(':') ? '::1' : '127.0.0.1');
    await once(client, 'listening');
    client.connect(Number(port), ip);
    await once(client, 'connect');
    const answer = once(client, 'message');
    let answered;
    for (let i = 0; i < 100 && answered === undefined; i++) {
      client.send(ip);
      answered = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200))]);
    }
    client.close();
    return answered === undefined ? [] : [String(answered[0])];
  };
  (async () => {
    const backend = dgram.createSocket('udp4');
    backend.on('message', (bytes, from) => backend.send(bytes, from.port, from.address));
    backend.bind(9999, '127.0.0.1');
    await once(backend, 'listening');
    const answered = [];
    for (const word of words) if (!word.startsWith('+')) answered.push(...(await ask(word)));
    backend.close();
    console.log(JSON.stringify(answered));
  })();
`;
