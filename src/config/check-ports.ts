/**
 * Rules for backends on the port that the client came to (`10.0.1.1:same`, `10.0.1.1:+1000`): there has to be such a port for
 * every client, and health checks, which no client has sent, need one of their own.
 */

import { withoutPort } from '../core/dial-target.ts';
import { poolsOf } from '../core/routes.ts';
import type { BackendDraft, Draft, ListenerDraft, PoolDraft } from './draft.ts';
import type { Report } from './report.ts';

export function checkPorts(draft: Draft, report: Report): void {
  for (const pool of draft.pools) {
    const shifted = pool.backends.filter(({ value }) => shiftOf(value) !== undefined);
    if (shifted.length === 0) continue;
    const users = draft.listeners.filter(({ value }) => poolsOf(value).includes(pool.name));
    for (const backend of shifted) {
      for (const user of users) checkReach(backend, user, report);
    }
    checkHealthPort(pool, shifted[0]!, users, draft, report);
  }
}

function shiftOf({ address }: BackendDraft['value']): number | undefined {
  return address === undefined || address.kind === 'unix' ? undefined : address.portShift;
}

/** The first client for whom there is no port. */
function checkReach({ path, value }: BackendDraft, user: ListenerDraft, report: Report): void {
  const shift = shiftOf(value)!;
  const places = user.value.bind?.all ?? [];
  for (const { bind, steps } of places) {
    const why = withoutPort(bind, shift);
    if (why === undefined) continue;
    report.problem([...path, 'address'], () => {
      const where = report.pointTo([...user.path, 'bind', ...steps]);
      return `${why}: ${where}`;
    });
    return;
  }
}

function checkHealthPort(
  { path, value: { health } }: PoolDraft,
  backend: BackendDraft,
  users: readonly ListenerDraft[],
  draft: Draft,
  report: Report,
): void {
  if (draft.wasWrong([...path, 'health']) || draft.wasWrong([...path, 'health', 'port'])) return;
  const isUdp = users.length > 0 && users.every(({ value }) => value.bind?.protocol === 'udp');
  const type = health?.type ?? (isUdp ? 'none' : 'tcp');
  if (type === 'none' || health?.port !== undefined) return;
  report.problem(
    [...backend.path, 'address'],
    'has no port of its own that could be checked: give health.port, or health: { type: none }',
  );
}
