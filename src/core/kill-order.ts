/**
 * An operator's order to end open flows, as instances of a cluster tell each other: which, and over what time. It is an event and no
 * state: whoever hears of it late, or not, does nothing later. What reads like none is none, as strangers may write to Redis.
 */
import { keyMatcher } from './client-matcher.ts';
import type { FlowFilter } from './flow-filter.ts';

export interface KillOrder {
  readonly filter: FlowFilter;
  /** Undefined: as each pool says. */
  readonly overMs: number | undefined;
}

/** A day. */
export const killOverMsMax = 86_400_000;
/** A name, an address with its port, or a key. Characters. */
const wordLengthMax = 256;
const keys = ['listener', 'pool', 'backend', 'client', 'movedTo'] as const;

/** As one line, beginning with the instance that tells it. */
export function formatKill(from: string, { filter, overMs }: KillOrder): string {
  return JSON.stringify({ from, ...filter, ...(overMs === undefined ? {} : { overMs }) });
}

/** @returns undefined if nobody of us wrote it */
export function parseKill(text: string): (KillOrder & { readonly from: string }) | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const { from, overMs, ...words } = parsed as Readonly<Record<string, unknown>>;
  if (!isWord(from) || !(overMs === undefined || isTime(overMs))) return undefined;
  const filter: Record<string, string> = {};
  for (const [key, word] of Object.entries(words)) {
    if (!keys.some((one) => one === key) || !isWord(word)) return undefined;
    filter[key] = word;
  }
  if (filter.client !== undefined && !isClient(filter.client)) return undefined;
  return { from, filter, overMs };
}

function isWord(word: unknown): word is string {
  return typeof word === 'string' && word.length > 0 && word.length <= wordLengthMax;
}

function isTime(ms: unknown): ms is number {
  return Number.isInteger(ms) && (ms as number) >= 0 && (ms as number) <= killOverMsMax;
}

function isClient(text: string): boolean {
  try {
    keyMatcher(text);
    return true;
  } catch {
    return false;
  }
}
