/**
 * A draft: what can be judged of a file although other parts of it are wrong, so that all problems are told at
 * once. Keys that are wrong are taken out, also those that nothing can do without: a listener whose address is
 * wrong still has a name that may be another's, and a pool that may not exist.
 * A draft is only for check*.ts: a plan is never built from one.
 */
import type * as z from 'zod';
import type { RedisPlan } from '../core/cluster-plan.ts';
import type { Bind } from '../core/plan.ts';
import { readRedisUrl } from './cluster-shape.ts';
import { type Finding, valueAt } from './issues.ts';
import { listenerShape } from './listener-shape.ts';
import { backendShape, poolShape } from './pool-shape.ts';
import { formatPath, type Path } from './problem.ts';
import { adminShape, instanceLimitsShape, metricsShape } from './shape.ts';
import type { Tree } from './tree.ts';

export interface Placed<T> {
  readonly path: Path;
  readonly value: T;
}

const listenerParts = listenerShape.partial();
const backendParts = backendShape.partial();
const poolParts = poolShape.omit({ backends: true }).partial();

/** What is undefined is wrong, or left out. */
export type ListenerDraft = Placed<z.output<typeof listenerParts>>;
export type BackendDraft = Placed<z.output<typeof backendParts>>;

export interface PoolDraft extends Placed<z.output<typeof poolParts>> {
  readonly name: string;
  readonly backends: readonly BackendDraft[];
  /** False: some backends were left out, as they are no maps. */
  readonly complete: boolean;
}

export interface Draft {
  readonly listeners: readonly ListenerDraft[];
  /** False: some listeners were left out, or it is not known which pool they use. */
  readonly listenersComplete: boolean;
  readonly pools: readonly PoolDraft[];
  /** Every pool the file names, also those that are no maps; undefined: it has no map of pools. */
  readonly poolNames: readonly string[] | undefined;
  readonly instanceFlows: number | 'auto' | undefined;
  readonly udpShare: number | undefined;
  /** The address of Redis, if it could be read. */
  readonly redis: Placed<RedisPlan> | undefined;
  /** Where metrics and admin listen. */
  readonly services: readonly Placed<Bind>[];
  /** True if what is at `path` was taken out: the default in its place is not what the user wants. */
  wasWrong(path: Path): boolean;
}

/** What is left of `tree` when everything in `findings` is taken out. */
export function draftOf(tree: Tree, findings: readonly Finding[]): Draft {
  const root = structuredClone(tree.value);
  // Deepest first: what is above may go as well.
  for (const finding of [...findings].sort((a, b) => b.path.length - a.path.length))
    prune(root, finding.path);
  const wrong = new Set(findings.map((finding) => formatPath(finding.path)));
  const pools = valueAt(tree.value, ['pools']);
  const listeners = itemsOf(root, ['listeners'], listenerParts);
  const limits = instanceLimitsShape.safeParse(valueAt(root, ['limits'])).data;
  return {
    listeners: listeners.placed,
    listenersComplete: listeners.complete && listeners.placed.every(({ value }) => value.pool !== undefined),
    pools: entriesOf(valueAt(root, ['pools'])).flatMap(([name, pool]) => poolDraft(root, name, pool)),
    poolNames: isMap(pools) ? Object.keys(pools) : undefined,
    wasWrong: (path) => wrong.has(formatPath(path)),
    instanceFlows: limits?.flows,
    udpShare: limits?.udp_share,
    redis: redisOf(root),
    services: [metricsShape, adminShape].flatMap((shape, i) => {
      const path = [i === 0 ? 'metrics' : 'admin'];
      const service = shape.safeParse(valueAt(root, path)).data;
      return service === undefined ? [] : [{ path: [...path, 'listen'], value: service.listen }];
    }),
  };
}

function redisOf(root: unknown): Placed<RedisPlan> | undefined {
  for (const path of [
    ['cluster', 'redis'],
    ['cluster', 'redis', 'url'],
  ]) {
    const reading = readRedisUrl(valueAt(root, path));
    if ('value' in reading) return { path, value: reading.value };
  }
  return undefined;
}

function poolDraft(root: unknown, name: string, pool: unknown): PoolDraft[] {
  const path = ['pools', name];
  const backends = itemsOf(root, [...path, 'backends'], backendParts);
  const settings = whatFits(entriesWithout(pool, 'backends'), poolParts);
  if (!isMap(pool) || settings === undefined) return [];
  return [{ path, name, value: settings, backends: backends.placed, complete: backends.complete }];
}

function itemsOf<T>(
  root: unknown,
  path: Path,
  shape: z.ZodType<T>,
): { placed: Placed<T>[]; complete: boolean } {
  const list = valueAt(root, path);
  if (!Array.isArray(list)) return { placed: [], complete: false };
  const placed = list.flatMap((item: unknown, i) => {
    const value = whatFits(item, shape);
    return value === undefined ? [] : [{ path: [...path, i], value }];
  });
  return { placed, complete: placed.length === list.length };
}

/**
 * Without the keys that still do not fit after what is wrong in them was taken out: an `on_down` without its
 * `grace` is nothing. Undefined if it is no map.
 */
function whatFits<T>(value: unknown, shape: z.ZodType<T>): T | undefined {
  if (!isMap(value)) return undefined;
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const unfit = result.error.issues.map((issue) => String(issue.path[0]));
  return shape.safeParse(Object.fromEntries(entriesOf(value).filter(([key]) => !unfit.includes(key)))).data;
}

/** Items of lists stay, or the ones after them would change their place. */
function prune(root: unknown, path: Path): void {
  const parent = valueAt(root, path.slice(0, -1));
  const key = path.at(-1);
  if (typeof key === 'string' && typeof parent === 'object' && parent !== null) {
    delete (parent as Record<string, unknown>)[key];
  }
}

function entriesOf(value: unknown): [string, unknown][] {
  return isMap(value) ? Object.entries(value) : [];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function entriesWithout(value: unknown, key: string): Record<string, unknown> {
  return Object.fromEntries(entriesOf(value).filter(([name]) => name !== key));
}
