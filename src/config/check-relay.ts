/**
 * Rules for `relay: kernel`: rules of the kernel rewrite addresses of packets and read nothing that clients say. What would need
 * more is refused, with the reason; what is only without effect is warned of.
 */
import { Address } from '../core/address.ts';
import { hashPolicies } from '../core/plan.ts';
import type { BackendDraft, Draft, ListenerDraft, PoolDraft } from './draft.ts';
import { poolOptions } from './pool-shape.ts';
import type { Path } from './problem.ts';
import type { Report } from './report.ts';

export function checkRelay(draft: Draft, report: Report): void {
  for (const listener of draft.listeners) {
    if (listener.value.relay !== 'kernel') continue;
    checkListener(listener, report);
    checkBinds(listener, report);
    const pool = draft.pools.find(({ name }) => name === listener.value.pool);
    if (pool === undefined) continue;
    checkPool(pool, listener, draft, report);
    for (const backend of pool.backends) checkBackend(backend, listener, report);
    checkFamilies(pool, listener, report);
  }
}

type Written = ListenerDraft['value'];

/** What stands at some place of a listener and cannot be carried, and why. */
const refusals: readonly (readonly [Path, (value: Written) => boolean, string])[] = [
  [
    ['routes'],
    ({ routes }) => routes !== undefined,
    'the kernel reads nothing that clients say: it has one pool',
  ],
  [['proxy_protocol'], (value) => value.proxy_protocol !== undefined, 'the kernel reads no PROXY header'],
  [['rebind'], ({ rebind }) => rebind !== undefined, 'the kernel knows a client by its address alone'],
  [['session_ends_after'], (value) => value.session_ends_after !== undefined, 'the kernel counts no replies'],
  [
    ['bandwidth'],
    ({ bandwidth }) => bandwidth !== undefined,
    'the kernel passes packets on as fast as they come',
  ],
  [
    ['bind_device'],
    (value) => value.bind_device !== undefined,
    'the kernel takes packets by their address, whatever device they come in by',
  ],
  [
    ['refuse'],
    ({ refuse }) => refuse === 'close',
    'a connection that is not taken cannot be closed in order: use reset or silence',
  ],
  [
    ['limits', 'flows'],
    ({ limits }) => (limits?.flows ?? 0) > 0,
    'the kernel counts the connections of a client, not those of a listener: use flows_per_client',
  ],
  [
    ['limits', 'reserve'],
    ({ limits }) => typeof limits?.reserve === 'number',
    'the kernel has one table for the connections of all (net.netfilter.nf_conntrack_max)',
  ],
  [
    ['limits', 'scope'],
    ({ limits }) => limits?.scope === 'cluster',
    'the kernel counts what comes to this machine',
  ],
  [
    ['affinity', 'claim'],
    ({ affinity }) => typeof affinity === 'object' && affinity.claim === 'before-dial',
    'the kernel does not wait for an answer',
  ],
];

function checkListener({ path, value }: ListenerDraft, report: Report): void {
  const refuse = (steps: Path, why: string): void =>
    report.problem([...path, ...steps], `cannot be had with relay: kernel: ${why}`, 'key');
  for (const [steps, isWritten, why] of refusals) if (isWritten(value)) refuse(steps, why);
  const { affinity } = value;
  const key = typeof affinity === 'object' ? affinity.key : undefined;
  if (key !== undefined && key !== 'client-ip' && key !== 'client-subnet' && key !== 'none')
    refuse(['affinity', 'key'], 'the kernel knows a client by its address: use client-ip or client-subnet');
  for (const key of ['tcp', 'udp'] as const) {
    if (value[key] === undefined || value.bind?.protocol !== key) continue;
    report.warning([...path, key], 'has no effect with relay: kernel: it has no sockets', 'key');
  }
}

function checkBinds({ path, value: { bind } }: ListenerDraft, report: Report): void {
  for (const { bind: each, steps } of bind?.all ?? []) {
    const at = [...path, 'bind', ...steps];
    if (each.kind === 'unix') report.problem(at, 'relay: kernel carries packets, and a unix socket has none');
    else if (each.port === 0) report.problem(at, 'relay: kernel needs a port that is known: it binds none');
    else if (Address.parse(each.ip, 0)?.isWildcard === true)
      report.warning(
        at,
        'with relay: kernel a connection outlives its machine when its client speaks next, and not when its server does, unless the listener has an address of its own: bind the one that clients use',
      );
  }
}

function checkPool(pool: PoolDraft, listener: ListenerDraft, draft: Draft, report: Report): void {
  const { value, path } = pool;
  const refuse = (steps: Path, why: string): void =>
    report.problem(
      [...path, ...steps],
      () => `cannot be had with relay: kernel (${report.pointTo([...listener.path, 'relay'])}): ${why}`,
      'key',
    );
  const policy = value.policy ?? poolOptions.policy.fallback;
  if (!draft.wasWrong([...path, 'policy']) && !hashPolicies.includes(policy))
    refuse(
      ['policy'],
      `the kernel chooses by a hash of the client, and does not look at loads: use ${hashPolicies.join(', ')}`,
    );
  if (value.bound !== undefined && value.bound !== 'none')
    refuse(['bound'], 'the kernel does not look at loads');
  if (value.proxy_protocol !== undefined)
    refuse(['proxy_protocol'], 'the kernel adds no bytes; backends see the client by its address');
  if (value.source !== undefined)
    refuse(
      ['source'],
      'write source: masquerade in the listener, or nothing: packets then leave from the client',
    );
  for (const key of ['mark', 'device'] as const)
    if (value[key] !== undefined) refuse([key], 'the route of a packet is that of its address');
  if (value.tries !== undefined && value.tries > 1)
    refuse(['tries'], "the kernel tries one backend; a client's next attempt may get another one");
  if (value.retry_on !== undefined) refuse(['retry_on'], 'the kernel keeps nothing of what clients say');
  if (value.passive?.no_reply !== undefined)
    refuse(['passive', 'no_reply'], 'the kernel tells nobody of datagrams');
}

function checkBackend({ path, value }: BackendDraft, listener: ListenerDraft, report: Report): void {
  const where = (): string => `relay: kernel (${report.pointTo([...listener.path, 'relay'])})`;
  if ((value.max_connections ?? 0) > 0)
    report.problem(
      [...path, 'max_connections'],
      () => `cannot be had with ${where()}: the kernel does not count the connections of a backend`,
      'key',
    );
  const { address } = value;
  if (address?.kind === 'inet' && address.ip.startsWith('127.'))
    report.warning(
      [...path, 'address'],
      'with relay: kernel packets of clients elsewhere do not come to a loopback address (the kernel drops them): write an address of this machine that its network knows',
    );
  if (address?.kind === 'unix')
    report.problem([...path, 'address'], () => `packets of ${where()} cannot go to a unix socket`);
  else if ((address?.portShift ?? 0) !== 0 && portsOf(listener).size > 1)
    report.problem(
      [...path, 'address'],
      () => `the ports of ${where()} stay as they are, or become one: write :same or a port`,
    );
}

function portsOf({ value: { bind } }: ListenerDraft): ReadonlySet<number> {
  return new Set(bind?.all.flatMap(({ bind: each }) => (each.kind === 'inet' ? [each.port] : [])));
}

/** Addresses are rewritten, not translated from IPv4 to IPv6. Names are not asked here. */
function checkFamilies(pool: PoolDraft, { path, value }: ListenerDraft, report: Report): void {
  const has = pool.backends.map(({ value: { address } }) =>
    address?.kind === 'inet' ? Address.parse(address.ip, 0)?.family : undefined,
  );
  if (!pool.complete || has.length === 0 || has.includes(undefined)) return;
  for (const { bind, steps } of value.bind?.all ?? []) {
    const address = bind.kind === 'inet' ? Address.parse(bind.ip, 0) : undefined;
    if (address === undefined || has.includes(address.family)) continue;
    const message = `relay: kernel does not translate between IPv4 and IPv6, and no backend of pool ${pool.name} has an IPv${address.family} address`;
    if (address.isWildcard && address.family === 6) report.warning([...path, 'bind', ...steps], message);
    else report.problem([...path, 'bind', ...steps], message);
  }
}
