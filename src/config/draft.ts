/**
 * A draft: what can be judged of a file although other parts of it are wrong, so that all problems are told at
 * once. Keys that are wrong are taken out, also those that nothing can do without: a listener whose address is
 * wrong still has a name that may be another's, and a pool that may not exist.
 * A draft is only for check*.ts: a plan is never built from one.
 */
import type { RedisPlan } from '../core/cluster-plan.ts';
import type { Bind } from '../core/plan.ts';
import { adminShape } from './admin-shape.ts';
import { backendShape } from './backend-shape.ts';
import { readRedisUrl } from './cluster-shape.ts';
import { isMap, valueAt } from './issues.ts';
import { listenerShape } from './listener-shape.ts';
import { poolShape } from './pool-shape.ts';
import type { Path } from './problem.ts';
import { routeShape } from './route-shape.ts';
import { type FileShape, fileShape, metricsShape } from './shape.ts';
import type { Remark } from './telling.ts';
import type { Tree } from './tree.ts';
import * as z from './zod.ts';

export interface Placed<T> {
  readonly path: Path;
  readonly value: T;
}

const listenerParts = listenerShape.partial().extend({ routes: z.array(routeShape.partial()).optional() });
const backendParts = backendShape.partial();
const poolParts = poolShape.omit({ backends: true }).partial();

/** What is undefined is wrong, or left out. */
export type ListenerDraft = Placed<z.output<typeof listenerParts>>;
export type BackendDraft = Placed<z.output<typeof backendParts>>;

export interface PoolDraft extends Placed<z.output<typeof poolParts>> {
  readonly name: string;
  readonly backends: readonly BackendDraft[];
  /** It has `backends` or `discovery`, right or wrong. */
  readonly hasServers: boolean;
  /** False: some backends were left out, as they are no maps, or more are found later. */
  readonly complete: boolean;
}

export interface Draft {
  readonly listeners: readonly ListenerDraft[];
  /** False: some listeners were left out, or it is not known which pool they use. */
  readonly listenersComplete: boolean;
  readonly pools: readonly PoolDraft[];
  /** Every pool the file names, also those that are no maps; undefined: it has no map of pools. */
  readonly poolNames: ReadonlySet<string> | undefined;
  readonly instanceFlows: number | 'auto' | undefined;
  readonly udpShare: number | undefined;
  readonly zone: string | undefined;
  /** The address of Redis, if it could be read. */
  readonly redis: Placed<RedisPlan> | undefined;
  /** Right or wrong. */
  readonly hasCluster: boolean;
  /** Where metrics and admin listen. */
  readonly services: readonly Placed<Bind>[];
  /** False if something was taken out at `path` or below it. */
  isSound(path: Path): boolean;
  /** True if the file has something at `path`, right or wrong. */
  isWritten(path: Path): boolean;
  /** True if what is at `path` was taken out: the default in its place is not what the user wants. */
  wasWrong(path: Path): boolean;
}

/** What is left of `value`, the part of `tree` that is judged, when everything in `findings` is taken out. */
export function draftOf(tree: Tree, value: unknown, findings: readonly Remark[]): Draft {
  const root = structuredClone(value);
  // Deepest first: what is above may go as well.
  for (const finding of [...findings].sort((a, b) => b.path.length - a.path.length))
    prune(root, finding.path);
  const wrong = new Set(findings.map((finding) => JSON.stringify(finding.path)));
  const unsound = new Set(
    findings.flatMap(({ path }) => path.map((_, i) => JSON.stringify(path.slice(0, i + 1)))),
  );
  const pools = valueAt(tree.value, ['pools']);
  const listeners = itemsOf(root, ['listeners'], listenerParts);
  const limits = fileShape.shape.limits.safeParse(valueAt(root, ['limits'])).data;
  return {
    listeners: listeners.placed,
    listenersComplete: listeners.complete && listeners.placed.every(({ value }) => isLed(value)),
    pools: entriesOf(valueAt(root, ['pools'])).flatMap(([name, pool]) => poolDraft(root, name, pool)),
    poolNames: isMap(pools) ? new Set(Object.keys(pools)) : undefined,
    isSound: (path) => !unsound.has(JSON.stringify(path)),
    isWritten: (path) => valueAt(tree.value, path) !== undefined,
    wasWrong: (path) => wrong.has(JSON.stringify(path)),
    instanceFlows: limits?.flows,
    udpShare: limits?.udp_share,
    zone: fileShape.shape.zone.safeParse(valueAt(root, ['zone'])).data,
    hasCluster: valueAt(tree.value, ['cluster']) !== undefined,
    redis: redisOf(root),
    services: [metricsShape, adminShape].flatMap((shape, i) => {
      const path = [i === 0 ? 'metrics' : 'admin'];
      const service = shape.safeParse(valueAt(root, path)).data;
      return service === undefined ? [] : [{ path: [...path, 'listen'], value: service.listen }];
    }),
  };
}

/** The draft of a file in which every key has its form: nothing is read again. */
export function draftOfWhole(file: FileShape): Draft {
  const { redis } = file.cluster ?? {};
  const placed = <T>(path: Path, values: readonly T[]): Placed<T>[] =>
    values.map((value, i) => ({ path: [...path, i], value }));
  const service = (key: 'metrics' | 'admin'): Placed<Bind>[] => {
    const listen = file[key]?.listen;
    return listen === undefined ? [] : [{ path: [key, 'listen'], value: listen }];
  };
  return {
    listeners: placed(['listeners'], file.listeners),
    listenersComplete: true,
    pools: Object.entries(file.pools).map(([name, { backends, ...value }]) => ({
      hasServers: backends !== undefined || value.discovery !== undefined,
      path: ['pools', name],
      name,
      value,
      backends: placed(['pools', name, 'backends'], backends ?? []),
      complete: value.discovery === undefined,
    })),
    poolNames: new Set(Object.keys(file.pools)),
    isSound: () => true,
    isWritten: (path) => valueAt(file, path) !== undefined,
    wasWrong: () => false,
    instanceFlows: file.limits?.flows,
    udpShare: file.limits?.udp_share,
    zone: file.zone,
    hasCluster: file.cluster !== undefined,
    redis:
      redis &&
      ('form' in redis
        ? { path: ['cluster', 'redis'], value: redis }
        : { path: ['cluster', 'redis', 'url'], value: redis.url }),
    services: [...service('metrics'), ...service('admin')],
  };
}

/** It is known which pools it uses. */
function isLed({ pool, routes }: ListenerDraft['value']): boolean {
  return (pool ?? routes) !== undefined && routes?.every((route) => route.pool !== undefined) !== false;
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
  return [
    {
      path,
      name,
      value: settings,
      hasServers: Object.hasOwn(pool, 'backends') || Object.hasOwn(pool, 'discovery'),
      backends: backends.placed,
      complete: backends.complete && !Object.hasOwn(pool, 'discovery'),
    },
  ];
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

function entriesWithout(value: unknown, key: string): Record<string, unknown> {
  return Object.fromEntries(entriesOf(value).filter(([name]) => name !== key));
}
