/**
 * A plan as text for people to read, to mail and to keep: what it means with every default, without its secrets.
 */
import type { Plan } from '../core/plan.ts';

/** JSON. A password that is in the file is shown as `***`. */
export function printPlan(plan: Plan): string {
  const redis = plan.cluster?.redis;
  if (plan.cluster === undefined || redis?.password === undefined) return JSON.stringify(plan, null, 2);
  const cluster = { ...plan.cluster, redis: { ...redis, password: '***' } };
  return JSON.stringify({ ...plan, cluster }, null, 2);
}
