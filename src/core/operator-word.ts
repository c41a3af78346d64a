/**
 * An operator's word about a backend at run time: what it is to do, and with how much weight, until it is taken back. One word is
 * for one instance or for all of the cluster; of the two that may concern a backend the newer is in force, by the clocks of the
 * instances that took the orders.
 */

/**
 * `ready`: as its checks say. `drain`: no new clients. `maintenance`: down for an operator, so that `on_down` decides about
 * what is open.
 */
export type OperatorState = 'ready' | 'drain' | 'maintenance';

export interface OperatorWord {
  readonly state: OperatorState;
  /** 0 to 256; undefined: as configured. */
  readonly weight: number | undefined;
  /** While it drains: clients pinned to it go elsewhere with their next connection. */
  readonly movesPinned: boolean;
  /** When it was said: milliseconds since 1970. */
  readonly atMs: number;
}

/** A word and what it is about, as instances tell each other. */
export interface OperatorRow {
  /** The instance it is for; `*`: all of the cluster. */
  readonly on: string;
  readonly pool: string;
  readonly backend: string;
  readonly word: OperatorWord;
}

/** What an order changes; what it leaves out stays. */
export interface OperatorOrder {
  readonly state?: OperatorState;
  /** `configured`: the file's weight again. */
  readonly weight?: number | 'configured';
  readonly movesPinned?: boolean;
}

/** Of a backend nobody has said anything about. */
export const noWord: OperatorWord = { state: 'ready', weight: undefined, movesPinned: false, atMs: 0 };

/** For all instances. */
export const everywhere = '*';

export const operatorWeightMax = 256;

/** @returns what is in force once `order` is carried out on top of `before`. It is newer than that, whatever the clock says */
export function wordAfter(before: OperatorWord, order: OperatorOrder, nowMs: number): OperatorWord {
  const state = order.state ?? before.state;
  const weight =
    order.weight === undefined ? before.weight : order.weight === 'configured' ? undefined : order.weight;
  const movesPinned =
    state === 'drain' && (order.movesPinned ?? (order.state === undefined && before.movesPinned));
  return { state, weight, movesPinned, atMs: Math.max(Math.floor(nowMs), before.atMs + 1) };
}

/** As it is written down: "<when> <state> <weight or -> <pinned stay or go>". */
export function formatWord({ state, weight, movesPinned, atMs }: OperatorWord): string {
  return `${atMs} ${state} ${weight ?? '-'} ${movesPinned ? 'go' : 'stay'}`;
}

/** @returns undefined if nobody of us wrote it */
export function parseWord(text: string): OperatorWord | undefined {
  const match = /^(\d{1,15}) (ready|drain|maintenance) (-|\d{1,3}) (stay|go)$/.exec(text);
  if (match === null) return undefined;
  const [, at, state, weight, pinned] = match;
  if (weight !== '-' && Number(weight) > operatorWeightMax) return undefined;
  return {
    state: state as OperatorState,
    weight: weight === '-' ? undefined : Number(weight),
    movesPinned: pinned === 'go',
    atMs: Number(at),
  };
}
