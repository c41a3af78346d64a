import { describe, expect, test } from 'vitest';
import { Address } from '../../core/address.ts';
import { arrivalBytesMax, payloadBytesMax, payloadOffsetMax } from '../../core/limits.ts';
import { Arrival, type Heard, type Hearing, type Identifier } from '../../engine/arrival.ts';
import { listenerView } from '../../engine/conformance/listener.ts';
import { writeProxyHeader } from '../../wire/proxy-header.ts';
import { identifierOf } from './identify.ts';
import { withPayload, withWords } from './payload.ts';

const peer = Address.parseWithPort('10.0.0.1:999')!;
const local = Address.parseWithPort('10.0.0.2:443')!;
const client = Address.parseWithPort('192.0.2.7:4711')!;
const key = { payload: { offset: 2, length: 3 } };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Of four bytes, `OK` and two more, and asks for a word before. */
const header: Identifier = {
  bytesMax: 4,
  timeoutMs: 10_000,
  read(said: Uint8Array, hearing: Hearing) {
    if (said[0] === 0x3f) return { answer: bytes('!'), consumed: 1 };
    if (said.length < 4) return hearing === 'open' ? 'more' : 'unidentified';
    return { identity: { peer, peerLocal: local }, client, local, consumed: 4 };
  },
};

type Said = readonly (readonly [string, Exclude<Hearing, 'full'>])[];

function hear(said: Said, inner?: Identifier) {
  const arrival = new Arrival(withPayload(inner, key, peer, local)!, 0);
  let answered = '';
  let heard: Heard = 'more';
  for (const [piece, hearing] of said) {
    heard = arrival.hear(bytes(piece), hearing, (answer) => {
      answered += Buffer.from(answer).toString();
    });
    if (heard !== 'more') break;
  }
  if (typeof heard === 'string') return heard;
  const { payload } = heard.identified.identity;
  return {
    piece: payload === undefined ? undefined : Buffer.from(payload).toString(),
    client: `${heard.identified.client}`,
    rest: Buffer.from(heard.rest).toString(),
    answered,
  };
}

/** Each way to cut a text into two, and byte by byte. */
function cuts(text: string): string[][] {
  return [[...text], ...Array.from({ length: text.length + 1 }, (_, i) => [text.slice(0, i), text.slice(i)])];
}

describe('a piece of what a TCP client says', () => {
  test('is what it is recognised by, however it comes, and is passed on as it is', () => {
    for (const pieces of cuts('..abcdef')) {
      const said = pieces.map((piece) => [piece, 'open'] as const);
      const { piece, rest } = hear(said) as Exclude<ReturnType<typeof hear>, string>;
      expect([piece, rest.startsWith('..abc')]).toEqual(['abc', true]);
    }
    expect(hear([['..abcdef', 'open']])).toEqual({
      piece: 'abc',
      client: `${peer}`,
      rest: '..abcdef',
      answered: '',
    });
  });

  test('that is not there in time, or not all of it, is none, and what was said is passed on', () => {
    const none = { piece: undefined, client: `${peer}`, answered: '' };
    expect(hear([['..ab', 'open']])).toBe('more');
    expect(hear([['..ab', 'late']])).toEqual({ ...none, rest: '..ab' });
    expect(hear([['..ab', 'ended']])).toEqual({ ...none, rest: '..ab' });
    expect(hear([['', 'late']])).toEqual({ ...none, rest: '' });
  });

  test('is waited for in vain from one who leaves without a word', () => {
    expect(hear([['', 'ended']])).toBe('client-closed');
  });

  test('comes after what others read of the client first', () => {
    const found = { piece: 'abc', client: `${client}`, answered: '!' };
    for (const pieces of cuts('?OKxx..abc')) {
      const said = pieces.map((piece) => [piece, 'open'] as const);
      expect(hear(said, header)).toEqual({ ...found, rest: '..abc' });
    }
    expect(hear([['OKxx..ab', 'late']], header)).toMatchObject({
      piece: undefined,
      client: `${client}`,
      rest: '..ab',
    });
    expect(hear([['OK', 'late']], header)).toBe('unidentified');
  });

  test('that is as far away as may be is read', () => {
    const far = { payload: { offset: payloadOffsetMax, length: payloadBytesMax } };
    const { bytesMax } = withPayload(undefined, far, peer, local)!;
    expect(bytesMax).toBe(payloadOffsetMax + payloadBytesMax);
    expect(bytesMax).toBeLessThanOrEqual(arrivalBytesMax);
  });
});

test('a PROXY header before it is read first, and names the client', () => {
  const { plan } = listenerView(0, 'tcp', {});
  const proxyProtocol = { from: ['10.0.0.0/8'], timeoutMs: 3_000, udp: 'first' } as const;
  const asking = { ...plan, proxyProtocol, affinity: { ...plan.affinity, key } };
  const said = Buffer.concat([
    writeProxyHeader({ transport: 'stream', source: client, destination: local }),
    bytes('..abcdef'),
  ]);
  for (let cut = 0; cut <= said.length; cut++) {
    const arrival = new Arrival(identifierOf(asking, peer, local)!, 0);
    const first = arrival.hear(said.subarray(0, cut), 'open', () => {});
    const heard = first === 'more' ? arrival.hear(said.subarray(cut), 'open', () => {}) : first;
    expect(heard).toMatchObject({
      identified: { client, identity: { payload: bytes('abc'), header: { version: 2 } } },
    });
  }
});

test('nothing is read for it where it is not asked for', () => {
  for (const other of ['client-ip', 'server-name', 'none'] as const) {
    expect(withPayload(undefined, other, peer, local)).toBeUndefined();
    expect(withPayload(header, other, peer, local)).toBe(header);
  }
});

test('of a UDP client it is a piece of the datagram', () => {
  const identity = { peer, peerLocal: local };
  const piece = (words: string): string | undefined => {
    const payload = withWords(key, peer, local, undefined, bytes(words))?.payload;
    return payload === undefined ? undefined : Buffer.from(payload).toString();
  };
  expect(piece('..abcdef')).toBe('abc');
  expect(piece('..abc')).toBe('abc');
  expect(piece('..ab')).toBeUndefined();
  expect(piece('')).toBeUndefined();
  expect(withWords(key, peer, local, { ...identity, hasAskedForTls: true }, bytes('..abc'))).toEqual({
    ...identity,
    hasAskedForTls: true,
    payload: bytes('abc'),
  });
  expect(withWords('client-ip', peer, local, undefined, bytes('..abc'))).toBeUndefined();
  expect(withWords({ tlv: 2 }, peer, local, identity, bytes('..abc'))).toBe(identity);
});
