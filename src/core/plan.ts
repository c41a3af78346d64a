/**
 * The plan: the checked, defaulted, frozen form of the configuration. Nothing in it is optional by accident:
 * what may be absent is `undefined` in the type, everything else has its default already (config/ holds them).
 * Plans are plain data, so one can be posted to a worker. Durations are milliseconds, sizes bytes.
 */

import type { ClusterPlan } from './cluster-plan.ts';
import type { DownReason } from './down-reason.ts';
import type { KeyKind } from './key-kinds.ts';
import type { ProxyInPlan, ProxyOutPlan } from './proxy-plan.ts';

export type Protocol = 'tcp' | 'udp';

/** Where a listener, the metrics page or the admin API is bound. `ip` is a literal, v4 or v6, without brackets. */
export type Bind =
  | {
      readonly kind: 'inet';
      readonly ip: string;
      readonly port: number;
      /** Listeners: only what comes in through this network device (or VRF). Absent: any. */
      readonly device?: string;
      /** Backends: the port is the one that the client came to, plus this, and `port` is 0. Absent: it is `port`. */
      readonly portShift?: number;
    }
  | { readonly kind: 'unix'; readonly path: string };

/** Where a backend is reached. A `name` is resolved by control before a worker sees it. */
export type BackendAddress =
  | Bind
  | { readonly kind: 'name'; readonly host: string; readonly port: number; readonly portShift?: number };

export const policyNames = [
  'maglev',
  'rendezvous',
  'ring',
  'least-connections',
  'power-of-two',
  'round-robin',
] as const;
export type PolicyName = (typeof policyNames)[number];

/** Those that choose by the client's key and the plan alone: each instance makes the same choice. */
export const hashPolicies: readonly PolicyName[] = ['maglev', 'rendezvous', 'ring'];

/** What sends a TCP client on to another backend, each with all before it. See worker/director.ts, `brokeEarly`. */
export const retryCauses = ['dial', 'unsaid', 'reset', 'empty'] as const;
export type RetryCause = (typeof retryCauses)[number];

export const affinityKeys = ['client-ip', 'client-subnet', 'flow', 'server-name', 'quic-id', 'none'] as const;

/** What a client is recognised by (core/key-kinds.ts). One that does not say what is asked for is recognised by its address. */
export type AffinityKey =
  | (typeof affinityKeys)[number]
  /** TCP: of what it says first; UDP: of the datagram that opens a conversation. Bytes. */
  | { readonly payload: { readonly offset: number; readonly length: number } }
  /** Of the header of a proxy: the type, 0 to 255. */
  | { readonly tlv: number };

export function keyKindOf(
  key: (typeof affinityKeys)[number] | { readonly payload: unknown } | { readonly tlv: unknown },
): KeyKind {
  if (typeof key === 'string') return key;
  return 'tlv' in key ? 'tlv' : 'payload';
}

export interface AffinityPlan {
  /** What a client is recognised by. `none` hashes by client-ip where the policy hashes, and keeps no pin. */
  readonly key: AffinityKey;
  /** Prefix lengths of client-subnet, in bits. */
  readonly prefixV4: number;
  readonly prefixV6: number;
  readonly ttlMs: number;
  /** `before-dial` waits for the shared table's answer before a backend is dialled. */
  /** Listeners of one group share their pins, by the names of backends (core/pin-scopes.ts). Absent: pins are the pool's. */
  readonly group?: string;
  readonly claim: 'async' | 'before-dial';
  readonly claimTimeoutMs: number;
}

/** What a client gets that may not come in (TCP). */
export const refusalWays = ['reset', 'close', 'silence'] as const;
export type RefusalWay = (typeof refusalWays)[number];

/** One list of clients: what stands in the configuration, and files of the same. */
export interface AccessListPlan {
  /** In the notation of core/cidr.ts. */
  readonly networks: readonly string[];
  /** Absolute paths. */
  readonly files: readonly string[];
}

/** Bytes a second each way, `up` from the client; 0 is no limit. */
export interface ByteRatePlan {
  readonly up: number;
  readonly down: number;
}

/** How fast bytes may move; what is absent is not bounded. */
export interface BandwidthPlan {
  readonly perFlow?: ByteRatePlan;
  readonly perClient?: ByteRatePlan;
  /** Of the listener. */
  readonly total?: ByteRatePlan;
}

/** What the clients of one network may have together; 0 is no limit. */
export interface SubnetLimitsPlan {
  /** Bits that make a network. */
  readonly prefixV4: number;
  readonly prefixV6: number;
  readonly flows: number;
  readonly newFlowsPerSecond: number;
  readonly datagramsPerSecond: number;
}

/** `quic`: the connection id that its server chose. Else a token at this place of each datagram; bytes. */
export type RebindPlan = 'quic' | { readonly payload: { readonly offset: number; readonly length: number } };

/** What a client may speak whose server is found by what it says. */
export const routeProtocols = ['tls', 'postgres', 'minecraft', 'quic'] as const;
export type RouteProtocol = (typeof routeProtocols)[number];

/** A lost segment comes again after a second at most, and once more after three (RFC 6298). Milliseconds. */
export const identifyMsDefault = 3_000;

/** All that is given must hold. */
export interface RoutePlan {
  readonly pool: string;
  readonly protocol?: RouteProtocol;
  /** Patterns, of which the server's name must fit one (core/server-name.ts); none: it asks for no name. Absent: whatever it asks for. */
  readonly names?: readonly string[] | 'none';
  /** The client must speak one of these. */
  readonly alpn?: readonly string[];
  /** What it says first, whatever it speaks; in hexadecimal. */
  readonly firstBytesHex?: string;
  /** Addresses and networks of which one must have it. */
  readonly clients?: readonly string[];
}

export const limitsScopes = ['instance', 'cluster'] as const;
export type LimitsScope = (typeof limitsScopes)[number];

export interface ListenerPlan {
  readonly name: string;
  readonly protocol: Protocol;
  readonly bind: Bind;
  /** All of them, the first included, where it has several: see core/binds.ts. */
  readonly binds?: readonly Bind[];
  /** What carries its packets: the kernel, by rules (src/kernel/). Absent: this program. */
  readonly relay?: 'kernel';
  /** With the kernel: what leaves towards backends leaves from this machine's address. Absent: from the client's. */
  readonly source?: 'masquerade';
  /** Of clients whom no route is for; undefined: they are refused. */
  readonly pool: string | undefined;
  /** The first one that fits counts. Absent: there are none. */
  readonly routes?: readonly RoutePlan[];
  /** Who may come in. Absent: whoever is not denied. */
  readonly allow?: AccessListPlan;
  /** Who may not, whatever `allow` says. */
  readonly deny?: AccessListPlan;
  /** Absent: by a reset. */
  readonly refuse?: RefusalWay;
  readonly bandwidth?: BandwidthPlan;
  /** UDP: a conversation is over once so many replies were sent for each datagram of its client. Absent: when it is quiet. */
  readonly sessionEndsAfter?: { readonly replies: number };
  readonly affinity: AffinityPlan;
  readonly timeouts: {
    /** TCP: per dial. */
    readonly connectMs: number;
    /** Nothing moved in either direction. */
    readonly idleMs: number;
    /** TCP: one side has ended and the other is silent. */
    readonly halfCloseMs: number;
    /** With routes: until a client has said where it belongs. Absent: {@link identifyMsDefault}. */
    readonly identifyMs?: number;
  };
  readonly limits: {
    /** Open flows of this listener, over all workers. */
    readonly flows: number;
    /** Open flows that no other listener can take from it; auto: its even part of a quarter of `limits.flows`. */
    readonly reserve: number | 'auto';
    /** Open flows of one client address; 0 is no limit. */
    readonly flowsPerClient: number;
    /** New flows a second of one client address; 0 is no limit. */
    readonly newFlowsPerClientPerSecond: number;
    /** UDP: datagrams a second of one client address. Absent: no limit. */
    readonly datagramsPerClientPerSecond?: number;
    /** The same of all clients of one network. */
    readonly perSubnet?: SubnetLimitsPlan;
    /** New flows a second over all clients; 0 is no limit. */
    readonly newFlowsPerSecond: number;
    /** What limits of clients and networks are counted over. Absent: this instance. */
    readonly scope?: LimitsScope;
  };
  readonly tcp: {
    readonly backlog: number;
    readonly noDelay: boolean;
    /** Idle time before the first keepalive probe, both sides; 0 turns keepalive off. */
    readonly keepAliveMs: number;
    // Absent: as the kernel has it. Both sides, but for the queue, which is the listener's.
    /** Between two keepalive probes; whole seconds. */
    readonly keepAliveIntervalMs?: number;
    /** Unanswered keepalive probes until the connection is given up. */
    readonly keepAliveProbes?: number;
    /** How long sent data may stay unacknowledged until the connection is given up. */
    readonly userTimeoutMs?: number;
    /** Connections whose first data came with the handshake (RFC 7413) that may wait; absent: none may. */
    readonly fastOpenQueue?: number;
    /** What is asked of the kernel, which doubles it for its bookkeeping. */
    readonly receiveBufferBytes?: number;
    readonly sendBufferBytes?: number;
  };
  readonly udp?: {
    /** Buffers of a UDP listener's socket, which all its clients share. Absent: the engine's own. */
    readonly receiveBufferBytes?: number;
    readonly sendBufferBytes?: number;
    /** Of the sockets towards backends, one for each client. Absent: `upstreamReceiveBufferBytes`, and the kernel's. */
    readonly backendReceiveBufferBytes?: number;
    readonly backendSendBufferBytes?: number;
  };
  /** UDP: what a client whose address changes is known by, so that its conversation goes on; absent: nothing. */
  readonly rebind?: RebindPlan;
  /** Peers that tell who their client is; absent: nobody does. */
  readonly proxyProtocol?: ProxyInPlan;
  /** How connections to the backends of `pool` leave; absent: as the kernel likes. Not in the digest. */
  readonly upstream?: UpstreamPlan;
}

/**
 * How connections to backends leave this machine. Written in the pool, kept by each of its listeners: an engine
 * that dials knows the listener of its flow and not the pool.
 */
export interface UpstreamPlan {
  /** Literal IPs of this machine, used in turn; empty: the kernel chooses. */
  readonly sources: readonly string[];
  /** From the client's own address. */
  readonly transparent: boolean;
  /** The firewall mark (SO_MARK); absent: none. */
  readonly mark?: number;
  /** The network device (SO_BINDTODEVICE); absent: any. */
  readonly device?: string;
}

export interface HealthPlan {
  /** `none`, or the name of a dialect (checks/dialects.ts). */
  readonly type: string;
  readonly intervalMs: number;
  /** From one check to the next while checks contradict the verdict. */
  readonly fastIntervalMs: number;
  readonly timeoutMs: number;
  /** Consecutive failures until down, consecutive successes until up. */
  readonly fall: number;
  readonly rise: number;
  /** Another port to probe; undefined is the backend's own. */
  readonly port: number | undefined;
  /** Another address to probe, a literal IP; undefined is the backend's own. */
  readonly address: string | undefined;
  /** What a backend is until its first check has said something. */
  readonly start: 'up' | 'down';
  /** The dialect's own, with the keys of the file. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Literal IPs of this machine: checks leave from one of the backend's family. Absent: the kernel chooses. */
  readonly sources?: readonly string[];
  /** Checks that go where clients go begin with a PROXY header that names nobody. Absent: none does. */
  readonly proxyVersion?: 1 | 2;
  /** What such checks go over, where it is not TCP alone: as clients do. */
  readonly proxyOver?: readonly Protocol[];
}

/** What becomes of open flows: they end after `graceMs`, or they stay. */
export interface OpenFlowsPlan {
  readonly action: 'close' | 'keep';
  readonly graceMs: number;
}

export interface PoolPlan {
  readonly name: string;
  readonly policy: PolicyName;
  /** Bounded load: no backend above `bound` times the average; undefined is no bound. Hash policies only. */
  readonly bound: number | undefined;
  /** Entries of the maglev table, a prime. */
  readonly tableSize: number;
  /** What hash policies hash for a backend: its name, or its address as nginx does. */
  readonly identity: 'name' | 'address';
  readonly health: HealthPlan;
  readonly passive: {
    /** Failed connections or port-unreachables in a row until ejected; 0 turns it off. */
    readonly failures: number;
    /** The first time; so many times as long after so many in a row. */
    readonly ejectMs: number;
    readonly ejectMsMax: number;
    /** The share of the pool that may be ejected at once, 0 to 1. */
    readonly ejectedShareMax: number;
    /** UDP: a backend that does not answer so many datagrams of so many clients, and none for so long, is ejected. Undefined: nobody looks. */
    readonly noReply?:
      | { readonly datagrams: number; readonly withinMs: number; readonly clients: number }
      | undefined;
  };
  /** What happens to open flows when their backend goes down. */
  readonly onDown: OpenFlowsPlan;
  /** The same for some of the reasons it can have. */
  readonly onDownBecause: Readonly<Partial<Record<DownReason, OpenFlowsPlan>>>;
  /** What happens to open TCP flows when their backend is at another address, or is reached by another way, than theirs. */
  readonly onAddressChange: OpenFlowsPlan;
  /** TCP flows that pinion ends are ended evenly over so long; 0: at once. */
  readonly closeOverMs: number;
  /** TCP flows older than about this are ended; 0: they may become as old as they like. */
  readonly maxConnectionAgeMs: number;
  /** When somebody else takes new clients again, flows that are open on backups end. */
  readonly closesBackup: boolean;
  /** Backends tried for one flow, the first included. */
  readonly tries: number;
  readonly retryOn: RetryCause;
  /** When no backend is up, use them all the same. */
  readonly failOpen: boolean;
  /** 0 to 1: the share of a tier, by weight, that must take new clients, or some go to the next tier. */
  readonly spillBelow: number;
  /** 0 to 1: when in no tier so much, by weight, is up, those that are down are tried as well. 0: never. */
  readonly panicBelow: number;
  /** Until a backend that has come up has its whole share of new clients; 0: at once. */
  readonly slowStartMs: number;
  /** What backends are told of the client; absent: nothing. */
  readonly proxyProtocol?: ProxyOutPlan;
  /** Those of the file; of a plan that is in use, those that were found as well. */
  readonly backends: readonly BackendPlan[];
  /** Where more of them are found. */
  readonly discovery?: DiscoveryPlan;
  /** As its listeners have it. Not in the digest. */
  readonly upstream?: UpstreamPlan;
  /** This instance's, if a backend has one. Not in the digest. */
  readonly zone?: string;
}

export interface DiscoveryPlan {
  /** The name of a source (control/discovery/sources.ts). */
  readonly type: string;
  /** The source's own, with the keys of the file. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface BackendPlan {
  readonly name: string;
  readonly address: BackendAddress;
  /** 0 to 256. 0: no new clients, pinned ones stay. */
  readonly weight: number;
  /** 0 is no limit. */
  readonly maxConnections: number;
  /** 1 and up. Clients go to the lowest that has enough healthy ones. Absent: 1. */
  readonly priority?: number;
  /** Only for when nobody else can serve. Absent: no. */
  readonly isBackup?: boolean;
  /** Where it stands; absent: nowhere in particular. */
  readonly zone?: string;
}

export interface AdminPlan {
  readonly listen: Bind;
  /** Files, or `credential:NAME`. Absent: on TCP nobody may change anything. */
  readonly tokens?: { readonly readFile?: string; readonly writeFile?: string };
  /** Unix socket: whose members may open it as well. A name or a number. */
  readonly group?: string;
  /** Of web pages that may use it besides its own: as a browser says them in Origin. */
  readonly origins?: readonly string[];
}

export interface Plan {
  /** The file it came from. */
  readonly source: string;
  /** SHA-256 of the meaning (defaults filled in, comments and order of keys gone), in hex. */
  readonly digest: string;
  readonly engine: 'auto' | 'epoll' | 'portable';
  readonly workers: number | 'auto';
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
    /** auto: text on a terminal, else json. */
    readonly format: 'auto' | 'text' | 'json';
    /** Finished flows have a file of their own. Absent: they are in the log. */
    readonly access?: { readonly file: string };
    /** One line per finished flow: at this level, for this share (0 to 1) of flows that were served. */
    readonly flows: { readonly level: 'trace' | 'debug' | 'info' | 'off'; readonly sample: number };
  };
  readonly metrics: { readonly listen: Bind } | undefined;
  readonly admin: AdminPlan | undefined;
  /** Undefined: a single instance, nothing is shared. */
  readonly cluster: ClusterPlan | undefined;
  readonly shutdown: { readonly drainMs: number };
  readonly limits: {
    /** Open flows of the whole instance; auto: what the descriptor limit carries. */
    readonly flows: number | 'auto';
    /** What UDP listeners may have of `flows` together, above 0 to 1, where there are TCP listeners as well. */
    readonly udpShare: number;
    /** Entries of the pin table. */
    readonly pins: number;
  };
  readonly listeners: readonly ListenerPlan[];
  readonly pools: readonly PoolPlan[];
}
