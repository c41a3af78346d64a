/**
 * Options without an effect where they stand are usually meant for something else: said, but not refused. One loop over the rows;
 * what a row says of itself (`scope`, `needs`) is judged here, rules of more than that are in check-*.ts.
 */
import type { Option, Options, Rules } from '../core/options.ts';
import { isUnixOnly } from './bind.ts';
import type { Draft, ListenerDraft, PoolDraft } from './draft.ts';
import { isMap } from './issues.ts';
import { listenerOptions } from './listener-shape.ts';
import { poolOptions } from './pool-shape.ts';
import type { Path } from './problem.ts';
import type { Report } from './report.ts';

type Scope = NonNullable<Rules['scope']>;
type WhyNot = (scope: Scope) => string | undefined;

export function checkListenerOptions({ path, value }: ListenerDraft, draft: Draft, report: Report): void {
  const at = value.bind;
  tell(listenerOptions, value, path, draft, report, (scope) => {
    if (at === undefined) return undefined;
    if (scope === 'inet') return isUnixOnly(at) ? 'has no effect on a unix socket' : undefined;
    return scope === at.protocol ? undefined : `has no effect on a ${at.protocol.toUpperCase()} listener`;
  });
}

export function checkPoolOptions(
  pool: PoolDraft,
  users: readonly ListenerDraft[],
  draft: Draft,
  report: Report,
): void {
  const protocols = new Set(users.map(({ value }) => value.bind?.protocol));
  const isLocal =
    pool.complete &&
    pool.backends.length > 0 &&
    pool.backends.every(({ value }) => value.address?.kind === 'unix');
  tell(poolOptions, pool.value, pool.path, draft, report, (scope) => {
    switch (scope) {
      case 'inet':
        return isLocal ? 'has no effect: every backend is a unix socket' : undefined;
      case 'tcp':
        return protocols.size === 1 && protocols.has('udp')
          ? 'has no effect: every listener of this pool is UDP'
          : undefined;
      case 'udp':
        return protocols.size === 0 || protocols.has('udp')
          ? undefined
          : 'has no effect: no listener of this pool is UDP';
    }
  });
}

function tell(
  options: Options,
  written: Readonly<Record<string, unknown>>,
  path: Path,
  draft: Draft,
  report: Report,
  whyNot: WhyNot,
): void {
  for (const [planName, option] of Object.entries(options)) {
    const key = option.key ?? planName;
    const value = written[key];
    if (value === undefined) continue;
    const why =
      (option.scope && whyNot(option.scope)) ??
      unmet(option, options, written, (key) => draft.wasWrong([...path, key]));
    if (why !== undefined) report.warning([...path, key], why, 'key');
    else if ('options' in option && option.options !== undefined && isMap(value))
      tell(option.options, value, [...path, key], draft, report, whyNot);
  }
}

/** What another option has to be for `option` to have an effect, where it is not. */
function unmet(
  { needs }: Option<unknown, unknown>,
  options: Options,
  written: Readonly<Record<string, unknown>>,
  wasWrong: (key: string) => boolean,
): string | undefined {
  if (needs === undefined || wasWrong(needs.key)) return undefined;
  const other = Object.entries(options).find(([planName, { key }]) => (key ?? planName) === needs.key);
  const value = written[needs.key] ?? other?.[1].fallback;
  if ('is' in needs)
    return value === needs.is ? undefined : `has no effect unless ${needs.key} is ${needs.is}`;
  return value === needs.isNot ? `has no effect while ${needs.key} is ${needs.isNot}` : undefined;
}
