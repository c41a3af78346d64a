/**
 * One UDP conversation: a client's address and port at one listener, and a socket connected to its backend.
 *
 *    routing --> dialing --> open --> over       'dialing' ends when the upstream socket is connected, which
 *      |  ^---------+                            sends nothing: it only makes the kernel filter what comes
 *      +--> waiting --(proceed)--> routing       from elsewhere and report ICMP errors to this socket.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Flow } from '../../core/flow.ts';
import { waitingDatagramsMax } from '../../core/limits.ts';
import type { Bind } from '../../core/plan.ts';
import { isSelfConnection } from '../../core/self-connection.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { speaksOfPeer } from '../peer-errors.ts';
import { quietMs } from '../quiet.ts';
import { sendQueueBytesMax } from './bounds.ts';
import { type Context, guarded, reportClosed } from './context.ts';
import type { Counted } from './conversation-census.ts';
import type { Watched } from './deadlines.ts';
import { dialFailureOf } from './dial-failure.ts';
import { type LocalSocket, type SendOutcome, sendOutcomeOf } from './local-socket.ts';
import { socketAddress } from './socket-address.ts';

type Phase = 'routing' | 'waiting' | 'dialing' | 'open' | 'over';

export class Conversation implements Counted, Watched {
  readonly flow: Flow;
  readonly bornAtMs: number;
  wheelSlot = -1;
  older: Counted | undefined = undefined;
  newer: Counted | undefined = undefined;
  isUnanswered = false;
  readonly #context: Context;
  readonly #forget: () => void;
  #phase: Phase = 'routing';
  #upstream: Socket | undefined;
  #waiting: Buffer[] = [];
  #movedAtMs = 0;
  #lookAtMs = 0;
  #isDraining = false;
  #hasReplied = false;
  /** Where the client's last datagram came in, and how that socket writes the client's address. */
  #via: LocalSocket | undefined;
  #clientIp = '';
  #clientPort = 0;

  constructor(context: Context, flow: Flow, forget: () => void) {
    this.#context = context;
    this.flow = flow;
    this.bornAtMs = context.nowMs();
    this.#forget = forget;
    flow.engineState = this;
    context.carried.add(this);
    context.census.enter(this);
  }

  get deadlineMs(): number {
    return this.#phase === 'open' ? Math.max(this.#quietAtMs, this.#lookAtMs) : Number.POSITIVE_INFINITY;
  }

  get #quietAtMs(): number {
    return this.#movedAtMs + quietMs(this.flow, this.#isDraining);
  }

  /** Takes the first datagram and asks for a route. */
  begin(bytes: Buffer, from: RemoteInfo, via: LocalSocket): void {
    this.fromClient(bytes, from, via);
    guarded(this.#context, this, () => this.#route());
  }

  fromClient(bytes: Buffer, from: RemoteInfo, via: LocalSocket): void {
    if (this.#via !== via) {
      this.#via = via;
      this.#clientIp = from.address;
      this.#clientPort = from.port;
    }
    this.#movedAtMs = this.#context.nowMs();
    if (this.#phase === 'open') this.#sendUp(bytes, true);
    else if (this.#waiting.length < waitingDatagramsMax) this.#waiting.push(bytes);
    else this.#context.host.dropped(this.flow.listener, 'waiting-full');
  }

  /** Its listener shuts down: it is over when it is quiet. */
  drain(): void {
    this.#isDraining = true;
    this.#context.deadlines.watch(this);
  }

  proceed(): void {
    if (this.#phase === 'waiting') guarded(this.#context, this, () => this.#route());
  }

  expire(): void {
    const { deadlines, nowMs } = this.#context;
    // This thread may not have run for a while, and what came meanwhile, from either side, may not have been read yet.
    if (this.#via!.hasReadThrough(this.#quietAtMs, nowMs)) return this.end('expired');
    this.#lookAtMs = nowMs() + 1;
    deadlines.watch(this);
  }

  end(code: TerminationCode): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#context.deadlines.forget(this);
    this.#context.carried.delete(this);
    this.#context.census.leave(this);
    this.#forget();
    this.#waiting = [];
    this.#upstream?.close();
    this.#upstream = undefined;
    reportClosed(this.#context, this.flow, code);
  }

  #route(): void {
    const { host } = this.#context;
    for (;;) {
      this.#phase = 'routing';
      const answer = host.route(this.flow);
      if (this.#isOver()) return;
      if (answer === 'wait') {
        this.#phase = 'waiting';
        return;
      }
      if (typeof answer === 'string') {
        this.end(answer);
        return;
      }
      this.#phase = 'dialing';
      if (answer.target?.kind === 'inet') {
        this.#dial(answer.target);
        return;
      }
      host.dialFailed(this.flow, 'backend-unreachable');
      if (this.#isOver()) return;
    }
  }

  #dial(target: Bind & { kind: 'inet' }): void {
    const upstream = createSocket(target.ip.includes(':') ? 'udp6' : 'udp4');
    this.#upstream = upstream;
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#upstream !== upstream) return;
      guarded(this.#context, this, () => {
        if (this.#phase === 'open') this.#onError(error);
        else this.#dialFailed(error);
      });
    });
    const isBackend = comesFrom(target);
    upstream.on('message', (bytes, from) => {
      if (this.#upstream !== upstream) return;
      guarded(this.#context, this, () => {
        if (isBackend(from)) this.#fromBackend(bytes);
        else this.#context.host.dropped(this.flow.listener, 'unknown-source');
      });
    });
    upstream.once('connect', () => {
      if (this.#upstream === upstream) guarded(this.#context, this, () => this.#dialed());
    });
    const source = this.#context.sources.next(this.flow.listener.plan.upstream, target.ip);
    if (source === undefined) upstream.connect(target.port, target.ip);
    else {
      upstream.bind({ address: source, port: 0, exclusive: true }, () => {
        if (this.#upstream === upstream) upstream.connect(target.port, target.ip);
      });
    }
  }

  #dialFailed(error: Pick<NodeJS.ErrnoException, 'code'>): void {
    this.#upstream?.close();
    this.#upstream = undefined;
    this.#context.host.dialFailed(this.flow, dialFailureOf(error.code, false));
    if (!this.#isOver()) this.#route();
  }

  #dialed(): void {
    const { address: localAddress, port: localPort } = this.#upstream!.address();
    const { address: remoteAddress, port: remotePort } = this.#upstream!.remoteAddress();
    if (isSelfConnection({ localAddress, localPort, remoteAddress, remotePort })) {
      return this.#dialFailed({ code: 'ECONNREFUSED' });
    }
    this.#phase = 'open';
    this.#movedAtMs = this.#context.nowMs();
    this.#context.deadlines.watch(this);
    this.#context.host.dialed(this.flow);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) if (!this.#isOver()) this.#sendUp(bytes, true);
  }

  /** @param mayRepeat whether a report about an earlier datagram, which takes this one's place, lets it try again */
  #sendUp(bytes: Buffer, mayRepeat: boolean): void {
    const upstream = this.#upstream!;
    if (upstream.getSendQueueSize() > sendQueueBytesMax) {
      this.#context.host.dropped(this.flow.listener, 'queue-full');
      return;
    }
    upstream.send(bytes, (error) => {
      if (this.#upstream !== upstream) return;
      guarded(this.#context, this, () => {
        if (error === null) {
          this.flow.bytesIn += bytes.length;
          this.flow.datagramsIn++;
          return;
        }
        this.#onError(error as NodeJS.ErrnoException);
        if (this.#isOver()) return;
        // It may have waited in the socket (udp(7)): the kernel has not looked at this datagram then.
        if (mayRepeat) this.#sendUp(bytes, false);
        else this.#dropped(sendOutcomeOf(error));
      });
    });
  }

  /** An error the socket had in store: perhaps an ICMP message about an earlier datagram. */
  #onError(error: NodeJS.ErrnoException): void {
    if (speaksOfPeer(error.code)) this.#context.host.unreachable(this.flow);
  }

  #fromBackend(bytes: Buffer): void {
    this.#movedAtMs = this.#context.nowMs();
    if (!this.#hasReplied) {
      this.#hasReplied = true;
      this.#context.census.answered(this);
      this.#context.host.replied(this.flow);
      if (this.#isOver()) return;
    }
    this.#via!.send(bytes, this.#clientIp, this.#clientPort, (outcome) => {
      if (this.#isOver()) return;
      if (outcome === 'sent') {
        this.flow.bytesOut += bytes.length;
        this.flow.datagramsOut++;
      } else this.#dropped(outcome);
    });
  }

  #dropped(outcome: Exclude<SendOutcome, 'sent'>): void {
    this.#context.host.dropped(this.flow.listener, outcome);
  }

  /** A method, because the compiler does not see that a call of the host may have ended it. */
  #isOver(): boolean {
    return this.#phase === 'over';
  }
}

/**
 * Whether a datagram is the backend's. Until it is connected a socket hears everybody who guesses its port, and what came then is
 * still in its queue afterwards.
 */
function comesFrom({ ip, port }: Bind & { kind: 'inet' }): (from: RemoteInfo) => boolean {
  const expected = socketAddress(ip, port)?.toString();
  let known = ip;
  return (from) => {
    if (from.port !== port) return false;
    if (from.address === known) return true;
    if (socketAddress(from.address, from.port)?.toString() !== expected) return false;
    known = from.address;
    return true;
  };
}
