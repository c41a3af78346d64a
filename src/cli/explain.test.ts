/** What `pinion explain` prints where no instance runs: each line of it, for listeners that have something to say there. */
import { expect, test } from 'vitest';
import { parsePlan } from '../config/load.ts';
import { readAskedClient } from '../core/asked-client.ts';
import type { Asks } from '../front/explain.ts';
import { explanationLines } from './explain.ts';
import { explainFromPlan } from './explain-plan.ts';
import { textOf } from './screen/terminal.ts';

const text = `
cluster: { name: c, redis: "redis://10.0.0.9:6379" }
listeners:
  - name: front
    bind: "tcp://0.0.0.0:443"
    proxy_protocol: { from: 10.0.0.0/8 }
    allow: [ 203.0.113.0/24, 10.0.0.0/8 ]
    deny: [ 203.0.113.66 ]
    refuse: close
    routes:
      - { tls: { server_name: "*.a.example", alpn: h2 }, pool: a }
      - { client: 203.0.113.128/25, pool: b }
    limits: { scope: cluster, flows_per_client: 200 }
    bandwidth: { per_flow: { up: 2MiB, down: 20MiB }, total: { down: 1GiB } }
    affinity: { key: server-name, group: world }
  - name: games
    bind: "udp://0.0.0.0:7000-7099"
    pool: arena
    rebind: { payload: { offset: 1, length: 8 } }
    session_ends_after: { replies: 2 }
    affinity: { key: { payload: { offset: 1, length: 8 } } }
pools:
  a: { proxy_protocol: { version: v2, tlvs: [ authority ] }, backends: [ { name: a1, address: "a1.example:443" } ] }
  b: { backends: [ { name: b1, address: "10.0.0.2:443" } ] }
  arena: { backends: [ { name: g1, address: "10.0.1.1:+1000" } ] }
`;

function explained(listener: string, client: string, asks: Asks = {}): string[] {
  const result = parsePlan(text, 'f');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  const answer = explainFromPlan(result.plan, readAskedClient(client), listener, undefined, asks);
  return textOf(explanationLines(answer, 'the file'), false)
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ {2,}/, ': '));
}

test('a client by its name', () => {
  expect(explained('front', '203.0.113.9', { serverName: 'Shop.a.example', alpn: ['h2'] })).toEqual([
    'client: 203.0.113.9',
    'listener: front (pool a, maglev)',
    'route: 1 (tls *.a.example; alpn h2)',
    'key: server-name shop.a.example',
    'group: world',
    'backend: a1',
    'address: a1.example:443',
    'proxy header: the backend hears a header of version 2 (authority) that names the client first',
    'by: policy',
    expect.stringMatching(/^why: /),
    'whose address: who connects from 203.0.113.9 is no proxy (proxy_protocol.from): it is the client itself, and no PROXY header is read from it',
    'access: allow: 203.0.113.0/24',
    'limit: flows_per_client: 0 of 200 open here; of other instances nothing is known; 200 more may come',
    'bandwidth: per_flow: 2MiB a second from clients, 20MiB a second to them; read no faster',
    'bandwidth: total: 1GiB a second to clients; read no faster',
    'waits: a client that has not said where it belongs is waited for 3s; one that no route is for then is refused (no-route)',
    'without a1: none',
    'source: the file',
  ]);
});

test('a datagram of a game, at one of its ports', () => {
  expect(explained('games', '203.0.113.9', { firstBytes: 'xtoken123', port: 7_042 })).toEqual([
    'client: 203.0.113.9',
    'listener: games (pool arena, maglev)',
    'key: payload token123',
    'rebind: goes on from another address with bytes 1 to 8 of its first datagram, counted from 0',
    'backend: g1',
    'address: 10.0.1.1:8042',
    'by: policy',
    expect.stringMatching(/^why: /),
    'session ends: a conversation is over (expired) once 2 replies were sent for each datagram of its client, or after 1m of silence',
    'without g1: none',
    'source: the file',
  ]);
  expect(explained('games', '203.0.113.9')).toContain('address: 10.0.1.1:+1000');
});

test('a proxy, one who is denied, one whom no route is for', () => {
  expect(explained('front', '10.1.1.1', { serverName: 'b.a.example', alpn: ['h2'] })).toContain(
    'whose address: who connects from 10.1.1.1 is a proxy (proxy_protocol.from): the client is who its PROXY header names; 10.1.1.1 itself only where that names nobody; without a right header within 3s the connection is reset (proxy-header)',
  );
  const denied = explained('front', '203.0.113.66', { serverName: 'b.a.example', alpn: ['h2'] });
  expect(denied).toContain('backend: none');
  expect(denied).toContain('why: denied (deny: 203.0.113.66): its connection is closed');
  expect(explained('front', '203.0.113.200')).toContain('route: 2 (client 203.0.113.128/25)');
  expect(() => explained('front', '203.0.113.9')).toThrow(
    'no route of listener front is for this client, and it has no pool: no-route, as long as it says nothing: --speaks tls',
  );
  expect(() => explained('games', '203.0.113.9', { port: 80 })).toThrow(
    'listener games has no port 80: it is at udp://0.0.0.0:7000-7099',
  );
});
