/**
 * The contract between an engine, which moves bytes, and its host, the worker, which decides.
 *
 *    client --> engine: accept --> host.identify -> nothing to read | Identifier   (listeners that identify; arrival.ts)
 *                              --> host.open ----> Flow | refusal
 *                       dial   <-- host.route ---- backend | 'wait' | code      (again after each dialFailed, brokeEarly)
 *                       relay  --> host.dialed / host.brokeEarly / host.replied
 *                       close  --> host.closed
 *
 * An engine never chooses, never looks at pins, and never logs a flow; a host never touches a socket. All calls
 * are synchronous and on one thread; an engine may sit in a system call between them, so nothing here returns
 * a promise. Two engines exist (portable/, epoll/) and both pass conformance.ts. The kernel's relay (kernel/) takes the same orders; what of
 * the suite a relay of packets can have it passes too (test/conformance-kernel.test.ts).
 */
import type { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import type { Identity } from '../core/identity.ts';
import type { BackendView, ListenerView } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { Identifier } from './arrival.ts';

/**
 * Why a dial did not connect. `backend-reset`: it did, and the backend broke it before that was noticed. `local-fault` says nothing
 * about the backend (no descriptor, no source port).
 */
export type DialFailure =
  | 'backend-refused'
  | 'backend-reset'
  | 'backend-timeout'
  | 'backend-unreachable'
  | 'local-fault';

/** UDP: what a datagram of a proxy begins with. One sender may have as many conversations as it has clients. */
export interface Preface {
  /** The client: of one sender, datagrams with the same text are of one conversation. */
  readonly about: string;
  /** Bytes that are not for the backend. */
  readonly length: number;
}

export type EarlyBreak = 'reset' | 'end';

export interface EngineHost {
  /**
   * TCP, a listener that identifies: somebody has connected.
   * @param peer its address; `noAddress` on a unix socket
   * @returns who reads it before `open`, which then follows or `unidentified` does, once; undefined: nothing has to be read, `open`
   * follows at once; a code: it is reset, the host has counted it
   */
  identify(listener: ListenerView, peer: Address, local: Address): Identifier | TerminationCode | undefined;

  /**
   * UDP, a listener that {@link ListenerView.hasPrefaces}: a datagram has come, and whose conversation it is of is not known yet.
   * @param peer its sender
   * @param datagram valid during the call only
   * @returns what it begins with; undefined: the sender speaks for itself; 'dropped': it had to say whose it is. The host has counted it
   */
  preface(listener: ListenerView, peer: Address, datagram: Uint8Array): Preface | 'dropped' | undefined;

  /**
   * UDP, a listener that {@link ListenerView.rebinds}: a datagram has come whose sender has no conversation.
   * @param datagram valid during the call only
   * @returns the open flow of this listener that it belongs to, by what is in it: it is passed on there, its sender is told the next reply as well, and
   * is the client once it has sent again after that while nothing came from the former address, and had not lately (`rebindSilenceMs`).
   * Undefined: none, `open` follows, as for one of another socket of the listener.
   * 'dropped': it is not to be looked at; the host has counted it
   */
  continues(
    listener: ListenerView,
    peer: Address,
    local: Address,
    datagram: Uint8Array,
  ): Flow | 'dropped' | undefined;

  /** UDP: the client of the flow is here now. */
  moved(flow: Flow, client: Address): void;

  /** UDP, a flow that {@link Flow.learnsIds}: a reply, after `replied`. Valid during the call only. */
  answered(flow: Flow, reply: Uint8Array): void;

  /** One that was to be identified is gone or reset, and will have no flow. */
  unidentified(listener: ListenerView, peer: Address, code: TerminationCode): void;

  /**
   * A TCP client has connected, or a first datagram came from a client without a conversation.
   * @param client its address; `noAddress` on a unix socket
   * @param local the address the client used. The host may call `evict` from inside.
   * @param identity TCP: what its identifier has read, with whom `client` and `local` are the ones that it told
   * @param first UDP, a listener that identifies: that datagram, valid during the call only. The flow says how many bytes of it are not
   * for the backend (`consumed`)
   * @returns the flow to serve, or the code it is turned away with (the engine drops the datagram, or refuses the client as
   * refuse.ts says; `closed` is not called for it, the host has counted it)
   */
  open(
    listener: ListenerView,
    client: Address,
    local: Address,
    identity?: Identity,
    first?: Uint8Array,
  ): Flow | TerminationCode;

  /**
   * The next backend to dial, by `flow.upstream`; what it is to hear first is in `flow.opening`. 'wait': the host calls `engine.proceed(flow)` later, and the engine keeps the
   * client unread (TCP) or queues its datagrams within `engineLimits.waitingDatagramsMax` (UDP). A code: no
   * backend, end the flow with it (TCP: reset the client).
   */
  route(flow: Flow): BackendView | 'wait' | TerminationCode;

  /**
   * UDP: a datagram of a flow that waits, and that the host wants to hear (`flow.isHeard`). It is kept for the backend all the same, if
   * there is room. The host may call `proceed` from inside.
   * @param datagram valid during the call only
   */
  heard(flow: Flow, datagram: Uint8Array): void;

  /**
   * The dial to `flow.backend` leaves from `local`. Only for flows that ask for it (`tracesDial`), as soon as it is known and before
   * `dialed`: on this machine the other end may come in at once. Again when a UDP conversation goes on by another way.
   */
  dialsFrom(flow: Flow, local: Address): void;

  /**
   * TCP: the dial connected, and what the backend had to answer to `flow.opening` has come (anything else is a dial that failed, as
   * `backend-refused`). UDP: the upstream socket is ready. Bytes may move from here on.
   */
  dialed(flow: Flow): void;

  /** The dial to `flow.backend` failed; the engine calls `route` next. Never after `dialed` of the same dial. */
  dialFailed(flow: Flow, failure: DialFailure): void;

  /**
   * TCP: `flow.backend` broke after `dialed` and before its first byte, and the client has been told nothing. Not for a client that
   * broke before, or ended without a word: nobody waits there for an answer.
   * @param how 'reset': it broke off. 'end': it ended in order
   * @param isHeld the engine holds all that the client has said, and could say it again
   * @returns true: the backend is given back, the engine calls `route` next, and `flow.bytesIn` counts anew. False: the flow ends
   * as any other whose backend broke or ended
   */
  brokeEarly(flow: Flow, how: EarlyBreak, isHeld: boolean): boolean;

  /** The backend has sent its first byte or datagram. Once per flow. */
  replied(flow: Flow): void;

  /**
   * UDP: the client has shown that somebody is there (eviction-order.ts).
   * @returns false: the place of this conversation has been given away; it stays among those that make room
   */
  proved(flow: Flow): boolean;

  /**
   * UDP: the backend's port was reported unreachable (ICMP) after `dialed`. The flow stays open unless the host
   * terminates it from inside this call.
   */
  unreachable(flow: Flow): void;

  /**
   * UDP: where `flow.backend` is now, and in `flow.upstream` how it is reached. Asked by an open conversation before it sends the first datagram after
   * `Engine.waysChanged`, and before it reports `unreachable`, which is about the present address only.
   */
  backendNow(flow: Flow): BackendView;

  /** The flow is over and holds no descriptor any more. Called exactly once for each flow `open` returned. */
  closed(flow: Flow, code: TerminationCode): void;

  /** UDP: datagrams were dropped, one unless `count` says otherwise. */
  dropped(listener: ListenerView, reason: DropReason, count?: number): void;

  /**
   * Accepting stopped because the process is out of descriptors (true) or resumed (false). Pauses in quick succession are
   * told as one, and each true has its false, by the end of the listener at the latest.
   */
  acceptPaused(listener: ListenerView, paused: boolean): void;

  /**
   * This machine, or this engine, does not do what the plan asks of the listener, or of the pool of `flow` (a privilege, a
   * device, an address that is not its own): the operator's to mend, and no defect. May come again; the host tells it once.
   */
  trouble(listener: ListenerView, flow: Flow | undefined, text: string): void;

  /** Something unexpected was thrown while serving `flow`; the engine then ends it with `worker-error`. */
  fault(error: unknown, flow: Flow | undefined): void;
}

/**
 * `queue-full`: a socket's buffer was full. `too-long`: larger than UDP carries. `waiting-full`: no route yet.
 * `unknown-source`: not from the backend, or from port 0, which nobody can answer. `shutdown`: from a new client of a listener that shuts down.
 * `rate`: above a limit on datagrams.
 * `receive-buffer-full`, `backend-receive-buffer-full`: by the kernel, as the socket of the listener, or the one towards
 * a backend, held as much as it may; an engine finds out about these later.
 */
export type DropReason =
  | 'queue-full'
  | 'too-long'
  | 'waiting-full'
  | 'unknown-source'
  | 'shutdown'
  | 'rate'
  | 'receive-buffer-full'
  | 'backend-receive-buffer-full';

export interface BindFailure {
  /** The errno name: EADDRINUSE, EACCES, EADDRNOTAVAIL, ... */
  readonly code: string;
  readonly message: string;
}

export interface Engine {
  readonly name: 'portable' | 'epoll' | 'kernel';

  /**
   * Binds and starts accepting. `done` is called once, never from inside `listen`, with the bound port (which
   * matters for port 0; 0 for a unix socket) or the failure.
   * @param isFirst no other worker of this instance has the address yet, so whoever is there is a stranger and the
   * bind fails: workers share a port by SO_REUSEPORT, which would let in any process of the same user.
   * @param door a name for the address, `plan.bind` of this view. A listener that has several is told to listen for each of them;
   * all are one listener: what is counted and `update` are its own, a flow's `local` says which one its client used.
   * @param passed a socket that is bound there already, and over TCP listens; other threads may have it too, under another number. It
   * is the engine's from this call on. Clients who have connected and were not accepted are left to whoever has it next, at `shutdown`.
   */
  listen(
    listener: ListenerView,
    done: (result: { readonly port: number } | BindFailure) => void,
    isFirst?: boolean,
    door?: string,
    passed?: number,
  ): void;

  /** Uses the new view for flows accepted from now on (same id, same bind). */
  update(listener: ListenerView): void;

  /**
   * Addresses of backends, or how connections to them leave, may have changed: UDP conversations whose way has go on by
   * the new one from their next datagram on (`host.backendNow`, the view given to `update`). What the old address still
   * answers is passed on for a while. TCP flows stay where they are.
   */
  waysChanged(): void;

  /**
   * Stops accepting, at these doors or (undefined) at all of the listener. Unknown ids are ignored. Open TCP flows go on, so do
   * clients that are being identified, and the address is released.
   *
   * UDP, `listener-removed`: likewise, and conversations end, as their replies leave through the address that is given up.
   * UDP, `shutdown`: no new conversations; those that are open go on until they are quiet (quiet.ts), and the address
   * is kept until `stop`. Even without conversations: several workers share it, and were one to leave, the kernel
   * would spread the others' clients anew.
   */
  unlisten(listenerId: number, code: 'listener-removed' | 'shutdown', doors?: readonly string[]): void;

  /**
   * How many descriptors the engine may hold beyond those of its listeners and two per flow: what a faster way to relay
   * costs. It does without what it is not given.
   */
  spareDescriptors(count: number): void;

  /** How many TCP clients may be waited for until they are identified. Beyond it the oldest is given up. */
  limitArrivals(count: number): void;

  /** `host.route` has an answer now for a flow that was told to wait. */
  proceed(flow: Flow): void;

  /**
   * TCP: gives up the dial under way, as one that failed (`backend-unreachable`): `host.dialFailed` and `host.route` are
   * called before this returns. Nothing happens if the flow is not dialling.
   */
  abandonDial(flow: Flow): void;

  /**
   * Ends a flow at once: TCP sends a reset to both sides, a UDP conversation forgets. `host.closed(flow, code)` is called
   * before this returns, unless the flow is over already. The kernel's relay: later, and each side is reset at its next packet.
   */
  terminate(flow: Flow, code: TerminationCode): void;

  /**
   * UDP: the client is real though its backend never answers: the conversation is not among those that make room for others
   * first. Nothing happens if it is over.
   */
  trust(flow: Flow): void;

  /**
   * Ends the UDP conversation of the listener that is first in line: one that has not proved that somebody is there.
   * `host.closed(flow, 'evicted')` is called before this returns.
   * @param quietToo where few are left of those, one that is proved and has long been silent
   * @returns false: there is none, and nothing has been done
   */
  evict(listenerId: number, quietToo: boolean): boolean;

  /** Ends every listener and flow with `shutdown` and frees all. The engine is not used afterwards. */
  stop(): void;
}
