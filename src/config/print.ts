/**
 * A plan as text for people to read, to mail and to keep: what it means with every default, without its secrets.
 */
import type { Plan } from '../core/plan.ts';

/** JSON. A password that is in the file is shown as `***`; so is a user without one, which is a password without its colon. */
export function printPlan(plan: Plan): string {
  if (plan.cluster === undefined) return JSON.stringify(plan, null, 2);
  const { redis } = plan.cluster;
  const hidden: { username?: string; password?: string } = {};
  if (redis.password !== undefined) hidden.password = '***';
  else if (redis.username !== undefined && redis.passwordFile === undefined) hidden.username = '***';
  return JSON.stringify({ ...plan, cluster: { ...plan.cluster, redis: { ...redis, ...hidden } } }, null, 2);
}
