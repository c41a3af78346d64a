import { expect, test } from 'vitest';
import { type ServerSent, ServerSentReader } from './server-sent.ts';

const stream =
  ': hello\n\nevent: state\ndata: {"a":1}\n\nid: 7\r\nevent: event\r\ndata: one\r\ndata: two\r\n\r\ndata:bare\n\nevent: empty\n\n';

const messages: ServerSent[] = [
  { event: 'state', id: '', data: '{"a":1}' },
  { event: 'event', id: '7', data: 'one\ntwo' },
  { event: 'message', id: '7', data: 'bare' },
];

test('messages are the same wherever the stream is split', () => {
  for (let at = 0; at <= stream.length; at++) {
    const reader = new ServerSentReader();
    expect([...reader.feed(stream.slice(0, at))!, ...reader.feed(stream.slice(at))!]).toEqual(messages);
  }
  const reader = new ServerSentReader();
  expect([...stream].flatMap((piece) => reader.feed(piece)!)).toEqual(messages);
});

test('a message without end is refused, not held for ever', () => {
  const reader = new ServerSentReader();
  const piece = `data: ${'x'.repeat(1024 * 1024)}\n`;
  let fed = 0;
  while (reader.feed(piece) !== undefined) if (++fed > 100) break;
  expect(fed).toBeLessThan(100);
});
