/** The kernel's thread's means of Linux: sockets to conntrack, one each for events, lists and deletions, and nft. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { conntrackBufferBytes, conntrackReadsPerTurnMax } from '../core/limits.ts';
import { errnoName } from '../linux/errno.ts';
import { type Dumped, NetlinkSocket, requestBytesMax } from '../linux/netlink.ts';
import { type Nft, openNft } from '../linux/nft.ts';
import {
  type ConntrackEntry,
  type ConntrackGlance,
  conntrackEntry,
  conntrackGroup,
  decodeConntrack,
  deleteBytesMax,
  encodeDump,
  encodeGet,
  glanceAtConntrack,
  type MarkFilter,
  tcpState,
  writeDeletes,
} from '../wire/conntrack.ts';
import { conntrackFilter } from '../wire/conntrack-filter.ts';
import { dropsIn, encodeStatistics } from '../wire/conntrack-statistics.ts';
import { type MessageReader, MessageWriter } from '../wire/netlink.ts';
import { markOf } from './layout.ts';
import type { KernelMeans } from './means.ts';

/** What lies between the states that conntrack-flows.ts tells apart: their coming is not told, which is three events of eight. */
const silentStates = [tcpState.synReceived, tcpState.finWait, tcpState.closeWait, tcpState.lastAck];
const deletesPerCall = Math.floor(requestBytesMax / deleteBytesMax);

/**
 * @param table whose connections are meant; those of others are neither told nor listed
 * @returns a sentence where something is missing
 */
export function openLinuxMeans(table: string): KernelMeans | string {
  const nft = openNft();
  if (nft === undefined) return 'neither libnftables nor the nft command is installed (package nftables)';
  const groups = [conntrackGroup.new, conntrackGroup.update, conntrackGroup.destroy];
  const ours = markOf(table);
  const events = NetlinkSocket.open({
    groups,
    filter: conntrackFilter(ours, silentStates),
    receiveBufferBytes: conntrackBufferBytes,
  });
  const lists = NetlinkSocket.open();
  const requests = NetlinkSocket.open();
  if (typeof events === 'number' || typeof lists === 'number' || typeof requests === 'number') {
    nft.close();
    const failed = [events, lists, requests].find((one) => typeof one === 'number') as number;
    for (const one of [events, lists, requests]) if (typeof one !== 'number') one.close();
    return `cannot follow connections over netlink: ${errnoName(-failed)}; it takes CAP_NET_ADMIN`;
  }
  return new LinuxMeans(nft, ours, events, lists, requests);
}

class LinuxMeans implements KernelMeans {
  readonly nft: Nft;
  private readonly ours: MarkFilter;
  private readonly events: NetlinkSocket;
  private readonly lists: NetlinkSocket;
  private readonly requests: NetlinkSocket;
  private readonly deletions = new MessageWriter();
  /** Events were lost, and those before them are not all read. */
  private isBehind = false;
  private isClosed = false;

  constructor(
    nft: Nft,
    ours: MarkFilter,
    events: NetlinkSocket,
    lists: NetlinkSocket,
    requests: NetlinkSocket,
  ) {
    this.nft = nft;
    this.ours = ours;
    this.events = events;
    this.lists = lists;
    this.requests = requests;
  }

  receive(visit: (entry: ConntrackEntry) => void, isDone?: (glance: ConntrackGlance) => boolean): boolean {
    if (this.isClosed) return true;
    const show = showing(visit, isDone);
    let isEmpty = false;
    for (let reads = 0; reads < conntrackReadsPerTurnMax && !isEmpty; reads++) {
      const received = this.events.receive(show);
      if (received === 'overrun') this.isBehind = true;
      else isEmpty = received !== 'more';
    }
    // Until all has been read nothing new gets in: who lists before that would miss what happens meanwhile.
    const isWhole = !this.isBehind || !isEmpty;
    if (isEmpty) this.isBehind = false;
    return isWhole;
  }

  async list(
    visit: (entry: ConntrackEntry) => void,
    isOfAll = false,
    isDone?: (glance: ConntrackGlance) => boolean,
  ): Promise<boolean> {
    const filter = isOfAll ? undefined : this.ours;
    if (this.isClosed || this.lists.startDump((sequence) => encodeDump(sequence, filter)) < 0) return false;
    const show = showing(visit, isDone);
    for (;;) {
      const dumped = this.lists.continueDump(show);
      if (dumped === 'done') return true;
      if (dumped !== 'more') return false;
      await nextTurn();
      if (this.isClosed) return false;
    }
  }

  look(entry: ConntrackEntry): ConntrackEntry | undefined {
    if (this.isClosed) return undefined;
    let now: ConntrackEntry | undefined;
    this.requests.request(
      (sequence) => encodeGet(sequence, entry),
      (message) => {
        now = decodeConntrack(message);
      },
    );
    return now?.id === entry.id ? now : undefined;
  }

  drops(): number | undefined {
    if (this.isClosed || this.requests.startDump(encodeStatistics) < 0) return undefined;
    let drops = 0;
    let dumped: Dumped = 'more';
    while (dumped === 'more')
      dumped = this.requests.continueDump((message) => {
        drops += dropsIn(message);
      });
    return dumped === 'done' ? drops >>> 0 : undefined;
  }

  remove(entries: readonly ConntrackEntry[]): void {
    // A descriptor that is closed may be somebody else's by now.
    if (this.isClosed) return;
    for (let at = 0; at < entries.length; at += deletesPerCall) {
      this.deletions.clear();
      writeDeletes(this.deletions, entries.slice(at, at + deletesPerCall));
      this.requests.post(this.deletions.written());
    }
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const socket of [this.events, this.lists, this.requests]) socket.close();
    this.nft.close();
  }
}

function showing(
  visit: (entry: ConntrackEntry) => void,
  isDone: (glance: ConntrackGlance) => boolean = () => false,
): (message: MessageReader) => void {
  return (message) => {
    const glance = glanceAtConntrack(message);
    if (glance !== undefined && !isDone(glance)) visit(conntrackEntry());
  };
}
