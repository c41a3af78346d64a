/** What is told of a backend: to the admin address, metrics and whoever asks control. */
import { formatAddress } from '../core/address-text.ts';
import type { DownReason } from '../core/down-reason.ts';
import type { OperatorState, OperatorWill } from '../core/operator-word.ts';
import type { BackendAddress } from '../core/plan.ts';
import { type Backend, leadsBackTo, weightOf } from './backend.ts';
import type { EjectionStatus, Ejections, SparedFor, SparedStatus } from './ejections.ts';
import type { Flip } from './flips.ts';
import type { FormerStatus, FormerWays } from './former-ways.ts';
import type { SlowStarts } from './slow-starts.ts';

export interface BackendStatus {
  readonly pool: string;
  readonly backend: string;
  readonly id: number;
  readonly address: string;
  /** In force: an operator's, else the file's. */
  readonly weight: number;
  /** The file's. */
  readonly configuredWeight: number;
  /** 0: no limit. */
  readonly maxConnections: number;
  readonly priority: number;
  readonly backup: boolean;
  readonly zone: string | null;
  /** Its place in the order in which clients come to it here, from 1: by backup, priority and zone. */
  readonly tier: number;
  readonly up: boolean;
  /** Why it is down; null: it is up. */
  readonly reason: DownReason | null;
  readonly why: string;
  /** So long it has been up, or down. Milliseconds. */
  readonly sinceMs: number;
  /** How often it went down. */
  readonly flaps: number;
  /** When it came up or went down, the oldest first. */
  readonly flips: readonly Flip[];
  /** The last health check; null: none so far. */
  readonly check: {
    readonly passed: boolean;
    readonly why: string;
    readonly tookMs: number;
    readonly agoMs: number;
    readonly streak: number;
  } | null;
  /** What it has of its share of new clients, 0 to 1, since it came up; null: all of it. */
  readonly slowStart: number | null;
  readonly draining: boolean;
  /** What an operator has said of it; null: nothing. */
  readonly operator: {
    readonly state: OperatorState;
    readonly weight: number | null;
    readonly movesPinned: boolean;
    /** ISO 8601. */
    readonly at: string;
  } | null;
  readonly ejected: boolean;
  /** Why, and until when; null: it is not. */
  readonly ejection: EjectionStatus | null;
  /** Ejections so far. */
  readonly ejections: number;
  /** Clients fail there now, and it would be left out, but for this; null: it would not. */
  readonly spared: SparedStatus | null;
  /** How often it was not left out though clients failed there. */
  readonly ejectionsSpared: Readonly<Record<SparedFor, number>>;
  /** The listener of this instance that it leads back to; it is down for that. */
  readonly leadsTo: string | null;
  /** Where it is now: what its name resolves to. */
  readonly at: string | null;
  /** Where TCP flows are still open to it. */
  readonly former: readonly FormerStatus[];
}

/** Who else knows something of a backend. */
export interface StatusSources {
  readonly ejections: Pick<Ejections, 'has' | 'status' | 'total' | 'spared' | 'sparedTotals'>;
  readonly slowStarts: Pick<SlowStarts, 'shareOf'>;
  readonly formers: Pick<FormerWays, 'status'>;
  readonly nowMs: number;
}

export function statusOf(backend: Backend, tier: number, sources: StatusSources): BackendStatus {
  const { id, pool, plan, verdict, will, target } = backend;
  const { ejections, slowStarts, formers, nowMs } = sources;
  return {
    pool: pool.name,
    backend: plan.name,
    id,
    address: textOf(plan.address),
    weight: weightOf(will, plan),
    configuredWeight: plan.weight,
    maxConnections: plan.maxConnections,
    priority: plan.priority ?? 1,
    backup: plan.isBackup ?? false,
    zone: plan.zone ?? null,
    tier,
    up: verdict.isUp,
    reason: verdict.reason ?? null,
    why: verdict.why,
    sinceMs: Math.round(nowMs - backend.sinceMs),
    flaps: backend.flaps,
    flips: backend.flips.list(),
    check: checkStatus(backend, nowMs),
    slowStart: slowStarts.shareOf(id) ?? null,
    draining: will.state === 'drain',
    operator: willStatus(will),
    ejected: ejections.has(id),
    ejection: ejections.status(id),
    ejections: ejections.total(id),
    spared: ejections.spared(id),
    ejectionsSpared: ejections.sparedTotals(id),
    leadsTo: leadsBackTo(backend) ?? null,
    at: target === undefined ? null : textOf(target),
    former: formers.status(id),
  };
}

/** Made once for each address: a page is asked for again and again. */
const texts = new WeakMap<BackendAddress, string>();

function textOf(address: BackendAddress): string {
  let text = texts.get(address);
  if (text === undefined) {
    text = formatAddress(address);
    texts.set(address, text);
  }
  return text;
}

function checkStatus({ checked }: Backend, nowMs: number): BackendStatus['check'] {
  if (checked === undefined) return null;
  const { hasPassed, why, tookMs, streak, atMs } = checked;
  return { passed: hasPassed, why, tookMs: Math.round(tookMs), agoMs: Math.round(nowMs - atMs), streak };
}

function willStatus({ state, weight, movesPinned, atMs }: OperatorWill): BackendStatus['operator'] {
  if (atMs === 0) return null;
  return { state, weight: weight ?? null, movesPinned, at: new Date(atMs).toISOString() };
}
