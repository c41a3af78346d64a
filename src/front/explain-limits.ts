/**
 * What the limits of a listener leave a client: how many flows it and its network have, here and on other instances, and how many
 * more may come. Asked of the same table that the workers count in, without taking anything. With `relay: kernel` the kernel counts by
 * itself, and how many there are is not known here.
 */
import type { Address } from '../core/address.ts';
import type { ClientKind, ClientTable } from '../core/client-table.ts';
import { maskAddress } from '../core/key.ts';
import type { ListenerPlan } from '../core/plan.ts';
import type { ListenerView } from '../core/snapshot.ts';

export interface LimitExplained {
  /** As the file has it: `flows_per_client`. */
  readonly limit: string;
  /** Whom it counts: the client, or the network that it is in. */
  readonly of: string;
  /** Flows, or so many a second. */
  readonly most: number;
  readonly scope: 'instance' | 'cluster';
  /** What this instance lets in of it now. */
  readonly mostHere: number;
  /** Open flows here; absent: it is a rate, or the kernel counts them. */
  readonly open?: number;
  /** Open flows on other instances, as they told last; null: they have not been heard of. Absent: only this instance counts. */
  readonly elsewhere?: number | null;
  readonly why: string;
}

/** Flows and rates of one client, or of one network. */
interface Limited {
  readonly kind: ClientKind;
  readonly address: Address;
  readonly of: string;
  readonly flows: readonly [name: string, most: number];
  readonly rates: readonly (readonly [name: string, most: number])[];
}

/** @returns undefined: the listener has no limits of clients and networks */
export function limitsOf(
  { id, plan }: ListenerView,
  client: Address,
  clients: ClientTable,
  nowMs: number,
): LimitExplained[] | undefined {
  const rows = limitedOf(plan, client).flatMap(({ kind, address, of, flows, rates }): LimitExplained[] => {
    const scope = plan.limits.scope ?? 'instance';
    const { open, elsewhere, members } = clients.look(id, kind, address, nowMs);
    const share = (most: number): number => (scope === 'cluster' ? clients.share(most) : most);
    const [limit, most] = flows;
    const mostHere = scope === 'instance' ? most : elsewhere === undefined ? share(most) : most - elsewhere;
    const room = Math.max(0, mostHere - open);
    const next = room === 0 ? `one more is refused (limit-${kind})` : `${room} more may come`;
    const own = { limit, of, most, scope, mostHere: Math.max(0, mostHere) };
    const counted: LimitExplained =
      plan.relay === 'kernel'
        ? { ...own, why: `at most ${most} open (limit-${kind}); the kernel counts them` }
        : {
            ...own,
            open,
            ...(scope === 'cluster' ? { elsewhere: elsewhere ?? null } : {}),
            why: `${open} of ${most} open here${scope === 'cluster' ? othersInWords(elsewhere, mostHere, members) : ''}; ${next}`,
          };
    const paced = rates.map(([name, perSecond]): LimitExplained => {
      const why = `${share(perSecond)} a second${scope === 'cluster' ? ` here, of ${perSecond} on ${members} instances` : ''}`;
      return { limit: name, of, most: perSecond, scope, mostHere: share(perSecond), why };
    });
    return [counted, ...paced].filter((row) => row.most > 0);
  });
  return rows.length === 0 ? undefined : rows;
}

function othersInWords(elsewhere: number | undefined, mostHere: number, members: number): string {
  if (elsewhere !== undefined) return `, ${elsewhere} on the other instances`;
  return members === 1
    ? '; of other instances nothing is known'
    : `; this one of ${members} instances has a share of ${mostHere} while the others are not heard of`;
}

function limitedOf({ limits }: ListenerPlan, client: Address): Limited[] {
  const { flowsPerClient, newFlowsPerClientPerSecond, datagramsPerClientPerSecond = 0, perSubnet } = limits;
  const own: Limited = {
    kind: 'client',
    address: client,
    of: client.ip,
    flows: ['flows_per_client', flowsPerClient],
    rates: [
      ['new_flows_per_client', newFlowsPerClientPerSecond],
      ['datagrams_per_client', datagramsPerClientPerSecond],
    ],
  };
  if (perSubnet === undefined) return [own];
  const { prefixV4, prefixV6, flows, newFlowsPerSecond, datagramsPerSecond } = perSubnet;
  const address = maskAddress(client, prefixV4, prefixV6);
  const network: Limited = {
    kind: 'subnet',
    address,
    of: `${address.ip}/${client.family === 4 ? prefixV4 : prefixV6}`,
    flows: ['per_subnet.flows', flows],
    rates: [
      ['per_subnet.new_flows', newFlowsPerSecond],
      ['per_subnet.datagrams', datagramsPerSecond ?? 0],
    ],
  };
  return [own, network];
}
