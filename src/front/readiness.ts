/** Whether an instance should get clients: one rule for its own pages and for `pinion ready`. */

/** What is looked at in the status page. */
export interface ReadyStatus {
  readonly ready?: unknown;
  readonly cluster?: { readonly state?: unknown; readonly caughtUp?: unknown } | null;
}

/**
 * Why an instance should not get clients; undefined when it should. With `inStep`, one that shares pins must also
 * have read them all once since it started. Losing Redis later changes nothing: it still knows what it read.
 */
export function notReadyBecause({ ready, cluster }: ReadyStatus, inStep: boolean): string | undefined {
  if (ready !== true) return 'it is starting or draining';
  if (!inStep || cluster === undefined || cluster === null) return undefined;
  if (cluster.caughtUp === true || cluster.state === 'in-step') return undefined;
  return `it has not read the shared pins yet (${String(cluster.state)})`;
}
