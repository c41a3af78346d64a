/**
 * Random operations on the epoll engine against a model: what a side sends comes out of the other in order, an end
 * is seen only after everything that was sent before it, and whatever cannot be delivered is a reset. Afterwards every
 * descriptor is back. A backend that breaks off before its first byte is followed by another, which hears all. One thread drives clients, backends and the engine's turns, so a seed replays its order of
 * operations: PINION_SEED=7 plays one.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import type { Address } from '../src/core/address.ts';
import { Flow } from '../src/core/flow.ts';
import { keyOf } from '../src/core/key.ts';
import type { Bind } from '../src/core/plan.ts';
import type { BackendView } from '../src/core/snapshot.ts';
import type { TerminationCode } from '../src/core/termination.ts';
import { backendView, listenerView } from '../src/engine/conformance/listener.ts';
import type { EarlyBreak, EngineHost } from '../src/engine/engine.ts';
import { createEpollEngine, type EpollEngine } from '../src/engine/epoll/engine.ts';
import { Arena } from '../src/linux/arena.ts';
import {
  AF_INET,
  AF_UNIX,
  SHUT_WR,
  SO_LINGER,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../src/linux/constants.ts';
import { encodeEndpoint } from '../src/linux/endpoint.ts';
import { EAGAIN, EINPROGRESS } from '../src/linux/errno.ts';
import {
  accept,
  bind,
  close,
  connect,
  type Descriptor,
  listen,
  noDescriptor,
  receive,
  send,
  setOption,
  setOptionPair,
  shutdown,
  socket,
  socketName,
} from '../src/linux/libc.ts';
import { decodeAddress } from '../src/wire/sockaddr.ts';

/** errno(3): the other side has gone. */
const ENOTCONN = 107;
const arena = new Arena(1 << 20);
const name = arena.cut(112);
const buffer = arena.cut(256 * 1024);
const stepsPerSeed = 1500;
/** Bounds a failure; nothing is measured. */
const patienceMs = 30_000;

/** mulberry32 (T. Ettinger, public domain): below `most`, from a 32-bit state. */
function randomFrom(seed: number): (most: number) => number {
  let state = seed | 0;
  return (most) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % most;
  };
}

/** One end of a connection, and what the model knows of it. */
class End {
  fd = noDescriptor;
  readonly salt: number;
  sent = 0;
  received = 0;
  /** It has said that it sends no more. */
  finished = false;
  /** It has seen the other's end, or a reset. */
  outcome: 'end' | 'reset' | undefined = undefined;
  /** A backend that will break before it says a word. */
  doomed = false;

  constructor(salt: number) {
    this.salt = salt;
  }

  byteAt(position: number): number {
    return (this.salt + position * 7 + (position >> 8) * 3) & 255;
  }

  send(length: number): void {
    if (this.fd < 0 || this.finished || this.outcome === 'reset' || this.doomed) return;
    for (let i = 0; i < length; i++) buffer.bytes[i] = this.byteAt(this.sent + i);
    const taken = send(this.fd, buffer, 0, length);
    if (taken > 0) this.sent += taken;
    else if (taken !== -EAGAIN && taken !== -ENOTCONN) this.outcome = 'reset';
  }

  /** Reads up to `length` bytes sent by `other` and compares. */
  receive(length: number, other: End): void {
    if (this.fd < 0 || this.outcome !== undefined) return;
    const taken = receive(this.fd, buffer, 0, length);
    for (let i = 0; i < taken; i++) {
      if (buffer.bytes[i] !== other.byteAt(this.received + i))
        assert.fail(`byte ${this.received + i} is wrong`);
    }
    if (taken > 0) this.received += taken;
    else if (taken === 0) this.outcome = 'end';
    else if (taken !== -EAGAIN && taken !== -ENOTCONN) this.outcome = 'reset';
  }

  finish(): void {
    if (this.fd < 0 || this.finished || this.outcome === 'reset' || this.doomed) return;
    if (shutdown(this.fd, SHUT_WR) < 0) return;
    this.finished = true;
  }

  abort(): void {
    if (this.fd < 0) return;
    setOptionPair(this.fd, SOL_SOCKET, SO_LINGER, 1, 0);
    this.close();
  }

  close(): void {
    if (this.fd >= 0) close(this.fd);
    this.fd = noDescriptor;
  }
}

class Connection {
  readonly client: End;
  backend: End;
  readonly door: Descriptor;
  readonly view: BackendView;
  flow: Flow | undefined = undefined;
  code: TerminationCode | undefined = undefined;
  /** A reset is in order: somebody aborted, the host terminated it, or it was at fault. */
  broken = false;
  /** It was the backend that aborted, and nobody else. */
  backendBroke = false;
  /** Nobody reads on one side until the end: everything in between fills up. */
  readonly lazy: End | undefined;

  constructor(id: number, door: Descriptor, view: BackendView, lazy: number) {
    this.client = new End(id * 11 + 1);
    this.backend = new End(id * 13 + 5);
    this.lazy = lazy === 0 ? this.client : lazy === 1 ? this.backend : undefined;
    this.door = door;
    this.view = view;
  }
}

/** Plays one seed, over TCP or, where `directory` is given, over unix sockets, whose buffers are small. */
class Play implements EngineHost {
  readonly #random: (most: number) => number;
  readonly #engine: EpollEngine;
  readonly #directory: string | undefined;
  readonly #connections: Connection[] = [];
  /** Connected and not accepted by the engine yet; it accepts in the same order. */
  readonly #queue: Connection[] = [];
  readonly #byFlow = new Map<Flow, Connection>();
  #bind: Bind;
  #throwNext = false;
  faults = 0;
  #salt = 0;

  constructor(seed: number, directory: string | undefined) {
    this.#random = randomFrom(seed);
    this.#directory = directory;
    this.#bind = this.#place('engine');
    this.#engine = createEpollEngine(this, { nowMs: () => performance.now(), onWake: () => 0 });
    this.#engine.listen(listenerView(0, 'tcp', { bind: this.#bind }), (result) => {
      assert.ok('port' in result);
      if (this.#bind.kind === 'inet') this.#bind = { ...this.#bind, port: result.port };
    });
    this.#engine.turn(0);
  }

  #place(file: string): Bind {
    if (this.#directory === undefined) return { kind: 'inet', ip: '127.0.0.1', port: 0 };
    return { kind: 'unix', path: join(this.#directory, file) };
  }

  identify(): undefined {}
  preface(): undefined {}
  continues(): undefined {}
  moved(): void {}
  answered(): void {}
  unidentified(): void {}
  heard(): void {}

  open(listener: Flow['listener'], client: Address, local: Address): Flow {
    const connection = this.#queue.shift();
    assert.ok(connection !== undefined);
    const flow = new Flow(
      this.#byFlow.size,
      listener,
      client,
      local,
      keyOf(client, listener.plan.affinity),
      0,
    );
    connection.flow = flow;
    this.#byFlow.set(flow, connection);
    return flow;
  }

  route(flow: Flow): BackendView {
    flow.keepsSaid = true;
    return this.#byFlow.get(flow)!.view;
  }

  brokeEarly(flow: Flow, _how: EarlyBreak, isHeld: boolean): boolean {
    const connection = this.#byFlow.get(flow)!;
    const { backend, backendBroke } = connection;
    assert.equal(backend.sent, 0, 'it had said something');
    if (!isHeld || !backendBroke || backend.finished) return false;
    connection.backend = new End(--this.#salt * 17);
    connection.broken = false;
    connection.backendBroke = false;
    flow.bytesIn = 0;
    return true;
  }

  replied(flow: Flow): void {
    if (!this.#throwNext) return;
    this.#throwNext = false;
    Object.assign(this.#byFlow.get(flow)!, { broken: true, backendBroke: false });
    throw new Error('scripted defect');
  }

  trouble(): void {
    assert.fail('nothing is asked that the machine does not do');
  }

  fault(): void {
    this.faults++;
  }

  closed(flow: Flow, code: TerminationCode): void {
    const connection = this.#byFlow.get(flow)!;
    assert.equal(connection.code, undefined, 'closed twice');
    connection.code = code;
  }

  dialed(): void {}
  dialsFrom(): void {}
  dialFailed(): void {
    assert.fail('every dial succeeds here');
  }
  proved(): boolean {
    return assert.fail('TCP has nothing to prove');
  }
  unreachable(): void {}
  backendNow(flow: Flow): BackendView {
    return flow.backend!;
  }
  dropped(): void {}
  acceptPaused(): void {}

  run(): void {
    for (let step = 0; step < stepsPerSeed; step++) this.#step();
    this.#windDown();
    for (const connection of this.#connections) this.#judge(connection);
    this.#engine.stop();
    close(this.#engine.wakeDescriptor as Descriptor);
    for (const { client, backend, door } of this.#connections) {
      client.close();
      backend.close();
      close(door);
    }
  }

  #step(): void {
    const random = this.#random;
    if (this.#connections.length < 4 || random(60) === 0) this.#connect();
    const connection = this.#connections[random(this.#connections.length)]!;
    const [end, other] =
      random(2) === 0 ? [connection.client, connection.backend] : [connection.backend, connection.client];
    const dice = random(100);
    if (dice < 35) end.send(1 + random(random(3) === 0 ? 200_000 : 2_000));
    else if (dice < 65) {
      if (end !== connection.lazy) end.receive(1 + random(200_000), other);
    } else if (dice < 68) end.finish();
    else if (dice < 69) this.#abort(connection, end);
    else if (dice < 70) this.#terminate(connection);
    else if (dice < 71) this.#throwNext = true;
    else if (dice < 72) this.#stream(end);
    else this.#turn();
  }

  /** Enough at once that the engine goes over to splice. */
  #stream(end: End): void {
    for (let i = 0; i < 12; i++) end.send(buffer.length);
  }

  #turn(): void {
    this.#engine.turn(0);
    for (const connection of this.#connections) {
      const { backend } = connection;
      if (backend.doomed && this.#random(8) === 0) this.#abort(connection, backend);
      if (backend.fd >= 0 || connection.flow === undefined) continue;
      const fd = accept(connection.door, name, SOCK_NONBLOCK);
      if (fd < 0) continue;
      backend.fd = fd;
      backend.doomed = this.#random(2) === 0;
    }
  }

  #connect(): void {
    const family = this.#directory === undefined ? AF_INET : AF_UNIX;
    const id = this.#connections.length;
    const door = socket(family, SOCK_STREAM | SOCK_NONBLOCK);
    if (this.#random(2) === 0) setOption(door, SOL_SOCKET, SO_RCVBUF, 32_768);
    let at = this.#place(`door-${id}`);
    assert.equal(bind(door, name, this.#encode(at)), 0);
    assert.equal(listen(door, 4), 0);
    socketName(door, name);
    if (at.kind === 'inet') at = { ...at, port: decodeAddress(name.view, 0)!.port };
    const connection = new Connection(id, door, backendView(at), this.#random(6));
    const fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK);
    if (this.#random(2) === 0) setOption(fd, SOL_SOCKET, SO_RCVBUF, 32_768);
    if (this.#random(4) === 0) setOption(fd, SOL_SOCKET, SO_SNDBUF, 8192);
    const result = connect(fd, name, this.#encode(this.#bind));
    assert.ok(result === 0 || result === -EINPROGRESS);
    connection.client.fd = fd;
    this.#connections.push(connection);
    this.#queue.push(connection);
  }

  /** Writes a socket address to `name`. @returns its length */
  #encode(at: Bind): number {
    const endpoint = encodeEndpoint(at)!;
    name.bytes.set(endpoint.bytes);
    return endpoint.length;
  }

  #abort(connection: Connection, end: End): void {
    if (end.fd < 0) return;
    connection.backendBroke = !connection.broken && end === connection.backend;
    connection.broken = true;
    // The engine then learns of the bytes and of the reset at once.
    end.send(1 + this.#random(2_000));
    end.abort();
  }

  #terminate(connection: Connection): void {
    if (connection.flow === undefined || connection.code !== undefined) return;
    connection.broken = true;
    connection.backendBroke = false;
    this.#engine.terminate(connection.flow, 'backend-removed');
    assert.equal(connection.code, 'backend-removed');
  }

  /** Everybody reads on; one side of each ends, then, when the other has seen that, the other. */
  #windDown(): void {
    this.#throwNext = false;
    const deadlineMs = performance.now() + patienceMs;
    while (
      this.#connections.some((connection) => connection.code === undefined || !this.#settled(connection))
    ) {
      assert.ok(performance.now() < deadlineMs, 'connections do not come to their end');
      this.#turn();
      for (const { client, backend, broken } of this.#connections) {
        client.receive(buffer.length, backend);
        backend.receive(buffer.length, client);
        if (!backend.finished) client.finish();
        if (client.outcome !== undefined || backend.outcome !== undefined || broken) {
          client.finish();
          backend.finish();
        }
      }
    }
  }

  #settled({ client, backend }: Connection): boolean {
    const isDone = (end: End): boolean => end.fd < 0 || end.outcome !== undefined;
    return isDone(client) && isDone(backend);
  }

  #judge(connection: Connection): void {
    const { client, backend, broken, code } = connection;
    for (const [to, from] of [
      [client, backend],
      [backend, client],
    ] as const) {
      assert.ok(to.received <= from.sent);
      // A unix socket knows no reset: its peer's death looks like an end (unix(7)).
      if (to.outcome === 'end' && !(broken && this.#directory !== undefined)) {
        assert.ok(from.finished, 'an end nobody sent');
        assert.equal(to.received, from.sent, 'an end before the last byte');
      }
      if (to.outcome === 'reset') assert.ok(broken, 'a reset for no reason');
    }
    if (!broken) assert.match(code!, /^(client|backend)-closed$/);
  }
}

const seeds =
  process.env.PINION_SEED === undefined
    ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    : [Number(process.env.PINION_SEED)];

describe.runIf(process.platform === 'linux')('epoll engine, random operations', () => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length;

  for (const seed of seeds) {
    test(`tcp, seed ${seed}`, () => {
      const before = descriptors();
      new Play(seed, undefined).run();
      assert.equal(descriptors(), before);
    });

    test(`unix, seed ${seed}`, () => {
      const before = descriptors();
      const directory = mkdtempSync(join(tmpdir(), 'pinion-random-'));
      try {
        new Play(seed, directory).run();
      } finally {
        rmSync(directory, { recursive: true });
      }
      assert.equal(descriptors(), before);
    });
  }
});
