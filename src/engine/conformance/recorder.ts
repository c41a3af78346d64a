/**
 * The host of the engine under test: it answers as the story scripted, reports every call, and checks the order
 * of calls that engine.ts promises. It decides nothing by itself.
 */
import assert from 'node:assert/strict';
import type { Address } from '../../core/address.ts';
import { Flow } from '../../core/flow.ts';
import type { Identity } from '../../core/identity.ts';
import { keyOf } from '../../core/key.ts';
import type { Opening } from '../../core/opening.ts';
import type { BackendView, ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import type { Identifier } from '../arrival.ts';
import type { DialFailure, DropReason, EarlyBreak, Engine, EngineHost, Preface } from '../engine.ts';
import { LineIdentifier } from './identifier.ts';
import type { Behaviour, FromEngine } from './messages.ts';

type Progress = 'routing' | 'waiting' | 'dialing' | 'dialed' | 'closed';

type ScriptedCall =
  | 'first dialsFrom'
  | 'later dialsFrom'
  | 'dialed'
  | 'replied'
  | 'unreachable'
  | 'dialFailed'
  | 'brokeEarly';

interface Record {
  readonly flow: Flow;
  readonly behaviour: Behaviour;
  routeCalls: number;
  progress: Progress;
  replied: boolean;
  learnt: number;
}

export class Recorder implements EngineHost {
  engine: Engine | undefined = undefined;
  /** The engine may end a flow after `terminate` has returned. */
  endsLater = false;
  behaviour: Behaviour = { routes: [] };
  /** Backends that are not where `route` said, by id. */
  readonly elsewhere = new Map<number, BackendView>();
  /** Of listeners that have been updated, by id. */
  readonly updated = new Map<number, ListenerView>();
  readonly #report: (event: FromEngine) => void;
  readonly #records = new Map<number, Record>();
  #nextFlowId = 1;
  /** Clients that are being identified. */
  #arrivals = 0;

  constructor(report: (event: FromEngine) => void) {
    this.#report = report;
  }

  flow(flowId: number): Flow {
    const record = this.#records.get(flowId);
    assert.ok(record !== undefined, `no flow ${flowId}`);
    return record.flow;
  }

  /** The engine has been told to end the flow, and has returned. */
  terminated(flowId: number, where: string): void {
    if (this.endsLater || this.#records.get(flowId)?.progress === 'closed') return;
    this.violation(`${where} returned before closed`);
  }

  /** Of an engine that turns clients away by itself. */
  turnedAway(listener: ListenerView, code: TerminationCode): void {
    this.#report({ type: 'refused', listenerId: listener.id, code });
  }

  get openFlows(): number {
    let count = 0;
    for (const record of this.#records.values()) if (record.progress !== 'closed') count++;
    return count;
  }

  get openArrivals(): number {
    return this.#arrivals;
  }

  violation(text: string): void {
    this.#report({ type: 'violation', text });
  }

  identify(listener: ListenerView, peer: Address, local: Address): Identifier | undefined {
    if (listener.identifies !== true) this.violation('identify for a listener that does not');
    const { identify } = this.behaviour;
    if (identify === undefined) return undefined;
    this.#arrivals++;
    this.#report({ type: 'identifying', listenerId: listener.id, peer: peer.toString() });
    return new LineIdentifier(identify, peer, local);
  }

  /** `[about]` begins a datagram, `!` one that must have it and has not; all others are their sender's own. */
  preface(listener: ListenerView, _peer: Address, datagram: Uint8Array): Preface | 'dropped' | undefined {
    if (listener.hasPrefaces !== true) this.violation('preface for a listener that has none');
    const [all, about] = /^\[(\w+)\]/.exec(Buffer.from(datagram).toString('latin1')) ?? [];
    if (about !== undefined) return { about, length: all!.length };
    return datagram[0] === 0x21 ? 'dropped' : undefined;
  }

  /** `#3` begins a datagram of flow 3, `#?` one that is dropped. */
  continues(listener: ListenerView, _peer: Address, _local: Address, datagram: Uint8Array) {
    if (listener.rebinds !== true) this.violation('continues for a listener without');
    const [, id] = /^#(\d+|\?)/.exec(Buffer.from(datagram).toString('latin1')) ?? [];
    if (id === '?') return 'dropped' as const;
    const record = id === undefined ? undefined : this.#records.get(Number(id));
    return record === undefined || record.progress === 'closed' ? undefined : record.flow;
  }

  moved(flow: Flow, client: Address): void {
    this.#at(flow, 'moved', ['waiting', 'dialing', 'dialed']);
    this.#report({ type: 'moved', flowId: flow.id, client: client.toString() });
  }

  answered(flow: Flow, reply: Uint8Array): void {
    const record = this.#at(flow, 'answered', ['dialed']);
    if (!flow.learnsIds || !record.replied) this.violation(`answered for flow ${flow.id}`);
    this.#report({ type: 'answered', flowId: flow.id, text: Buffer.from(reply).toString('latin1') });
    record.learnt++;
    flow.learnsIds = record.learnt < (record.behaviour.learns ?? 0);
  }

  unidentified(listener: ListenerView, peer: Address, code: TerminationCode): void {
    this.#arrived('unidentified');
    this.#report({ type: 'unidentified', listenerId: listener.id, peer: peer.toString(), code });
  }

  /** One that was being identified is so no more. */
  #arrived(call: string): void {
    if (--this.#arrivals < 0) this.violation(`${call} without identify`);
  }

  open(
    listener: ListenerView,
    client: Address,
    local: Address,
    identity?: Identity,
    first?: Uint8Array,
  ): Flow | TerminationCode {
    const { refuse, throwIn } = this.behaviour;
    if (identity !== undefined) this.#arrived('open');
    if (throwIn === 'open') throw new Error('scripted defect in open');
    if (refuse === 'limit-listener') this.engine?.evict(listener.id, true);
    if (refuse !== undefined) {
      this.#report({ type: 'refused', listenerId: listener.id, code: refuse });
      return refuse;
    }
    const key = keyOf(client, listener.plan.affinity);
    const flow = new Flow(this.#nextFlowId++, listener, client, local, key, performance.now(), identity);
    flow.consumed = this.behaviour.consumes ?? 0;
    flow.learnsIds = (this.behaviour.learns ?? 0) > 0;
    if (this.behaviour.repeats === true) flow.preface = first!.slice(0, flow.consumed);
    flow.isHeard = this.behaviour.hearsUntil !== undefined;
    this.#records.set(flow.id, {
      flow,
      behaviour: this.behaviour,
      routeCalls: 0,
      progress: 'routing',
      replied: false,
      learnt: 0,
    });
    this.#report({
      type: 'opened',
      flowId: flow.id,
      listenerId: listener.id,
      listenerName: listener.plan.name,
      client: client.toString(),
      clientFamily: client.family,
      local: local.toString(),
      peer: flow.peer.toString(),
      first: first === undefined ? undefined : Buffer.from(first).toString('latin1'),
    });
    return flow;
  }

  heard(flow: Flow, datagram: Uint8Array): void {
    const { behaviour } = this.#at(flow, 'heard', ['routing', 'waiting']);
    if (!flow.isHeard) this.violation('heard, of a flow that is not');
    const text = Buffer.from(datagram).toString('latin1');
    this.#report({ type: 'heard', flowId: flow.id, text });
    if (text !== behaviour.hearsUntil) return;
    flow.isHeard = false;
    this.engine?.proceed(flow);
  }

  route(flow: Flow): BackendView | 'wait' | TerminationCode {
    const record = this.#at(flow, 'route', ['routing', 'waiting']);
    if (record.behaviour.throwIn === 'route') throw new Error('scripted defect in route');
    const step = record.behaviour.routes[record.routeCalls++] ?? 'no-backend';
    if (step === 'wait') {
      record.progress = 'waiting';
      this.#report({ type: 'waiting', flowId: flow.id });
    } else if (typeof step === 'object') {
      record.progress = 'dialing';
      flow.backend = step;
      const { opening } = record.behaviour;
      flow.opening = opening === undefined ? undefined : openingOf(opening);
      flow.keepsSaid = record.behaviour.retries === true;
      flow.tracesDial = step.loop === 'may-lead-back';
      this.#report({ type: 'dialing', flowId: flow.id, backend: step.name });
    }
    return step;
  }

  dialsFrom(flow: Flow, local: Address): void {
    const record = this.#at(flow, 'dialsFrom', ['dialing', 'dialed']);
    if (!flow.tracesDial) this.violation(`dialsFrom for flow ${flow.id}, which did not ask`);
    this.#report({ type: 'dials-from', flowId: flow.id, local: local.toString() });
    this.#scripted(record, record.progress === 'dialed' ? 'later dialsFrom' : 'first dialsFrom');
  }

  dialed(flow: Flow): void {
    const record = this.#at(flow, 'dialed', ['dialing']);
    record.progress = 'dialed';
    this.#report({ type: 'dialed', flowId: flow.id, backend: flow.backend?.name ?? '' });
    this.#scripted(record, 'dialed');
  }

  dialFailed(flow: Flow, failure: DialFailure): void {
    const record = this.#at(flow, 'dialFailed', ['dialing']);
    record.progress = 'routing';
    this.#report({ type: 'dial-failed', flowId: flow.id, backend: flow.backend?.name ?? '', failure });
    this.#scripted(record, 'dialFailed');
  }

  brokeEarly(flow: Flow, how: EarlyBreak, isHeld: boolean): boolean {
    const record = this.#at(flow, 'brokeEarly', ['dialed']);
    if (record.replied) this.violation(`brokeEarly after replied for flow ${flow.id}`);
    this.#report({ type: 'broke-early', flowId: flow.id, backend: flow.backend?.name ?? '', how, isHeld });
    const isWorthAnother = isHeld && record.behaviour.retries === true;
    if (isWorthAnother) {
      record.progress = 'routing';
      flow.backend = undefined;
      flow.bytesIn = 0;
    }
    this.#scripted(record, 'brokeEarly');
    return isWorthAnother;
  }

  replied(flow: Flow): void {
    const record = this.#at(flow, 'replied', ['dialed']);
    if (record.replied) this.violation(`replied twice for flow ${flow.id}`);
    record.replied = true;
    this.#report({ type: 'replied', flowId: flow.id });
    const { proceedInReplied } = record.behaviour;
    if (proceedInReplied !== undefined) this.engine?.proceed(this.flow(proceedInReplied));
    this.#scripted(record, 'replied');
  }

  proved(flow: Flow): boolean {
    this.#at(flow, 'proved', ['waiting', 'dialing', 'dialed']);
    this.#report({ type: 'proved', flowId: flow.id });
    return true;
  }

  unreachable(flow: Flow): void {
    const record = this.#at(flow, 'unreachable', ['dialed']);
    this.#report({ type: 'unreachable', flowId: flow.id });
    this.#scripted(record, 'unreachable');
  }

  backendNow(flow: Flow): BackendView {
    this.#at(flow, 'backendNow', ['dialed']);
    flow.backend = this.elsewhere.get(flow.backend!.id) ?? flow.backend!;
    flow.upstream = (this.updated.get(flow.listener.id) ?? flow.listener).plan.upstream;
    return flow.backend;
  }

  closed(flow: Flow, code: TerminationCode): void {
    const record = this.#at(flow, 'closed', ['routing', 'waiting', 'dialing', 'dialed']);
    record.progress = 'closed';
    const { bytesIn, bytesOut, datagramsIn, datagramsOut } = flow;
    this.#report({ type: 'closed', flowId: flow.id, code, bytesIn, bytesOut, datagramsIn, datagramsOut });
  }

  dropped(listener: ListenerView, reason: DropReason, count = 1): void {
    this.#report({ type: 'dropped', listenerId: listener.id, reason, count });
  }

  acceptPaused(listener: ListenerView, paused: boolean): void {
    this.#report({ type: 'accept-paused', listenerId: listener.id, paused });
  }

  trouble(listener: ListenerView, flow: Flow | undefined, text: string): void {
    const of = flow === undefined ? 'listener' : 'pool';
    this.#report({ type: 'trouble', listenerId: listener.id, of, text });
  }

  fault(error: unknown, flow: Flow | undefined): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#report({ type: 'fault', flowId: flow?.id, message });
  }

  #at(flow: Flow, call: string, allowed: readonly Progress[]): Record {
    const record = this.#records.get(flow.id);
    assert.ok(record !== undefined, `${call} for a flow the host never opened`);
    if (!allowed.includes(record.progress))
      this.violation(`${call} for flow ${flow.id} while ${record.progress}`);
    return record;
  }

  #scripted(record: Record, call: ScriptedCall): void {
    const { terminateIn, throwIn } = record.behaviour;
    if (throwIn === call) throw new Error(`scripted defect in ${call}`);
    if (terminateIn?.call !== call) return;
    assert.ok(this.engine !== undefined);
    this.engine.terminate(record.flow, terminateIn.code);
    this.terminated(record.flow.id, `terminate inside ${call}`);
  }
}

function openingOf({ send, expect, ...rest }: NonNullable<Behaviour['opening']>): Opening {
  return {
    ...rest,
    send: Buffer.from(send, 'latin1'),
    expect: expect === undefined ? undefined : Buffer.from(expect, 'latin1'),
  };
}
