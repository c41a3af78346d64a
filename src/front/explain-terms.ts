/**
 * On what terms a listener serves a client: at which port of its backend, what that backend hears first, how fast bytes may move, when a
 * conversation over UDP is over, and for how long a client is waited for that says nothing. As the plan has it; nothing is measured.
 */
import { formatAddress } from '../core/address-text.ts';
import { bindsOf, bindsText } from '../core/binds.ts';
import { targetAt } from '../core/dial-target.ts';
import { payloadWaitMs } from '../core/limits.ts';
import {
  type BackendAddress,
  type ByteRatePlan,
  identifyMsDefault,
  keyKindOf,
  type ListenerPlan,
  type PoolPlan,
} from '../core/plan.ts';
import { formatDuration, formatSize } from '../core/quantities.ts';
import { Routes } from '../core/routes.ts';

export interface Terms {
  /** `proxy_protocol` of the pool: what the backend hears before the client's bytes. */
  readonly proxyHeader?: string;
  readonly bandwidth?: readonly BandwidthExplained[];
  /** UDP, `session_ends_after`. */
  readonly ends?: string;
  /** What is read of a client before it has a backend, and for how long. */
  readonly waits?: string;
}

export interface BandwidthExplained {
  /** As the file has it. */
  readonly of: 'per_flow' | 'per_client' | 'total';
  /** Bytes a second each way; 0: no limit. */
  readonly up: number;
  readonly down: number;
  readonly why: string;
}

export function termsOf(listener: ListenerPlan, pool: Pick<PoolPlan, 'proxyProtocol'>): Terms {
  return {
    ...given('proxyHeader', proxyHeaderIn(listener, pool)),
    ...given('bandwidth', bandwidthOf(listener)),
    ...given('ends', endsOf(listener)),
    ...given('waits', waitsOf(listener)),
  };
}

function given<Name extends keyof Terms>(name: Name, value: Terms[Name]): Pick<Terms, Name> | object {
  return value === undefined ? {} : { [name]: value };
}

function proxyHeaderIn(
  { protocol }: ListenerPlan,
  { proxyProtocol }: Pick<PoolPlan, 'proxyProtocol'>,
): string | undefined {
  if (proxyProtocol === undefined) return undefined;
  const { version, tlvs, udp } = proxyProtocol;
  const header = `a header of version ${version}${version === 2 && tlvs.length > 0 ? ` (${tlvs.join(', ')})` : ''} that names the client`;
  if (protocol === 'tcp') return `the backend hears ${header} first`;
  return udp === 'every'
    ? `each datagram to the backend begins with ${header}`
    : `datagrams to the backend begin with ${header}, until it has answered`;
}

const ways = { perFlow: 'per_flow', perClient: 'per_client', total: 'total' } as const;

function bandwidthOf({ bandwidth = {}, protocol }: ListenerPlan): BandwidthExplained[] | undefined {
  const above = protocol === 'tcp' ? 'read no faster' : 'datagrams above are dropped (rate)';
  const rows = (['perFlow', 'perClient', 'total'] as const).flatMap((way): BandwidthExplained[] => {
    const rate = bandwidth[way];
    if (rate === undefined || rate.up + rate.down === 0) return [];
    return [{ of: ways[way], ...rate, why: `${rateText(rate)}; ${above}` }];
  });
  return rows.length === 0 ? undefined : rows;
}

function rateText({ up, down }: ByteRatePlan): string {
  const parts = [
    ...(up === 0 ? [] : [`${formatSize(up)} a second from clients`]),
    ...(down === 0 ? [] : [`${formatSize(down)} a second to them`]),
  ];
  return parts.join(', ').replace(/^([^,]*)them$/, '$1clients');
}

function endsOf({ sessionEndsAfter, timeouts }: ListenerPlan): string | undefined {
  if (sessionEndsAfter === undefined) return undefined;
  const { replies } = sessionEndsAfter;
  const count = replies === 1 ? '1 reply was sent' : `${replies} replies were sent`;
  return `a conversation is over (expired) once ${count} for each datagram of its client, or after ${formatDuration(timeouts.idleMs)} of silence`;
}

/** Routes and a key may go by what a client says. */
function waitsOf({ routes, pool, affinity, timeouts, protocol }: ListenerPlan): string | undefined {
  const needsBytes = routes !== undefined && new Routes(routes).needsBytes;
  const isByPayload = protocol === 'tcp' && keyKindOf(affinity.key) === 'payload';
  if (!needsBytes && !isByPayload) return undefined;
  const identifyMs = needsBytes ? (timeouts.identifyMs ?? identifyMsDefault) : 0;
  const waitMs = Math.max(identifyMs, isByPayload ? payloadWaitMs : 0);
  if (!needsBytes)
    return `a client that says less than its key is waited for ${formatDuration(waitMs)}, and then recognised by its address`;
  const others = pool === undefined ? 'is refused (no-route)' : `goes to pool ${pool}`;
  return protocol === 'tcp'
    ? `a client that has not said where it belongs is waited for ${formatDuration(waitMs)}; one that no route is for then ${others}`
    : `a client whose QUIC hello is not whole is waited for ${formatDuration(waitMs)}; one that no route is for ${others}`;
}

/**
 * Where a backend is dialled for clients of this listener.
 * @param port that the client came to; undefined: the listener's, where it has one alone
 * @returns `10.0.1.1:7042`; where that depends on the port, and which it is nobody has said, `10.0.1.1:+1000`
 */
export function addressFor(
  address: BackendAddress,
  listener: ListenerPlan,
  port: number | undefined,
): string {
  if (address.kind === 'unix' || address.portShift === undefined) return formatAddress(address);
  const [only, ...others] = portsOf(listener);
  const known = port ?? (others.length === 0 ? only : undefined);
  if (known === undefined || known === 0) return formatAddress(address);
  // As for an address of this kind: a name has a port in the same way.
  const target = targetAt({ ...address, kind: 'inet', ip: '' }, known);
  return target === undefined || target.kind === 'unix'
    ? formatAddress(address)
    : formatAddress(withPort(address, target.port));
}

function withPort(address: Exclude<BackendAddress, { readonly kind: 'unix' }>, port: number): BackendAddress {
  const { portShift: _, ...rest } = address;
  return { ...rest, port };
}

/** @throws Error if clients of this listener do not come to `port` */
export function mustHavePort(listener: ListenerPlan, port: number | undefined): void {
  // A header says which port a proxy's client came to, and a port 0 is drawn at the start.
  if (port === undefined || listener.proxyProtocol !== undefined) return;
  const ports = portsOf(listener);
  if (ports.includes(0) || ports.includes(port)) return;
  const binds = bindsText(listener.protocol, bindsOf(listener));
  throw new Error(`listener ${listener.name} has no port ${port}: it is at ${binds}`);
}

/** Each once. */
function portsOf(listener: ListenerPlan): number[] {
  return [...new Set(bindsOf(listener).flatMap((bind) => (bind.kind === 'unix' ? [] : [bind.port])))];
}
