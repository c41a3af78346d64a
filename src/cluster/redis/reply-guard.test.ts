import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplyBudget, ReplyGuard, type ReplyViolation } from './reply-guard.ts';

const limits = { costMax: 1024 * 1024, lineBytesMax: 1_000, depthMax: 4 };

function guard(asked: number, budget = new ReplyBudget(4 * 1024 * 1024)): ReplyGuard {
  const made = new ReplyGuard(limits, budget);
  made.asked = asked;
  return made;
}

function read(bytes: string, asked = 1): ReplyViolation | undefined {
  return guard(asked).read(Buffer.from(bytes, 'latin1'));
}

/** Replies as RESP2 writes them. */
const reply = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.stringMatching(/^[ -~]{0,40}$/).map((text) => `+${text}\r\n`),
    fc.stringMatching(/^[ -~]{0,40}$/).map((text) => `-${text}\r\n`),
    fc.maxSafeInteger().map((number) => `:${number}\r\n`),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      return `$${text.length}\r\n${text}\r\n`;
    }),
    fc.constantFrom('$-1\r\n', '*-1\r\n', '*0\r\n', '$0\r\n\r\n'),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => `*${items.length}\r\n${items.join('')}`),
  ),
})).value;

describe('a guard of replies', () => {
  test('takes whatever RESP2 can say, in pieces of any size, and counts the replies', () => {
    fc.assert(
      fc.property(
        fc.array(reply, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(9), { minLength: 1 }),
        (replies, sizes) => {
          const bytes = Buffer.from(replies.join(''), 'latin1');
          const one = guard(replies.length);
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = at + 1 + sizes[i % sizes.length]!;
            expect(one.read(bytes.subarray(at, end))).toBeUndefined();
            at = end;
          }
          expect(one.answered).toBe(replies.length);
        },
      ),
    );
  });

  test('says of any bytes the same, in whatever pieces they come', () => {
    const anything = fc.array(
      fc.oneof(
        reply,
        fc.constantFrom('*', '$', '-1', '\r\n', '\r', ':', '+', '>', '%1\r\n', '_\r\n', '99999999'),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(anything, (parts) => {
        const bytes = Buffer.from(parts.join(''), 'latin1');
        const [whole, slow] = [guard(3), guard(3)];
        const said = whole.read(bytes)?.what;
        let slowly: string | undefined;
        for (let at = 0; at < bytes.length && slowly === undefined; at++)
          slowly = slow.read(bytes.subarray(at, at + 1))?.what;
        expect([slowly, slow.answered]).toEqual([said, whole.answered]);
      }),
    );
  });

  test.each([
    ['a reply nobody asked for', '+OK\r\n', 0, 'sent a reply nobody asked for'],
    ['one more than was asked for', ':1\r\n$-1\r\n', 1, 'sent a reply nobody asked for'],
    ['a web server', 'HTTP/1.1 400 Bad Request\r\n', 1, 'does not speak Redis'],
    ['a server that speaks first', 'SSH-2.0-OpenSSH_9.2\r\n', 0, 'does not speak Redis'],
    ['a push', '>2\r\n+a\r\n+b\r\n', 1, 'does not speak Redis'],
    ['a map, later', '+OK\r\n%0\r\n', 2, 'type 0x25'],
    ['a null of RESP3 in an array', '*1\r\n_\r\n', 1, 'type 0x5f'],
    ['TLS', '\x15\x03\x01\x00\x02', 1, 'answers with TLS'],
    ['a length that is none', '$1x\r\n', 1, 'a number that is none'],
    ['a length that is missing', '*\r\n', 1, 'a number that is none'],
    ['a number without end', `:${'1'.repeat(30)}`, 1, 'a number that is none'],
    ['a length below zero', '$-2\r\n', 1, 'a length below zero'],
    ['a count below zero', '*-7\r\n', 1, 'a length below zero'],
    ['a text that is longer than it said', '$2\r\nabc\r\n', 1, 'another length than it said'],
    ['a line that ends with half its end', '+OK\rx', 1, 'ends in the wrong way'],
    ['arrays in arrays', '*1\r\n'.repeat(5), 1, 'without end'],
  ])('refuses %s', (_, bytes, asked, what) => {
    expect(read(bytes, asked)).toMatchObject({ fault: 'protocol', what: expect.stringContaining(what) });
  });

  test.each([
    ['a text by its length, before it comes', `$${limits.costMax + 1}\r\n`],
    ['an array by its count, before it comes', '*2000000000\r\n'],
    ['many arrays, each of a modest count', '*4000\r\n'.repeat(4)],
    ['a line that does not end', `-${'x'.repeat(limits.lineBytesMax + 1)}`],
    ['a length of many digits', '$99999999999999999999\r\n'],
  ])('bounds %s', (_, bytes) => {
    const wrong = read(bytes + '+x\r\n'.repeat(12_000));
    expect(wrong?.fault).toBe('too-large');
  });

  test('bounds items that cost more than their bytes, and pieces that do', () => {
    expect(read(`*10000\r\n${'$0\r\n\r\n'.repeat(10_000)}`)).toBeUndefined();
    expect(read(`*11000\r\n${'$0\r\n\r\n'.repeat(11_000)}`)?.fault).toBe('too-large');
    const dripped = guard(1);
    expect(dripped.read(Buffer.from('$9000\r\n'))).toBeUndefined();
    let wrong: ReplyViolation | undefined;
    for (let i = 0; i < 9_000 && wrong === undefined; i++) wrong = dripped.read(Buffer.from('x'));
    expect(wrong?.fault).toBe('too-large');
  });

  test('bounds what several connections hold together, and gives back what is complete or over', () => {
    const budget = new ReplyBudget(1024 * 1024);
    const half = Buffer.concat([Buffer.from('$700000\r\n'), Buffer.alloc(600_000)]);
    const [first, second, third] = [guard(1, budget), guard(1, budget), guard(1, budget)];
    expect(first.read(half)).toBeUndefined();
    expect(second.read(half)?.fault).toBe('too-large');
    second.end();
    expect(first.read(Buffer.concat([Buffer.alloc(100_000), Buffer.from('\r\n')]))).toBeUndefined();
    expect([first.answered, budget.cost]).toEqual([1, 0]);
    expect(third.read(half)).toBeUndefined();
    third.end();
    expect(budget.cost).toBe(0);
  });
});
