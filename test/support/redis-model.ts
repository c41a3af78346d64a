/**
 * What the cluster's scripts do, as a model in memory: the same steps on maps instead of keys. A test runs both on the
 * same random steps and compares (cluster-model.test.ts), so that what the simulation proves holds for the scripts.
 */
import { comparePositions } from '../../src/cluster/position.ts';
import type {
  ApplyReply,
  Fenced,
  PinNews,
  PinStep,
  PulseMode,
  PulseReply,
  ReadReply,
  StreamEntry,
  Verdict,
} from '../../src/cluster/store.ts';

interface Timed {
  readonly value: string;
  readonly untilMs: number;
}

export interface ShardState {
  head: { epoch: string; last: string } | undefined;
  leases: Map<string, Timed>;
  pins: Map<string, Timed>;
  stream: StreamEntry[];
}

const valueShape = /^(\d+) (\S+) \S+ \S+ \d+ (\d+)$/;

export function emptyShard(): ShardState {
  return { head: undefined, leases: new Map(), pins: new Map(), stream: [] };
}

export function copyShard(state: ShardState): ShardState {
  return {
    head: state.head && { ...state.head },
    leases: new Map(state.leases),
    pins: new Map(state.pins),
    stream: [...state.stream],
  };
}

export class RedisModel {
  shards: ShardState[];
  /** Called before a pin is overwritten: by whom, with what, the value that stood there. */
  onOverwrite: (writer: string, step: PinStep, stood: string) => void = () => {};
  onRemove: (text: string) => void = () => {};
  private readonly nowMs: () => number;

  constructor(shards: number, nowMs: () => number) {
    this.nowMs = nowMs;
    this.shards = Array.from({ length: shards }, emptyShard);
  }

  pulse(
    shard: number,
    instance: string,
    token: string,
    incarnation: string,
    epoch: string,
    mode: PulseMode,
    leaseMs: number,
  ): PulseReply | Fenced {
    const state = this.shards[shard]!;
    const holder = this.live(state.leases, instance);
    if (mode === 'renew' && holder !== token) return { kind: 'fenced', holder: holder ?? '' };
    if (mode === 'take' && holder !== undefined && !holder.startsWith(incarnation))
      return { kind: 'fenced', holder };
    state.leases.set(instance, { value: token, untilMs: this.nowMs() + leaseMs });
    state.head ??= { epoch, last: '0-0' };
    return { kind: 'ok', ...state.head };
  }

  apply(
    shard: number,
    instance: string,
    token: string,
    epoch: string,
    entriesMax: number,
    steps: readonly PinStep[],
  ): ApplyReply | Fenced {
    const state = this.shards[shard]!;
    const holder = this.live(state.leases, instance);
    if (holder !== token) return { kind: 'fenced', holder: holder ?? '' };
    const head = state.head ?? { epoch, last: '0-0' };
    const news: PinNews[] = [];
    const verdicts = steps.map((step) => this.step(state, instance, step, news));
    if (news.length === 0) return { kind: 'ok', ...head, added: false, verdicts };
    const position = this.nextPosition(state);
    state.stream.push({ position, previous: head.last, news });
    if (state.stream.length > entriesMax) state.stream.splice(0, state.stream.length - entriesMax);
    state.head = { epoch: head.epoch, last: position };
    return { kind: 'ok', ...state.head, added: true, verdicts };
  }

  read(shard: number, texts: readonly string[]): ReadReply {
    const state = this.shards[shard]!;
    return {
      epoch: state.head?.epoch ?? '',
      last: state.head?.last ?? '0-0',
      pins: texts.map((text) => this.news(state, text)),
    };
  }

  entries(shard: number, position: string, count: number): StreamEntry[] {
    return this.shards[shard]!.stream.filter((entry) => comparePositions(entry.position, position) > 0).slice(
      0,
      count,
    );
  }

  texts(shard: number): string[] {
    const { pins } = this.shards[shard]!;
    return [...pins.keys()].filter((text) => this.live(pins, text) !== undefined);
  }

  flushAll(): void {
    this.shards = this.shards.map(emptyShard);
  }

  value(shard: number, text: string): string | undefined {
    return this.live(this.shards[shard]!.pins, text);
  }

  private step(state: ShardState, writer: string, step: PinStep, news: PinNews[]): Verdict {
    const { text, expect, backend, pxMs } = step;
    const current = this.live(state.pins, text);
    const shape = current === undefined || current.length > 256 ? null : valueShape.exec(current);
    const version =
      shape?.[1] ??
      (current !== undefined && current.length <= 256 ? /^(\d+) /.exec(current)?.[1] : undefined);
    if (version !== undefined && version !== '1') return { kind: 'foreign' };
    const theirs = shape?.[2];
    const untilMs = this.nowMs() + pxMs;
    if (backend === '') {
      if (theirs === undefined) return { kind: 'gone' };
      if (expect !== '*' && expect !== theirs) return this.lost(state, text);
      this.onRemove(text);
      state.pins.delete(text);
      news.push({ text, pxMs: 0, value: '' });
      return { kind: 'removed' };
    }
    if (theirs === backend && expect !== '*') {
      const left = state.pins.get(text)!.untilMs - this.nowMs();
      if (left === Number.POSITIVE_INFINITY || pxMs - left > pxMs / 8) {
        state.pins.set(text, { value: current!, untilMs });
        news.push({ text, pxMs, value: current! });
      }
      return { kind: 'same' };
    }
    if (current === undefined && expect === backend) return { kind: 'gone' };
    if (theirs !== undefined && expect !== '*' && expect !== theirs) return this.lost(state, text);
    if (theirs !== undefined) this.onOverwrite(writer, step, current!);
    const generation = (Number(shape?.[3] ?? 0) + 1) % 2147483648;
    const value = `1 ${backend} ${writer} ${step.reason} ${step.ttlMs} ${generation}`;
    state.pins.set(text, { value, untilMs });
    news.push({ text, pxMs, value });
    return { kind: 'written' };
  }

  private lost(state: ShardState, text: string): Verdict {
    const { pxMs, value } = this.news(state, text);
    return { kind: 'lost', pxMs, value };
  }

  private news(state: ShardState, text: string): PinNews {
    const value = this.live(state.pins, text);
    if (value === undefined || value.length > 256) return { text, pxMs: 0, value: '' };
    return { text, pxMs: Math.max(1, Math.round(state.pins.get(text)!.untilMs - this.nowMs())), value };
  }

  private live(map: Map<string, Timed>, name: string): string | undefined {
    const timed = map.get(name);
    if (timed === undefined || timed.untilMs <= this.nowMs()) return undefined;
    return timed.value;
  }

  /** As Redis does it: the clock's millisecond, and a sequence while that has not passed the stream's newest entry. */
  private nextPosition(state: ShardState): string {
    const newest = state.stream.at(-1)?.position.split('-').map(Number) ?? [0, 0];
    const ms = Math.max(Math.floor(this.nowMs()), newest[0]!);
    return `${ms}-${ms === newest[0] ? newest[1]! + 1 : 0}`;
  }
}
