/**
 * Why a backend is down: one word for status, log, metrics and `on_down`, beside a sentence in the check's own words. An operator
 * reads them at night, so they say what is wrong with the backend and not how it was found out.
 */

/** In the order in which they win when several are true: what no check can mend first. */
export const downReasons = [
  /** An operator has taken it out. */
  'operator',
  /** It has no address: its name does not resolve, or nobody has answered for it yet. */
  'unresolved',
  /** It leads back to a listener of this instance. */
  'loop',
  /** Its first check has not passed yet. */
  'unchecked',
  /** This machine cannot ask it: the source address is not here, or no descriptor is left. */
  'local-fault',
  /** Nobody listens there, or whoever does breaks the connection off. */
  'refused',
  /** No way there: no route, the network or the host says so. */
  'unreachable',
  /** No answer in time. */
  'timeout',
  /** It is a replica where a primary is wanted, or the other way round. */
  'wrong-role',
  /** A replica that is too far behind. */
  'lagging',
  /** It takes no writes. */
  'read-only',
  /** It does not let the check in: wrong user, password, database or certificate. */
  'not-authorized',
  /** It has no room for one more: all slots or connections are taken. */
  'full',
  /** It answers, and says that it is not well, or what nobody expects. */
  'check-failed',
  /** Its agent says so. */
  'agent',
  /** Connections of clients to it failed in a row. */
  'passive',
] as const;

export type DownReason = (typeof downReasons)[number];
