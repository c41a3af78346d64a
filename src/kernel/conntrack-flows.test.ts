/** Conntrack's events as flows, against a kernel that is made up: seeded, so that what fails can be run again. */
import { describe, expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import type { TerminationCode } from '../core/termination.ts';
import { type ConntrackEntry, type ConntrackGlance, conntrackStatus, tcpState } from '../wire/conntrack.ts';
import { ConntrackFlows } from './conntrack-flows.ts';

const listener = Address.v4(0x0a000001, 80);
const backend = Address.v4(0x0a000002, 8080);
const answerWithinMs = 3_000;
const idleMs = 60_000;

interface Told {
  readonly id: number;
  isAnswered: boolean;
  failed: string | undefined;
  isOver: boolean;
  bytesIn: number;
  code: TerminationCode | undefined;
}

function entry(id: number, change: Partial<ConntrackEntry> = {}): ConntrackEntry {
  const client = Address.v4(0x0a010000 + (id >> 8), 1_024 + (id % 60_000));
  return {
    event: 'new',
    id,
    protocol: 'tcp',
    original: { source: client, destination: listener },
    reply: { source: backend, destination: client },
    mark: 0,
    status: 0,
    tcpState: tcpState.synSent,
    ...change,
  };
}

function glanceOf(said: ConntrackEntry): ConntrackGlance {
  return {
    ...said,
    sourcePort: said.original.source.port,
    isOf: ({ protocol, original: { source, destination } }) =>
      protocol === said.protocol &&
      source.equals(said.original.source) &&
      destination.equals(said.original.destination),
  };
}

const counted = (packets: number, bytes: number) => ({ packets, bytes });

class World {
  readonly told: Told[] = [];
  /** What the kernel says when it is asked, by id. */
  readonly now = new Map<number, ConntrackEntry>();
  readonly flows = new ConntrackFlows<{ isReversed: boolean }, Told>({
    recognise: ({ original }) =>
      original.destination.equals(listener)
        ? { isReversed: false }
        : original.source.equals(backend)
          ? { isReversed: true }
          : undefined,
    begun: (_, { id }) => {
      const flow: Told = {
        id,
        isAnswered: false,
        failed: undefined,
        isOver: false,
        bytesIn: 0,
        code: undefined,
      };
      this.told.push(flow);
      return flow;
    },
    answered: (flow) => {
      expect(flow).toMatchObject({ isAnswered: false, code: undefined });
      flow.isAnswered = true;
    },
    look: ({ id }) => this.now.get(id),
    failed: (flow, how) => {
      expect(flow).toMatchObject({ failed: undefined, isAnswered: false, code: undefined });
      flow.failed = how;
    },
    over: (flow) => {
      expect(flow).toMatchObject({ isOver: false, code: undefined });
      flow.isOver = true;
    },
    moved: (flow, { bytesIn }) => {
      flow.bytesIn = bytesIn;
    },
    closed: (flow, code) => {
      expect(flow.code).toBeUndefined();
      flow.code = code;
    },
  });
  nowMs = 0;
  glancedCount = 0;
  private heardCount = 0;

  hear(...entries: readonly ConntrackEntry[]): void {
    for (const one of entries) {
      // Every other one is glanced at first: both ways lead to the same.
      if (this.heardCount++ % 2 === 0 && this.flows.glanced(glanceOf(one), this.nowMs)) this.glancedCount++;
      else this.flows.heard(one, this.nowMs, () => ({ answerWithinMs, idleMs }));
    }
  }

  get open(): number[] {
    return this.told.filter(({ code }) => code === undefined).map(({ id }) => id);
  }
}

describe('a flow of the kernel', () => {
  const update = (id: number, change: Partial<ConntrackEntry>) => entry(id, { event: 'update', ...change });
  const answered = { status: conntrackStatus.seenReply, tcpState: tcpState.established };

  test('begins, is answered, is over and ends, each once', () => {
    const world = new World();
    world.hear(
      entry(1),
      update(1, { status: conntrackStatus.seenReply, tcpState: tcpState.synReceived }),
      update(1, answered),
      update(1, { ...answered, status: answered.status | conntrackStatus.assured }),
      update(1, { ...answered, tcpState: tcpState.finWait }),
      update(1, { ...answered, tcpState: tcpState.timeWait }),
      entry(1, {
        event: 'destroy',
        tcpState: tcpState.timeWait,
        originalCounters: counted(9, 900),
        replyCounters: counted(8, 80),
      }),
    );
    expect(world.told).toEqual([
      { id: 1, isAnswered: true, failed: undefined, isOver: true, bytesIn: 900, code: 'closed' },
    ]);
  });

  test('that is refused is a failure of its backend; one that is not answered in time is one, once', () => {
    const world = new World();
    world.hear(entry(1), entry(2));
    world.hear(
      entry(1, { event: 'destroy', originalCounters: counted(1, 60), replyCounters: counted(1, 40) }),
    );
    expect(world.told[0]).toMatchObject({ failed: 'backend-refused', code: 'backend-refused' });
    world.now.set(2, update(2, {}));
    world.nowMs = answerWithinMs;
    world.flows.turn(world.nowMs);
    expect(world.told[1]).toMatchObject({ failed: 'backend-timeout', code: undefined });
    world.hear(
      entry(2, { event: 'destroy', originalCounters: counted(3, 180), replyCounters: counted(0, 0) }),
    );
    expect(world.told[1]).toMatchObject({ failed: 'backend-timeout', code: 'backend-timeout' });
  });

  test('that is refused is a failure where the kernel says the state of what has gone, too', () => {
    const world = new World();
    world.hear(entry(1));
    world.hear(
      entry(1, {
        event: 'destroy',
        tcpState: tcpState.close,
        originalCounters: counted(1, 60),
        replyCounters: counted(1, 40),
      }),
    );
    expect(world.told[0]).toMatchObject({ failed: 'backend-refused', code: 'backend-refused' });
  });

  test('whose client says nothing after the answer is no failure of its backend: SYNs can be forged', () => {
    const world = new World();
    const half = { status: conntrackStatus.seenReply, tcpState: tcpState.synReceived };
    for (let id = 0; id < 1_000; id++) {
      world.hear(entry(id));
      world.now.set(id, update(id, half));
    }
    world.nowMs = answerWithinMs;
    for (let turn = 0; turn < 5; turn++) world.flows.turn(world.nowMs);
    // Nobody has asked the kernel of the later ones by then.
    for (let id = 0; id < 1_000; id++)
      world.hear(
        entry(id, {
          event: 'destroy',
          ...half,
          originalCounters: counted(1, 60),
          replyCounters: counted(5, 300),
        }),
      );
    for (const told of world.told)
      expect(told).toMatchObject({ isAnswered: false, failed: undefined, code: 'closed' });
  });

  test('of which the kernel knows nothing any more when its time is over is judged by its end', () => {
    const world = new World();
    world.hear(entry(1));
    world.nowMs = answerWithinMs;
    world.flows.turn(world.nowMs);
    expect(world.told[0]).toMatchObject({ failed: undefined, code: undefined });
    world.hear(
      entry(1, { event: 'destroy', originalCounters: counted(3, 180), replyCounters: counted(0, 0) }),
    );
    expect(world.told[0]).toMatchObject({ failed: 'backend-timeout', code: 'backend-timeout' });
  });

  test('that somebody deletes before it is answered is nobody’s failure', () => {
    const world = new World();
    world.hear(entry(1));
    world.hear(
      entry(1, { event: 'destroy', originalCounters: counted(1, 60), replyCounters: counted(0, 0) }),
    );
    expect(world.told[0]).toMatchObject({ failed: undefined, code: 'closed' });
  });

  test('that we end has our code, whatever the kernel says of it, and is closed when its entry is gone', () => {
    const world = new World();
    world.hear(entry(1, answered));
    const flow = world.told[0]!;
    expect(world.flows.end(flow, 'operator', 0)).toBe(true);
    expect(world.flows.end(flow, 'max-age', 0)).toBe(false);
    expect(flow.code).toBeUndefined();
    world.hear(entry(1, { event: 'destroy', ...answered }));
    expect(flow.code).toBe('operator');
    expect(world.flows.end(flow, 'operator', 0)).toBe(false);
  });

  test('whose end we ordered and nobody told us is over after a while', () => {
    const world = new World();
    world.hear(entry(1, answered));
    world.flows.end(world.told[0]!, 'operator', 0);
    // Its entry waits to be deleted, behind a hundred thousand others.
    world.flows.turn(60_000);
    expect(world.told[0]!.code).toBeUndefined();
    world.flows.deleted(world.told[0]!, 60_000);
    world.flows.turn(120_000);
    expect(world.told[0]!.code).toBe('operator');
    expect(world.flows.size).toBe(0);
  });

  test('that is picked up from its backend counts the other way round', () => {
    const world = new World();
    const client = Address.v4(0x0a010000, 2_000);
    const reversed = {
      original: { source: backend, destination: client },
      reply: { source: client, destination: listener },
    };
    world.hear(entry(7, { ...reversed, tcpState: tcpState.established }));
    world.nowMs = idleMs;
    world.hear(
      entry(7, {
        event: 'destroy',
        ...reversed,
        tcpState: tcpState.established,
        originalCounters: counted(1, 10),
        replyCounters: counted(2, 20),
      }),
    );
    expect(world.told).toMatchObject([{ isAnswered: true, bytesIn: 20, code: 'idle' }]);
  });

  test.each<[string, readonly (readonly [number, ConntrackEntry['event'], number])[], TerminationCode]>([
    [
      'it had just begun',
      [
        [0, 'new', 1],
        [15_000, 'destroy', 9],
      ],
      'reset',
    ],
    [
      'it had begun so long ago',
      [
        [0, 'new', 1],
        [60_000, 'destroy', 9],
      ],
      'idle',
    ],
    [
      'nobody knows since when it was silent',
      [
        [100_000, 'dump', 9],
        [101_000, 'destroy', 9],
      ],
      'idle',
    ],
    [
      'it had moved something lately',
      [
        [0, 'new', 1],
        [100_000, 'dump', 5],
        [110_000, 'dump', 9],
        [120_000, 'dump', 9],
        [130_000, 'destroy', 9],
      ],
      'reset',
    ],
    [
      'it had moved something, and may have been silent since',
      [
        [0, 'new', 1],
        [100_000, 'dump', 5],
        [110_000, 'dump', 9],
        [120_000, 'dump', 9],
        [160_000, 'destroy', 9],
      ],
      'idle',
    ],
    [
      'it had moved something that no list has shown',
      [
        [0, 'new', 1],
        [100_000, 'dump', 5],
        [110_000, 'destroy', 9],
      ],
      'reset',
    ],
  ])(
    'that is forgotten while it is open was idle if it can have been, else broken off: %s',
    (_, said, code) => {
      const world = new World();
      for (const [nowMs, event, packets] of said) {
        world.nowMs = nowMs;
        const counters = { originalCounters: counted(packets, 0), replyCounters: counted(0, 0) };
        world.hear(entry(1, { ...answered, event, ...counters }));
      }
      expect(world.told).toMatchObject([{ code }]);
    },
  );

  test('of nobody here is not followed', () => {
    const world = new World();
    const other = Address.v4(0x08080808, 53);
    world.hear(entry(1, { original: { source: other, destination: other } }));
    expect(world.told).toEqual([]);
  });
});

/** A kernel that begins and ends connections as it likes, and loses what it says of them when told to. */
class Kernel {
  readonly entries = new Map<number, ConntrackEntry>();
  ended = 0;
  private nextId = 1;
  private readonly random: () => number;
  private readonly say: (entry: ConntrackEntry) => void;

  constructor(seed: number, say: (entry: ConntrackEntry) => void) {
    this.random = seededRandom(seed);
    this.say = say;
  }

  step(): void {
    const ids = [...this.entries.keys()];
    const id = ids[Math.floor(this.random() * ids.length)];
    const choice = this.random();
    if (id === undefined || choice < 0.35) {
      const made = entry(this.nextId++, this.random() < 0.3 ? { protocol: 'udp', tcpState: undefined } : {});
      this.entries.set(made.id, made);
      this.say(made);
    } else if (choice < 0.7) {
      const known = this.entries.get(id)!;
      const tcp = { tcpState: Math.min((known.tcpState ?? 0) + 1 + Math.floor(this.random() * 3), 8) };
      const next = {
        ...known,
        status: known.status | conntrackStatus.seenReply,
        ...(known.protocol === 'tcp' ? tcp : {}),
      };
      this.entries.set(id, next);
      this.say({ ...next, event: 'update' });
    } else this.destroy(id);
  }

  destroy(id: number): void {
    const known = this.entries.get(id);
    if (known === undefined) return;
    this.entries.delete(id);
    this.ended++;
    this.say({ ...known, event: 'destroy' });
  }
}

describe('after any number of events', () => {
  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'whoever is open there is open here, though events are lost (seed %i)',
    (seed) => {
      const world = new World();
      const dice = seededRandom(seed + 1_000);
      let isDeaf = false;
      const kernel = new Kernel(seed, (said) => {
        if (!isDeaf) world.hear(said);
      });
      for (let step = 0; step < 3_000; step++) {
        world.nowMs += 10;
        if (dice() < 0.002) isDeaf = true;
        kernel.step();
        const flow = world.told[Math.floor(dice() * world.told.length)];
        if (dice() < 0.05 && flow !== undefined && world.flows.end(flow, 'operator', world.nowMs))
          kernel.destroy(flow.id);
        world.flows.turn(world.nowMs);
        if (isDeaf && dice() < 0.05) {
          isDeaf = false;
          listAll(world, kernel, dice);
        }
      }
      isDeaf = false;
      listAll(world, kernel, dice);
      expect(world.open.sort((a, b) => a - b)).toEqual([...kernel.entries.keys()].sort((a, b) => a - b));
      expect(world.flows.size).toBe(kernel.entries.size);
      for (const { code, isAnswered } of world.told)
        if (code !== undefined && code !== 'operator' && !isAnswered)
          expect(['backend-refused', 'backend-timeout', 'closed', 'expired', 'reset', 'operator']).toContain(
            code,
          );
    },
  );

  /** The kernel goes on meanwhile: what is listed may have gone by then, or have come after its place was passed. */
  function listAll(world: World, kernel: Kernel, dice: () => number): void {
    world.flows.beginList();
    for (const listed of [...kernel.entries.values()]) {
      if (dice() < 0.3) kernel.step();
      world.hear({ ...listed, event: 'dump' });
    }
    world.flows.endList(world.nowMs);
  }

  test('each that began has ended once, where all was heard', () => {
    const world = new World();
    const kernel = new Kernel(7, (said) => world.hear(said));
    for (let step = 0; step < 20_000; step++) kernel.step();
    for (const id of [...kernel.entries.keys()]) kernel.destroy(id);
    expect(world.glancedCount).toBeGreaterThan(1_000);
    expect(world.told.filter(({ code }) => code !== undefined)).toHaveLength(kernel.ended);
    expect(world.flows.size).toBe(0);
  });
});
