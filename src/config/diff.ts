/**
 * What has to be done to get from one plan to the next. A reload applies the difference; start-up is the difference
 * from nothing. Things are the same when their names are: a listener that is renamed is one removed and one added.
 */
import { bindsOf } from '../core/binds.ts';
import type { Options } from '../core/options.ts';
import type { BackendPlan, ListenerPlan, Plan, PoolPlan } from '../core/plan.ts';
import { canonical } from './digest.ts';
import { instanceOptions } from './shape.ts';

export interface Change<T> {
  readonly old: T;
  readonly next: T;
}

export interface Changes<T, C = Change<T>> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly changed: readonly C[];
}

export interface ListenerChange extends Change<ListenerPlan> {
  /** Protocol or address differ: another socket is needed. (A new backlog waits for the next bind.) */
  readonly rebind: boolean;
}

export interface PoolChange extends Change<PoolPlan> {
  /** Something besides the backends differs. */
  readonly settings: boolean;
  /** All empty, and `settings` false, when only the order of the backends differs. */
  readonly backends: Changes<BackendPlan>;
}

export interface PlanDiff {
  readonly listeners: Changes<ListenerPlan, ListenerChange>;
  readonly pools: Changes<PoolPlan, PoolChange>;
  /** Settings of the instance that differ, by their keys in the file; all of them at start-up. */
  readonly instance: readonly string[];
  /** Those of `instance` that were used up at start and wait for a restart; a reload puts the others in force. */
  readonly needRestart: readonly string[];
  /** Nothing differs but, perhaps, the file's path. */
  readonly empty: boolean;
}

/** The difference from `old` (undefined: nothing runs yet) to `next`. Lists keep the order of their plan. */
export function diffPlans(old: Plan | undefined, next: Plan): PlanDiff {
  const listeners = compare(old?.listeners ?? [], next.listeners, (pair) => ({
    ...pair,
    rebind: pair.old.protocol !== pair.next.protocol || !same(bindsOf(pair.old), bindsOf(pair.next)),
  }));
  const pools = compare(old?.pools ?? [], next.pools, comparePools);
  const differing = settings.filter(({ valueIn }) => old === undefined || !same(valueIn(old), valueIn(next)));
  const instance = differing.map(({ key }) => key);
  const needRestart = differing.filter(({ waits }) => waits).map(({ key }) => key);
  const empty = instance.length === 0 && isEmpty(listeners) && isEmpty(pools);
  return { listeners, pools, instance, needRestart, empty };
}

function comparePools(pair: Change<PoolPlan>): PoolChange {
  const { backends: oldBackends, ...oldSettings } = pair.old;
  const { backends: nextBackends, ...nextSettings } = pair.next;
  return {
    ...pair,
    settings: !same(oldSettings, nextSettings),
    backends: compare(oldBackends, nextBackends, (change) => change),
  };
}

function compare<T extends { readonly name: string }, C>(
  old: readonly T[],
  next: readonly T[],
  changeOf: (pair: Change<T>) => C,
): Changes<T, C> {
  const oldByName = new Map(old.map((item) => [item.name, item]));
  const nextNames = new Set(next.map((item) => item.name));
  return {
    added: next.filter((item) => !oldByName.has(item.name)),
    removed: old.filter((item) => !nextNames.has(item.name)),
    changed: next.flatMap((item) => {
      const before = oldByName.get(item.name);
      return before === undefined || same(before, item) ? [] : [changeOf({ old: before, next: item })];
    }),
  };
}

interface Setting {
  readonly key: string;
  readonly waits: boolean;
  valueIn(plan: Plan): unknown;
}

// A zone is in the pools that it makes a difference to.
const { zone: _, ...ownOptions } = instanceOptions;
const settings = settingsOf(ownOptions, '', (plan) => plan);

/** A map whose options do not all wait alike is judged by each of them. */
function settingsOf(options: Options, prefix: string, partOf: (plan: Plan) => object): Setting[] {
  return Object.entries(options).flatMap(([planName, option]) => {
    const key = prefix + (option.key ?? planName);
    const valueIn = (plan: Plan): unknown => (partOf(plan) as Readonly<Record<string, unknown>>)[planName];
    const { waits = false } = option;
    const isMixed =
      option.kind === 'group' && !waits && Object.values(option.options).some((one) => one.waits);
    return isMixed
      ? settingsOf(option.options, `${key}.`, (plan) => valueIn(plan) as object)
      : [{ key, waits, valueIn }];
  });
}

function isEmpty(changes: Changes<unknown, unknown>): boolean {
  return changes.added.length + changes.removed.length + changes.changed.length === 0;
}

function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}
