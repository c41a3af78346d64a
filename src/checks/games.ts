/** What the dialects of games have in common: players against slots. */
import { choice } from '../core/options.ts';
import type { ServerInfo } from '../wire/server-info.ts';
import { type CheckResult, failed, passed } from './dialect.ts';

export const gameOptions = {
  players: choice(
    'What players and slots do. ignore: nothing; full: a server without a free slot gets no new clients; weight: a server gets new clients in proportion to its free slots.',
    ['ignore', 'full', 'weight'],
    'full',
  ),
} as const;

/** A full server takes none, but those who play go on: its share is 0. */
export function judgePlayers(
  { players, slots }: ServerInfo,
  what: 'ignore' | 'full' | 'weight',
): CheckResult {
  // A server that tells no slots, or less than none, has no bound that is known.
  if (what === 'ignore' || !(slots > 0)) return passed;
  const free = Math.min(1, Math.max(0, slots - players) / slots);
  if (what === 'weight') return { verdict: 'pass', share: Math.ceil(free * 100) / 100 };
  return free === 0 ? { verdict: 'pass', share: 0 } : passed;
}

export const noAnswer = (what: string): CheckResult =>
  failed('check-failed', `what it answers is no ${what}`);
