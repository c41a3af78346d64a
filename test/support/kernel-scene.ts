/**
 * Two hosts for stories of the conformance suite with the kernel as their engine: all clients and backends on one, the relay on the other.
 * What a client and a backend say to each other is sent to the relay, though both are on one host.
 *
 *     ends                                       relay
 *       10.0.0.0/8, fd10::1      ---wire---        192.168.0.0/16, fd11::1
 *       (stories: 127.0.0.0/8, ::1)                (what clients of 127.0.0.0/16 and ::1 use)
 */
import assert from 'node:assert/strict';
import type { Bind } from '../../src/core/plan.ts';
import type { BackendView, ListenerView } from '../../src/core/snapshot.ts';
import type { FromEngine, RouteStep, ToEngine } from '../../src/engine/conformance/messages.ts';
import type { Scene } from '../../src/engine/conformance/scene.ts';
import { balancerSettings } from './kernel-world.ts';
import { createNamespaces, type Namespaces } from './namespaces.ts';

/** Headers of IP and UDP, which conntrack counts, of a datagram over IPv4. */
const headerBytes = 28;
/** A handshake and an end, with no options of TCP. */
const tcpBytesLeast = 3 * 40;
/** Headers and what was sent again, of what is moved over TCP. */
const tcpShareMost = 1.5;
const tcpBytesMore = 10_000;

const home = (ip: string): string => (ip === '::1' ? 'fd10::1' : ip.replace(/^127\./, '10.'));
const front = (ip: string): string => (ip === '::1' ? 'fd11::1' : ip.replace(/^127\.0\./, '192.168.'));
const said = (address: string): string =>
  address
    .replace(/^10\./, '127.')
    .replace(/^192\.168\./, '127.0.')
    .replace(/^(\[?)fd1[01]::1/, '$1::1');

function placed(bind: Bind, place: (ip: string) => string): Bind {
  return bind.kind === 'unix' ? bind : { ...bind, ip: place(bind.ip) };
}

function backendAtHome(view: BackendView): BackendView {
  return view.target === undefined ? view : { ...view, target: placed(view.target, home) };
}

function listenerAtFront(view: ListenerView): ListenerView {
  return { ...view, plan: { ...view.plan, bind: placed(view.plan.bind, front) } };
}

function tell(message: ToEngine): ToEngine {
  switch (message.type) {
    case 'behave': {
      const { behaviour } = message;
      const routes = behaviour.routes.map(
        (step): RouteStep => (typeof step === 'object' ? backendAtHome(step) : step),
      );
      return { ...message, behaviour: { ...behaviour, routes } };
    }
    case 'listen':
    case 'update':
      return { ...message, listener: listenerAtFront(message.listener) };
    case 'move':
      return { ...message, backend: backendAtHome(message.backend) };
    default:
      return message;
  }
}

function hear(event: FromEngine): FromEngine {
  if (event.type !== 'opened') return event;
  const { client, local, peer } = event;
  return { ...event, client: said(client), local: said(local), peer: said(peer) };
}

/**
 * The scene of one story. Whoever plays it is on the host `ends`.
 * @param relay what a command line begins with to run on the relay's host
 * @param table of nftables, which no other story has
 * @param firstPort this one, and some above it, no other story has either
 */
export function kernelScene(relay: readonly string[], table: string, firstPort: number): Scene {
  return {
    wrapper: relay,
    start: { kernel: { table, firstPort } },
    home,
    front,
    said,
    tell,
    hear,
    // Which side it was the kernel does not say.
    codeOf: (code) => {
      if (code === 'client-closed' || code === 'backend-closed') return 'closed';
      return code === 'client-reset' || code === 'backend-reset' ? 'reset' : code;
    },
    assertMoved: (closed, { bytesIn, bytesOut, datagramsIn, datagramsOut }) => {
      if (datagramsIn !== undefined && datagramsOut !== undefined) {
        assert.deepEqual(
          [closed.datagramsIn, closed.datagramsOut, closed.bytesIn, closed.bytesOut],
          [
            datagramsIn,
            datagramsOut,
            bytesIn + headerBytes * datagramsIn,
            bytesOut + headerBytes * datagramsOut,
          ],
        );
        return;
      }
      for (const [counted, payload] of [
        [closed.bytesIn, bytesIn],
        [closed.bytesOut, bytesOut],
      ] as const) {
        assert.ok(counted >= payload + tcpBytesLeast, `${counted} bytes counted of ${payload}`);
        assert.ok(counted <= payload * tcpShareMost + tcpBytesMore, `${counted} bytes counted of ${payload}`);
      }
    },
  };
}

/** Both hosts, with their wire. Rejects with what ip(8) said. */
export async function createKernelHosts(): Promise<Namespaces> {
  const hosts = await createNamespaces('ends', 'relay');
  try {
    await prepare(hosts);
    return hosts;
  } catch (error) {
    hosts.close();
    throw error;
  }
}

async function prepare(hosts: Namespaces): Promise<void> {
  const shell = (host: string, commands: readonly string[]): Promise<string> =>
    hosts.run(host, 'sh', '-c', ['set -e', ...commands].join('\n'));
  await hosts.link('ends', ['172.31.0.1/30', 'fd12::1/64'], 'relay', ['172.31.0.2/30', 'fd12::2/64']);
  for (const host of ['ends', 'relay']) {
    for (const place of ['all', host === 'ends' ? 'relay' : 'ends']) {
      await hosts.sysctl(host, `net.ipv4.conf.${place}.rp_filter`, 0);
      await hosts.sysctl(host, `net.ipv4.conf.${place}.send_redirects`, 0);
      await hosts.sysctl(host, `net.ipv6.conf.${place}.accept_redirects`, 0);
      await hosts.sysctl(host, `net.ipv4.conf.${place}.accept_redirects`, 0);
      // What a client sends comes back with an address of this very host.
      await hosts.sysctl(host, `net.ipv4.conf.${place}.accept_local`, 1);
    }
  }
  for (const [name, value] of Object.entries(balancerSettings))
    if (!name.includes('eth0')) await hosts.sysctl('relay', name, value);
  await shell('relay', [
    'ip address add fd11::1/128 dev lo nodad',
    'ip route add local 192.168.0.0/16 dev lo',
    'ip route add 10.0.0.0/8 via 172.31.0.1',
    'ip -6 route add fd10::/16 via fd12::1',
  ]);
  await shell('ends', [
    'ip address add 10.0.0.1/32 dev lo',
    'ip address add fd10::1/128 dev lo nodad',
    'ip route add local 10.0.0.0/8 dev lo',
    'ip route add default via 172.31.0.2 src 10.0.0.1',
    'ip -6 route add default via fd12::2 src fd10::1',
    'ip route add default via 172.31.0.2 table 100',
    'ip -6 route add default via fd12::2 table 100',
    'ip rule add pref 20 iif lo from 10.0.0.0/8 to 10.0.0.0/8 lookup 100',
    'ip -6 rule add pref 20 iif lo from fd10::/16 to fd10::/16 lookup 100',
    ...['ip', 'ip -6'].flatMap((ip) => [`${ip} rule add pref 1000 lookup local`, `${ip} rule del pref 0`]),
  ]);
}
