/**
 * Where the members of the cluster listen and which IPs they have, as they say it: `udp 10.0.0.5:53`. A stranger's text: read
 * within bounds, and believed for no more than to turn away what comes from there or goes to and fro.
 *
 * Loopback means something only on the machine (and in the network namespace) that says it.
 */
import { Address } from '../core/address.ts';
import { memberAddressesMax, memberIpsMax, memberListenersMax } from '../core/limits.ts';
import type { ListeningAddress } from '../core/server-addresses.ts';

/** What an instance tells of its network. */
export interface MemberNetwork {
  /** `PROTOCOL ADDRESS:PORT` each. */
  readonly addresses: readonly string[];
  readonly ips: readonly string[];
  /** Equal on one machine, in one network namespace; empty: not known. */
  readonly machine: string;
}

/** What is known of all others. */
export interface MemberListeners {
  readonly listeners: readonly ListeningAddress[];
  readonly ips: readonly string[];
}

export function parseNetwork(raw: Readonly<Record<string, unknown>>): MemberNetwork {
  const words = (value: unknown, most: number): string[] =>
    (Array.isArray(value) ? value.slice(0, most) : []).filter(
      (word): word is string => typeof word === 'string' && word.length <= wordLengthMax,
    );
  return {
    addresses: words(raw.addresses, memberAddressesMax),
    ips: words(raw.ips, memberIpsMax),
    machine: typeof raw.machine === 'string' ? raw.machine.slice(0, wordLengthMax) : '',
  };
}

const wordLengthMax = 128;

/** @param machine our own */
export function listenersOf(networks: Iterable<MemberNetwork>, machine: string): MemberListeners {
  const listeners: ListeningAddress[] = [];
  const ips = new Set<string>();
  for (const network of networks) {
    const isHere = machine !== '' && network.machine === machine;
    for (const text of network.addresses) {
      if (listeners.length >= memberListenersMax) break;
      const address = parseListening(text, isHere);
      if (address === undefined) continue;
      listeners.push(address);
      if (ips.size < memberListenersMax) ips.add(address.ip);
    }
    for (const ip of network.ips) {
      if (ips.size >= memberListenersMax) break;
      const address = Address.parse(ip, 0);
      if (address !== undefined && isUsable(address, isHere)) ips.add(address.ip);
    }
  }
  return { listeners, ips: [...ips] };
}

function parseListening(text: string, isHere: boolean): ListeningAddress | undefined {
  const match = /^(tcp|udp) (\S+)$/.exec(text);
  const address = match === null ? undefined : Address.parseWithPort(match[2]!);
  if (address === undefined || address.port === 0 || !isUsable(address, isHere)) return undefined;
  return { protocol: match![1] as 'tcp' | 'udp', ip: address.ip, port: address.port };
}

function isUsable(address: Address, isHere: boolean): boolean {
  return !address.isWildcard && (isHere || !address.isLoopback);
}
