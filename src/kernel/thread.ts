/**
 * Puts the kernel's worker together: the relay that speaks with the director, the keeper of the table, and what the table is made of.
 * Its `turn` hears what conntrack has said and notices what has changed in shared memory.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendStates } from '../core/backend-states.ts';
import type { Counters } from '../core/counters.ts';
import { goneMs } from '../core/limits.ts';
import type { PinTable } from '../core/pins/table.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { NftResult } from '../linux/nft.ts';
import type { Director } from '../worker/director.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { adoptPins } from './adoption.ts';
import type { EndedConnection } from './ended-connections.ts';
import type { Ruleset } from './form.ts';
import { FullTable } from './full-table.ts';
import { goneSet, layoutMarker } from './layout.ts';
import type { KernelMeans } from './means.ts';
import { PinMaps } from './pin-maps.ts';
import { readPresent } from './present.ts';
import { RefusedClients } from './refused-clients.ts';
import { KernelRelay, type RelayHost } from './relay.ts';
import { wantedOf } from './ruleset.ts';
import { TableKeeper, type TableNews } from './table-keeper.ts';
import { TargetNumbers } from './target-numbers.ts';
import { elementsTransaction, transaction } from './transaction.ts';
import { Wants } from './wants.ts';

/** How long a part of the listeners may wait for the rest. */
const partMsMax = 1_000;
const listWithinMs = 300;
/** Of a table in which connections are being ended (ruleset.ts). */
const endedChain = 'ended';

export type KernelThreadHost = RelayHost & Pick<Director, 'turnedAwayByKernel'>;

export interface KernelThreadOptions {
  readonly director: KernelThreadHost;
  /** A sentence: this machine has not what it takes. */
  readonly means: KernelMeans | string;
  /** Of nftables, family inet. */
  readonly table: string;
  readonly pins: PinTable;
  readonly states: BackendStates;
  readonly counters: Pick<Counters, 'addInstance'>;
  readonly nowMs: () => number;
}

export class KernelThread {
  readonly relay: KernelRelay;
  private readonly options: KernelThreadOptions;
  private readonly keeper: TableKeeper<Ruleset>;
  private readonly wants: Wants;
  private readonly pinMaps: PinMaps;
  private numbers = new TargetNumbers();
  private readonly fullTable: FullTable;
  private readonly refusals: RefusedClients | undefined;
  private endingUntilMs = 0;
  private partSinceMs: number | undefined;
  private hasAdopted = false;

  constructor(options: KernelThreadOptions) {
    this.options = options;
    const { director, means, table, states, pins, nowMs } = options;
    const wants = new Wants(states);
    this.wants = wants;
    this.pinMaps = new PinMaps({
      pins,
      homesOf: (pool, family) => wants.homesOf(pool, family),
      bucketsOf: (pool, family) => wants.bucketsOf(pool, family),
      nowMs,
    });
    this.keeper = new TableKeeper<Ruleset>({
      run: (commands) => (typeof means === 'string' ? refusal(means) : means.nft.run(commands)),
      read: () => this.read(),
      want: () => this.want(),
      transaction,
      elements: () => elementsTransaction(table, this.pinMaps.takeChanges()),
      probe: `list set inet ${table} ${layoutMarker}`,
      nowMs,
      told: (news) => this.told(news),
    });
    if (typeof means !== 'string') {
      this.refusals = new RefusedClients({
        table,
        list: (command) => means.nft.list(command),
        refused: (listener, code, count) => director.turnedAwayByKernel(listener, code, count),
        nowMs,
      });
    }
    this.fullTable = new FullTable({
      drops: () => (typeof means === 'string' ? undefined : means.drops()),
      dropped: (count) => this.dropped(count),
      nowMs,
    });
    const none = { list: () => Promise.resolve(false), look: () => undefined, remove: () => {} };
    this.relay = new KernelRelay({
      host: director,
      means: typeof means === 'string' ? none : means,
      change: (done) => this.keeper.change(done),
      settled: () => this.settled(),
      readyToReset: () => this.readyToReset(),
      reset: (connections) => this.reset(connections),
      spare: (connections) => this.spare(connections),
      isUp: (backendId) => options.states.isUp(backendId),
      isFull: () => this.fullTable.isFull(),
      nowMs,
    });
  }

  /** Before the director hears of it. */
  useSnapshot(snapshot: Snapshot): void {
    this.relay.useSnapshot(snapshot);
  }

  /** What an order needs to be known of first. */
  async before({ type }: MessageToWorker): Promise<void> {
    if (type !== 'list-flows') return;
    // Who asks waits a second: what is counted may be ten seconds old then.
    await Promise.race([this.relay.list(), sleep(listWithinMs)]);
  }

  /** Resolves when the table is as it is wanted now, or could not be made so. */
  settled(): Promise<void> {
    this.notice(true);
    return this.keeper.settled();
  }

  /** Call it often: what is new is heard and answered here. */
  turn(): void {
    const { means, nowMs } = this.options;
    this.fullTable.turn();
    if (typeof means !== 'string') {
      const isWhole = means.receive((entry) => this.relay.heard(entry), this.relay.glanced);
      if (!isWhole) this.overrun();
      this.relay.turn();
    }
    if (this.endingUntilMs !== 0 && nowMs() >= this.endingUntilMs) {
      this.endingUntilMs = 0;
      this.keeper.change();
    }
    this.notice();
    if (this.isDue(nowMs())) this.keeper.turn();
    const open = this.relay.openListeners().map(({ view }) => view);
    this.refusals?.turn(this.keeper.present?.counters ?? [], open);
  }

  /** What has become another in shared memory. @param isUrgent every pin is to be looked at now */
  private notice(isUrgent = false): void {
    if (this.wants.isOther(this.relay.openListeners())) this.keeper.change();
    if (this.pinMaps.look(isUrgent)) this.keeper.changeElements();
  }

  private overrun(): void {
    this.options.counters.addInstance('kernelEventLosses', 1);
    this.relay.lost();
    this.trouble('connections began and ended faster than they could be followed; all are listed again');
  }

  private dropped(count: number): void {
    this.options.counters.addInstance('kernelDrops', count);
    this.trouble(
      'the kernel drops packets that begin connections: its table of them is full (net.netfilter.nf_conntrack_max), or memory is short',
    );
  }

  private trouble(text: string): void {
    const first = this.relay.openListeners()[0];
    if (first !== undefined) this.options.director.trouble(first.view, undefined, text);
  }

  /** Listeners that are opened together are one transaction, and none without the others is to be the table of a moment. */
  private isDue(nowMs: number): boolean {
    if (this.relay.isWhole || this.relay.openListeners().length === 0) this.partSinceMs = undefined;
    else this.partSinceMs ??= nowMs;
    return this.partSinceMs === undefined || nowMs - this.partSinceMs >= partMsMax;
  }

  /** The table stays, and so do connections. */
  close(): void {
    this.keeper.close();
    if (typeof this.options.means !== 'string') this.options.means.close();
  }

  private want(): Ruleset {
    const { wants, pinMaps } = this;
    const open = this.relay.openListeners();
    wants.begin(open);
    pinMaps.begin();
    const wanted = wantedOf(
      {
        table: this.options.table,
        listeners: open.map(({ view }) => view),
        pools: open.map(({ pool }) => pool),
        bucketsOf: (pool, family) => wants.bucketsOf(pool, family),
        pinsIn: (map) => pinMaps.ask(map),
        isEnding: this.endingUntilMs !== 0,
      },
      this.numbers,
    );
    pinMaps.finish();
    return wanted;
  }

  /** The table as a predecessor has left it, or as it is after something went wrong. */
  private async read(): Promise<Ruleset | undefined> {
    const { means, table } = this.options;
    if (typeof means === 'string') return undefined;
    const list = (command: string): Promise<NftResult> => means.nft.list(command);
    const found = await readPresent(list, table);
    if (found !== undefined && isForeign(found))
      throw new Error(`the table inet ${table} is somebody else's; give it, or this instance, another name`);
    this.numbers = new TargetNumbers(found);
    if (!this.hasAdopted) await this.adopt(found);
    return found;
  }

  /** A predecessor's pins and flows are ours before the table is written that is made of them. */
  private async adopt(found: Ruleset | undefined): Promise<void> {
    this.hasAdopted = true;
    const { pins, nowMs } = this.options;
    if (found !== undefined) {
      const open = this.relay.openListeners();
      const view = { listeners: open.map((one) => one.view), pools: open.map(({ pool }) => pool) };
      adoptPins(found, view, pins, nowMs());
      if (found.chains.has(endedChain)) this.endingUntilMs = nowMs() + goneMs;
    }
    await this.relay.takeOver();
  }

  /** Who is reset comes back at once, and is to be led by the table that is wanted now. */
  private async readyToReset(): Promise<void> {
    const isFirst = this.endingUntilMs === 0;
    this.endingUntilMs = this.options.nowMs() + goneMs;
    if (isFirst) this.keeper.change();
    await this.settled();
  }

  /** Both sides of these are reset at their next packet, for as long as a side that is silent is waited for. */
  private async reset(connections: readonly EndedConnection[]): Promise<void> {
    const { means, table } = this.options;
    if (typeof means === 'string') return;
    for (const [set, elements] of goneElements(connections)) {
      const timed = elements.map((element) => `${element} timeout ${goneMs / 1_000}s`);
      await means.nft.run(`add element inet ${table} ${set} { ${timed.join(', ')} }\n`);
    }
  }

  /** One that is in the set no more is no fault: it is added first. */
  private async spare(connections: readonly EndedConnection[]): Promise<void> {
    const { means, table } = this.options;
    if (typeof means === 'string') return;
    for (const [set, elements] of goneElements(connections)) {
      const those = `element inet ${table} ${set} { ${elements.join(', ')} }\n`;
      await means.nft.run(`add ${those}delete ${those}`);
    }
  }

  private told(news: TableNews): void {
    if (news.type === 'changed' && news.isMade) this.relay.lead();
    if (news.type === 'changed') return;
    const { table } = this.options;
    const text =
      news.type === 'gone'
        ? `the table inet ${table} was deleted by somebody else, and is made again`
        : `nftables refuses a change of the table inet ${table}, which is tried again: ${news.message}`;
    this.trouble(text);
  }
}

/** By the sets they belong in. */
function goneElements(connections: readonly EndedConnection[]): Map<string, string[]> {
  const bySet = new Map<string, string[]>();
  for (const { client, backend } of connections) {
    const set = goneSet(client.family);
    const elements = bySet.get(set) ?? [];
    bySet.set(set, elements);
    elements.push(`${client.ip} . ${client.port} . ${backend.ip} . ${backend.port}`);
  }
  return bySet;
}

/** No version of ours: each had, while it led anybody, the chain by which packets leave. */
function isForeign({ chains, collections }: Ruleset): boolean {
  return chains.size > 0 && !chains.has('leaving') && !collections.has(layoutMarker);
}

function refusal(error: string): Promise<{ ok: false; error: string }> {
  return Promise.resolve({ ok: false, error });
}
