/**
 * The rules of one listener. They stand in chains of nat, which see the first packet of a connection and no other: who may come in, how
 * many and how fast, for how long conntrack remembers it, and where it goes. What belongs to an open connection passes none of them.
 *
 *   clients/NAME/4   deny, allow, limits -> timeouts -> bucket, then pin -> target, or refused
 *   servers/NAME/4   a backend's packet that no entry knows: from the listener's address again
 *   datagrams/NAME/4 (only with a limit of datagrams) every datagram of a client
 *
 * A first packet that is no SYN belongs to a connection that another instance carried, or this one before conntrack lost it. It is
 * counted and asked for its address, and no limit refuses it.
 */

import { Address } from '../core/address.ts';
import { bucketSeed, kernelBucketExpression } from '../core/kernel-bucket.ts';
import { maskAddress } from '../core/key.ts';
import { limitedClientsMax } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { Family, Front } from './doors.ts';
import type { Collection } from './form.ts';
import { bucketOffset, hex, safeName } from './layout.ts';
import { bucketsMap, hasPins, pinsMap, targetsMap } from './spread.ts';
import type { KernelListener } from './view.ts';

export interface ListenerParts {
  readonly collections: Map<string, Collection>;
  readonly counters: Set<string>;
  readonly timeouts: Map<string, string>;
}

const saddr = { 4: 'ip saddr', 6: 'ip6 saddr' } as const;
const typeOf = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;
const opening = 'tcp flags & (fin | syn | rst | ack) == syn ';
/** A client that was quiet so long has earned all that its rate lets through at once. */
const meterSeconds = 10;

/** @param markBase of the listener's connections */
export function clientRules(
  listener: KernelListener,
  family: Family,
  markBase: number,
  parts: ListenerParts,
): string[] {
  const { plan } = listener.view;
  const affinity = { ...plan.affinity, key: listener.key };
  const hash = kernelBucketExpression(family, plan.protocol, {
    ...affinity,
    seed: bucketSeed,
    modulus: listener.pool.plan.tableSize,
  });
  const address = affinityAddress(listener, family);
  return [
    ...accessRules(listener, family, parts),
    ...limitRules(listener, family, parts),
    `ct timeout set "${timeoutOf(listener, parts)}"`,
    `ct mark set ${hash} offset ${bucketOffset}`,
    `ct mark set ct mark map @${bucketsMap(listener, family)}`,
    ...(hasPins(listener) ? [`ct mark set ${address} map @${pinsMap(listener, family)}`] : []),
    `ct mark set ct mark | ${hex(markBase)}`,
    ...[false, true].flatMap((keepsPort) => {
      const map = targetsMap(family, keepsPort);
      const to = `dnat ${family === 4 ? 'ip' : 'ip6'} to ct mark map @${map}`;
      return parts.collections.has(map) ? [`meta l4proto ${plan.protocol} ${to}`] : [];
    }),
    refused(listener, 'no-backend', parts),
  ];
}

/** Of packets of backends that begin an entry of conntrack (see doors.ts). */
export function serverRules(
  listener: KernelListener,
  { ip, doors }: Front,
  family: Family,
  markBase: number,
  parts: ListenerParts,
): string[] {
  const ports = new Set(doors.map(({ port }) => port));
  const address = family === 4 ? ip : `[${ip}]`;
  const to = ports.size === 1 ? `${address}:${doors[0]!.port}` : ip;
  return [
    `ct mark set ${hex(markBase)}`,
    `ct timeout set "${timeoutOf(listener, parts)}"`,
    `meta l4proto ${listener.view.plan.protocol} snat ${family === 4 ? 'ip' : 'ip6'} to ${to}`,
  ];
}

export function hasDatagramLimits({ view: { plan } }: KernelListener): boolean {
  const { datagramsPerClientPerSecond = 0, perSubnet } = plan.limits;
  return plan.protocol === 'udp' && datagramsPerClientPerSecond + (perSubnet?.datagramsPerSecond ?? 0) > 0;
}

/** Of every datagram, for a listener that has limits of them. */
export function datagramRules(listener: KernelListener, family: Family, parts: ListenerParts): string[] {
  const { datagramsPerClientPerSecond = 0, perSubnet } = listener.view.plan.limits;
  const ofSubnet = perSubnet?.datagramsPerSecond ?? 0;
  return [
    ...(datagramsPerClientPerSecond === 0
      ? []
      : [`${meter(listener, family, 'datagrams', saddr[family], datagramsPerClientPerSecond, parts)} drop`]),
    ...(ofSubnet === 0
      ? []
      : [`${meter(listener, family, 'net-datagrams', subnet(listener, family), ofSubnet, parts)} drop`]),
  ];
}

function accessRules(listener: KernelListener, family: Family, parts: ListenerParts): string[] {
  const { access, plan } = listener.view;
  if (access === undefined) return [];
  const rules: string[] = [];
  for (const [key, is] of [['deny', ''] as const, ['allow', '!= '] as const]) {
    const name = `${key}/${safeName(plan.name)}/${family}`;
    if (!parts.collections.has(name)) continue;
    rules.push(`${saddr[family]} ${is}@${name} ${refused(listener, 'denied', parts)}`);
  }
  return rules;
}

function limitRules(listener: KernelListener, family: Family, parts: ListenerParts): string[] {
  const { limits, protocol } = listener.view.plan;
  const { flowsPerClient, newFlowsPerClientPerSecond, perSubnet, newFlowsPerSecond } = limits;
  const isNew = protocol === 'tcp' ? opening : '';
  const rules: string[] = [];
  const count = (what: string, key: string, most: number, code: TerminationCode): void => {
    if (most === 0) return;
    const set = addMeterSet(listener, family, `${what}/${most}`, 'dynamic;', parts);
    // The first step counts the connection, whatever it is; only one that begins is refused.
    rules.push(`add @${set} { ${key} ct count over ${most} } ${isNew}${refused(listener, code, parts)}`);
  };
  const rate = (what: string, key: string, most: number): void => {
    if (most === 0) return;
    rules.push(
      `${isNew}${meter(listener, family, what, key, most, parts)} ${refused(listener, 'limit-rate', parts)}`,
    );
  };
  count('flows', saddr[family], flowsPerClient, 'limit-client');
  rate('rate', saddr[family], newFlowsPerClientPerSecond);
  if (perSubnet !== undefined) {
    count('net-flows', subnet(listener, family), perSubnet.flows, 'limit-subnet');
    rate('net-rate', subnet(listener, family), perSubnet.newFlowsPerSecond);
  }
  if (newFlowsPerSecond > 0)
    rules.push(
      `${isNew}limit rate over ${rateText(newFlowsPerSecond)} ${refused(listener, 'limit-rate', parts)}`,
    );
  return rules;
}

/** Counts one for `key`; goes on where that is above so many a second. */
function meter(
  listener: KernelListener,
  family: Family,
  what: string,
  key: string,
  perSecond: number,
  parts: ListenerParts,
): string {
  const head = `dynamic,timeout; timeout ${meterSeconds}s;`;
  const set = addMeterSet(listener, family, `${what}/${perSecond}`, head, parts);
  return `update @${set} { ${key} limit rate over ${rateText(perSecond)} }`;
}

/** An element keeps the number it was made with, so the number is in the name. */
function addMeterSet(
  { view }: KernelListener,
  family: Family,
  what: string,
  flags: string,
  { collections }: ListenerParts,
): string {
  const name = `meters/${safeName(view.plan.name)}/${what}/${family}`;
  const head = `type ${typeOf[family]}; size ${limitedClientsMax}; flags ${flags}`;
  collections.set(name, { kind: 'set', head, content: { kind: 'alive' } });
  return name;
}

/** Who was quiet may have a second's worth at once. */
function rateText(perSecond: number): string {
  return `${perSecond}/second burst ${perSecond} packets`;
}

/** Counted, and sent away. */
function refused({ view: { plan } }: KernelListener, code: TerminationCode, parts: ListenerParts): string {
  const counter = refusedCounter(code, plan.name);
  parts.counters.add(counter);
  const isReset = plan.protocol === 'tcp' && plan.refuse !== 'silence';
  return `counter name "${counter}" ${isReset ? 'meta l4proto tcp reject with tcp reset' : 'drop'}`;
}

/** The counter of a listener's clients that were refused for one reason. */
function refusedCounter(code: TerminationCode, listener: string): string {
  return `refused/${code}/${safeName(listener)}`;
}

/** The object that says how long conntrack remembers a connection: seconds, at least one. */
function timeoutOf({ view: { plan } }: KernelListener, { timeouts }: ListenerParts): string {
  const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));
  const { idleMs, halfCloseMs, connectMs } = plan.timeouts;
  const idle = seconds(idleMs);
  if (plan.protocol === 'udp') {
    const name = `udp/${idle}`;
    timeouts.set(name, `protocol udp; policy = { unreplied: ${idle}, replied: ${idle} };`);
    return name;
  }
  // A half of a connection has no longer than a whole one.
  const half = Math.min(seconds(halfCloseMs), idle);
  const dial = seconds(connectMs);
  const name = `tcp/${idle}/${half}/${dial}`;
  const policy = `syn_sent: ${dial}, established: ${idle}, fin_wait: ${half}, close_wait: ${half}`;
  timeouts.set(name, `protocol tcp; policy = { ${policy} };`);
  return name;
}

function affinityAddress({ key, view }: KernelListener, family: Family): string {
  const { prefixV4, prefixV6 } = view.plan.affinity;
  return key === 'client-subnet' ? masked(family, prefixV4, prefixV6) : saddr[family];
}

function subnet({ view }: KernelListener, family: Family): string {
  const { prefixV4, prefixV6 } = view.plan.limits.perSubnet!;
  return masked(family, prefixV4, prefixV6);
}

function masked(family: Family, prefixV4: number, prefixV6: number): string {
  const ones = 0xffff_ffff;
  const all = family === 4 ? Address.v4(ones, 0) : new Address(ones, ones, ones, ones, 0);
  if ((family === 4 ? prefixV4 : prefixV6) >= (family === 4 ? 32 : 128)) return saddr[family];
  return `${saddr[family]} & ${maskAddress(all, prefixV4, prefixV6).ip}`;
}
