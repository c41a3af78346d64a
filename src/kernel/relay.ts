/**
 * The kernel as an engine: it takes clients in and moves their bytes by itself, by the table that is written here (ruleset.ts,
 * table-keeper.ts), and what it did is heard from conntrack (conntrack-flows.ts) and told the director, as the other engines tell it.
 * So control's orders, pins, counters, records and passive health are those of any worker.
 *
 *    snapshot, doors, states, pins --> table --> the kernel <-- packets
 *    director <-- begun, answered, over, closed <-- conntrack <-- the kernel
 *    terminate --> its addresses into `gone` (both sides are reset at their next packet), its entry is deleted
 *
 * A backend that is up again where it was takes its connections out of `gone` (ended-connections.ts): whoever has not spoken meanwhile goes on.
 *
 * While the kernel has no room for new connections, those of backends that seem to be down are left alone until it has.
 *
 * `stop` leaves the table where it is: open connections go on, and a successor takes them over.
 */
import { bindsOf } from '../core/binds.ts';
import type { Flow } from '../core/flow.ts';
import { flowsEndedPerTurnMax, lingerOverMs, listEveryMs } from '../core/limits.ts';
import type { Bind } from '../core/plan.ts';
import type { ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import { isSameTarget } from '../core/way.ts';
import type { BindFailure, Engine } from '../engine/engine.ts';
import { type ConntrackEntry, type ConntrackGlance, tcpState } from '../wire/conntrack.ts';
import type { Director } from '../worker/director.ts';
import { ConntrackFlows, type FlowTimes, type Moved } from './conntrack-flows.ts';
import { type EndedConnection, EndedConnections, type Place } from './ended-connections.ts';
import type { KernelMeans } from './means.ts';
import { type Sight, Sights } from './sights.ts';

const listTriesMax = 3;

export type RelayHost = Pick<
  Director,
  'enter' | 'dialed' | 'replied' | 'silent' | 'closed' | 'backendNow' | 'trouble' | 'fault'
>;

export interface RelayOptions {
  readonly host: RelayHost;
  readonly means: Pick<KernelMeans, 'list' | 'look' | 'remove'>;
  /** The table is to be made as it is wanted now. */
  readonly change: (done?: (error: string | undefined) => void) => void;
  /** Resolves when the table is as it is wanted now, or could not be made so. */
  readonly settled: () => Promise<void>;
  /** Resolves when the table has what {@link reset} needs, and is settled. */
  readonly readyToReset: () => Promise<void>;
  /** Ends TCP connections wherever their packets come from. */
  readonly reset: (connections: readonly EndedConnection[]) => Promise<void>;
  /** Takes that back. */
  readonly spare: (connections: readonly EndedConnection[]) => Promise<void>;
  readonly isUp: (backendId: number) => boolean;
  /** The kernel has no room for new connections: what health checks say of backends is worth nothing. */
  readonly isFull: () => boolean;
  readonly nowMs: () => number;
}

/** A listener as it is open here, with the addresses that are, and its pool. */
export interface OpenListener {
  readonly view: ListenerView;
  readonly pool: PoolView;
}

export class KernelRelay implements Engine {
  readonly name = 'kernel';
  private readonly options: RelayOptions;
  private readonly flows: ConntrackFlows<Sight, Flow>;
  /** By listener and door. */
  private readonly doors = new Map<number, Map<string, Bind>>();
  private snapshot: Snapshot | undefined;
  private open: readonly OpenListener[] = [];
  private sights = new Sights([]);
  /** TCP flows that are over, and when: their entries go a moment later. */
  private readonly over: { readonly flow: Flow; readonly atMs: number }[] = [];
  private toEnd: { readonly flow: Flow; readonly entry: ConntrackEntry; readonly code: TerminationCode }[] =
    [];
  private readonly ended = new EndedConnections();
  /** To be ended because their backend is down, if it still is when there is room. */
  private readonly doubted = new Set<Flow>();
  private strays: { readonly entry: ConntrackEntry; readonly connection: EndedConnection }[] = [];
  private listedAtMs = Number.NEGATIVE_INFINITY;
  private listing: Promise<boolean> | undefined;
  private isRemovingUnled = false;
  private isEnding = false;
  /** What flows have moved until {@link takeOver} is done was counted by a predecessor. */
  private isTakingOver = true;
  private hasUnled = false;

  constructor(options: RelayOptions) {
    this.options = options;
    const { host } = options;
    this.flows = new ConntrackFlows<Sight, Flow>({
      recognise: (entry) => {
        const sight = this.sights.of(entry);
        if (sight === undefined || this.isRemnant(sight, entry)) return undefined;
        if (sight.backend === undefined) this.noteStray(sight, entry);
        return sight.backend === undefined ? undefined : sight;
      },
      begun: (sight) => this.begun(sight),
      answered: (flow) => this.guard(flow, () => this.answered(flow)),
      look: (entry) => options.means.look(entry),
      failed: (flow, how) => this.guard(flow, () => host.silent(flow, how)),
      over: (flow) => void this.over.push({ flow, atMs: options.nowMs() }),
      moved: (flow, moved) => {
        account(flow, moved);
        if (this.isTakingOver) noteCounted(flow);
      },
      closed: (flow, code) => {
        if (this.doubted.size > 0) this.doubted.delete(flow);
        this.guard(flow, () => host.closed(flow, code));
      },
    });
  }

  /** Listeners as they are open here. */
  openListeners(): readonly OpenListener[] {
    return this.open;
  }

  useSnapshot(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.look();
    // Before anything is open nothing is wanted, and a predecessor's table is not to be emptied for it.
    if (this.doors.size > 0) this.options.change();
  }

  /** Whether all that the kernel is to carry is open. */
  get isWhole(): boolean {
    return (this.snapshot?.listeners ?? []).every(
      ({ id, plan }) => plan.relay !== 'kernel' || this.doors.get(id)?.size === bindsOf(plan).length,
    );
  }

  /** Of what is about a flow that is known. @returns false: it is to be {@link heard} */
  readonly glanced = (glance: ConntrackGlance): boolean => this.flows.glanced(glance, this.options.nowMs());

  heard(entry: ConntrackEntry): void {
    this.flows.heard(entry, this.options.nowMs(), timesOf);
  }

  /** Events were lost, or an instance before us has left flows: all entries are listed soon. */
  lost(): void {
    this.listedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Call it some times a second. */
  turn(): void {
    const nowMs = this.options.nowMs();
    this.flows.turn(nowMs);
    if (this.doubted.size > 0 && !this.options.isFull()) this.endDoubted();
    let due = 0;
    while (due < this.over.length && nowMs - this.over[due]!.atMs >= lingerOverMs) due++;
    for (const { flow } of this.over.splice(0, due)) this.endLater(flow, 'closed');
    if (this.toEnd.length + this.strays.length > 0 && !this.isEnding) void this.endNow();
    if (!this.isEnding) this.spareReturned();
    if (this.isTakingOver || this.listing !== undefined || this.isRemovingUnled || this.doors.size === 0)
      return;
    if (nowMs - this.listedAtMs >= listEveryMs) void this.list();
    else if (this.hasUnled) void this.removeUnled();
  }

  /** Makes a predecessor's flows ours. Before that nothing is listed of itself. */
  async takeOver(): Promise<void> {
    for (let tries = 0; tries < listTriesMax && !(await this.list()); tries++);
    this.isTakingOver = false;
  }

  /** Rules have come where there were none: conversations that began before would pass them by for as long as they last. */
  lead(): void {
    this.hasUnled = true;
  }

  /** Hears of all entries, so that what is counted is as of now. Who asks while it is under way gets that one. */
  list(): Promise<boolean> {
    if (this.isRemovingUnled) return Promise.resolve(false);
    this.listing ??= this.listAll().finally(() => {
      this.listing = undefined;
    });
    return this.listing;
  }

  private async listAll(): Promise<boolean> {
    this.listedAtMs = this.options.nowMs();
    this.flows.beginList();
    const isWhole = await this.options.means.list((entry) => this.heard(entry), false, this.glanced);
    if (isWhole) this.flows.endList(this.options.nowMs());
    else this.flows.giveUpList();
    return isWhole;
  }

  private async removeUnled(): Promise<void> {
    this.hasUnled = false;
    this.isRemovingUnled = true;
    const unled: ConntrackEntry[] = [];
    const isWhole = await this.options.means.list((entry) => {
      if (this.sights.isUnled(entry)) unled.push(entry);
    }, true);
    this.isRemovingUnled = false;
    this.options.means.remove(unled);
    if (!isWhole) this.hasUnled = true;
  }

  // ---- the engine's orders -----------------------------------------------------------------------------------

  listen(
    { id, plan }: ListenerView,
    done: (result: { readonly port: number } | BindFailure) => void,
    _isFirst?: boolean,
    door = '',
  ): void {
    const { bind } = plan;
    const doors = this.doors.get(id) ?? new Map<string, Bind>();
    this.doors.set(id, doors);
    doors.set(door, bind);
    this.look();
    this.options.change((error) => {
      if (error === undefined) {
        this.lost();
        if (plan.protocol === 'udp') this.lead();
        return done({ port: bind.kind === 'inet' ? bind.port : 0 });
      }
      doors.delete(door);
      if (doors.size === 0) this.doors.delete(id);
      this.look();
      this.options.change();
      done({ code: 'EIO', message: error });
    });
  }

  /** `shutdown`: nothing changes, as the kernel needs nobody to go on. */
  unlisten(listenerId: number, code: 'listener-removed' | 'shutdown', doors?: readonly string[]): void {
    if (code === 'shutdown') return;
    const open = this.doors.get(listenerId);
    if (open === undefined) return;
    for (const door of doors ?? [...open.keys()]) open.delete(door);
    if (open.size === 0) this.doors.delete(listenerId);
    this.look();
    // Once no rule leads there any more: the next datagram is whoever's has the address then.
    this.options.change(() => this.endConversations(listenerId, code));
  }

  private endConversations(listenerId: number, code: TerminationCode): void {
    for (const flow of this.flows.all()) {
      const { listener, local } = flow;
      if (listener.id !== listenerId || listener.plan.protocol !== 'udp') continue;
      if (!this.sights.isDoorOf(listener, local)) this.endLater(flow, code);
    }
  }

  update(): void {}

  waysChanged(): void {
    const { host } = this.options;
    for (const flow of this.flows.all()) {
      if (flow.listener.plan.protocol !== 'udp') continue;
      const before = flow.backend?.target;
      this.guard(flow, () => {
        // The next datagram is led to where the backend is now.
        if (!isSameTarget(before, host.backendNow(flow).target)) this.endLater(flow, 'address-changed');
      });
    }
  }

  abandonDial(flow: Flow): void {
    this.endLater(flow, 'backend-unreachable');
  }

  terminate(flow: Flow, code: TerminationCode): void {
    // The process leaves; what the kernel carries stays.
    if (code === 'shutdown') return;
    if (code === 'backend-down' && this.options.isFull()) this.doubted.add(flow);
    else this.endLater(flow, code);
  }

  stop(): void {
    this.flows.closeAll('shutdown');
  }

  spareDescriptors(): void {}
  limitArrivals(): void {}
  proceed(): void {}
  trust(): void {}
  evict(): boolean {
    return false;
  }

  private look(): void {
    const { listeners = [], pools = [] } = this.snapshot ?? {};
    this.open = [...this.doors].flatMap(([id, doors]) => {
      const view = listeners.find((listener) => listener.id === id);
      const pool = pools.find((one) => one.id === view?.poolId);
      if (view === undefined || pool === undefined) return [];
      return [{ view: { ...view, plan: { ...view.plan, binds: [...doors.values()] } }, pool }];
    });
    this.sights = new Sights(this.open);
  }

  /**
   * A packet of a connection that was ended makes its entry anew, and may be led to another backend, which resets it: that is nobody's
   * flow. One that begins with a handshake is.
   */
  private isRemnant({ client, local }: Sight, { protocol, tcpState: state }: ConntrackEntry): boolean {
    if (this.ended.size === 0 || protocol !== 'tcp') return false;
    return state !== tcpState.synSent && state !== tcpState.synReceived && this.ended.has(client, local);
  }

  /** It was led to a backend that is not in the pool (any more): by the table of a moment ago, or by a predecessor's. */
  private noteStray({ client, pool }: Sight, entry: ConntrackEntry): void {
    // A name that is not resolved may be the one, and so may any where none is known yet: at a start whoever tells them may be away.
    const { backends } = pool;
    const isSure = backends.length > 0 && backends.every(({ target }) => target !== undefined);
    if (entry.event === 'destroy' || !isSure) return;
    this.strays.push({ entry, connection: { client, backend: entry.reply.source } });
  }

  /** Their backends were down for this instance alone, or are again where they were: nobody is to be reset for it any more. */
  private spareReturned(): void {
    const spared = this.ended.takeReturned((place) => this.hasReturned(place));
    if (spared.length > 0) void this.options.spare(spared);
  }

  private endDoubted(): void {
    for (const flow of this.doubted)
      if (!this.options.isUp(flow.backend!.id)) this.endLater(flow, 'backend-down');
    this.doubted.clear();
  }

  /** One that cannot be followed for a defect of the host is left to the kernel. */
  private begun({ listener, pool, backend, client, local }: Sight): Flow | undefined {
    try {
      return this.options.host.enter(listener, client, local, pool, backend!);
    } catch (error) {
      this.options.host.fault(error, undefined);
      return undefined;
    }
  }

  /** A defect of the host costs this flow, and not all that the kernel carries. */
  private guard(flow: Flow, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.options.host.fault(error, flow);
      this.endLater(flow, 'worker-error');
    }
  }

  private answered(flow: Flow): void {
    const { host } = this.options;
    if (flow.listener.plan.protocol === 'tcp') host.dialed(flow);
    host.replied(flow);
  }

  private endLater(flow: Flow, code: TerminationCode): void {
    const entry = this.flows.entryOf(flow);
    if (entry !== undefined && this.flows.end(flow, code, this.options.nowMs()))
      this.toEnd.push({ flow, entry, code });
  }

  /** First the rule that resets, then the entry: a packet in between would make it anew. */
  private async endNow(): Promise<void> {
    this.isEnding = true;
    const some = this.toEnd.splice(0, flowsEndedPerTurnMax);
    const strays = this.strays.splice(0, flowsEndedPerTurnMax);
    const isOpen = ({ flow }: { flow: Flow }): boolean =>
      flow.connectedAtMs !== 0 && !this.flows.isOver(flow);
    const isTcp = ({ protocol }: ConntrackEntry): boolean => protocol === 'tcp';
    const open = some.filter(isOpen);
    // What comes next is to be led by the table that is wanted now.
    if ([...open, ...strays].some(({ entry }) => isTcp(entry))) await this.options.readyToReset();
    else if (open.length > 0) await this.options.settled();
    // That may have taken seconds.
    const hasReturned = ({ flow, code }: { flow: Flow; code: TerminationCode }): boolean =>
      code === 'backend-down' && this.hasReturned(flow.backend!);
    const ended = some.filter((one) => !(isOpen(one) && hasReturned(one) && this.flows.keep(one.flow)));
    const tcp = ended.filter((one) => isTcp(one.entry) && isOpen(one));
    for (const { flow, entry, code } of tcp)
      this.ended.add(flow, tupleOf(flow, entry), code, this.options.nowMs());
    const reset = [
      ...tcp.map(({ flow, entry }) => tupleOf(flow, entry)),
      ...strays.filter(({ entry }) => isTcp(entry)).map(({ connection }) => connection),
    ];
    if (reset.length > 0) await this.options.reset(reset);
    this.options.means.remove([...ended, ...strays].map(({ entry }) => entry));
    for (const { flow } of ended) this.flows.deleted(flow, this.options.nowMs());
    this.isEnding = false;
  }

  /** The backend is up, and it is where a flow has it. */
  private hasReturned({ id, target }: Place): boolean {
    if (!this.options.isUp(id)) return false;
    const pools = this.snapshot?.pools ?? [];
    return pools.some(({ backends }) =>
      backends.some((one) => one.id === id && isSameTarget(one.target, target)),
    );
  }
}

/** A flow that was picked up from its backend has it as the source of its first packet. */
function tupleOf({ client }: Flow, { original, reply }: ConntrackEntry): EndedConnection {
  return { client, backend: original.source.equals(client) ? reply.source : original.source };
}

function timesOf({ listener: { plan } }: Sight): FlowTimes {
  return { answerWithinMs: plan.timeouts.connectMs, idleMs: plan.timeouts.idleMs };
}

function noteCounted({ accounted, bytesIn, bytesOut, datagramsIn, datagramsOut }: Flow): void {
  Object.assign(accounted, { bytesIn, bytesOut, datagramsIn, datagramsOut });
}

function account(flow: Flow, { bytesIn, bytesOut, packetsIn, packetsOut }: Moved): void {
  flow.bytesIn = bytesIn;
  flow.bytesOut = bytesOut;
  if (flow.listener.plan.protocol === 'tcp') return;
  flow.datagramsIn = packetsIn;
  flow.datagramsOut = packetsOut;
}
