/** What this instance tells the others of its network: where it listens, and which IPs its connections may come from. */
import { readFileSync, readlinkSync } from 'node:fs';
import type { MemberNetwork } from '../cluster/member-listeners.ts';
import { Address } from '../core/address.ts';
import { memberAddressesMax, memberIpsMax } from '../core/limits.ts';
import type { LoopListener } from '../core/loops.ts';

/** @param listeners with the ports they really have */
export function ownNetwork(listeners: readonly LoopListener[], machineIps: readonly string[]): MemberNetwork {
  const addresses = new Set<string>();
  for (const { protocol, bind } of listeners) {
    if (bind.kind !== 'inet') continue;
    const bound = Address.parse(bind.ip, bind.port);
    for (const address of bound === undefined ? [] : addressesOf(bound, machineIps)) {
      addresses.add(`${protocol} ${address}`);
    }
  }
  return {
    addresses: [...addresses].slice(0, memberAddressesMax),
    ips: machineIps.slice(0, memberIpsMax),
    machine: machineName(),
  };
}

/** A wildcard is all addresses of the machine. */
function addressesOf(bound: Address, machineIps: readonly string[]): Address[] {
  if (!bound.isWildcard) return [bound];
  return ['127.0.0.1', '::1', ...machineIps].flatMap((ip) => {
    const address = Address.parse(ip, bound.port);
    const isCovered = address !== undefined && (bound.family === 6 || address.family === 4);
    return isCovered ? [address] : [];
  });
}

let known: string | undefined;

/** The same on one machine (since it started) and in one network namespace, for whoever asks. */
function machineName(): string {
  known ??= readMachineName();
  return known;
}

function readMachineName(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/net')}`;
  } catch {
    // A sandbox may hide it (ProcSubset=pid): loopback of others then means nothing.
    return '';
  }
}
