/**
 * Control's end of the cluster room. What is asked of a room that is gone, or does not answer, gets the answer it would
 * get without Redis; a room that starts again takes up what its predecessor left in the pin table.
 */
import type { BackendStates } from '../core/backend-states.ts';
import type { ClusterPlan } from '../core/cluster-plan.ts';
import type { KillOrder } from '../core/kill-order.ts';
import { clusterHeapMibMax } from '../core/limits.ts';
import type { OperatorRow } from '../core/operator-word.ts';
import type { HandOutcome, OperatorChange } from '../pins/by-hand.ts';
import { RoomClient, type RoomEvents } from '../rooms/client.ts';
import type { SharedMemory } from '../rooms/shared.ts';
import { Waiting } from '../rooms/waiting.ts';
import { claimOutcomes } from './claims.ts';
import type { ClusterStatus } from './cluster.ts';
import type { ClusterRoomData } from './entry.ts';
import { redisFaults } from './errors.ts';
import type { ClusterEvent } from './events.ts';
import type { ClusterFlow, ClusterFlowRow } from './flow-table.ts';
import { newIncarnation } from './incarnation.ts';
import type { MemberListeners } from './member-listeners.ts';
import type { MessageFromCluster } from './messages-from-cluster.ts';
import type { ClaimOrder, ClusterNews, MessageToCluster } from './messages-to-cluster.ts';

export interface ClusterClientOptions extends RoomEvents {
  readonly plan: ClusterPlan;
  readonly shared: SharedMemory;
  readonly states: BackendStates;
  readonly host: string;
  readonly version: string;
  readonly startedAt: Date;
  readonly news: () => ClusterNews;
  /** Open flows, at most `most`. */
  readonly listFlows: (most: number) => Promise<readonly ClusterFlow[]>;
  readonly watch: (event: ClusterEvent) => void;
  /** Others listen elsewhere than before. */
  readonly membersMoved: () => void;
  /** Operators' words that the cluster has. */
  readonly operatorWords: (rows: readonly OperatorRow[]) => void;
  /** Another instance was told so long ago to end flows on all. */
  readonly killHeard: (order: KillOrder, from: string, ageMs: number) => void;
}

/** More than `Cluster.stop` takes. */
const stopWithinMs = 3_000;
/** More than `Cluster.catchUp` takes. */
const catchUpWithinMs = 20_000;
/** Until an operator's change counts as not shared yet, and a list of connections as not to be had. */
const answerWithinMs = 10_000;

export class ClusterClient {
  readonly room: RoomClient<MessageToCluster, MessageFromCluster>;
  private readonly options: ClusterClientOptions;
  private readonly incarnation = newIncarnation();
  /** Where the others listen. Kept when the room dies: they are there all the same. */
  memberListeners: MemberListeners = { listeners: [], ips: [] };
  private generation = 0;
  private known: ClusterStatus;
  private writerNames: readonly string[] = [''];
  private readonly claims = new Waiting<void>();
  private readonly tells = new Waiting<HandOutcome>();
  private readonly lists = new Waiting<readonly ClusterFlowRow[] | Error>();
  private readonly catchUps = new Waiting<void>();

  constructor(options: ClusterClientOptions) {
    this.options = options;
    this.known = statusAtStart(options.plan);
    const { died, restarted, file } = options;
    this.room = new RoomClient<MessageToCluster, MessageFromCluster>({
      name: 'cluster',
      entry: new URL('./entry.js', import.meta.url),
      data: () => this.roomData(),
      heapMibMax: clusterHeapMibMax,
      message: (message) => this.hear(message),
      started: () => void this.room.post({ type: 'start' }),
      died: (death) => {
        this.forget();
        died(death);
      },
      restarted,
      file,
    });
  }

  /** Begins to share. Pins that are in the table already are told, too. Returns at once, and never fails because Redis does. */
  start(): void {
    this.room.start();
  }

  /** Resolves once all shared pins have been read, or when that takes too long. */
  async catchUp(): Promise<void> {
    if (!this.known.caughtUp) await this.catchUps.wait(catchUpWithinMs, undefined, () => true);
  }

  /** What this instance tells of itself has changed, or the names it knows. */
  tellNews(): void {
    this.order({ type: 'news', news: this.options.news() });
  }

  /** A reload has brought new pools or backends: pins that were ignored for want of them are read again. */
  namesAdded(): void {
    this.order({ type: 'names-added' });
  }

  /** What it must hear: one that takes no orders is ended, and the next is told all. */
  private order(message: MessageToCluster): void {
    if (!this.room.post(message)) this.room.giveUp('it takes no orders');
  }

  /** Asks for a client's pin. `done` is called once, when the table has the answer, and never later than the deadline. */
  claim(order: Omit<ClaimOrder, 'id'>, done: () => void): void {
    void this.claims
      .wait(order.deadlineMs, undefined, (id) => this.room.post({ type: 'claim', order: { id, ...order } }))
      .then(done);
  }

  /** An operator's word. Never rejects. */
  tell(change: OperatorChange): Promise<HandOutcome> {
    return this.tells.wait(answerWithinMs, 'here-only', (id) => this.room.post({ type: 'tell', id, change }));
  }

  /** An operator's word about a backend, to be kept. Never rejects: what cannot be written now is so later. */
  operate(rows: readonly OperatorRow[]): Promise<HandOutcome> {
    return this.tells.wait(answerWithinMs, 'here-only', (id) =>
      this.room.post({ type: 'operate', id, rows }),
    );
  }

  /** Flows are to be ended on all instances. Never rejects. `here-only`: the others will not hear of it. */
  tellKill(order: KillOrder): Promise<HandOutcome> {
    return this.tells.wait(answerWithinMs, 'here-only', (id) => this.room.post({ type: 'kill', id, order }));
  }

  /** Operators' words that Redis does not have, though it was to keep them. */
  keepWords(rows: readonly OperatorRow[]): void {
    this.room.post({ type: 'keep-words', rows });
  }

  /** The connection table of all instances, at most `most` rows of each. Rejects when Redis does not answer. */
  async connections(most: number): Promise<readonly ClusterFlowRow[]> {
    const rows = await this.lists.wait(answerWithinMs, new Error('the cluster room does not answer'), (id) =>
      this.room.post({ type: 'connections', id, most }),
    );
    if (rows instanceof Error) throw rows;
    return rows;
  }

  status(): ClusterStatus {
    return this.known;
  }

  /** The instances that pins were learned from, by their numbers in the table. */
  get writers(): readonly string[] {
    return this.writerNames;
  }

  /** Tells what is left to tell, says goodbye and leaves; at most some three seconds. */
  stop(): Promise<void> {
    return this.room.stop({ type: 'stop' }, stopWithinMs);
  }

  private roomData(): ClusterRoomData {
    const { plan, shared, host, version, startedAt, news } = this.options;
    const { incarnation, generation, writerNames: writers } = this;
    return {
      plan,
      shared,
      host,
      version,
      startedAt,
      news: news(),
      predecessor: { incarnation, start: this.room.starts, generation, writers },
    };
  }

  /** Nobody is to wait for a room that died, and the counts it had of other instances are not to be believed any more. */
  private forget(): void {
    for (const waiting of [this.claims, this.tells, this.catchUps]) waiting.giveUp();
    this.lists.giveUp();
    for (const { id } of this.options.news().names.backends) this.options.states.setPeerFlows(id, 0);
    this.known = { ...this.known, state: 'away', liveShards: 0, claimsWaiting: 0, peerFlows: 0 };
  }

  private hear(message: MessageFromCluster): void {
    switch (message.type) {
      case 'event':
        this.options.watch(message.event);
        break;
      case 'status':
        this.known = { ...message.status, members: this.known.members };
        this.writerNames = message.writers;
        this.generation = message.generation;
        break;
      case 'members':
        this.known = { ...this.known, members: message.members };
        break;
      case 'member-listeners':
        this.memberListeners = message.known;
        this.options.membersMoved();
        break;
      case 'operator-words':
        this.options.operatorWords(message.rows);
        break;
      case 'kill':
        this.options.killHeard(message.order, message.from, message.ageMs);
        break;
      case 'caught-up':
        this.catchUps.answerAll(undefined);
        break;
      case 'claimed':
        this.claims.answer(message.id, undefined);
        break;
      case 'told':
        this.tells.answer(message.id, message.outcome);
        break;
      case 'connections':
        this.lists.answer(message.id, message.rows);
        break;
      case 'no-connections':
        this.lists.answer(message.id, new Error(message.message));
        break;
      case 'list-flows':
        void this.options
          .listFlows(message.most)
          .then((flows) => this.room.post({ type: 'flows', id: message.id, flows }));
        break;
    }
  }
}

/** Before the room has said anything. */
function statusAtStart({ name, instance, shards }: ClusterPlan): ClusterStatus {
  const none = <T extends string>(words: readonly T[]): Record<T, number> =>
    Object.fromEntries(words.map((word) => [word, 0])) as Record<T, number>;
  return {
    name,
    instance,
    state: 'away',
    caughtUp: false,
    liveShards: 0,
    shards,
    members: [],
    differingDigests: 0,
    peerFlows: 0,
    journal: 0,
    journalDropped: 0,
    pinsWritten: 0,
    pinsLearned: 0,
    pinsIgnored: 0,
    gaps: 0,
    stalls: 0,
    flowsUntold: 0,
    claims: none(claimOutcomes),
    claimsWaiting: 0,
    faults: none(redisFaults),
    lastFault: undefined,
  };
}
