/** Which open flows an operator means. What is left out matches all. */
export interface FlowFilter {
  readonly listener?: string;
  /** Or those of a group: its scope (core/pin-scopes.ts). */
  readonly pool?: string;
  readonly backend?: string;
  /** `203.0.113.7`, `203.0.113.7:4711`, `[2001:db8::1]:53`, a network: `203.0.113.0/24`, or a key: `server-name=play.example`. */
  readonly client?: string;
  /** Only flows that are elsewhere than at this backend, though their client may be pinned there: of pools that have it. */
  readonly movedTo?: string;
}
