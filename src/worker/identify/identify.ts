/** What has to be read of a TCP client before its flow is opened, by what its listener asks. */
import type { Address } from '../../core/address.ts';
import type { ListenerPlan } from '../../core/plan.ts';
import type { Identifier } from '../../engine/arrival.ts';
import { withPayload } from './payload.ts';
import { mustTell, ProxyHeaderIdentifier } from './proxy-header.ts';

/** Undefined: nothing. */
export function identifierOf(plan: ListenerPlan, peer: Address, local: Address): Identifier | undefined {
  return withPayload(headerIdentifier(plan, peer, local), plan.affinity.key, peer, local);
}

function headerIdentifier(
  { bind, proxyProtocol }: ListenerPlan,
  peer: Address,
  local: Address,
): Identifier | undefined {
  if (proxyProtocol === undefined || !mustTell(proxyProtocol, peer, bind.kind === 'unix')) return undefined;
  return new ProxyHeaderIdentifier(proxyProtocol, peer, local);
}
