/** Server-sent events, cut anywhere. */
import { expect, test } from 'vitest';
import { EventLines } from './event-lines.ts';

const text =
  'event: state\nid: 7\ndata: {"a":"\u2028\u2029"}\n\n: a comment\n\ndata: one\r\ndata: two\r\n\r\nevent: empty\n\n';
const events = [
  { type: 'state', data: '{"a":"\u2028\u2029"}', id: '7' },
  { type: 'message', data: 'one\ntwo', id: '7' },
];

test('wherever the stream is cut, the same events come out', () => {
  for (let at = 0; at <= text.length; at++) {
    const lines = new EventLines();
    expect([...lines.push(text.slice(0, at)), ...lines.push(text.slice(at))]).toEqual(events);
  }
});

test('an event that is not ended is not told', () => {
  expect(new EventLines().push('data: half\n')).toEqual([]);
});
