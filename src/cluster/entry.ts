/**
 * The cluster room: a thread that holds the Redis client and keeps the shared pin table in step with Redis. It reads
 * and writes the table itself, as a writer of its own; all else goes through messages.
 */

import { ClientTable } from '../core/client-table.ts';
import type { ClusterPlan } from '../core/cluster-plan.ts';
import type { Counters } from '../core/counters.ts';
import { Key } from '../core/key.ts';
import { memberListenersEveryMs } from '../core/limits.ts';
import type { HandOutcome } from '../pins/by-hand.ts';
import { TableNames } from '../pins/names-table.ts';
import { leaveRoom, type RoomPost, serveRoom } from '../rooms/serve.ts';
import { attachSharedMemory, type SharedMemory, sharedClock, sharingWriters } from '../rooms/shared.ts';
import { Waiting } from '../rooms/waiting.ts';
import { ClientSums } from './client-sums.ts';
import { type Cluster, createCluster, type Predecessor } from './cluster.ts';
import type { ClusterFlow } from './flow-table.ts';
import type { ClusterIdentity, FlowCount } from './members.ts';
import type { MessageFromCluster } from './messages-from-cluster.ts';
import type { ClaimOrder, ClusterNews, MessageToCluster } from './messages-to-cluster.ts';

/** What control makes the room with. */
export interface ClusterRoomData {
  readonly plan: ClusterPlan;
  readonly shared: SharedMemory;
  readonly host: string;
  readonly version: string;
  readonly startedAt: Date;
  readonly news: ClusterNews;
  readonly predecessor: Predecessor;
}

/** How often it is looked whether there is a new status to tell. */
const statusMs = 100;
/** An answer that does not come must not keep the connection table waiting for ever. */
const listFlowsWithinMs = 5_000;

type Post = RoomPost<MessageFromCluster>;

/** What this instance says of itself; `news` changes with a reload. */
function identityOf({ host, version, startedAt }: ClusterRoomData, news: () => ClusterNews): ClusterIdentity {
  return {
    host,
    version,
    digest: () => news().digest,
    startedAt,
    listeners: () => news().listeners,
    network: () => news().network,
  };
}

/** The room writes what others have into the table of clients as a writer of its own. */
function clientSums({ shared }: ClusterRoomData, news: () => ClusterNews, nowMs: () => number): ClientSums {
  const table = new ClientTable(shared.counters.clients, sharingWriters.cluster);
  return new ClientSums(table, () => news().summed, nowMs);
}

function serve(data: ClusterRoomData, post: Post): (message: MessageToCluster) => void {
  const { pins, states, counters } = attachSharedMemory(data.shared, sharingWriters.cluster);
  const names = new TableNames(data.news.names);
  /** Control's lists of open flows. */
  const lists = new Waiting<readonly ClusterFlow[]>();
  let { news } = data;
  const nowMs = sharedClock(data.shared.clockOriginMs);
  const cluster = createCluster({
    plan: data.plan,
    identity: identityOf(data, () => news),
    names,
    pins,
    states,
    countFlows: () => flowCounts(names, counters),
    clients: clientSums(data, () => news, nowMs),
    listFlows: (most) => lists.wait(listFlowsWithinMs, [], (id) => post({ type: 'list-flows', id, most })),
    operatorWords: (rows) => post({ type: 'operator-words', rows }),
    killHeard: (order, from, ageMs) => void post({ type: 'kill', order, from, ageMs }),
    watch: (event) => {
      post({ type: 'event', event });
      told.tell();
    },
    nowMs,
    predecessor: data.predecessor,
  });
  const told = new StatusTeller(cluster, post);
  return (message) => {
    switch (message.type) {
      case 'news':
        news = message.news;
        names.use(news.names);
        break;
      case 'start':
        cluster.start();
        told.start();
        void cluster.catchUp().then(() => {
          told.tell();
          post({ type: 'caught-up' });
        });
        break;
      case 'names-added':
        cluster.namesAdded();
        break;
      case 'claim':
        claim(cluster, message.order, post);
        break;
      case 'tell':
        tellOutcome(cluster.tell(message.change), message.id, post);
        break;
      case 'operate':
        tellOutcome(cluster.operate(message.rows), message.id, post);
        break;
      case 'kill':
        tellOutcome(cluster.tellKill(message.order), message.id, post);
        break;
      case 'keep-words':
        cluster.keepWords(message.rows);
        break;
      case 'connections':
        listConnections(cluster, message.id, message.most, post);
        break;
      case 'flows':
        lists.answer(message.id, message.flows);
        break;
      case 'stop':
        void cluster.stop().then(leaveRoom);
        break;
    }
  };
}

/** Flows open here, by backend; those without any are left out. */
function flowCounts(names: TableNames, counters: Counters): FlowCount[] {
  return [...names.backendIds].flatMap((id): FlowCount[] => {
    const flows = counters.backend(id, 'active');
    const named = names.backend(id);
    return flows > 0 && named !== undefined ? [[named.pool, named.backend, flows]] : [];
  });
}

function tellOutcome(outcome: Promise<HandOutcome>, id: number, post: Post): void {
  void outcome.then((word) => post({ type: 'told', id, outcome: word }));
}

function claim(cluster: Cluster, order: ClaimOrder, post: Post): void {
  const { id, poolId, kind, words, backendId, claimTtlMs, deadlineMs, publish } = order;
  const key = new Key(kind, words);
  cluster.claim({ poolId, key, backendId, claimTtlMs, deadlineMs, publish }, () =>
    post({ type: 'claimed', id }),
  );
}

function listConnections(cluster: Cluster, id: number, most: number, post: Post): void {
  cluster.connections(most).then(
    (rows) => post({ type: 'connections', id, rows }),
    (error: Error) => post({ type: 'no-connections', id, message: error.message }),
  );
}

/** Tells control the status when it has changed. */
class StatusTeller {
  private readonly cluster: Cluster;
  private readonly post: Post;
  private told = '';
  private toldMembers = 0;
  private toldListeners = '';
  private toldNetworks = 0;
  private listenersAtMs = Number.NEGATIVE_INFINITY;

  constructor(cluster: Cluster, post: Post) {
    this.cluster = cluster;
    this.post = post;
  }

  start(): void {
    setInterval(() => {
      this.tell();
      this.tellListeners();
    }, statusMs);
    this.tell();
  }

  tell(): void {
    const { cluster } = this;
    this.tellMembers();
    const status = cluster.figures();
    const text = JSON.stringify(status);
    if (text === this.told) return;
    const { generation, names } = cluster;
    if (this.post({ type: 'status', status, generation, writers: names.writers })) this.told = text;
  }

  private tellMembers(): void {
    const { version, members } = this.cluster.members;
    if (version === this.toldMembers) return;
    if (this.post({ type: 'members', members: [...members.values()] })) this.toldMembers = version;
  }

  /** Members that say something else every second must not make every worker learn it every second. */
  private tellListeners(): void {
    const { networksVersion } = this.cluster.members;
    const nowMs = performance.now();
    if (networksVersion === this.toldNetworks || nowMs - this.listenersAtMs < memberListenersEveryMs) return;
    this.listenersAtMs = nowMs;
    const known = this.cluster.members.listeners();
    const text = JSON.stringify(known);
    if (text !== this.toldListeners && !this.post({ type: 'member-listeners', known })) return;
    this.toldListeners = text;
    this.toldNetworks = networksVersion;
  }
}

await serveRoom<ClusterRoomData, MessageToCluster, MessageFromCluster>(serve);
