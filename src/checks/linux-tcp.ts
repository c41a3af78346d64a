/**
 * The `tcp` check on the kernel's own sockets, which takes half of what node:net does. It is the same check; where koffi or epoll
 * does not work, or the configuration says `engine: portable`, dialects/tcp.ts asks.
 *
 *    connect --not answered at once--> a look at the end of this turn --> one soon after --> one every 20 ms, while any is pending
 *
 * Node's loop cannot watch these sockets, so it looks instead of being told; the looks fall together for all of them. A connection
 * that is seen late says itself how long its handshake took (TCP_INFO). What is refused late counts until it was seen.
 */
import type { Bind } from '../core/plan.ts';
import { Arena } from '../linux/arena.ts';
import {
  AF_UNIX,
  EPOLLERR,
  EPOLLHUP,
  EPOLLOUT,
  IP_BIND_ADDRESS_NO_PORT,
  IPPROTO_IP,
  SO_ERROR,
  SO_LINGER,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../linux/constants.ts';
import { type Endpoint, encodeEndpoint } from '../linux/endpoint.ts';
import { EALREADY, EINPROGRESS, EINVAL, errnoName } from '../linux/errno.ts';
import { HeldDescriptors } from '../linux/held-descriptors.ts';
import {
  bind,
  close,
  connect,
  type Descriptor,
  handshakeMicroseconds,
  option,
  setOption,
  setOptionPair,
  socket,
} from '../linux/libc.ts';
import { leadsToItself } from '../linux/own-end.ts';
import { type Handler, Reactor } from '../linux/reactor.ts';
import { unixBytesMax } from '../wire/sockaddr.ts';
import { type CheckResult, type CheckWay, type Dialect, failed, passed } from './dialect.ts';
import { tcp } from './dialects/tcp.ts';
import { resultOf } from './faults.ts';

/** The second look, and those after it. Milliseconds. */
const soonMs = 1;
const pauseMsMax = 20;
/** A check is looked at so often in its time, if that is short. */
const looksMin = 10;

type Done = (result: CheckResult) => void;

/** @param held memory that outlives this thread, for the descriptors it leaves when it is ended */
export function linuxTcp(held: SharedArrayBuffer): Dialect {
  const connector = new Connector(held);
  return {
    ...tcp,
    // It says nothing on a connection: one that has to begin with a header is node:net's.
    ask: (asked) => (asked.greeting === undefined ? connector.ask(asked, asked.timeoutMs) : tcp.ask(asked)),
  };
}

class Connector {
  readonly #held: HeldDescriptors;
  readonly #reactor: Reactor;
  readonly #name = new Arena(128).cut(unixBytesMax);
  /** A reload makes other targets; checks of one have it for as long as they go on. */
  readonly #endpoints = new WeakMap<Bind, Endpoint>();
  #isLookDue = false;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = pauseMsMax;

  constructor(held: SharedArrayBuffer) {
    this.#held = new HeldDescriptors(held);
    this.#held.closeLeft();
    this.#reactor = new Reactor({
      nowMs: () => performance.now(),
      onWake: () => 0,
      fault: (error) => {
        throw error;
      },
    });
  }

  ask(way: CheckWay, timeoutMs: number): CheckResult | Promise<CheckResult> {
    const { target, source } = way;
    const endpoint = this.#endpointOf(target);
    if (endpoint === undefined) return faultOf(-EINVAL, target);
    const fd = socket(endpoint.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return faultOf(fd, target);
    this.#held.hold(fd);
    const bound = source === undefined || endpoint.family === AF_UNIX ? 0 : this.#bind(fd, source);
    if (bound < 0) return this.#finish(fd, faultOf(bound, target));
    this.#name.bytes.set(endpoint.bytes);
    let result = connect(fd, this.#name, endpoint.length);
    // On this machine, containers included, the other end has answered by now: asked again, connect(2) says what came of it.
    if (result === -EINPROGRESS) result = connect(fd, this.#name, endpoint.length);
    if (result !== -EALREADY)
      return this.#finish(fd, result < 0 ? faultOf(result, target) : judgeEnds(fd, endpoint));
    return new Promise((done) => this.#wait(new Attempt(this, fd, endpoint, way, done), timeoutMs));
  }

  #endpointOf(target: Bind): Endpoint | undefined {
    const known = this.#endpoints.get(target);
    if (known !== undefined) return known;
    const endpoint = encodeEndpoint(target);
    if (endpoint !== undefined) this.#endpoints.set(target, endpoint);
    return endpoint;
  }

  /** The port is chosen at connect(2), when the destination is known. 0 or a negative errno. */
  #bind(fd: Descriptor, source: string): number {
    const endpoint = encodeEndpoint({ kind: 'inet', ip: source, port: 0 });
    if (endpoint === undefined) return -EINVAL;
    setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    this.#name.bytes.set(endpoint.bytes);
    return bind(fd, this.#name, endpoint.length);
  }

  #wait(attempt: Attempt, timeoutMs: number): void {
    const added = this.#reactor.add(attempt.fd, attempt, EPOLLOUT);
    if (added < 0) return attempt.done(this.#finish(attempt.fd, faultOf(added, attempt.target)));
    attempt.signal.addEventListener('abort', attempt.aborted);
    this.#pauseMs = Math.max(soonMs, Math.min(this.#pauseMs, timeoutMs / looksMin));
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    clearTimeout(this.#timer);
    setImmediate(this.#firstLook);
  }

  over(attempt: Attempt, result: CheckResult): void {
    attempt.signal.removeEventListener('abort', attempt.aborted);
    this.#reactor.remove(attempt);
    attempt.done(this.#finish(attempt.fd, result));
  }

  readonly #firstLook = (): void => this.#look(soonMs);
  readonly #laterLook = (): void => this.#look(this.#pauseMs);

  #look(nextInMs: number): void {
    this.#isLookDue = false;
    this.#reactor.turn(0);
    if (this.#reactor.watched === 0) this.#pauseMs = pauseMsMax;
    else this.#timer = setTimeout(this.#laterLook, nextInMs);
  }

  /** Gone at once, and without TIME-WAIT: with linger on and 0 seconds close(2) resets. */
  #finish(fd: Descriptor, result: CheckResult): CheckResult {
    setOptionPair(fd, SOL_SOCKET, SO_LINGER, 1, 0);
    this.#held.forget(fd);
    close(fd);
    return result;
  }
}

/** One connection that is being made. */
class Attempt implements Handler {
  slot = -1;
  queued = false;
  readonly fd: Descriptor;
  readonly target: Bind;
  readonly signal: CheckWay['signal'];
  readonly done: Done;
  readonly #connector: Connector;
  readonly #endpoint: Endpoint;
  readonly #beganAtMs = performance.now();

  constructor(
    connector: Connector,
    fd: Descriptor,
    endpoint: Endpoint,
    { target, signal }: Pick<CheckWay, 'target' | 'signal'>,
    done: Done,
  ) {
    this.fd = fd;
    this.target = target;
    this.signal = signal;
    this.done = done;
    this.#connector = connector;
    this.#endpoint = endpoint;
  }

  readonly aborted = (): void => this.#connector.over(this, failed('timeout', 'nobody waits for it'));

  onEvents(events: number): void {
    const error = (events & (EPOLLERR | EPOLLHUP)) === 0 ? 0 : option(this.fd, SOL_SOCKET, SO_ERROR);
    this.#connector.over(this, error === 0 ? this.#connected() : faultOf(error, this.target));
  }

  onAgain(): void {}

  #connected(): CheckResult {
    const result = judgeEnds(this.fd, this.#endpoint);
    const sinceMs = performance.now() - this.#beganAtMs;
    if (result.verdict !== 'pass' || sinceMs <= soonMs) return result;
    return { verdict: 'pass', tookMs: tookMsOf(this.fd, sinceMs) };
  }
}

function judgeEnds(fd: Descriptor, endpoint: Endpoint): CheckResult {
  return leadsToItself(fd, endpoint) ? failed('refused', 'ECONNREFUSED') : passed;
}

/** As the kernel counted it, where it did. */
function tookMsOf(fd: Descriptor, sinceMs: number): number {
  const microseconds = handshakeMicroseconds(fd);
  return microseconds > 0 ? Math.min(sinceMs, microseconds / 1_000) : sinceMs;
}

/** @param result a negative errno, or the number of one */
function faultOf(result: number, target: Bind): CheckResult {
  const code = errnoName(result);
  const where = target.kind === 'unix' ? target.path : `${target.ip}:${target.port}`;
  return resultOf(Object.assign(new Error(`connect ${code} ${where}`), { code }));
}
