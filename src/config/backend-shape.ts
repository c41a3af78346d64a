/** The options of a backend: what a user may write there, what it means, and what the plan has of it. */
import type * as z from 'zod';
import { priorityMax, ringPointsMax, weightMax } from '../core/limits.ts';
import { as, built, flag, name, type OptionsOf, own, planOf, required, whole } from '../core/options.ts';
import type { BackendPlan } from '../core/plan.ts';
import { pointsPerWeight } from '../core/policy/ring.ts';
import { readBackendAddress } from './bind.ts';
import { flowsMax } from './fields.ts';
import { sectionOf } from './option-fields.ts';

export const backendOptions = {
  name: required(
    name(
      'Its stable name: what clients are pinned to. Another address under the same name is the same server.',
    ),
  ),
  address: required(
    own(
      '10.0.0.1:5432, [::1]:5432, db1.example.org:5432 or unix:/path. A name is resolved every 30 s (a start or reload waits 7 s for it); of several addresses the lowest counts (IPv4 before IPv6), and the last one is kept while it does not resolve.',
      readBackendAddress,
      { type: 'string' },
    ),
  ),
  weight: whole(
    `Its share of new clients against the others; 0: no new ones. ring: those of a pool are at most ${ringPointsMax / pointsPerWeight} together.`,
    0,
    weightMax,
    1,
  ),
  maxConnections: as('max_connections', whole('Open flows it takes; 0: no limit.', 0, flowsMax, 0)),
  priority: built(
    whole(
      'Its tier: new clients go to the lowest number, and past it when too few of its backends take new clients (spill_below). Gaps are no matter.',
      1,
      priorityMax,
      1,
    ),
    (written) => (written === 1 ? undefined : written),
  ),
  isBackup: as(
    'backup',
    built(
      flag(
        'Only for when none of the others can take a client. A client is not pinned to it for good: once another one can, its next connection goes there.',
        false,
      ),
      (written) => written || undefined,
    ),
  ),
  zone: name(
    'Where it stands. Inside a priority those in the zone of this instance (zone at the top of the file) come first; without one of its own it is elsewhere.',
  ),
} satisfies OptionsOf<BackendPlan>;

export const backendShape = sectionOf('One server.', backendOptions);

export type BackendShape = z.output<typeof backendShape>;

/** A backend with every default. */
export function buildBackend(backend: BackendShape): BackendPlan {
  return planOf<BackendPlan>(backendOptions, backend);
}
