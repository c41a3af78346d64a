/** What of a listener's options an engine goes without: whoever wrote them is told, by the keys of the file. */
import { bindsOf } from '../core/binds.ts';
import type { Options } from '../core/options.ts';
import type { ListenerPlan, Plan, UpstreamPlan } from '../core/plan.ts';
import { isMap } from './issues.ts';
import { listenerOptions } from './listener-shape.ts';
import type { Path } from './problem.ts';
import { upstreamOptions } from './socket-shape.ts';

type EngineName = 'epoll' | 'portable';

/**
 * `tcp.fast_open`, `mark of its pool`: in the order of the reference.
 * @param upstreams of all pools that serve it; absent: that of its own
 */
export function unhonoured(
  listener: ListenerPlan,
  engine: EngineName,
  upstreams: readonly UpstreamPlan[] = listener.upstream === undefined ? [] : [listener.upstream],
): string[] {
  return [
    ...ofListener(listener, engine),
    ...new Set(
      upstreams.flatMap((upstream) =>
        those(upstreamOptions, { ...upstream }, engine).map((key) => `${key} of its pool`),
      ),
    ),
  ];
}

/** Where the same is written. */
export function unhonouredPaths({ listeners, pools }: Plan, engine: EngineName): Path[] {
  return [
    ...listeners.flatMap((listener, index) =>
      ofListener(listener, engine).map((key): Path => ['listeners', index, ...key.split('.')]),
    ),
    ...pools.flatMap(({ name, upstream }) =>
      those(upstreamOptions, { ...upstream }, engine).map((key): Path => ['pools', name, key]),
    ),
  ];
}

function ofListener(listener: ListenerPlan, engine: EngineName): string[] {
  const device = bindsOf(listener).flatMap((bind) => (bind.kind === 'inet' ? (bind.device ?? []) : []))[0];
  return those(listenerOptions, { ...listener, device }, engine);
}

/** An option that is off is not missed. */
function those(options: Options, values: Readonly<Record<string, unknown>>, engine: EngineName): string[] {
  return Object.entries(options).flatMap(([planName, option]) => {
    const value = values[planName];
    const key = option.key ?? planName;
    if (value === undefined || value === false) return [];
    if (option.engines?.includes(engine) === false) return [key];
    if (option.kind !== 'group' || !isMap(value)) return [];
    return those(option.options, value, engine).map((below) => `${key}.${below}`);
  });
}
