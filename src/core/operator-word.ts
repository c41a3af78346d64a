/**
 * What an operator says of a backend at run time: what it is to do, and with how much weight, until that is taken back. Each of the
 * two is a word of its own, and each word is for one instance or for all of the cluster. Of the words about one thing the newer is
 * in force, by the clocks of the instances that took the orders; of equally new ones the same everywhere.
 */

/**
 * `ready`: as its checks say. `drain`: no new clients. `maintenance`: down for an operator, so that `on_down` decides about
 * what is open.
 */
export type OperatorState = 'ready' | 'drain' | 'maintenance';

/** One thing that was said, and when. */
export interface OperatorWord {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** Of `state`: a state, or `drain-pinned`: those who are pinned go as well. Of `weight`: 0 to 256, or `configured`. */
  readonly value: string;
}

export const operatorTopics = ['state', 'weight'] as const;
export type OperatorTopic = (typeof operatorTopics)[number];

/** A word and what it is about, as instances tell each other. */
export interface OperatorRow {
  /** The instance it is for; `*`: all of the cluster. */
  readonly on: string;
  readonly pool: string;
  readonly backend: string;
  readonly topic: OperatorTopic;
  readonly word: OperatorWord;
}

/** What an order changes; what it leaves out stays. */
export interface OperatorOrder {
  readonly state?: OperatorState;
  /** `configured`: the file's weight again. */
  readonly weight?: number | 'configured';
  /** With `drain`: clients pinned to it go elsewhere with their next connection. */
  readonly movesPinned?: boolean;
}

/** All that is in force for a backend. */
export interface OperatorWill {
  readonly state: OperatorState;
  /** 0 to 256; undefined: as configured. */
  readonly weight: number | undefined;
  readonly movesPinned: boolean;
  /** When the newest of it was said: milliseconds since 1970; 0: nobody has said anything. */
  readonly atMs: number;
}

/** Of a backend nobody has said anything about. */
export const noWill: OperatorWill = { state: 'ready', weight: undefined, movesPinned: false, atMs: 0 };

/** For all instances. */
export const everywhere = '*';

export const operatorWeightMax = 256;
/** A word from further ahead than this is nobody's: it could not be taken back. */
const aheadMsMax = 24 * 3_600_000;

const valuePatterns: Readonly<Record<OperatorTopic, RegExp>> = {
  state: /^(?:ready|drain|drain-pinned|maintenance)$/,
  weight: /^(?:configured|\d{1,3})$/,
};

/** The values that an order says, by topic. */
export function valuesOf({
  state,
  weight,
  movesPinned,
}: OperatorOrder): (readonly [OperatorTopic, string])[] {
  const values: [OperatorTopic, string][] = [];
  if (state !== undefined)
    values.push(['state', state === 'drain' && movesPinned === true ? 'drain-pinned' : state]);
  if (weight !== undefined) values.push(['weight', String(weight)]);
  return values;
}

export function willOf(state: OperatorWord | undefined, weight: OperatorWord | undefined): OperatorWill {
  if (state === undefined && weight === undefined) return noWill;
  const value = state?.value ?? 'ready';
  return {
    state: value === 'drain-pinned' ? 'drain' : (value as OperatorState),
    movesPinned: value === 'drain-pinned',
    weight: weight === undefined || weight.value === 'configured' ? undefined : Number(weight.value),
    atMs: Math.max(state?.atMs ?? 0, weight?.atMs ?? 0),
  };
}

/** @returns what would be in force after this order */
export function willAfter(before: OperatorWill, { state, weight, movesPinned }: OperatorOrder): OperatorWill {
  return {
    ...before,
    ...(state === undefined ? {} : { state, movesPinned: state === 'drain' && movesPinned === true }),
    ...(weight === undefined ? {} : { weight: weight === 'configured' ? undefined : weight }),
  };
}

/** Whether two wills ask for the same, whenever they were said. */
export function isSameWill(one: OperatorWill, other: OperatorWill): boolean {
  return one.state === other.state && one.weight === other.weight && one.movesPinned === other.movesPinned;
}

/** The rule that putWordScript (cluster/scripts.ts) has, too. */
export function isNewer(one: OperatorWord, other: OperatorWord | undefined): boolean {
  if (other === undefined) return true;
  return one.atMs === other.atMs ? one.value > other.value : one.atMs > other.atMs;
}

/** @returns the last moment, in milliseconds since 1970, that a word may be from */
export function latestMs(nowMs: number): number {
  return Math.floor(nowMs) + aheadMsMax;
}

/** As it is written down: "<when> <value>". */
export function formatWord({ atMs, value }: OperatorWord): string {
  return `${atMs} ${value}`;
}

/** @returns undefined if nobody of us wrote it */
export function parseWord(topic: OperatorTopic, text: string, nowMs: number): OperatorWord | undefined {
  const [, at = '', value = ''] = /^([1-9]\d{0,14}) ([a-z\d-]{1,16})$/.exec(text) ?? [];
  if (!valuePatterns[topic].test(value)) return undefined;
  if (topic === 'weight' && value !== 'configured' && Number(value) > operatorWeightMax) return undefined;
  return Number(at) > latestMs(nowMs) ? undefined : { atMs: Number(at), value };
}
