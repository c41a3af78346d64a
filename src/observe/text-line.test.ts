import { expect, test } from 'vitest';
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import { flowInWords } from './flow-words.ts';
import { priorityOf, styleOf } from './log-style.ts';
import { textLine } from './text-line.ts';

const plain = styleOf('text', { isTerminal: false, isJournal: false, env: {} });
const coloured = styleOf('auto', { isTerminal: true, isJournal: false, env: { TERM: 'xterm' } });
const timeMs = Date.UTC(2026, 10, 29, 0, 10, 11, 123);

const served: FlowRecord = {
  worker: 0,
  flowId: 1,
  listener: 'web',
  protocol: 'tcp',
  client: '192.0.2.7:50614',
  pool: 'servers',
  backend: 'a',
  reason: 'pin',
  tries: 1,
  bytesIn: 5,
  bytesOut: 7,
  datagramsIn: 0,
  datagramsOut: 0,
  durationMs: 12.34,
  connectMs: 1,
  code: 'client-closed',
};
const failed: FlowRecord = {
  ...served,
  peer: '10.0.0.1:999',
  backend: undefined,
  reason: undefined,
  tries: 2,
  bytesOut: 0,
  connectMs: undefined,
  code: 'backend-refused',
};
const dull: FlowRecord = { ...served, protocol: 'udp', datagramsIn: 2, datagramsOut: 3, durationMs: 30_000 };

const lineOf = (flow: FlowRecord, level: number, style = plain): string =>
  textLine({ level, timeMs, message: '', fields: { event: 'flow', ...flow } }, style);

test('a flow is a line: time, level, listener, client -> backend, why, code, how much', () => {
  expect(lineOf(served, 30)).toBe(
    '2026-11-29T00:10:11.123Z info  web  192.0.2.7:50614 -> servers/a  by pin  client-closed  12 ms, 5 B in, 7 B out',
  );
  expect(lineOf(dull, 30)).toBe(
    '2026-11-29T00:10:11.123Z info  web  192.0.2.7:50614 -> servers/a  by pin  client-closed  30.0 s, 5 B in, 7 B out, 2 datagrams in, 3 out',
  );
  expect(lineOf(failed, 40)).toBe(
    '2026-11-29T00:10:11.123Z WARN  web  192.0.2.7:50614 by 10.0.0.1:999 -> servers  backend-refused: the backend refused the connection (2 backends tried)  12 ms, 5 B in, 0 B out',
  );
});

test('the message of a JSON line says the same: a failed flow by code and cause', () => {
  expect(flowInWords(served)).toBe('web: 192.0.2.7:50614 -> servers/a by pin: client-closed');
  expect(flowInWords(failed)).toBe(
    'web: 192.0.2.7:50614 by 10.0.0.1:999 -> servers: backend-refused: the backend refused the connection (2 backends tried)',
  );
});

test('an event is a line of its name and its words; of a defect the places follow', () => {
  expect(
    textLine(
      { level: 40, timeMs, message: 'servers/a is down: refused', fields: { event: 'backend-down' } },
      plain,
    ),
  ).toBe('2026-11-29T00:10:11.123Z WARN  backend-down  servers/a is down: refused');
  expect(textLine({ level: 30, timeMs, message: 'ready', fields: { event: 'ready' } }, plain)).toBe(
    '2026-11-29T00:10:11.123Z info  ready',
  );
  const err = new Error('gone wrong');
  const text = textLine(
    { level: 60, timeMs, message: 'gone wrong', fields: { event: 'failed', err } },
    plain,
  );
  expect(text).toMatch(/^2026-11-29T00:10:11\.123Z FATAL failed {2}gone wrong\n {4}at .*text-line\.test\.ts/);
});

test('what strangers wrote cannot steer the terminal', () => {
  const message = 'Redis: other: \u001b[2J\u0007\u009b31m\u202egnp.exe\r\nfake';
  const text = textLine({ level: 30, timeMs, message, fields: {} }, plain);
  expect(text).toBe(
    '2026-11-29T00:10:11.123Z info  Redis: other: \\x1b[2J\\x07\\x9b31m\\u202egnp.exe\\x0d\\x0afake',
  );
  expect(lineOf({ ...served, listener: 'a\u001bb' }, 30)).toContain('a\\x1bb');
});

test('colour is for terminals that have it, and are allowed it', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
  const bare = lineOf(served, 30, coloured).replace(/\u001b\[[\d;]+m/g, '');
  expect(bare).toBe(lineOf(served, 30));
  expect(lineOf(served, 30, coloured)).not.toBe(bare);
  for (const env of [{ TERM: 'xterm', NO_COLOR: '1' }, { TERM: 'dumb' }])
    expect(styleOf('auto', { isTerminal: true, isJournal: false, env }).hasColour).toBe(false);
  expect(styleOf('auto', { isTerminal: true, isJournal: false, env: { NO_COLOR: '' } }).hasColour).toBe(true);
});

test('auto is text on a terminal and JSON elsewhere; journald gets priorities and needs no time', () => {
  const pipe = { isTerminal: false, isJournal: false, env: {} };
  expect(styleOf('auto', pipe)).toEqual({
    format: 'json',
    hasColour: false,
    hasTime: true,
    hasPriority: false,
  });
  expect(styleOf('auto', { ...pipe, isJournal: true })).toMatchObject({ format: 'json', hasPriority: true });
  expect(styleOf('text', { ...pipe, isJournal: true })).toMatchObject({ format: 'text', hasTime: false });
  expect(styleOf('json', { ...pipe, isTerminal: true }).format).toBe('json');
  expect([10, 20, 30, 40, 50, 60].map(priorityOf)).toEqual([7, 7, 6, 4, 3, 2]);
});
