/** Clients of every kind at one listener, in one piece and byte by byte: where each belongs, and after which byte it is known. */
import { describe, expect, test } from 'vitest';
import { Address } from '../../core/address.ts';
import type { ListenerPlan, RoutePlan } from '../../core/plan.ts';
import { Routes } from '../../core/routes.ts';
import { Arrival } from '../../engine/arrival.ts';
import { listenerView } from '../../engine/conformance/listener.ts';
import { helloOfCurl, helloOfOpenssl, helloWithoutName } from '../../wire/hellos.fixture.ts';
import { encodeStatusQuestion } from '../../wire/minecraft.ts';
import { encodeSslRequest, encodeStartup } from '../../wire/postgres.ts';
import { writeProxyLine } from '../../wire/proxy-header.ts';
import { type Caller, identifierOf } from './identify.ts';
import { RouteIdentifier } from './route-identifier.ts';

const address = (text: string): Address => Address.parseWithPort(text)!;
const caller: Caller = {
  identity: { peer: address('192.0.2.1:1'), peerLocal: address('192.0.2.2:2') },
  client: address('198.51.100.1:3'),
  local: address('198.51.100.2:4'),
};
const gssRequest = Buffer.from('0000000804d21630', 'hex');
const startup = encodeStartup({ user: 'ann' });

function identifier(routes: readonly Omit<RoutePlan, 'pool'>[], pool: string | undefined) {
  const plans = routes.map((route, i) => ({ ...route, pool: `p${i + 1}` }));
  const plan = { ...listenerView(0, 'tcp', {}).plan, pool, routes: plans };
  return new RouteIdentifier(plan, new Routes(plans), caller);
}

interface Outcome {
  readonly pool: string | undefined;
  readonly name: string | undefined;
  readonly answered: string;
  /** Bytes it had come to when it was known. */
  readonly after: number;
  readonly hasAskedForTls: boolean;
}

/** Says `parts`, each once the one before was answered or in pieces of `size`, and then ends as `ends`. */
function play(
  routes: Parameters<typeof identifier>[0],
  parts: readonly Uint8Array[],
  { size = Number.POSITIVE_INFINITY, ends = 'late', hasPool = true } = {},
): Outcome {
  const reader = identifier(routes, hasPool ? 'other' : undefined);
  let answered = '';
  let said = 0;
  let held: Uint8Array = new Uint8Array(0);
  for (const part of [...parts, undefined]) {
    for (let at = 0; at < (part?.length ?? 1); at += Math.min(size, part?.length ?? 1)) {
      const piece = part?.subarray(at, at + size) ?? new Uint8Array(0);
      said += piece.length;
      held = Buffer.concat([held, piece]);
      for (;;) {
        const answer = reader.read(held, part === undefined ? (ends as 'late') : 'open');
        if (answer === 'more') break;
        if (typeof answer === 'string') throw new Error(answer);
        held = held.subarray(answer.consumed);
        if ('answer' in answer) {
          answered += Buffer.from(answer.answer).toString();
          continue;
        }
        const { identity, client, local, consumed } = answer;
        expect([client, local, consumed]).toEqual([caller.client, caller.local, 0]);
        expect([identity.peer, identity.peerLocal]).toEqual([
          caller.identity.peer,
          caller.identity.peerLocal,
        ]);
        const { route, spoken, hasAskedForTls = false } = identity;
        return { pool: route!.pool, name: spoken?.name, answered, after: said, hasAskedForTls };
      }
    }
  }
  throw new Error('it never knew');
}

const everything = [
  { protocol: 'tls', names: ['a.example'] },
  { protocol: 'postgres', names: ['a.example'] },
  { protocol: 'tls', names: ['*.example'], alpn: ['h2'] },
  { protocol: 'minecraft', names: ['a.example'] },
  { firstBytesHex: Buffer.from('SSH-2.0-').toString('hex') },
  { protocol: 'postgres' },
  { protocol: 'tls', names: 'none' },
] as const;

describe.each([1, 7, Number.POSITIVE_INFINITY])('in pieces of %d bytes', (size) => {
  test.each<[string, Uint8Array[], Partial<Outcome>]>([
    ['TLS by name', [helloOfOpenssl], { pool: 'p1', name: 'a.example', answered: '' }],
    ['TLS by name and protocol', [helloOfCurl], { pool: 'p3', name: 'b.example' }],
    ['TLS without a name', [helloWithoutName], { pool: 'p7', name: undefined }],
    [
      'PostgreSQL that asks for TLS',
      [encodeSslRequest(), helloOfOpenssl],
      { pool: 'p2', name: 'a.example', answered: 'S', hasAskedForTls: true },
    ],
    [
      'PostgreSQL that asks for GSSAPI, then for TLS',
      [gssRequest, encodeSslRequest(), helloOfOpenssl],
      { pool: 'p2', answered: 'NS', hasAskedForTls: true },
    ],
    [
      'PostgreSQL that asks for GSSAPI, and goes on in the clear',
      [gssRequest, startup],
      { pool: 'p6', answered: 'N', hasAskedForTls: false },
    ],
    ['PostgreSQL in the clear', [startup], { pool: 'p6', answered: '', hasAskedForTls: false }],
    ['a player', [encodeStatusQuestion('A.example.', 1)], { pool: 'p4', name: 'A.example' }],
    ['a player elsewhere', [encodeStatusQuestion('b.example', 1)], { pool: 'other' }],
    ['first bytes', [Buffer.from('SSH-2.0-OpenSSH')], { pool: 'p5', name: undefined }],
    ['HTTP', [Buffer.from('GET / HTTP/1.1\r\n')], { pool: 'other', name: undefined }],
  ])('%s', (_, parts, outcome) => {
    expect(play(everything, parts, { size })).toMatchObject(outcome);
  });
});

test('nothing more is read than is needed to know', () => {
  const after = (parts: readonly Uint8Array[]): number => play(everything, parts, { size: 1 }).after;
  expect(after([Buffer.from('GET /')]), 'a first byte of nobody but a packet of Minecraft').toBe(2);
  expect(after([Buffer.from('1600ff', 'hex')]), 'a packet of 22 bytes that is none').toBe(3);
  expect(after([Buffer.from('SSH-1.')])).toBe(5);
  expect(after([startup])).toBe(startup.length);
  const byAddress = [{ clients: ['198.51.100.0/24'] }, { protocol: 'tls' }] as const;
  expect(play(byAddress, []).after).toBe(0);
});

test('a question for TLS is passed on where no name decides', () => {
  const any = [{ protocol: 'postgres' }] as const;
  expect(play(any, [gssRequest, startup])).toMatchObject({ pool: 'p1', answered: '', after: 8 });
  expect(play(any, [encodeSslRequest(), helloOfOpenssl])).toMatchObject({
    pool: 'p1',
    answered: '',
    after: 8,
    hasAskedForTls: false,
  });
});

test('its first bytes are those it began with, answered or not', () => {
  const routes = [
    { protocol: 'postgres', names: ['b.example'] },
    { firstBytesHex: '1603' },
    { firstBytesHex: Buffer.concat([gssRequest, encodeSslRequest(), Buffer.of(0x16)]).toString('hex') },
  ] as const;
  for (const size of [1, 7, Number.POSITIVE_INFINITY])
    expect(play(routes, [gssRequest, encodeSslRequest(), helloOfOpenssl], { size })).toMatchObject({
      pool: 'p3',
      answered: 'NS',
    });
});

test.each(['late', 'ended', 'full'])('one that is %s goes where it would by what it has said', (ends) => {
  const nobody = { pool: 'other', name: undefined, hasAskedForTls: false };
  expect(play(everything, [], { ends })).toMatchObject(nobody);
  expect(play(everything, [helloOfOpenssl.subarray(0, 100)], { ends })).toMatchObject(nobody);
  const withoutWord = (): unknown => play(everything, [], { ends, hasPool: false }).pool;
  // Who only looks whether we are there is not refused.
  if (ends === 'ended') expect(withoutWord).toThrow('it never knew');
  else expect(withoutWord()).toBeUndefined();
  expect(play(everything, [Buffer.from('x')], { ends, hasPool: false }).pool).toBeUndefined();
  // It was told that it may speak TLS, and does not.
  const told = { pool: 'other', answered: 'S', hasAskedForTls: true };
  expect(play(everything, [encodeSslRequest()], { ends })).toMatchObject(told);
  const ping = [{ protocol: 'minecraft', names: 'none' }] as const;
  expect(play(ping, [Buffer.from('fe01', 'hex')], { ends })).toMatchObject({ pool: 'p1' });
});

test('behind a PROXY header, wherever it is cut, the client it names is asked, and the header is gone', () => {
  const { plan } = listenerView(0, 'tcp', {});
  const proxied: ListenerPlan = {
    ...plan,
    proxyProtocol: { from: ['10.0.0.0/8'], timeoutMs: 3_000, udp: 'first' },
    routes: [
      { protocol: 'postgres', names: ['a.example'], clients: ['192.0.2.0/24'], pool: 'named' },
      { protocol: 'tls', pool: 'tls' },
    ],
  };
  const header = writeProxyLine(address('192.0.2.7:4711'), address('198.51.100.1:443'));
  const said = Buffer.concat([header, encodeSslRequest(), helloOfOpenssl]);
  const proxy = address('10.0.0.1:1');
  for (let at = 0; at <= said.length; at++) {
    const arrival = new Arrival(identifierOf(proxied, proxy, caller.local)!, 0);
    let answered = '';
    const say = (answer: Uint8Array): void => {
      answered += Buffer.from(answer).toString();
    };
    let heard = arrival.hear(said.subarray(0, at), 'open', say);
    if (heard === 'more') heard = arrival.hear(said.subarray(at), 'open', say);
    if (typeof heard === 'string') throw new Error(heard);
    const { identity, client, local } = heard.identified;
    expect([`${client}`, `${local}`, answered]).toEqual(['192.0.2.7:4711', '198.51.100.1:443', 'S']);
    expect(identity).toMatchObject({ peer: proxy, hasAskedForTls: true, route: { pool: 'named' } });
    expect(identity.header?.version).toBe(1);
    expect(Buffer.from(heard.rest)).toEqual(Buffer.from(helloOfOpenssl));
  }
  // One that is not to be let in is not read further, and another peer's bytes are its own.
  const denied = new Arrival(identifierOf(proxied, proxy, caller.local, undefined, () => false)!, 0);
  expect(denied.hear(header, 'open', () => {})).toMatchObject({ identified: { identity: { peer: proxy } } });
  const plain = new Arrival(identifierOf(proxied, caller.client, caller.local)!, 0);
  expect(plain.hear(helloOfCurl, 'open', () => {})).toMatchObject({
    identified: { identity: { route: { pool: 'tls' } } },
  });
});
