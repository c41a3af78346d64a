/** The kernel's thread's means of Linux: sockets to conntrack, one each for events, lists and deletions, and nft. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { conntrackBufferBytes, conntrackReadsPerTurnMax } from '../core/limits.ts';
import { errnoName } from '../linux/errno.ts';
import { NetlinkSocket } from '../linux/netlink.ts';
import { type Nft, openNft } from '../linux/nft.ts';
import {
  type ConntrackEntry,
  conntrackGroup,
  decodeConntrack,
  encodeDelete,
  encodeDump,
} from '../wire/conntrack.ts';
import type { MessageReader } from '../wire/netlink.ts';
import type { KernelMeans } from './means.ts';

/** @returns a sentence where something is missing */
export function openLinuxMeans(): KernelMeans | string {
  const nft = openNft();
  if (nft === undefined) return 'neither libnftables nor the nft command is installed (package nftables)';
  const groups = [conntrackGroup.new, conntrackGroup.update, conntrackGroup.destroy];
  const events = NetlinkSocket.open({ groups, receiveBufferBytes: conntrackBufferBytes });
  const lists = NetlinkSocket.open();
  const requests = NetlinkSocket.open();
  if (typeof events === 'number' || typeof lists === 'number' || typeof requests === 'number') {
    nft.close();
    const failed = [events, lists, requests].find((one) => typeof one === 'number') as number;
    for (const one of [events, lists, requests]) if (typeof one !== 'number') one.close();
    return `cannot follow connections over netlink: ${errnoName(-failed)}; it takes CAP_NET_ADMIN`;
  }
  return new LinuxMeans(nft, events, lists, requests);
}

class LinuxMeans implements KernelMeans {
  readonly nft: Nft;
  private readonly events: NetlinkSocket;
  private readonly lists: NetlinkSocket;
  private readonly requests: NetlinkSocket;
  private isClosed = false;

  constructor(nft: Nft, events: NetlinkSocket, lists: NetlinkSocket, requests: NetlinkSocket) {
    this.nft = nft;
    this.events = events;
    this.lists = lists;
    this.requests = requests;
  }

  receive(visit: (entry: ConntrackEntry) => void): boolean {
    let isWhole = true;
    const show = showing(visit);
    for (let reads = 0; reads < conntrackReadsPerTurnMax; reads++) {
      const received = this.events.receive(show);
      if (received === 'overrun') isWhole = false;
      else if (received !== 'more') break;
    }
    return isWhole;
  }

  async list(visit: (entry: ConntrackEntry) => void): Promise<boolean> {
    if (this.lists.startDump((sequence) => encodeDump(sequence)) < 0) return false;
    const show = showing(visit);
    for (;;) {
      const dumped = this.lists.continueDump(show);
      if (dumped === 'done') return true;
      if (dumped !== 'more') return false;
      await nextTurn();
      if (this.isClosed) return false;
    }
  }

  remove(entries: readonly ConntrackEntry[]): void {
    for (const entry of entries) this.requests.request((sequence) => encodeDelete(sequence, entry));
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const socket of [this.events, this.lists, this.requests]) socket.close();
    this.nft.close();
  }
}

function showing(visit: (entry: ConntrackEntry) => void): (message: MessageReader) => void {
  return (message) => {
    const entry = decodeConntrack(message);
    if (entry !== undefined) visit(entry);
  };
}
