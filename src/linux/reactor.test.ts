import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'vitest';
import {
  AF_INET,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EPOLLET,
  EPOLLIN,
  EPOLLRDHUP,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
} from './constants.ts';
import { close, type Descriptor, eventfd, shutdown, socket } from './libc.ts';
import { type Handler, Reactor, type TurnEnd } from './reactor.ts';
import type { Timed } from './timer-wheel.ts';

const one = new Uint8Array(new BigUint64Array([1n]).buffer);

class Probe implements Handler {
  slot = -1;
  queued = false;
  events = 0;
  bits = 0;
  agains = 0;
  readonly fd: Descriptor;
  act: () => void = () => undefined;

  constructor(fd: Descriptor = eventfd(EFD_NONBLOCK | EFD_CLOEXEC)) {
    this.fd = fd;
  }

  onEvents(bits: number): void {
    this.events++;
    this.bits = bits;
    this.act();
  }

  onAgain(): void {
    this.agains++;
    this.act();
  }

  signal(): void {
    writeSync(this.fd, one);
  }
}

let nowMs = 0;
let wakes = 0;
let faults: { error: unknown; at: Handler | Timed | TurnEnd | undefined }[] = [];
let reactor: Reactor;
let probes: Probe[] = [];

function probe(): Probe {
  const made = new Probe();
  assert.equal(reactor.add(made.fd, made, EPOLLIN | EPOLLET), 0);
  probes.push(made);
  return made;
}

beforeEach(() => {
  nowMs = 0;
  wakes = 0;
  faults = [];
  probes = [];
  reactor = new Reactor({
    nowMs: () => nowMs,
    onWake: () => {
      wakes++;
      return 500;
    },
    fault: (error, at) => faults.push({ error, at }),
  });
  // The eventfd of a new reactor has nothing to say; a turn now starts from rest.
  reactor.turn(0);
});

afterEach(() => {
  for (const { fd } of probes) close(fd);
  reactor.stop();
  close(reactor.wakeDescriptor);
});

test('an event of a descriptor that was given up in the same batch is not delivered', () => {
  const [first, second] = [probe(), probe()];
  // Whichever comes first gives the other up, as a flow does with its two sides.
  first.act = () => reactor.remove(second);
  second.act = () => reactor.remove(first);
  first.signal();
  second.signal();
  reactor.turn(100);
  assert.equal(first.events + second.events, 1);
});

test('an event fetched for a descriptor is not delivered to the next owner of its number and place', () => {
  const [first, second] = [probe(), probe()];
  const heirs: Probe[] = [];
  const replace = (old: Probe): void => {
    const { fd, slot } = old;
    reactor.remove(old);
    close(fd);
    const heir = probe();
    assert.equal(heir.fd, fd, 'the kernel gives the lowest number free');
    assert.equal(heir.slot, slot, 'the table gives the place given up last');
    probes.splice(probes.indexOf(old), 1);
    heirs.push(heir);
  };
  first.act = () => replace(second);
  second.act = () => replace(first);
  first.signal();
  second.signal();
  reactor.turn(100);
  assert.equal(first.events + second.events, 1);
  reactor.turn(0);
  assert.deepEqual(
    heirs.map((heir) => heir.events),
    [0],
  );
  heirs[0]!.signal();
  reactor.turn(100);
  assert.equal(heirs[0]!.events, 1);
});

test('a handler that throws is reported and the others are served', () => {
  const [first, second] = [probe(), probe()];
  first.act = () => {
    throw new Error('defect');
  };
  first.signal();
  second.signal();
  reactor.turn(100);
  assert.equal(second.events, 1);
  assert.deepEqual(
    faults.map((fault) => fault.at),
    [first],
  );
});

test('work left over comes again in the next turn, once, unless it was given up', () => {
  const [busy, gone] = [probe(), probe()];
  let rounds = 0;
  busy.act = () => {
    if (++rounds < 4) reactor.again(busy);
    reactor.again(busy);
  };
  busy.signal();
  reactor.again(gone);
  reactor.remove(gone);
  reactor.turn(100);
  assert.deepEqual([busy.events, busy.agains], [1, 1]);
  busy.act = () => undefined;
  reactor.turn(100);
  reactor.turn(0);
  assert.deepEqual([busy.agains, gone.agains], [2, 0]);
});

test('end-of-turn work asked for at the end of a turn is done in the next', () => {
  let ends = 0;
  const work: TurnEnd = {
    onTurnEnd: () => {
      ends++;
      if (ends < 3) reactor.atTurnEnd(work);
    },
  };
  reactor.atTurnEnd(work);
  reactor.turn(100);
  assert.equal(ends, 1);
  reactor.turn(100);
  reactor.turn(100);
  assert.equal(ends, 3);
});

test('a write to the wake descriptor ends the sleep, and stop ends run', () => {
  writeSync(reactor.wakeDescriptor, one);
  reactor.turn(500);
  let turns = 0;
  const stopper = probe();
  stopper.act = () => {
    if (++turns === 3) reactor.stop();
    else reactor.again(stopper);
  };
  stopper.signal();
  reactor.run();
  assert.equal(turns, 3);
  const before = wakes;
  reactor.turn(0);
  assert.equal(wakes, before);
  // Who is about to wake the thread must not hit another's descriptor.
  assert.equal(writeSync(reactor.wakeDescriptor, one), one.length);
});

test('timers are served with the time of the turn', () => {
  const fired: number[] = [];
  const entry: Timed = {
    timerNext: undefined,
    timerPrevious: undefined,
    timerTick: -1,
    onTimer: (at) => fired.push(at),
  };
  reactor.wheel.set(entry, 40);
  nowMs = 30;
  reactor.turn(0);
  assert.deepEqual(fired, []);
  nowMs = 60;
  reactor.turn(0);
  assert.deepEqual(fired, [60]);
});

function timed(onTimer: Timed['onTimer']): Timed {
  return { timerNext: undefined, timerPrevious: undefined, timerTick: -1, onTimer };
}

test('what is ready is served before timers judge it late, but timers do not wait for ever', () => {
  const fired: number[] = [];
  const late = timed((at) => fired.push(at));
  reactor.wheel.set(late, 40);
  // One more than a turn takes: an answer that the first batch does not bring.
  const all = Array.from({ length: 257 }, probe);
  for (const one of all) one.signal();
  nowMs = 60;
  reactor.turn(0);
  assert.equal(all.filter(({ events }) => events === 1).length, 256);
  assert.deepEqual(fired, []);
  all.find(({ events }) => events === 0)!.act = () => reactor.wheel.clear(late);
  reactor.turn(0);
  assert.deepEqual(fired, []);

  reactor.wheel.set(late, 100);
  nowMs = 200;
  for (const one of all) one.act = () => one.signal();
  for (const one of all) one.signal();
  // Two turns bring all that is watched.
  reactor.turn(0);
  assert.deepEqual(fired, []);
  reactor.turn(0);
  assert.deepEqual(fired, [200]);
});

test('however many are ready, timers come after the last of them', () => {
  const fired: number[] = [];
  // More than sixteen turns take.
  const all = Array.from({ length: 17 * 256 }, probe);
  reactor.wheel.set(
    timed(() => fired.push(all.filter(({ events }) => events > 0).length)),
    40,
  );
  for (const one of all) one.signal();
  nowMs = 10_000;
  for (let turn = 0; turn < 20 && fired.length === 0; turn++) reactor.turn(0);
  assert.deepEqual(fired, [all.length]);
});

test('timers judge by the time before the kernel was asked', () => {
  const fired: number[] = [];
  reactor.wheel.set(
    timed((at) => fired.push(at)),
    40,
  );
  // The time passes while it asks: what came meanwhile was perhaps not told.
  const slow = probe();
  slow.act = () => {
    nowMs = 5_000;
  };
  slow.signal();
  reactor.turn(0);
  assert.deepEqual(fired, []);
  reactor.turn(0);
  assert.deepEqual(fired, [5_000]);
});

const SHUT_RDWR = 2;

/** Something that ends, as the kernel says it of a socket. */
class Ender extends Probe {
  waits = true;

  constructor() {
    super(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC));
  }

  endWaits(): boolean {
    return this.waits;
  }

  /** Linux says that a socket without a peer is not connected, and shuts it down (inet_shutdown). */
  end(): void {
    shutdown(this.fd, SHUT_RDWR);
  }
}

function enders(count: number): Ender[] {
  return Array.from({ length: count }, () => {
    const made = new Ender();
    assert.equal(reactor.add(made.fd, made, EPOLLIN | EPOLLRDHUP | EPOLLET), 0);
    probes.push(made);
    return made;
  });
}

const count = (all: readonly Probe[]): number => all.reduce((sum, { events }) => sum + events, 0);

test('who lives comes before the many that end at once, each of whom is served once', () => {
  const all = enders(600);
  const alive = probe();
  let endedBefore = -1;
  alive.act = () => {
    endedBefore = count(all);
  };
  for (const one of all) one.end();
  alive.signal();
  for (let turn = 0; turn < 3; turn++) reactor.turn(0);
  assert.equal(endedBefore, 0);
  assert.ok(all.every(({ events }) => events === 1));
  reactor.turn(0);
  assert.equal(count(all), 600);
});

test('a few ends, and those that may not wait, are served as they come', () => {
  const [first] = enders(1);
  const alive = probe();
  const order: string[] = [];
  first!.act = () => order.push('end');
  alive.act = () => order.push('alive');
  first!.end();
  alive.signal();
  reactor.turn(0);
  assert.deepEqual(order, ['end', 'alive']);

  const all = enders(257);
  for (const one of all) {
    one.waits = false;
    one.end();
  }
  reactor.turn(0);
  assert.equal(count(all), 256);
});

test('ends have some time in each turn, who lives need not wait for the rest, and timers do', () => {
  const all = enders(400);
  const fired: number[] = [];
  reactor.wheel.set(
    timed(() => fired.push(count(all))),
    40,
  );
  for (const one of all) {
    one.act = () => {
      nowMs += 0.5;
    };
    one.end();
  }
  nowMs = 60;
  reactor.turn(0);
  reactor.turn(0);
  const alive = probe();
  let turns = 2;
  for (; count(all) < 400; turns++) {
    const before = count(all);
    assert.deepEqual(fired, [], 'what waits may be about whom the timer is about to judge');
    alive.signal();
    reactor.turn(100);
    assert.equal(alive.events, turns - 1);
    assert.ok(count(all) > before && count(all) <= before + 10);
  }
  assert.ok(turns > 40);
  assert.deepEqual(fired, [400]);
});

test('ends are served too while a full batch of others comes in each turn', () => {
  const all = enders(100);
  const alive = Array.from({ length: 600 }, probe);
  for (const one of alive) {
    one.act = () => {
      nowMs += 0.01;
      one.signal();
    };
    one.signal();
  }
  for (const one of all) one.end();
  for (let turn = 0; turn < 40; turn++) reactor.turn(0);
  assert.equal(count(all), 100);
});

test('an end that waits is not served once its handler was given up, nor is the next owner for it', () => {
  const all = enders(300);
  for (const one of all) one.end();
  reactor.turn(0);
  assert.equal(count(all), 0, 'all that the turn has brought waits');
  for (const one of all) {
    reactor.remove(one);
    close(one.fd);
  }
  probes = [];
  const heirs = enders(300);
  assert.deepEqual(new Set(heirs.map(({ slot }) => slot)).size, 300);
  for (let turn = 0; turn < 5; turn++) reactor.turn(0);
  assert.equal(count(all) + count(heirs), 0);
  heirs[0]!.end();
  reactor.turn(0);
  assert.equal(count(heirs), 1);
});

test('what says more of one whose end waits comes once, with the end', () => {
  const all = enders(300);
  const [one] = all;
  for (const each of all) each.end();
  reactor.turn(0);
  one!.waits = false;
  one!.end();
  for (let turn = 0; turn < 5; turn++) reactor.turn(0);
  assert.equal(one!.events, 1);
  assert.ok((one!.bits & EPOLLRDHUP) !== 0);
});
