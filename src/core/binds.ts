/**
 * The addresses of a listener: one, or several that are one listener, with the same pool, counters and places. Which of them a
 * flow came in by is said by its `local` address.
 */
import type { Address } from './address.ts';
import { Address as Addresses, noAddress } from './address.ts';
import { formatAddress } from './address-text.ts';
import type { Bind, ListenerPlan, Protocol } from './plan.ts';

type Bound = Pick<ListenerPlan, 'bind' | 'binds'>;

export function bindsOf({ bind, binds }: Bound): readonly Bind[] {
  return binds ?? [bind];
}

/** Equal for binds that are the same. */
export function bindKey(bind: Bind): string {
  return bind.kind === 'unix' ? bind.path : `${bind.ip} ${bind.port} ${bind.device ?? ''}`;
}

/** Of what is kept for each address of a listener those that `some` names; undefined: all. */
export function doorsAmong<T>(
  doors: ReadonlyMap<string, T> | undefined,
  some: readonly string[] | undefined,
): readonly (readonly [string, T])[] {
  if (doors === undefined) return [];
  if (some === undefined) return [...doors];
  return some.flatMap((key) => {
    const door = doors.get(key);
    return door === undefined ? [] : [[key, door] as const];
  });
}

/**
 * Whether a flow that came in at `local` came in by one of `binds`; `noAddress`: over a unix socket. Made once for an order that asks
 * each of many flows: there may be ten thousand binds, and few at one port.
 */
export function coverage(binds: readonly Bind[]): (local: Address) => boolean {
  const isUnix = binds.some(({ kind }) => kind === 'unix');
  const byPort = new Map<number, Address[]>();
  for (const bind of binds) {
    const address = bind.kind === 'inet' ? Addresses.parse(bind.ip, bind.port) : undefined;
    if (address === undefined) continue;
    const known = byPort.get(address.port);
    if (known === undefined) byPort.set(address.port, [address]);
    else known.push(address);
  }
  return (local) => {
    if (local === noAddress) return isUnix;
    const those = byPort.get(local.port) ?? [];
    return those.some((one) => (one.isWildcard ? one.family === 6 || local.family === 4 : one.equals(local)));
  };
}

/** A listener may have ten thousand addresses, of which a line of a log, a label and a table show so many ranges. */
const rangesShownMax = 32;

/** `tcp://0.0.0.0:443, udp://[::]:7000-7099`: ports that follow each other are one range. Of many ranges the first ones, and how many more. */
export function bindsText(protocol: Protocol, binds: readonly Bind[]): string {
  const texts: string[] = [];
  for (let i = 0; i < binds.length; ) {
    const bind = binds[i++]!;
    if (bind.kind === 'unix') {
      texts.push(formatAddress(bind));
      continue;
    }
    let last = bind.port;
    for (let next = binds[i]; isNext(next, bind.ip, last); next = binds[i]) {
      last++;
      i++;
    }
    texts.push(`${protocol}://${formatAddress(bind)}${last === bind.port ? '' : `-${last}`}`);
  }
  const more = texts.length - rangesShownMax;
  if (more > 0) texts.splice(rangesShownMax, more, `and ${more} more`);
  return texts.join(', ');
}

function isNext(bind: Bind | undefined, ip: string, last: number): boolean {
  return bind?.kind === 'inet' && bind.ip === ip && last > 0 && bind.port === last + 1;
}
