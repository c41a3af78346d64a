import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findLoops, type LoopBackend, type LoopListener, type Machine } from './loops.ts';
import type { Bind, Protocol } from './plan.ts';

const machine: Machine = {
  leadsHere: (ip) => ip === '10.0.0.1' || ip === '127.0.0.1' || ip === '::1' || ip === '2001:db8::1',
  canonicalPath: (path) => path.replace('/var/run/', '/run/'),
};

function inet(ip: string, port: number, device?: string): Bind {
  return { kind: 'inet', ip, port, ...(device === undefined ? {} : { device }) };
}

const unix = (path: string): Bind => ({ kind: 'unix', path });

function listener(name: string, bind: Bind, pool: string, protocol: Protocol = 'tcp'): LoopListener {
  return { name, bind, pools: [pool], protocol };
}

let nextId = 1;
function backend(pool: string, target: Bind | undefined): LoopBackend {
  return { id: nextId++, pool, target };
}

/** Whether the only backend of a listener's only pool leads back to it. */
function isLoop(bind: Bind, target: Bind, protocol: Protocol = 'tcp'): boolean {
  const { leadingBack } = findLoops([listener('l', bind, 'p', protocol)], [backend('p', target)], machine);
  return leadingBack.size === 1;
}

describe('one listener', () => {
  test.each([
    ['its own address', inet('10.0.0.1', 80), inet('10.0.0.1', 80), true],
    ['another port', inet('10.0.0.1', 80), inet('10.0.0.1', 81), false],
    ['another address of this machine', inet('10.0.0.1', 80), inet('127.0.0.1', 80), false],
    ['loopback of a wildcard', inet('0.0.0.0', 80), inet('127.0.0.1', 80), true],
    ['an outer address of a wildcard', inet('0.0.0.0', 80), inet('10.0.0.1', 80), true],
    ['another machine, same port', inet('0.0.0.0', 80), inet('10.0.0.2', 80), false],
    ['IPv4 through [::]', inet('::', 80), inet('10.0.0.1', 80), true],
    ['IPv4 in its mapped form', inet('::', 80), inet('::ffff:10.0.0.1', 80), true],
    ['IPv6 through [::]', inet('::', 80), inet('2001:db8::1', 80), true],
    ['IPv6 of an IPv4 wildcard', inet('0.0.0.0', 80), inet('::1', 80), false],
    ['a name that resolved to 0.0.0.0', inet('127.0.0.1', 80), inet('0.0.0.0', 80), true],
    ['a device nothing of ours comes in by', inet('0.0.0.0', 80, 'eth0'), inet('10.0.0.1', 80), false],
    ['a unix socket', unix('/run/x.sock'), unix('/run/x.sock'), true],
    ['a unix socket by another name', unix('/run/x.sock'), unix('/var/run/x.sock'), true],
    ['another unix socket', unix('/run/x.sock'), unix('/run/y.sock'), false],
  ])('%s', (_what, bind, target, expected) => {
    expect(isLoop(bind, target)).toBe(expected);
    if (bind.kind === 'inet') expect(isLoop(bind, target, 'udp')).toBe(expected);
  });

  test('the same address over the other protocol is another place', () => {
    const listeners = [
      listener('t', inet('10.0.0.1', 53), 'p', 'tcp'),
      listener('u', inet('10.0.0.1', 54), 'p', 'udp'),
    ];
    const [there] = [backend('p', inet('10.0.0.1', 54))];
    expect(findLoops([listeners[0]!], [there!], machine).leadingBack.size).toBe(0);
    expect([...findLoops(listeners, [there!], machine).leadingBack.values()]).toEqual(['u']);
  });
});

describe('several listeners', () => {
  const a = listener('a', inet('10.0.0.1', 1), 'pa');
  const b = listener('b', unix('/run/b.sock'), 'pb');
  const c = listener('c', inet('::1', 3), 'pc');
  const toB = backend('pa', unix('/run/b.sock'));
  const toC = backend('pb', inet('::1', 3));
  const toA = backend('pc', inet('10.0.0.1', 1));
  const real = backend('pc', inet('10.0.0.9', 1));

  test('a chain is no loop', () => {
    expect(findLoops([a, b, c], [toB, toC, real], machine).leadingBack.size).toBe(0);
  });

  test('a circle of three is one, wherever it is entered; its other backends stay', () => {
    const { leadingBack } = findLoops([a, b, c], [toB, toC, toA, real], machine);
    expect([...leadingBack]).toEqual([
      [toB.id, 'b'],
      [toC.id, 'c'],
      [toA.id, 'a'],
    ]);
  });

  test('what leads into a circle and is not of it stays', () => {
    const front = listener('front', inet('10.0.0.1', 9), 'pf');
    const intoIt = backend('pf', inet('10.0.0.1', 1));
    const { leadingBack } = findLoops([front, a, b, c], [intoIt, toB, toC, toA], machine);
    expect(leadingBack.has(intoIt.id)).toBe(false);
    expect(leadingBack.size).toBe(3);
  });

  test('a pool of two listeners leads back when it does for one of them', () => {
    const other = listener('other', inet('10.0.0.1', 7), 'pa');
    const toOther = backend('pa', inet('10.0.0.1', 7));
    expect(findLoops([a, other], [toOther], machine).leadingBack.get(toOther.id)).toBe('other');
  });
});

test('only what has the port of an own listener, and is not known to be one, is a suspect', () => {
  const listeners = [
    listener('l', inet('0.0.0.0', 80), 'p'),
    listener('m', inet('10.0.0.1', 81), 'q'),
    listener('u', inet('0.0.0.0', 82), 'q', 'udp'),
  ];
  const elsewhere = backend('p', inet('10.0.0.2', 80));
  const chained = backend('p', inet('10.0.0.1', 81));
  const others = [inet('10.0.0.2', 82), inet('10.0.0.2', 5432), unix('/run/x'), undefined];
  const backends = [elsewhere, chained, ...others.map((target) => backend('p', target))];
  expect([...findLoops(listeners, backends, machine).suspects]).toEqual([elsewhere.id]);
});

test('a thousand listeners in one chain, and in one circle', () => {
  const listeners = Array.from({ length: 1_000 }, (_, i) =>
    listener(`l${i}`, inet('10.0.0.1', i + 1), `p${i}`),
  );
  const backends = Array.from({ length: 999 }, (_, i) => backend(`p${i}`, inet('10.0.0.1', i + 2)));
  const chain = findLoops(listeners, backends, machine);
  expect([chain.leadingBack.size, chain.leadingOn.size]).toEqual([0, 999]);
  const circle = findLoops(listeners, [...backends, backend('p999', inet('10.0.0.1', 1))], machine);
  expect([circle.leadingBack.size, circle.leadingOn.size]).toEqual([1_000, 0]);
});

test('a backend leads back where walking on from it does', () => {
  const size = 8;
  const edge = fc.tuple(fc.nat(size - 1), fc.nat(size - 1));
  fc.assert(
    fc.property(fc.array(edge, { maxLength: 20 }), (edges) => {
      const listeners = Array.from({ length: size }, (_, i) =>
        listener(`l${i}`, inet('10.0.0.1', i + 1), `p${i}`),
      );
      const backends = edges.map(([from, to]) => backend(`p${from}`, inet('10.0.0.1', to + 1)));
      const reached = (start: number): Set<number> => {
        const seen = new Set([start]);
        for (const at of seen) for (const [from, to] of edges) if (from === at) seen.add(to);
        return seen;
      };
      const expected = backends.filter((_, i) => reached(edges[i]![1]).has(edges[i]![0])).map(({ id }) => id);
      const { leadingBack, leadingOn } = findLoops(listeners, backends, machine);
      expect([...leadingBack.keys()].sort((a, b) => a - b)).toEqual(expected);
      expect(leadingOn.size).toBe(edges.length - expected.length);
    }),
  );
});

test('a backend on the port that the client came to leads back where one of these ports is an own one', () => {
  const shifted = (portShift: number): Bind => ({ kind: 'inet', ip: '10.0.0.1', port: 0, portShift });
  const listeners = [7000, 7001, 7002].map((port) => listener('games', inet('10.0.0.1', port), 'arena'));
  const leadsBack = (portShift: number): boolean =>
    findLoops(listeners, [backend('arena', shifted(portShift))], machine).leadingBack.size > 0;
  expect(leadsBack(0)).toBe(true);
  expect(leadsBack(2)).toBe(true);
  expect(leadsBack(3)).toBe(false);
});

describe('backends on the port that the client came to', () => {
  const at = (ip: string, portShift: number): Bind => ({ kind: 'inet', ip, port: 0, portShift });

  test('the ports of the other protocol are not theirs', () => {
    const listeners = [
      listener('t', inet('0.0.0.0', 1080), 'p', 'tcp'),
      listener('u', inet('0.0.0.0', 2080), 'p', 'udp'),
    ];
    expect(findLoops(listeners, [backend('p', at('127.0.0.1', 1000))], machine).leadingBack.size).toBe(0);
  });

  test('a thousand of them on sixteen thousand ports', () => {
    const listeners = Array.from({ length: 16_384 }, (_, i) => listener('l', inet('0.0.0.0', 9000 + i), 'p'));
    const elsewhere = Array.from({ length: 1_000 }, (_, i) =>
      backend('p', at(`10.1.${i >> 8}.${i & 255}`, 0)),
    );
    const here = backend('p', at('127.0.0.1', 1));
    const found = findLoops(listeners, [...elsewhere, here], machine);
    expect([...found.leadingBack]).toEqual([[here.id, 'l']]);
    expect(found.suspects.size).toBe(1_000);
  });
});
