/**
 * Rules for listeners: names, addresses that two of them want, the pool they point to, and settings that do nothing.
 */

import { formatAddress } from '../core/address-text.ts';
import type { Bind, Protocol } from '../core/plan.ts';
import { checkReserves } from './check-reserves.ts';
import { checkListenerSockets } from './check-sockets.ts';
import type { Draft, ListenerDraft } from './draft.ts';
import { overlaps } from './overlap.ts';
import type { Path } from './problem.ts';
import { type Report, reportRepeats } from './report.ts';
import { didYouMean } from './suggest.ts';

/** One claim on an address: a listener's, or that of metrics or admin. */
interface Claim {
  readonly path: Path;
  readonly protocol: Protocol;
  readonly bind: Bind;
  readonly device: string | undefined;
}

export function checkListeners(draft: Draft, report: Report): void {
  reportRepeats(
    draft.listeners,
    (listener) => listener.value.name,
    (listener) => [...listener.path, 'name'],
    report,
    (name, first) => `"${name}" is the name of another listener: ${first}`,
  );
  checkClaims(draft, report);
  checkReserves(draft, report);
  for (const listener of draft.listeners) {
    checkPoolOf(listener, draft, report);
    checkUseless(listener, draft, report);
    checkListenerSockets(listener, draft, report);
  }
}

function checkClaims(draft: Draft, report: Report): void {
  const claims: Claim[] = [
    ...draft.listeners.flatMap(({ path, value: { bind, bind_device: device } }) => {
      // One whose device is not known may meet nobody.
      if (bind === undefined || draft.wasWrong([...path, 'bind_device'])) return [];
      return [{ path: [...path, 'bind'], ...bind, device }];
    }),
    ...draft.services.map(({ path, value }) => ({
      path,
      protocol: 'tcp' as const,
      bind: value,
      device: undefined,
    })),
  ];
  // Only claims on one port (or path) can meet: a thousand listeners are not compared pair by pair.
  const groups = new Map<string, Claim[]>();
  for (const claim of claims) {
    const { bind } = claim;
    if (bind.kind === 'inet' && bind.port === 0) continue;
    const group = bind.kind === 'unix' ? `unix:${bind.path}` : `${claim.protocol}:${bind.port}`;
    const earlier = groups.get(group) ?? [];
    const first = earlier.find((other) => overlaps(other.bind, bind) && meetOnDevice(other, claim));
    if (first !== undefined) {
      const other = `${report.pointTo(first.path)} has ${formatAddress(first.bind)}`;
      report.problem(claim.path, `${formatAddress(bind)} is taken: ${other}`);
    }
    groups.set(group, [...earlier, claim]);
  }
}

/** Sockets of two devices may have one address. */
function meetOnDevice(a: Claim, b: Claim): boolean {
  return a.device === undefined || b.device === undefined || a.device === b.device;
}

function checkPoolOf(listener: ListenerDraft, draft: Draft, report: Report): void {
  const { pool } = listener.value;
  const known = draft.poolNames;
  if (pool === undefined || known === undefined || known.includes(pool)) return;
  const hint =
    didYouMean(pool, known) || (known.length > 0 && known.length <= 8 ? `; pools: ${known.join(', ')}` : '');
  report.problem([...listener.path, 'pool'], `there is no pool "${pool}"${hint}`);
}

/** Settings without an effect are usually meant for something else: said, but not refused. */
function checkUseless({ path, value }: ListenerDraft, draft: Draft, report: Report): void {
  const useless = (steps: Path, why: string): void => report.warning([...path, ...steps], why, 'key');
  if (value.bind?.protocol === 'udp') {
    const why = 'has no effect on a UDP listener';
    if (value.tcp !== undefined) useless(['tcp'], why);
    if (value.timeouts?.connect !== undefined) useless(['timeouts', 'connect'], why);
    if (value.timeouts?.half_close !== undefined) useless(['timeouts', 'half_close'], why);
  }
  const affinity = value.affinity;
  if (affinity !== undefined && affinity !== 'none') {
    if (value.bind?.bind.kind === 'unix' && affinity.key !== undefined && affinity.key !== 'none') {
      useless(['affinity', 'key'], 'clients of a unix socket have no address: all of them go to one backend');
    }
    if (affinity.key !== 'client-subnet' && !draft.wasWrong([...path, 'affinity', 'key'])) {
      const why = 'has no effect unless key is client-subnet';
      if (affinity.prefix_v4 !== undefined) useless(['affinity', 'prefix_v4'], why);
      if (affinity.prefix_v6 !== undefined) useless(['affinity', 'prefix_v6'], why);
    }
  }
  const flows = value.limits?.flows;
  if (flows !== undefined && typeof draft.instanceFlows === 'number' && flows > draft.instanceFlows) {
    useless(
      ['limits', 'flows'],
      `is above limits.flows of the instance (${draft.instanceFlows}), which comes first`,
    );
  }
}
