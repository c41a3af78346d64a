/** What a health check meets of what clients meet: only then may a check that passes outweigh clients who failed. */
import type { FaultCause } from '../core/ejection.ts';
import type { Bind, HealthPlan, Protocol } from '../core/plan.ts';
import { dialectOf } from './dialects.ts';

/**
 * @param target where clients go
 * @returns whether a backend that passes this check cannot have this fault
 */
export function seesFault(
  health: HealthPlan,
  target: Bind | undefined,
  { protocol, cause }: { readonly protocol: Protocol; readonly cause: FaultCause },
): boolean {
  const dialect = dialectOf(health.type);
  if (dialect === undefined || isElsewhere(health, target)) return false;
  const over = dialect.reach?.(health.options) ?? 'tcp';
  if (protocol === 'udp') return over === 'udp';
  return over === 'tcp' || (over === 'connect' && cause === 'dial');
}

/** Whether a check asks somebody else than whom clients reach. */
export function isElsewhere({ port, address }: HealthPlan, target: Bind | undefined): boolean {
  if (target?.kind !== 'inet') return false;
  return (port !== undefined && port !== target.port) || (address !== undefined && address !== target.ip);
}
