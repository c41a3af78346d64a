/**
 * The addresses of a listener: one, or several that are one listener, with the same pool, counters and places. Which of them a
 * flow came in by is said by its `local` address.
 */
import type { Address } from './address.ts';
import { Address as Addresses } from './address.ts';
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

/** Whether a flow that came in at `local` came in by one of `binds`; one over a unix socket has no address of its own. */
export function isCovered(binds: readonly Bind[], local: Address, hasAddress: boolean): boolean {
  return binds.some((bind) => {
    if (bind.kind === 'unix') return !hasAddress;
    if (!hasAddress || (bind.port !== local.port && bind.port !== 0)) return false;
    const address = Addresses.parse(bind.ip, local.port);
    if (address === undefined) return false;
    if (!address.isWildcard) return address.equals(local);
    return address.family === 6 || local.family === 4;
  });
}

/** `tcp://0.0.0.0:443, udp://[::]:7000-7099`: ports that follow each other are one range. */
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
  return texts.join(', ');
}

function isNext(bind: Bind | undefined, ip: string, last: number): boolean {
  return bind?.kind === 'inet' && bind.ip === ip && last > 0 && bind.port === last + 1;
}
