/** Rules for how connections leave: options that fight each other, and source addresses that no backend fits. */
import { Address } from '../core/address.ts';
import type { ListenerDraft, PoolDraft } from './draft.ts';
import type { Report } from './report.ts';

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
    for (const user of users.filter(({ value }) =>
      value.bind?.all.some(({ bind }) => bind.kind === 'unix'),
    )) {
      const where = report.pointTo([...user.path, 'bind']);
      report.problem(
        [...pool.path, 'transparent'],
        `clients of a unix socket have no address: ${where}`,
        'key',
      );
    }
  }
  if (source !== undefined && transparent !== true) checkFamilies(pool, source, report);
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
