/**
 * What an operator may do with a backend at run time: `drain` (with `?pinned=move` its clients go elsewhere with their next
 * connection), `maintenance`, `undrain` (the end of both), `weight?to=NUMBER` or `?to=configured`. Each with `everywhere`, for all
 * instances of the cluster, and `force`: although nobody else of its pool takes new clients then.
 */
import { type OperatorOrder, operatorWeightMax } from '../core/operator-word.ts';
import type { Answer, Handle, Routes } from './answer.ts';
import { everywhereRule, hasValue } from './most.ts';
import type { Outside } from './outside.ts';

type Read = (query: URLSearchParams) => OperatorOrder | { readonly refused: string };
export type OperatorWord = 'drain' | 'undrain' | 'maintenance' | 'weight';

/** What each word orders, with what stands beside it. */
export const operatorWords: Readonly<Record<OperatorWord, Read>> = {
  drain: (query) => {
    const pinned = query.get('pinned') ?? 'stay';
    if (pinned !== 'stay' && pinned !== 'move')
      return { refused: `pinned: ${pinned} is neither stay nor move` };
    return { state: 'drain', movesPinned: pinned === 'move' };
  },
  maintenance: () => ({ state: 'maintenance' }),
  undrain: () => ({ state: 'ready' }),
  weight: (query) => {
    const to = query.get('to') ?? '';
    if (to === 'configured') return { weight: 'configured' };
    if (/^\d{1,3}$/.test(to) && Number(to) <= operatorWeightMax) return { weight: Number(to) };
    return {
      refused: `to: ${to || 'nothing'} is not a weight; give 0 to ${operatorWeightMax}, or configured`,
    };
  },
};

export function operatorRoutes(outside: Outside): Routes {
  return Object.fromEntries(
    Object.entries(operatorWords).map(([word, read]): [string, Handle] => [
      `POST /pools/:pool/backends/:backend/${word}`,
      ({ params, query }) => give(outside, params, query, read(query)),
    ]),
  );
}

function give(
  outside: Outside,
  { pool = '', backend = '' }: Readonly<Record<string, string>>,
  query: URLSearchParams,
  order: ReturnType<Read>,
): Promise<Answer> | Answer {
  if ('refused' in order) return { status: 400, body: { error: order.refused } };
  if (hasValue(query, 'everywhere')) return { status: 400, body: { error: everywhereRule } };
  return outside.order({
    kind: 'operate',
    pool,
    backend,
    order,
    isForAll: query.has('everywhere'),
    isForced: query.has('force'),
  });
}
