/**
 * What a pool's backends hear before the client's bytes: the PROXY header, if the pool asks for one, and PostgreSQL's question
 * whether they speak TLS, if their client was told that it may.
 */
import type { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import type { Identity } from '../core/identity.ts';
import type { Opening } from '../core/opening.ts';
import type { ProxyOutPlan, ProxyTlv } from '../core/proxy-plan.ts';
import { encodeSslRequest } from '../wire/postgres.ts';
import { type Tlv, tlvType, writeProxyHeader, writeProxyLine } from '../wire/proxy-header.ts';

const encoder = new TextEncoder();
/** Whoever does not say the same (S) is none for it. */
const asksForTls = { send: encodeSslRequest(), expect: Uint8Array.of(0x53) } as const;

/** @param idPrefix of this worker, unlike that of any other */
export function openingOf(flow: Flow, plan: ProxyOutPlan | undefined, idPrefix: string): Opening | undefined {
  const header = headerOf(flow, plan, idPrefix);
  if (flow.identity?.hasAskedForTls !== true)
    return header && { send: header, expect: undefined, ...repeats(flow, plan) };
  if (header === undefined) return asksForTls;
  const send = new Uint8Array(header.length + asksForTls.send.length);
  send.set(header);
  send.set(asksForTls.send, header.length);
  return { ...asksForTls, send };
}

function repeats({ listener }: Flow, plan: ProxyOutPlan | undefined): Pick<Opening, 'isInEach'> {
  return listener.plan.protocol === 'udp' && plan?.udp === 'every' ? { isInEach: true } : {};
}

function headerOf(flow: Flow, plan: ProxyOutPlan | undefined, idPrefix: string): Uint8Array | undefined {
  if (plan === undefined) return undefined;
  const isUdp = flow.listener.plan.protocol === 'udp';
  const source = known(flow.client);
  const destination = known(flow.local);
  if (plan.version === 1) return writeProxyLine(source, destination);
  const tlvs = tlvsOf(flow, plan, idPrefix);
  const hasChecksum = plan.tlvs.includes('checksum');
  return writeProxyHeader({
    transport: isUdp ? 'datagram' : 'stream',
    source,
    destination,
    tlvs,
    hasChecksum,
  });
}

/** Those of a client on a unix socket are none. */
function known(address: Address): Address | undefined {
  return address.port === 0 && address.isWildcard ? undefined : address;
}

/**
 * Of what a proxy said of its client as much as backends of this pool are told: a header has room for 4 KiB, a hundred thousand flows
 * for less. For the time after its key is made.
 */
export function withoutUntold(
  identity: Identity | undefined,
  plan: ProxyOutPlan | undefined,
): Identity | undefined {
  const header = identity?.header;
  if (header === undefined || header.tlvs.length === 0) return identity;
  const { version = 1, tlvs: told = [] } = plan ?? {};
  if (version === 2 && told.includes('incoming')) return identity;
  const types = version === 1 ? [] : told.flatMap((name) => toldTypes[name] ?? []);
  const tlvs = header.tlvs.filter(({ type }) => types.includes(type));
  return { ...identity!, header: { ...header, tlvs } };
}

const toldTypes: Partial<Record<ProxyTlv, number>> = {
  authority: tlvType.authority,
  'unique-id': tlvType.uniqueId,
};

/** What a proxy said of it is its own hearing of the client; else what a route has read. */
function authorityOf(came: Tlv[], identity: Identity | undefined): Tlv[] {
  const name = identity?.spoken?.name;
  if (came.length > 0 || name === undefined) return came;
  return [{ type: tlvType.authority, value: encoder.encode(name) }];
}

/** Each type once: what came in is told as it came, and an id that a proxy before us gave stays the client's. */
function tlvsOf({ id, identity }: Flow, { tlvs }: ProxyOutPlan, idPrefix: string): Tlv[] {
  const came = identity?.header?.tlvs ?? [];
  const first = (type: number): Tlv[] => came.filter((tlv) => tlv.type === type).slice(0, 1);
  const told: Tlv[] = [];
  if (tlvs.includes('authority')) told.push(...authorityOf(first(tlvType.authority), identity));
  if (tlvs.includes('unique-id')) {
    const own = { type: tlvType.uniqueId, value: encoder.encode(`${idPrefix}-${id}`) };
    const [given = own] = first(tlvType.uniqueId);
    told.push(given);
  }
  if (!tlvs.includes('incoming')) return told;
  const types = new Set(told.map(({ type }) => type));
  return [...told, ...came.filter(({ type }) => !types.has(type))];
}
