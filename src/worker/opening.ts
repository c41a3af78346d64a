/** What a pool's backends hear before the client's bytes: the PROXY header, if the pool asks for one. */
import type { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import type { Opening } from '../core/opening.ts';
import type { ProxyOutPlan } from '../core/proxy-plan.ts';
import { type Tlv, tlvType, writeProxyHeader, writeProxyLine } from '../wire/proxy-header.ts';

const encoder = new TextEncoder();

/** @param idPrefix of this worker, unlike that of any other */
export function openingOf(flow: Flow, plan: ProxyOutPlan | undefined, idPrefix: string): Opening | undefined {
  if (plan === undefined) return undefined;
  const isUdp = flow.listener.plan.protocol === 'udp';
  const source = known(flow.client);
  const destination = known(flow.local);
  if (plan.version === 1) return { send: writeProxyLine(source, destination), expect: undefined };
  const tlvs = tlvsOf(flow, plan, idPrefix);
  const hasChecksum = plan.tlvs.includes('checksum');
  const send = writeProxyHeader({
    transport: isUdp ? 'datagram' : 'stream',
    source,
    destination,
    tlvs,
    hasChecksum,
  });
  return { send, expect: undefined, ...(isUdp && plan.udp === 'every' ? { isInEach: true } : {}) };
}

/** Those of a client on a unix socket are none. */
function known(address: Address): Address | undefined {
  return address.port === 0 && address.isWildcard ? undefined : address;
}

/** Each type once: what came in is told as it came, and an id that a proxy before us gave stays the client's. */
function tlvsOf({ id, identity }: Flow, { tlvs }: ProxyOutPlan, idPrefix: string): Tlv[] {
  const came = identity?.header?.tlvs ?? [];
  const first = (type: number): Tlv[] => came.filter((tlv) => tlv.type === type).slice(0, 1);
  const told: Tlv[] = [];
  if (tlvs.includes('authority')) told.push(...first(tlvType.authority));
  if (tlvs.includes('unique-id')) {
    const own = { type: tlvType.uniqueId, value: encoder.encode(`${idPrefix}-${id}`) };
    const [given = own] = first(tlvType.uniqueId);
    told.push(given);
  }
  if (!tlvs.includes('incoming')) return told;
  const types = new Set(told.map(({ type }) => type));
  return [...told, ...came.filter(({ type }) => !types.has(type))];
}
