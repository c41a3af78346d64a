/**
 * Addresses that two want: listeners, metrics and admin. Each claim is compared with a few that are kept for it, not
 * with every other: a thousand listeners on one port are judged as fast as on a thousand.
 *
 * Two claims at one port meet if they have the same address or one is a wildcard. 0.0.0.0 covers every IPv4 address, and
 * [::] covers IPv4 as well: its socket is dual-stack unless IPV6_V6ONLY is set (RFC 3493 section 5.3). Also for UDP,
 * where options could allow it: which of the two a client reaches would be up to the kernel.
 */
import { Address } from '../core/address.ts';
import { formatAddress } from '../core/address-text.ts';
import type { Bind, Protocol } from '../core/plan.ts';
import type { Draft } from './draft.ts';
import type { Path } from './problem.ts';
import type { Report } from './report.ts';

/** One claim on an address: a listener's, or that of metrics or admin. */
interface Claim {
  readonly path: Path;
  readonly protocol: Protocol;
  readonly bind: Bind;
  readonly device: string | undefined;
}

export function checkClaims(draft: Draft, report: Report): void {
  const claims: Claim[] = [
    ...draft.listeners.flatMap(({ path, value: { bind, bind_device: device } }) => {
      // One whose device is not known may meet nobody.
      if (bind === undefined || draft.wasWrong([...path, 'bind_device'])) return [];
      const { protocol, all } = bind;
      return all.map((one) => ({ path: [...path, 'bind', ...one.steps], protocol, bind: one.bind, device }));
    }),
    ...draft.services.map(({ path, value }) => ({
      path,
      protocol: 'tcp' as const,
      bind: value,
      device: undefined,
    })),
  ];
  /** The first claim that was made on each place, by its number. */
  const first = new Map<string, number>();
  /** Two ranges that meet do so once. */
  const told = new Set<string>();
  for (const [i, claim] of claims.entries()) {
    const { bind } = claim;
    if (bind.kind === 'inet' && bind.port === 0) continue;
    const earlier = meetsAt(claim).flatMap((place) => first.get(place) ?? []);
    if (earlier.length > 0) {
      const other = claims[Math.min(...earlier)]!;
      const pair = JSON.stringify([claim.path, other.path]);
      if (!told.has(pair))
        report.problem(claim.path, () => {
          const where = `${report.pointTo(other.path)} has ${formatAddress(other.bind)}`;
          return `${formatAddress(bind)} is taken: ${where}`;
        });
      told.add(pair);
    }
    for (const place of takes(claim)) if (!first.has(place)) first.set(place, i);
  }
}

/** The places at which those are found that `claim` meets. */
function meetsAt({ protocol, bind, device }: Claim): string[] {
  if (bind.kind === 'unix') return [bind.path];
  const address = Address.parse(bind.ip, 0)!;
  const scopes = [address.ip, '::'];
  if (address.family === 4) scopes.push('0.0.0.0');
  if (address.isWildcard) scopes.push(address.family === 6 ? 'any' : 'any IPv4');
  // Sockets of two devices may have one address.
  const devices = device === undefined ? ['every'] : [device, ''];
  return scopes.flatMap((scope) => devices.map((on) => `${protocol}:${bind.port} ${scope} ${on}`));
}

/** The places at which `claim` is found. */
function takes({ protocol, bind, device }: Claim): string[] {
  if (bind.kind === 'unix') return [bind.path];
  const address = Address.parse(bind.ip, 0)!;
  const scopes = [address.ip, 'any'];
  if (address.family === 4) scopes.push('any IPv4');
  return scopes.flatMap((scope) =>
    [device ?? '', 'every'].map((on) => `${protocol}:${bind.port} ${scope} ${on}`),
  );
}
