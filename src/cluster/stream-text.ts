/** Stream entries and replies as they come from Redis, made into records. Whatever does not fit is left out. */
import { pinTextLengthMax, valueLengthMax } from '../pins/pin-text.ts';
import { isPosition } from './position.ts';
import type { PinNews, PinStep, StreamEntry, Verdict } from './store.ts';

const verdicts: Readonly<Record<string, Verdict>> = {
  W: { kind: 'written' },
  S: { kind: 'same' },
  D: { kind: 'removed' },
  G: { kind: 'gone' },
  F: { kind: 'foreign' },
};

/** Pins named in one entry; more is not ours. */
const newsMax = 10_000;

/** Steps as scripts.ts takes them. No name, reason or number has a tab or a line's end. */
export function formatSteps(steps: readonly PinStep[]): string {
  let text = '';
  for (const { expect, backend, pxMs, reason, ttlMs } of steps)
    text += `${expect}\t${backend}\t${pxMs}\t${reason} ${ttlMs}\n`;
  return text;
}

export function parseVerdict(text: string): Verdict {
  const known = verdicts[text];
  if (known !== undefined) return known;
  const news = parseTimed(text.slice(2));
  return { kind: 'lost', value: news.value, pxMs: news.pxMs };
}

/** "<pttl> <value>"; pttl below 0 (no expiry: not written by us) reads as 1 ms, so that it does not stay. */
export function parseTimed(text: string): { readonly pxMs: number; readonly value: string } {
  const space = text.indexOf(' ');
  if (space < 0) return { pxMs: 0, value: '' };
  return { pxMs: Math.max(1, Number(text.slice(0, space)) || 1), value: text.slice(space + 1) };
}

/** What was left out, as it is longer than anything pinion writes. */
export interface LeftOut {
  lines: number;
}

/** An entry of XREAD or XRANGE: [id, [field, value, ...]]. An entry that is not ours has no news and no `previous`. */
export function parseEntry(raw: unknown, leftOut: LeftOut = { lines: 0 }): StreamEntry | undefined {
  if (!Array.isArray(raw) || typeof raw[0] !== 'string' || !isPosition(raw[0])) return undefined;
  const fields: unknown[] = Array.isArray(raw[1]) ? raw[1] : [];
  let previous = '';
  let payload = '';
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (fields[i] === 'l') previous = String(fields[i + 1]);
    else if (fields[i] === 'p') payload = String(fields[i + 1]);
  }
  return { position: raw[0], previous, news: parseNews(payload, leftOut) };
}

function parseNews(payload: string, leftOut: LeftOut): PinNews[] {
  const news: PinNews[] = [];
  for (let start = 0; start < payload.length && news.length < newsMax; ) {
    const newline = payload.indexOf('\n', start);
    const end = newline < 0 ? payload.length : newline;
    const one = parseLine(payload.slice(start, end));
    start = end + 1;
    if (one === undefined) continue;
    if (one.text.length > pinTextLengthMax || one.value.length > valueLengthMax) leftOut.lines++;
    else news.push(one);
  }
  return news;
}

function parseLine(line: string): PinNews | undefined {
  const first = line.indexOf('\t');
  const second = line.indexOf('\t', first + 1);
  if (second < 0) return undefined;
  const pxMs = Number(line.slice(first + 1, second));
  return pxMs >= 0 ? { text: line.slice(0, first), pxMs, value: line.slice(second + 1) } : undefined;
}

/** The reply of XREAD: [[key, [entry, ...]], ...] or nothing. */
export function parseStreams(raw: unknown, leftOut: LeftOut): Map<string, StreamEntry[]> {
  const streams = new Map<string, StreamEntry[]>();
  if (!Array.isArray(raw)) return streams;
  for (const stream of raw) {
    if (!Array.isArray(stream) || typeof stream[0] !== 'string' || !Array.isArray(stream[1])) continue;
    const entries = stream[1]
      .map((entry) => parseEntry(entry, leftOut))
      .filter((entry) => entry !== undefined);
    streams.set(stream[0], entries);
  }
  return streams;
}
