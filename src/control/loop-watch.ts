/**
 * Looks for backends that lead back to a listener of this instance, whenever addresses change: those of backends, of
 * listeners, and of this machine, which come and go (a virtual address moves). See core/loops.ts.
 */
import { realpathSync } from 'node:fs';
import { leadsHere, machineIps } from '../checks/own-addresses.ts';
import { Address } from '../core/address.ts';
import { findLoops, type LoopBackend, type LoopListener, type Loops } from '../core/loops.ts';

/** How often this machine's addresses are looked at. */
const lookMs = 5_000;
/** Addresses asked about at a time, each with a descriptor. */
const asksMax = 16;

export class LoopWatch {
  /** This machine's addresses, as far as they can be listed. */
  ips: readonly string[] = [];
  private listed: ReadonlySet<string> | undefined;
  /** Without a list: whether each address that matters leads here, as far as it has been asked. */
  private asked = new Map<string, boolean>();
  private wanted = new Set<string>();
  private readonly onChange: () => void;
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;

  /** @param onChange the machine's addresses are others than before: look for loops again */
  constructor(onChange: () => void) {
    this.onChange = onChange;
  }

  start(): void {
    this.list();
    this.timer = setInterval(() => void this.lookAgain(), lookMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** What is known now. An address that cannot be judged without asking is asked about, and `onChange` tells. */
  find(listeners: readonly LoopListener[], backends: readonly LoopBackend[]): Loops {
    this.wanted = new Set();
    const loops = findLoops(listeners, backends, {
      leadsHere: (ip) => this.leadsHere(ip),
      canonicalPath,
    });
    if ([...this.wanted].some((ip) => !this.asked.has(ip))) void this.lookAgain();
    return loops;
  }

  private leadsHere(ip: string): boolean {
    const address = Address.parse(ip, 0);
    if (address === undefined || address.isLoopback) return address !== undefined;
    if (this.listed !== undefined) return this.listed.has(address.ip);
    this.wanted.add(ip);
    return this.asked.get(ip) === true;
  }

  /** @returns whether it is another list than before */
  private list(): boolean {
    const ips = machineIps();
    const before = this.ips.join(' ');
    this.ips = ips ?? [];
    this.listed = ips === undefined ? undefined : new Set(ips.map((ip) => Address.parse(ip, 0)?.ip ?? ip));
    return this.ips.join(' ') !== before;
  }

  private async lookAgain(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    let isChanged = this.list();
    const ips = [...this.wanted];
    const asked = new Map<string, boolean>();
    for (let i = 0; i < ips.length; i += asksMax) {
      const some = ips.slice(i, i + asksMax);
      const answers = await Promise.all(some.map((ip) => leadsHere(ip)));
      for (const [j, ip] of some.entries()) {
        if ((this.asked.get(ip) ?? false) !== answers[j]) isChanged = true;
        asked.set(ip, answers[j]!);
      }
    }
    this.asked = asked;
    this.isLooking = false;
    if (isChanged) this.onChange();
  }
}

/** The path without links, also of a socket file that is not there yet. */
function canonicalPath(path: string): string {
  if (path.startsWith('@')) return path;
  try {
    return realpathSync(path);
  } catch {
    // Not there, or not ours to look at.
  }
  try {
    // Paths are absolute (config/bind.ts).
    const end = path.lastIndexOf('/');
    return `${realpathSync(path.slice(0, end) || '/')}${path.slice(end)}`;
  } catch {
    return path;
  }
}
