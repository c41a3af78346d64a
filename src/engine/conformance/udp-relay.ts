/** Stories of datagrams: each arrives as it was sent, at whom it was meant for, from where it was expected. */
import assert from 'node:assert/strict';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import { newNamespace, runInside } from './namespace.ts';
import { payload } from './payload.ts';
import type { Stage } from './stage.ts';
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
      assert.deepEqual([from.address, from.port], [stage.scene.front('127.0.0.1'), port]);
    }
    const opened = await stage.opened(client.name);
    assert.equal(opened.local, `127.0.0.1:${port}`);
    await stage.settle();
    assert.equal(stage.all('opened').length, 1);
    assert.equal(stage.all('replied').length, 1);
    stage.send({ type: 'terminate', flowId: opened.flowId, code: 'backend-removed' });
    const closed = await stage.closed(opened.flowId);
    stage.scene.assertMoved(closed, { bytesIn: 11, bytesOut: 11, datagramsIn: 3, datagramsOut: 3 });
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
    const sources = new Set(backend.received.map(({ from }) => `${from.address} ${from.port}`));
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
    stage.send({ type: 'terminate', flowId: 1, code: 'backend-removed' });
    const moved = { bytesIn: 4, bytesOut: 4, datagramsIn: 3, datagramsOut: 3 };
    stage.scene.assertMoved(await stage.closed(1), moved);
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

  story('udp: listeners of both families take turns, and no client is taken for another', async (stage) => {
    const backend = await UdpPeer.echo(stage);
    const four = await stage.listen('udp', [backend.view]);
    const six = await stage.listen('udp', [backend.view], { bind: loopback('::') });
    const neighbour = await UdpPeer.open(stage);
    const [alice, bob] = await samePort(stage, ['127.0.0.21', '127.0.0.22']);
    for (const [client, text] of [
      [alice, 'of alice'],
      [bob, 'of bob'],
    ] as const) {
      neighbour.send(`before what is ${text}`, four.port);
      await neighbour.receives(`before what is ${text}`);
      client.send(text, six.port);
      await client.receives(text);
      await stage.opened(client.name);
    }
    assert.deepEqual([alice.texts, bob.texts], [['of alice'], ['of bob']]);
  }),

  story(
    'udp: one client asks two addresses, and is answered from each',
    async (stage) => {
      const { port } = await stage.listen('udp', [backendView(loopback('127.0.0.1', 9999))], {
        bind: loopback('0.0.0.0'),
      });
      const asked = ['10.77.0.1', '10.77.0.2', '10.77.0.1'];
      const answers = JSON.parse(await runInside(stage, oneClientProgram, [String(port), ...asked]));
      assert.deepEqual(answers.sort(), asked.map((ip) => `${ip} from ${ip}`).sort());
    },
    newNamespace(['10.77.0.1/32', '10.77.0.2/32']),
  ),

  story(
    'udp: what was sent to a broadcast address or a group is answered from an address of ours',
    async (stage) => {
      const { port } = await stage.listen('udp', [backendView(loopback('127.0.0.1', 9999))], {
        bind: loopback('::'),
      });
      const asked = ['10.77.1.255', 'ff02::1%near', 'fd77::1'];
      const answers = JSON.parse(await runInside(stage, groupProgram, [String(port), ...asked]));
      assert.deepEqual(answers.slice(0, 1).concat(answers.slice(2)), ['10.77.1.1', 'fd77::1']);
      assert.match(answers[1], /^fe80::/);
    },
    newNamespace(
      ['fd77::1/128'],
      [
        // Of two ends of a cable one is up for multicast to leave and come back.
        'ip link add name near type veth peer name far',
        'ip addr add 10.77.1.1/24 brd + dev near',
        'sysctl -qw net.ipv6.conf.near.accept_dad=0',
        'ip link set near up',
        'ip link set far up',
      ],
    ),
  ),

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

/** In the namespace: one client asks the addresses in turn; the backend answers the last one first. Prints answers and senders. */
const oneClientProgram = `
  const dgram = require('node:dgram');
  const { once } = require('node:events');
  const [port, ...ips] = process.argv.slice(1);
  (async () => {
    const backend = dgram.createSocket('udp4');
    const asked = [];
    backend.on('message', (bytes, from) => {
      asked.unshift([bytes, from]);
      if (asked.length === ips.length) for (const [text, to] of asked) backend.send(text, to.port, to.address);
    });
    backend.bind(9999, '127.0.0.1');
    await once(backend, 'listening');
    const client = dgram.createSocket('udp4');
    const answers = [];
    client.on('message', (bytes, from) => answers.push(bytes + ' from ' + from.address));
    client.bind(0, '127.0.0.1');
    await once(client, 'listening');
    for (const ip of ips) {
      client.send(ip, Number(port), ip);
      for (const before = asked.length; asked.length === before && asked.length < ips.length; )
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    while (answers.length < ips.length) await new Promise((resolve) => setTimeout(resolve, 5));
    console.log(JSON.stringify(answers));
    client.close();
    backend.close();
  })();
`;

/** In the namespace: an echo backend, and a client for each address that takes the answer from wherever it comes. Prints from where. */
const groupProgram = `
  const dgram = require('node:dgram');
  const { once } = require('node:events');
  const { networkInterfaces } = require('node:os');
  const [port, ...ips] = process.argv.slice(1);
  const linkLocal = networkInterfaces().near.find(({ address }) => address.startsWith('fe80')).address + '%near';
  (async () => {
    const backend = dgram.createSocket('udp4');
    backend.on('message', (bytes, from) => backend.send(bytes, from.port, from.address));
    backend.bind(9999, '127.0.0.1');
    await once(backend, 'listening');
    const senders = [];
    for (const ip of ips) {
      const client = dgram.createSocket(ip.includes(':') ? 'udp6' : 'udp4');
      client.bind(0, ip.startsWith('ff02') ? linkLocal : ip.includes(':') ? '::1' : '10.77.1.1');
      await once(client, 'listening');
      client.setBroadcast(true);
      if (ip.startsWith('ff02')) client.setMulticastInterface('::%near');
      const answer = once(client, 'message');
      let got;
      for (let i = 0; i < 50 && got === undefined; i++) {
        client.send('anybody?', Number(port), ip);
        got = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200))]);
      }
      senders.push(got === undefined ? 'nobody' : got[1].address);
      client.close();
    }
    backend.close();
    console.log(JSON.stringify(senders));
  })();
`;

/** Two clients with one port on two addresses. */
async function samePort(stage: Stage, ips: readonly [string, string]): Promise<[UdpPeer, UdpPeer]> {
  for (;;) {
    const first = await UdpPeer.open(stage, ips[0]);
    const second = await UdpPeer.open(stage, ips[1], undefined, first.port).catch(() => undefined);
    if (second !== undefined) return [first, second];
  }
}
