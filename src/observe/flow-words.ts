/** A finished flow, as a person would say it. */
import { isFailed } from '../core/flow-log.ts';
import { terminationWords } from '../core/termination-words.ts';
import type { FlowRecord } from '../worker/messages-from-worker.ts';

function whoIs({ client, peer }: { readonly client: string; readonly peer?: string }): string {
  return peer === undefined ? client : `${client} by ${peer}`;
}

/** `192.0.2.7:50614 -> servers/a`; without a backend: the pool alone. */
export function flowPath(flow: FlowRecord): string {
  const { pool, backend } = flow;
  const goal = backend === undefined ? pool || 'no pool' : `${pool}/${backend}`;
  return `${whoIs(flow)} -> ${goal}`;
}

/** Why this backend, `by pin`; empty where nobody was to be had. */
export function whyOf(flow: FlowRecord): string {
  return flow.reason === undefined || isFailed(flow) ? '' : `by ${flow.reason}`;
}

/** How it ended; of a failed flow with the cause. */
export function endOf(flow: FlowRecord): string {
  const { code = 'open', tries } = flow;
  if (code === 'open' || !isFailed(flow)) return code;
  return `${code}: ${terminationWords[code]}${tries > 1 ? ` (${tries} backends tried)` : ''}`;
}

/** The `msg` of a JSON line. */
export function flowInWords(flow: FlowRecord): string {
  const why = whyOf(flow);
  return `${flow.listener}: ${flowPath(flow)}${why === '' ? '' : ` ${why}`}: ${endOf(flow)}`;
}

export function amountsOf({
  protocol,
  bytesIn,
  bytesOut,
  datagramsIn,
  datagramsOut,
  durationMs,
}: FlowRecord): string {
  const datagrams = protocol === 'udp' ? `, ${datagramsIn} datagrams in, ${datagramsOut} out` : '';
  return `${durationText(durationMs)}, ${bytesIn} B in, ${bytesOut} B out${datagrams}`;
}

function durationText(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
