import { describe, expect, test } from 'vitest';
import { noAddress } from '../core/address.ts';
import { Arrival, Crowd, type Hearing, type Identifier, type IdentifierAnswer } from './arrival.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const identity = { peer: noAddress, peerLocal: noAddress };
const identified = (consumed: number): IdentifierAnswer => ({
  identity,
  client: noAddress,
  local: noAddress,
  consumed,
});

/** Asks at each '?', knows at '!', refuses 'x'. */
function reader(bytesMax = 16): Identifier & { readonly heard: (readonly [string, Hearing])[] } {
  const heard: (readonly [string, Hearing])[] = [];
  return {
    bytesMax,
    timeoutMs: 100,
    heard,
    read(bytes, hearing) {
      const text = textOf(bytes);
      heard.push([text, hearing]);
      const at = text.search(/[?!x]/);
      if (at < 0) return 'more';
      if (text[at] === 'x') return 'limit-client';
      if (text[at] === '!') return identified(at + 1);
      return { answer: bytesOf(`to ${text.slice(0, at)}`), consumed: at + 1 };
    },
  };
}

describe('an arrival', () => {
  const whole = 'a?bc?d!rest';

  test.each(Array.from({ length: whole.length + 1 }, (_, at) => at))(
    'hears the same whether it is split at %i or not, though the memory it reads from is used again',
    (at) => {
      const arrival = new Arrival(reader(), 0);
      const said: string[] = [];
      const shared = new Uint8Array(64);
      let rest = '';
      for (const piece of [whole.slice(0, at), whole.slice(at)]) {
        if (rest !== '') {
          rest += piece;
          continue;
        }
        shared.set(bytesOf(piece));
        const heard = arrival.hear(shared.subarray(0, piece.length), 'open', (answer) => {
          said.push(textOf(answer));
          shared.fill(0);
        });
        if (typeof heard === 'object') rest = textOf(heard.rest);
        shared.fill(0);
      }
      expect(said).toEqual(['to a', 'to bc']);
      expect(rest).toBe('rest');
    },
  );

  test('holds no more than its identifier takes, and says when that is reached', () => {
    const identifier = reader(4);
    const arrival = new Arrival(identifier, 0);
    expect(arrival.room).toBe(4);
    expect(arrival.hear(bytesOf('aa'), 'open', () => {})).toBe('more');
    expect(arrival.room).toBe(2);
    expect(arrival.hear(bytesOf('aaaaaa'), 'open', () => {})).toBe('unidentified');
    expect(identifier.heard.at(-1)).toEqual(['aaaa', 'full']);
  });

  test('that is over without a word is told by how it ended', () => {
    const nothing = bytesOf('');
    expect(new Arrival(reader(), 0).hear(nothing, 'ended', () => {})).toBe('client-closed');
    expect(new Arrival(reader(), 0).hear(nothing, 'late', () => {})).toBe('unidentified');
    expect(new Arrival(reader(), 0).hear(bytesOf('ax'), 'ended', () => {})).toBe('limit-client');
    expect(new Arrival(reader(), 7).deadlineMs).toBe(107);
  });

  test('does not go round for ever with an identifier that consumes nothing, or what is not there', () => {
    const broken = (answer: IdentifierAnswer): Identifier => ({
      bytesMax: 4,
      timeoutMs: 1,
      read: () => answer,
    });
    const hear = (answer: IdentifierAnswer) => (): unknown =>
      new Arrival(broken(answer), 0).hear(bytesOf('ab'), 'open', () => {});
    expect(hear({ answer: bytesOf('a'), consumed: 0 })).toThrow();
    expect(hear(identified(3))).toThrow();
  });

  test('that drips is heard as a whole', () => {
    const whole = Array.from({ length: 5_000 }, (_, i) => String.fromCharCode(97 + (i % 23))).join('');
    let heard = '';
    const identifier: Identifier = {
      bytesMax: whole.length,
      timeoutMs: 1,
      read: (bytes, hearing) => {
        heard = hearing === 'full' ? textOf(bytes) : '';
        return 'more';
      },
    };
    const arrival = new Arrival(identifier, 0);
    for (const letter of whole.slice(1)) expect(arrival.hear(bytesOf(letter), 'open', () => {})).toBe('more');
    expect(arrival.hear(bytesOf('!'), 'open', () => {})).toBe('unidentified');
    expect(heard).toBe(`${whole.slice(1)}!`);
  });
});

test('a crowd gives up its oldest', () => {
  const crowd = new Crowd<{ giveUp(): void }>();
  const gone: number[] = [];
  const member = (number: number): { giveUp(): void } => {
    const self = {
      giveUp: () => {
        gone.push(number);
        crowd.remove(self);
      },
    };
    return self;
  };
  crowd.most = 2;
  const members = [0, 1, 2, 3].map(member);
  crowd.add(members[0]!);
  crowd.add(members[1]!);
  crowd.remove(members[0]!);
  crowd.add(members[2]!);
  expect(gone).toEqual([]);
  crowd.add(members[3]!);
  expect(gone).toEqual([1]);
  expect(crowd.all()).toEqual([members[2], members[3]]);
});
