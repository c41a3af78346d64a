/** How a backend stands as shared memory says now, for the share of new clients it may expect. */
import type { BackendStates } from '../../core/backend-states.ts';
import type { Standing } from '../../core/expected-shares.ts';
import type { BackendView } from '../../core/snapshot.ts';

export function standingNow(
  { id, weight }: Pick<BackendView, 'id' | 'weight'>,
  states: BackendStates,
): Standing {
  const ramp = states.ramp(id);
  return {
    isUp: states.isUp(id),
    isDraining: states.isDraining(id),
    weight,
    checkShare: weight === 0 ? 0 : states.weight(id) / ramp / weight,
    ramp,
  };
}
