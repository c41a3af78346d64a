/**
 * Rules for socket options: those that fight each other, and those without an effect where they stand.
 */
import { Address } from '../core/address.ts';
import type { Draft, ListenerDraft, PoolDraft } from './draft.ts';
import type { Path } from './problem.ts';
import type { Report } from './report.ts';

const upstreamKeys = ['source', 'transparent', 'mark', 'device'] as const;

/** What a listener's own options have against each other. */
export function checkListenerSockets({ path, value }: ListenerDraft, draft: Draft, report: Report): void {
  if (value.bind === undefined) return;
  const useless = (steps: Path, why: string): void => report.warning([...path, ...steps], why, 'key');
  const { bind, protocol } = value.bind;
  if (protocol === 'tcp' && value.udp !== undefined) useless(['udp'], 'has no effect on a TCP listener');
  if (bind.kind === 'unix') {
    const why = 'has no effect on a unix socket';
    if (value.bind_device !== undefined) useless(['bind_device'], why);
    if (value.tcp?.fast_open !== undefined) useless(['tcp', 'fast_open'], why);
  }
  if (protocol === 'tcp' && value.tcp?.keepalive === 0 && !draft.wasWrong([...path, 'tcp', 'keepalive'])) {
    const why = 'has no effect while keepalive is 0';
    if (value.tcp.keepalive_interval !== undefined) useless(['tcp', 'keepalive_interval'], why);
    if (value.tcp.keepalive_probes !== undefined) useless(['tcp', 'keepalive_probes'], why);
  }
}

/** Where connections to a pool's backends are to leave from, against what its clients and backends are. */
export function checkUpstream(pool: PoolDraft, users: readonly ListenerDraft[], report: Report): void {
  const { source, transparent } = pool.value;
  if (transparent === true && source !== undefined) {
    report.problem(
      [...pool.path, 'transparent'],
      "cannot be combined with source: connections leave from the client's address or from this machine's",
      'key',
    );
  }
  if (transparent === true) {
    for (const user of users.filter(({ value }) => value.bind?.bind.kind === 'unix')) {
      const where = report.pointTo([...user.path, 'bind']);
      report.problem(
        [...pool.path, 'transparent'],
        `clients of a unix socket have no address: ${where}`,
        'key',
      );
    }
  }
  if (source !== undefined && transparent !== true) checkFamilies(pool, source, report);
  const isLocal =
    pool.backends.length > 0 && pool.backends.every(({ value }) => value.address?.kind === 'unix');
  if (!isLocal || !pool.complete) return;
  for (const key of upstreamKeys) {
    if (pool.value[key] === undefined) continue;
    report.warning([...pool.path, key], 'has no effect: every backend is a unix socket', 'key');
  }
}

function checkFamilies(pool: PoolDraft, source: readonly string[], report: Report): void {
  const has = new Set(source.map((ip) => Address.parse(ip, 0)!.family));
  for (const family of [4, 6] as const) {
    if (has.has(family)) continue;
    const first = pool.backends.find(
      ({ value: { address } }) => address?.kind === 'inet' && Address.parse(address.ip, 0)!.family === family,
    );
    if (first === undefined) continue;
    const where = report.pointTo([...first.path, 'address']);
    report.warning(
      [...pool.path, 'source'],
      `has no IPv${family} address: the kernel chooses one for ${where}`,
      'key',
    );
  }
}
