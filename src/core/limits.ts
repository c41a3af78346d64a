/**
 * Every fixed limit in one place, with its unit and origin; relations between them are asserted at the end.
 * Limits a user sets are in the plan; these are the ones nobody should need to set.
 */
import assert from 'node:assert/strict';

/** Rows of shared tables: ids are given once per name for the life of a process, reloads included. */
export const listenersMax = 1024;
export const backendIdsMax = 16_384;
/** Of these the names that one pool's discovery may find: the rest is for other pools and for reloads. */
export const foundNamesPerPoolMax = 12_288;
export const poolIdsMax = 4_096;
export const workersMax = 64;
/** Rooms that write to the pin table: the cluster's, and the front (pins by hand). */
export const roomsThatPinMax = 2;

/** Networks of one file of `allow` or `deny`, and its size with all comments. Bytes. */
export const listedNetworksMax = 100_000;
export const addressFileBytesMax = 16 * 1024 * 1024;
/** Networks that one `allow` or `deny` has in the configuration itself, and files it names. */
export const accessEntriesMax = 1_000;
export const accessFilesMax = 16;
/** Origins of web pages in `admin.origins`. */
export const adminOriginsMax = 16;
/** Clients and subnets of all listeners that are kept track of, for limits on them. A power of two. */
export const limitedClientsMax = 262_144;
/** A client that is refused by silence is held unread so long; so many are, in each worker. */
export const silenceMs = 30_000;
export const silencedMax = 64;

/** A configuration file larger than this is refused unread. Bytes. */
export const configFileBytesMax = 4 * 1024 * 1024;
/** Lists and maps in one another; the file needs 6. */
export const yamlNestingMax = 64;
/** Keys and values of a file, aliases followed. One with every key written out within these limits has about 410,000. */
export const yamlValuesMax = 500_000;
/** Keys of one map: twice as many as there may be pools, so that too many of these are told as such. */
export const yamlKeysPerMapMax = 8_192;
/** One text in a file, as it is written. A unix path or a Redis URL with a hundred hosts is far below. */
export const yamlTextCharactersMax = 65_536;
/** Problems of one file that are told; the others are counted. */
export const problemsMax = 100;
export const backendsPerPoolMax = 4_096;
export const weightMax = 256;
export const priorityMax = 100;
/** From one step of a slow start to the next. */
export const slowStartStepMs = 250;
/**
 * A worker builds the table of a pool anew when the pool changes, and serves nobody meanwhile. A ring of 2,000,000 points
 * takes 0.4 s and 40 MB, one of 16,000,000 (1,000 backends of weight 100) 4 s and 300 MB.
 */
export const ringPointsMax = 2_000_000;
/** A prime. Such a table takes about 0.1 s; one of 5,000,011 entries, Envoy's ceiling, 1 s, and several with uneven weights. */
export const maglevTableSizeMax = 1_000_003;

/** The largest payload UDP over IPv4 carries: 65535 - 20 (IP) - 8 (UDP). RFC 768. Bytes. */
export const datagramBytesMax = 65_507;

/** 2^24 pins are about a gigabyte of shared memory, and slot numbers stay far below 2^31. */
export const pinsMax = 16_777_216;

/**
 * A pin lasts this long until its backend has really served the client (TCP: connected, UDP: replied); then it
 * gets the listener's ttl. Longer than any dial with its retries, short enough that a flood of forged sources
 * does not fill the table for long.
 */
export const unconfirmedPinTtlMs = 60_000;

/**
 * A UDP client that is never answered (syslog, NetFlow) is taken for real once it still sends after this long, with at least
 * so many datagrams: it then has what an answered one has. A forged source sends one, or a few at once. Longer than two
 * visits of a worker to each open flow, within which sending is noticed; shorter than an unconfirmed pin.
 */
export const oneWayMsMin = 25_000;
export const oneWayDatagramsMin = 3;

/** Finished flows a worker keeps for the next report to control; beyond it they are counted, not told. */
export const flowRecordsMax = 8_192;
/** Failed flows that a worker tells of each second though not all flows are logged; beyond it they are counted, not told. */
export const failedFlowsLoggedPerS = 100;
/** Flows that were counted and not told are one event for so long. Milliseconds. */
export const untoldFlowsToldEveryMs = 1_000;
/** Clients that were turned away are told together, for each listener and code. Milliseconds. */
export const refusalsToldEveryMs = 1_000;
/** A health check reads no more than this of an answer. Bytes. */
export const checkReplyBytesMax = 64 * 1024;
/**
 * A server says how often a password is hashed for it (SCRAM). PostgreSQL says 4096 unless scram_iterations is set; 100,000 take a
 * tenth of a second. What came out is kept for so many passwords and salts, so that a check computes it once.
 */
export const scramIterationsMax = 100_000;
export const saltedPasswordsMax = 1_024;
/** So long a start or a reload waits for what a `discovery` that is new finds first. */
export const firstDiscoveryWithinMs = 3_000;
/** So long the way of a found list into use waits for host names in it that are new. */
export const foundNamesWithinMs = 1_000;
/** So long a start or a reload waits for the first check of each backend that is new. */
export const firstChecksWithinMs = 3_000;
/**
 * So long flows are ended by a decision (backend down, drain) in one turn of the loop, and as long those that have ended by themselves
 * where very many did at once: whoever is served waits no longer for either.
 */
export const endingMsPerTurn = 2;
/** Conversations ended in one turn whose places others have taken over. */
export const evictionsPerTurnMax = 256;
/** With `passive.no_reply` workers count what each conversation has moved within this time. Milliseconds. */
export const accountedWithinMs = 2_000;
/** Flows that end evenly over a time: a longer look away (a process that was stopped) counts as one of so many milliseconds. */
export const paceStepMsMax = 500;
/** Former addresses of one backend that are watched for the flows still on them; the oldest is left alone beyond it. */
export const formerWaysMax = 16;
/**
 * Flows from the host of their own backend that may be open without an answer, of one listener to one backend; with
 * `members` both are instances of the cluster. See worker/returning-flows.ts.
 */
export const returningFlowsMax = { tcp: 512, udp: 2_048, members: 4 } as const;
/** So long one more waits for an answer to any of them until all are taken for a loop, and so long a loop is remembered. */
export const returningPatienceMs = 5_000;
export const loopRememberedMs = 60_000;
/** Addresses an instance tells others that it listens on, IPs it says it has, and all that is kept of the others' addresses. */
export const memberAddressesMax = 256;
export const memberIpsMax = 64;
export const memberListenersMax = 4_096;
/** How often the others' addresses may be new here. */
export const memberListenersEveryMs = 5_000;
/** So long a client waits that is turned away because all its backends lead back to us. */
export const turnAwayAfterMs = 100;
/**
 * A TCP client that found a limit reached is looked at again after so many visits to open flows (50 ms each, and what came
 * before the client has been read by then, however slow the machine); so many may wait for that, per worker.
 */
export const secondLookAfterTurns = 3;
/** What those of all workers may hold of the process's descriptors, and their most in one worker. */
export const secondLooksShare = 1 / 64;
export const secondLooksMax = 256;
/**
 * TCP clients of one worker that are being identified (engine/arrival.ts); when more come, the oldest are given up. One that is
 * within a second of its server has to be faster than 4,096 others: who opens connections and says nothing would need as many
 * a second. What those of all workers may hold of the process's descriptors.
 */
export const arrivalsMax = 4_096;
export const arrivalsShare = 1 / 16;
/** Read of a client to identify it: a ClientHello with its record headers, behind a PROXY header. Bytes. */
export const arrivalBytesMax = 20 * 1024;
/** A piece of what a client says that it is recognised by, and how far from the beginning it is at most. Bytes. */
export const payloadBytesMax = 1_024;
export const payloadOffsetMax = 15 * 1_024;
/** How long a TCP client is waited for that has not said it. */
export const payloadWaitMs = 3_000;
/** Datagrams of one UDP conversation kept while it waits for a route. */
export const waitingDatagramsMax = 8;
/**
 * How long a UDP conversation of a listener that shuts down may be silent: once each of its datagrams was answered, and
 * while it may wait for an answer. A resolver gives an answer up after 5 s (resolv.conf(5)); a game sends many times a second.
 */
export const stoppingAnsweredMs = 2_000;
export const stoppingUnansweredMs = 5_000;
/** How long after a backend's address has changed UDP clients still get answers from the old one. */
export const formerAddressMs = 5_000;
/** TCP flows that may wait for `claim: before-dial` at once, per worker. */
export const waitingFlowsMax = 4_096;

/**
 * Replies to one UDP client that may wait for us: a burst of 1,500 datagrams of 1,200 bytes, for which the kernel books
 * 2,304 each on loopback and 4 KiB from some network cards. It doubles what is asked (socket(7)), and takes memory only for
 * what waits. Bytes.
 */
export const upstreamReceiveBufferBytes = 4 * 1024 * 1024;
/** The same replies on their way to clients, while the kernel takes no more of them, for one listener. Bytes. */
export const replyQueueBytesMax = 4 * 1024 * 1024;

/**
 * When one side of a TCP flow has broken, what it had said is passed on for as long as the other takes it: this long without a
 * byte taken is the end of it. A client that had an answer to the end may go on sending as long, unheard. nginx's lingering_timeout.
 */
export const lingerMs = 5_000;
/** What such a client sends is read and dropped, so that a reset does not overtake its answer; beyond this it does. Bytes. */
export const lingerBytesMax = 64 * 1024 * 1024;

/**
 * What a TCP client has said is kept until its backend's first byte, to be said again to another one; beyond this it is given up.
 * A TLS greeting, a login, the head of most requests. Bytes.
 */
export const saidBytesMax = 16 * 1024;

/** A PROXY header of version 2 with all that it says; nginx takes as much. The text asks for less than a TCP segment. Bytes. */
export const proxyHeaderBytesMax = 4_096;

/** The first message of TLS, without what its records or frames add. Those of browsers have 500 to 2,000. Bytes. */
export const clientHelloBytesMax = 16 * 1024;

/** Of one listener; what of a client's first bytes a route may ask for (bytes); names, protocols or networks of one. */
export const routesMax = 4_096;
export const routeBytesMax = 256;
export const namesPerRouteMax = 1_024;
/**
 * UDP clients of one worker whose hello has not come whole: QUIC's may be in two datagrams. For one more the oldest is routed by what
 * is known.
 * Each may hold {@link clientHelloBytesMax} twice.
 */
export const heardFlowsMax = 512;

/** TCP bytes the portable engine holds per direction before it stops reading the sender. */
export const pendingBytesMax = 256 * 1024;

/** Pins or connections that one page of the admin address lists. */
export const listedMax = 100_000;

/** Messages between control and a room that the other side has not taken yet. Beyond it they are dropped and counted. */
export const roomMessagesWaitingMax = 10_000;

/** Pools whose policy is kept for `explain`: 12 MB each at most. */
export const explainPoliciesMax = 8;

/** Pages that list pins or connections, or explain, and wait for their turn; further ones are refused. */
export const heavyPagesWaitingMax = 16;
/** Slots of the pin table, each with a pin or without, that are looked at in one turn of the loop when all are. */
export const pinSlotsPerTurnMax = 8_192;
/** Times a backend came up or went down that are remembered of each. */
export const flipsKeptMax = 20;
/** Events that are remembered for who asks later what happened. */
export const eventsKeptMax = 1_000;
/** Failed flows a second that are events each; further ones are counted with the next. */
export const failedFlowsToldPerS = 5;
/** A token of the admin API has at least so many characters. */
export const tokenCharactersMin = 16;
/** Who follows the state and events of an instance (`/v1/stream`), on one address; and of one peer. */
export const streamsMax = 32;
export const streamsPerPeerMax = 8;
/** A page shows a state of control that is at most this old. */
export const stateFreshMs = 100;
/** Until a page says that control does not answer. */
export const stateWithinMs = 2_000;
/** The same for an order: a reload waits for names and listeners. */
export const orderWithinMs = 120_000;

/** Addresses of one listener, each a socket in each worker: 10000-20000, which telephony uses, and more. */
export const bindsPerListenerMax = 16_384;

/** sun_path without its final zero: unix(7). Bytes. */
export const unixPathBytesMax = 107;

/** Up to this number it is noted which descriptors a thread holds by itself, so that its successor closes what it left. */
export const heldDescriptorsMax = 1 << 20;
/** Heap of a room, in MiB: V8 ends the thread beyond it. Thousands of checks take some 10. */
export const checksHeapMibMax = 256;
/** Pages with thousands of backends and lists of {@link listedMax} rows. */
export const frontHeapMibMax = 512;
/** A journal of hundreds of thousands of changes, and what is read at once of a million pins. */
export const clusterHeapMibMax = 768;

/**
 * What one reply of Redis, and all under way from one Redis together, may take in memory. A process whose Redis answers all
 * it is asked with replies just below it takes some 80 MB more than at rest. Bytes.
 */
export const redisReplyBytesMax = 6 * 1024 * 1024;
export const redisRepliesBytesMax = 12 * 1024 * 1024;
/** A simple text or an error of Redis. Bytes. */
export const redisLineBytesMax = 64 * 1024;
/** Arrays in arrays in a reply; XREAD has four. */
export const redisReplyDepthMax = 8;
/**
 * What is asked of Redis is cut to these: what an instance says of itself (1,024 listeners take 120 KB), its counts (16,384
 * backends take 2 MB), and both of all instances in one answer (those beyond it count for nothing); a row of the connection
 * table; a key. Bytes.
 */
export const memberBytesMax = 256 * 1024;
export const memberCountsBytesMax = 2 * 1024 * 1024;
export const membersAnswerBytesMax = 4 * 1024 * 1024;
/**
 * Limits that are summed over a cluster: clients and networks that an instance tells with a beat, and that one hears of from
 * all others. What all tell takes no more than a quarter of the answer: bytes, divided among them. A limit up to
 * so many flows is told of whoever has one, a larger one of whoever has such a part of it.
 */
export const summedClientsToldMax = 4_096;
export const summedClientsHeardMax = 16_384;
export const summedClientsBytesMax = 1024 * 1024;
export const summedExactFlowsMax = 16;
export const flowRowBytesMax = 1_024;
export const redisKeyBytesMax = 512;
/** Operators' words about backends that a cluster keeps, and those for one instance as they come from Redis. */
export const operatorWordsMax = 16_384;
/** So long Redis keeps a word that no instance it is for has read. */
export const operatorWordKeptMs = 90 * 24 * 3_600_000;
export const operatorWordsBytesMax = 2 * 1024 * 1024;
/** Operators' orders to end flows that a cluster is being told, and how long each is. */
export const killsToldMax = 64;
export const killToldMs = 30_000;
/** Instances of one cluster. */
export const membersMax = 256;
/** Sentinels remembered beside those of the configuration. */
export const sentinelsLearnedMax = 32;
/** The primaries of a Redis Cluster: its specification recommends at most 1,000 nodes. */
export const redisPrimariesMax = 1_000;
/** Connections to nodes that a Redis Cluster redirects to and that its table of slots does not name yet. */
export const redisNodesUnlistedMax = 16;

/**
 * HTTP (metrics, admin), for each address it listens on. Connections whose request is not complete and connections that
 * are being answered have places of their own, so that neither kind can take those of the other.
 */
export const httpWaitingMax = 128;
export const httpAnsweringMax = 128;
/** Connections accepted beyond those until the loop has read everybody once and can tell who has to go. */
export const httpBurstMax = 64;
/** Connections of one peer (IPv4 address, IPv6 /64), and how many a peer may hold before it is the first to lose one. */
export const httpPerPeerMax = 64;
export const httpPeerShare = 8;
/** Requests of one connection that may wait for their turn behind the one that is answered. */
export const httpPipelinedMax = 8;
/** What a connection has sent is parsed in pieces of so many bytes, and no further once it is cut. */
export const httpPieceBytesMax = 1024;
/** Request line and headers. Bytes. */
export const httpHeaderBytesMax = 16 * 1024;
export const httpHeadersMax = 100;
export const httpBodyBytesMax = 64 * 1024;
/** All that a connection may send before its next answer, what encloses chunks included. */
export const httpRequestBytesMax = 512 * 1024;
/** Answers that nobody has taken yet, of all connections; a page that is shared counts once. One alone may be larger. */
export const httpUntakenBytesMax = 32 * 1024 * 1024;
/** Until a request is complete, with its body. */
export const httpRequestMs = 5_000;
/** Until the kernel has taken an answer from us, however steadily its reader drips. */
export const httpTakenMs = 10_000;
/** A reader that takes longer than this is the first to go when there are too many. */
export const httpPatienceMs = 1_000;
/** A connection without a request is kept so long. Node tells the client in `Keep-Alive`. */
export const httpIdleMs = 5_000;
/** A connection older than this is closed with its next answer. */
export const httpAgeMs = 600_000;
/** Until a client has been told why it is refused. */
export const httpLeaveMs = 1_000;
/** How often the clocks above are looked at. */
export const httpSweepMs = 250;
/** A page that is rendered is shared by all who ask within this time after. */
export const pageFreshMs = 100;
/** A rendering is followed by a rest of several times as long, during which the page is shared as well, but no longer than this. */
export const pageRestPerRenderTime = 4;
export const pageFreshMsMax = 1_000;
/** Renderings of one route kept at once where they depend on the query. */
export const sharedPagesMax = 4;

/** With `limits.reserve: auto` this share of all flows is kept for the listeners, each its even part. */
export const reserveShareAuto = 1 / 4;
/** Times a worker makes room for one client, as another worker may take the place that became free. */
export const evictionTriesMax = 8;
/** Clients room is made for until a worker looks again which listener has most unproved UDP conversations: it asks each one. */
export const crowdedUsesMax = 64;
/** Such looks between two ticks of a worker, so that a flood costs a bounded part of its time however many listeners there are. */
export const crowdedLooksPerTick = 32;

/** Descriptors a flow needs: client side and backend side. */
export const descriptorsPerTcpFlow = 2;
/**
 * What everything else holds (control/descriptor-sum.ts). Measured at rest: 18 the process itself, 6 a worker (pipes of the
 * thread, epoll, eventfd, and the loop of Node beside it), some 6 a room, 8 the one of checks. The rest of each is for what comes and goes.
 */
export const descriptorsOfProcess = 32;
export const descriptorsPerWorker = 8;
/** The rooms: cluster, front, checks. */
export const roomsMost = 3;
export const descriptorsPerRoom = 10;
/** Sockets that are bound while those they replace are still open, files that are read. */
export const descriptorsOfReload = 16;
/** Look-ups of names that are under way. */
export const descriptorsOfNames = 16;
/** Of each pool that finds its backends: two questions at once, of which one may go on over TCP. */
export const descriptorsPerDiscovery = 3;
/** Of each Redis or Sentinel, a connection that is given up beside the next one included. */
export const descriptorsPerRedisNode = 4;
/** A Redis Cluster has more nodes than its configuration names. */
export const redisClusterNodesReckoned = 16;
/** Where the limit is small, an address of metrics or admin has at least so many connections, and checks so many at once. */
export const descriptorsPerPageAddressMin = 16;
export const checksInFlightMin = 16;
/** Connection ids of a QUIC server that a flow is known by: it may change its id once or twice before it is settled (Retry, a new one with its first answer). */
export const quicIdsPerFlowMax = 4;
/** UDP clients that may have another address: tokens that one worker knows, bytes of one, and datagrams a second of unknown addresses that are given to open conversations of a listener. */
export const rebindTokensMax = 262_144;
export const rebindTokenBytesMin = 4;
export const rebindTokenBytesMax = 64;
export const rebindTriesPerSecondMax = 2_000;
/** Pools of a listener with routes among which a connection id of QUIC is looked for. */
export const routedPoolsToSearchMax = 32;
/** UDP: a client that was heard at its address so lately is still there, whatever comes from another one. */
export const rebindSilenceMs = 250;
/** Addresses of a wildcard bind that get a UDP socket of their own (portable engine). */
export const localSocketsMax = 256;
/** What nft may list (a map of a million pins takes some 100 MB), and how long the command may take. */
export const nftOutputBytesMax = 256 * 1024 * 1024;
export const nftRunMsMax = 60_000;
/** Pipes one worker of the epoll engine may hold for flows whose reader is slow, and the descriptors of each. */
export const pipesPerWorkerMax = 256;
export const descriptorsPerPipe = 2;
/** The kernel's worker hears what conntrack has said this often. */
export const kernelTurnMs = 20;
/** Room for events of conntrack that were not read yet: some 30,000. */
export const conntrackBufferBytes = 8 * 1024 * 1024;
/** Counts of clients whom the kernel turned away are read this often. */
export const refusedReadEveryMs = 10_000;
/** Calls that read events, before others have their turn. */
export const conntrackReadsPerTurnMax = 64;
/** All entries of conntrack are listed this often, for counts of bytes that no event tells. */
export const listEveryMs = 10_000;
/** A connection of `relay: kernel` that is over stays known to the kernel for so long: its last packets may come again. */
export const lingerOverMs = 1_000;
/** Whether the kernel's table of connections is full is looked at this often. */
export const fullTableLookEveryMs = 1_000;
/** What connection tracking has dropped is held against its table for so long: as long as a health check may need to find out. */
export const fullTableMs = 30_000;
/** Flows of the kernel that are ended in one transaction. */
export const flowsEndedPerTurnMax = 2_000;
/** Connections that were ended are known by their clients, so many. */
export const endedKnownMax = 100_000;
/** A side of a connection that was ended is reset if it speaks within this time. */
export const goneMs = 3_600_000;

assert.ok(oneWayMsMin < unconfirmedPinTtlMs);
assert.ok(membersAnswerBytesMax + membersMax * 1_024 < redisReplyBytesMax);
assert.ok(operatorWordsBytesMax * 2 < redisReplyBytesMax);
assert.ok(
  summedClientsBytesMax * 4 <= membersAnswerBytesMax && summedClientsHeardMax * 16 <= limitedClientsMax,
);
// Pins hold pool and backend ids in 16 bits each, and so do the words of core/dial-table.ts.
assert.ok(poolIdsMax <= 0xffff && backendIdsMax <= 0xffff);
assert.ok(backendsPerPoolMax <= backendIdsMax);
assert.ok(waitingDatagramsMax * datagramBytesMax <= 1024 * 1024, 'a client that waits holds little memory');
assert.ok(
  httpPeerShare < httpPerPeerMax && httpPerPeerMax < httpWaitingMax,
  'no peer alone takes all places',
);
assert.ok(httpHeaderBytesMax + httpBodyBytesMax < httpRequestBytesMax);
// A client that is turned away is accepted and closed: each worker has a descriptor for that.
assert.ok(descriptorsPerWorker > 6);
// A line's number has 24 bits (core/address-ranges.ts), and each takes a byte at least.
assert.ok(addressFileBytesMax <= 2 ** 24);
