/**
 * Why a flow ended, or was turned away: one short fixed code that is at once the log field, the metric label
 * and the reason an operator reads. Adding one is cheap; renaming one breaks dashboards.
 */

export const terminationCodes = [
  // The ordinary ends.
  'client-closed', // the client ended first, everything was delivered
  'backend-closed', // the backend ended first, everything was delivered
  'client-reset', // the client broke off; what it had said was passed on
  'backend-reset',
  'idle', // nothing moved for timeouts.idle, in the kernel neither
  'half-close-timeout', // one side had ended, the other went silent for timeouts.half_close
  'expired', // a UDP conversation that was quiet for timeouts.idle: its ordinary end
  'closed', // relay: kernel; both sides ended, and the kernel does not say which one first
  'reset', // relay: kernel; one side broke off
  // No backend was reached.
  'no-backend', // every backend of the pool is down, draining or full
  'backend-refused',
  'backend-timeout',
  'backend-unreachable',
  'loop', // the way to the backend comes back to a listener of ours
  'local-fault', // our own machine said no: no descriptor, no source port, no memory
  // Who the client is was not known yet.
  'proxy-header', // a proxy's PROXY header was missing, wrong or late
  'unidentified', // it did not tell in time, or in as many bytes as are read
  'limit-arrivals', // it had not told when too many others came
  'no-route', // no route is for what it said, and its listener has no pool for others
  // Policy reached a flow that was open.
  'backend-down',
  'backend-removed',
  'backup-closed', // it was on a backup, and another backend is up again (on_up)
  'max-age', // it was older than max_connection_age
  'address-changed', // its backend is at another address, or reached by another way
  'operator', // an operator ended it
  'listener-removed',
  'shutdown',
  'evicted', // a UDP conversation that made room for another
  'denied', // the client may not come in, or not any more: allow, deny
  // Limits.
  'limit-flows',
  'limit-listener',
  'limit-client',
  'limit-subnet',
  'limit-rate',
  'limit-memory',
  // Ours.
  'worker-error', // a defect in the worker; this one flow was given up for it
] as const;

export type TerminationCode = (typeof terminationCodes)[number];

/** The code's place in {@link terminationCodes}: a row in shared counters. */
export const terminationIndex: ReadonlyMap<TerminationCode, number> = new Map(
  terminationCodes.map((code, index) => [code, index]),
);

/** Ends that somebody has to look at: what the client came for it did not get. */
export const failedCodes: ReadonlySet<TerminationCode> = new Set<TerminationCode>([
  'backend-reset',
  'no-backend',
  'backend-refused',
  'backend-timeout',
  'backend-unreachable',
  'loop',
  'local-fault',
  'proxy-header',
  'unidentified',
  'no-route',
  'backend-down',
  'limit-memory',
  'worker-error',
]);
