/**
 * Rules for pools: backends' names and weights, the policy's own settings, and what the listeners in front ask of them.
 */

import { formatAddress } from '../core/address-text.ts';
import { backendIdsMax, poolIdsMax, ringPointsMax } from '../core/limits.ts';
import { hashPolicies } from '../core/plan.ts';
import { pointsPerWeight } from '../core/policy/ring.ts';
import { formatDuration } from '../core/quantities.ts';
import { poolsOf } from '../core/routes.ts';
import { backendOptions } from './backend-shape.ts';
import { checkUpstream } from './check-sockets.ts';
import { discoveryProblem } from './discovery-shape.ts';
import type { Draft, ListenerDraft, PoolDraft } from './draft.ts';
import { namePattern, nameRule } from './fields.ts';
import { healthOptions, healthProblem } from './health-shape.ts';
import { passiveOptions, poolOptions } from './pool-shape.ts';
import { isPrime, nearestPrime } from './prime.ts';
import { showValue } from './problem.ts';
import { type Report, reportRepeats } from './report.ts';
import { checkPoolOptions } from './without-effect.ts';

/** Below 100 entries for each backend the shares differ by more than 1 %: Maglev, NSDI 2016, section 5.3. */
const tableEntriesPerBackend = 100;

export function checkPools(draft: Draft, report: Report): void {
  const usersOf = usersByPool(draft.listeners);
  for (const pool of draft.pools) {
    checkBackends(pool, draft, report);
    checkPrime(pool, report);
    if (!draft.wasWrong([...pool.path, 'policy'])) checkPolicy(pool, draft, report);
    if (!draft.wasWrong([...pool.path, 'health', 'interval'])) checkHealth(pool, report);
    const users = usersOf.get(pool.name) ?? [];
    checkReach(pool, users, report);
    checkPassive(pool, report);
    checkUpstream(pool, users, report);
    checkProxyVersion(pool, users, report);
    checkPoolOptions(pool, users, draft, report);
    if (users.length === 0 && draft.listenersComplete)
      report.warning(pool.path, 'no listener uses this pool', 'key');
  }
  for (const name of draft.poolNames ?? []) {
    if (!namePattern.test(name))
      report.problem(['pools', name], `${nameRule}, not ${showValue(name)}`, 'key');
  }
  if ((draft.poolNames?.size ?? 0) > poolIdsMax)
    report.problem(['pools'], `has more than ${poolIdsMax} pools`, 'key');
  const backends = draft.pools.reduce((sum, pool) => sum + pool.backends.length, 0);
  if (backends > backendIdsMax) {
    report.problem(
      ['pools'],
      `has ${backends} backends in all; at most ${backendIdsMax} are possible`,
      'key',
    );
  }
}

function usersByPool(listeners: readonly ListenerDraft[]): ReadonlyMap<string, readonly ListenerDraft[]> {
  const users = new Map<string, ListenerDraft[]>();
  for (const listener of listeners) {
    for (const pool of poolsOf(listener.value)) {
      const known = users.get(pool);
      if (known === undefined) users.set(pool, [listener]);
      else known.push(listener);
    }
  }
  return users;
}

function checkBackends(pool: PoolDraft, draft: Draft, report: Report): void {
  const { discovery } = pool.value;
  const isWrong = ['backends', 'discovery'].some((key) => draft.wasWrong([...pool.path, key]));
  if (!pool.hasServers && !isWrong) report.problem([...pool.path, 'backends'], 'is missing');
  const wrong = discovery && discoveryProblem(discovery);
  if (wrong !== undefined) report.problem([...pool.path, 'discovery', wrong.key], wrong.message, 'key');
  reportRepeats(
    pool.backends,
    (backend) => backend.value.name,
    (backend) => [...backend.path, 'name'],
    report,
    (name, first) => `"${name}" is the name of another backend of this pool: ${first}`,
  );
  if (pool.value.identity === 'address') {
    reportRepeats(
      pool.backends,
      ({ value: { address } }) => address && formatAddress(address),
      (backend) => [...backend.path, 'address'],
      report,
      (text, first) => `with identity: address two backends cannot both be ${text}: ${first}`,
    );
  }
  const idle =
    pool.complete && pool.backends.length > 0 && pool.backends.every(({ value }) => value.weight === 0);
  if (idle)
    report.problem(
      [...pool.path, 'backends'],
      'every backend has weight 0: no client could be served',
      'key',
    );
}

/** Whatever the policy: it may be the next one to be tried. */
function checkPrime(pool: PoolDraft, report: Report): void {
  const size = pool.value.table_size;
  if (size === undefined || isPrime(size)) return;
  report.problem(
    [...pool.path, 'table_size'],
    `must be a prime number, not ${size}; the nearest is ${nearestPrime(size)}`,
  );
}

function checkPolicy(pool: PoolDraft, draft: Draft, report: Report): void {
  const policy = pool.value.policy ?? poolOptions.policy.fallback;
  const { bound, table_size: tableSize } = pool.value;
  if (bound !== undefined && bound !== 'none' && !hashPolicies.includes(policy)) {
    report.problem(
      [...pool.path, 'bound'],
      `needs a policy that hashes (${hashPolicies.join(', ')}), not ${policy}`,
      'key',
    );
  }
  if (policy === 'ring') checkRing(pool, report);
  if (policy !== 'maglev') {
    if (tableSize !== undefined && isPrime(tableSize))
      report.warning([...pool.path, 'table_size'], 'has no effect unless policy is maglev', 'key');
    return;
  }
  if (draft.wasWrong([...pool.path, 'table_size']) || (tableSize !== undefined && !isPrime(tableSize)))
    return;
  const size = tableSize ?? poolOptions.tableSize.fallback;
  const count = pool.backends.length;
  if (size < count) {
    report.problem(
      [...pool.path, 'table_size'],
      `is ${size}, less than the ${count} backends: some would get no client`,
    );
  } else if (count > 1 && size < count * tableEntriesPerBackend) {
    const wanted = nearestPrime(count * tableEntriesPerBackend);
    report.warning(
      [...pool.path, 'table_size'],
      `${size} entries for ${count} backends make uneven shares; ${wanted} would be within 1 %`,
    );
  }
}

function checkRing(pool: PoolDraft, report: Report): void {
  const weights = pool.backends.reduce(
    (sum, { value }) => sum + (value.weight ?? backendOptions.weight.fallback),
    0,
  );
  const points = weights * pointsPerWeight;
  if (points <= ringPointsMax) return;
  report.problem(
    [...pool.path, 'backends'],
    `make a ring of ${points} points (${pointsPerWeight} for each unit of weight); at most ${ringPointsMax} are possible: use smaller weights`,
    'key',
  );
}

function checkHealth(pool: PoolDraft, report: Report): void {
  const health = pool.value.health;
  if (health === undefined) return;
  const interval = health.interval ?? healthOptions.intervalMs.fallback;
  if (health.timeout !== undefined && health.timeout > interval) {
    const longer = `${formatDuration(health.timeout)} is longer than the interval, ${formatDuration(interval)}`;
    report.problem([...pool.path, 'health', 'timeout'], longer);
  }
  const wrong = healthProblem(health);
  if (wrong !== undefined) report.problem([...pool.path, 'health', wrong.key], wrong.message, 'key');
  const policy = pool.value.policy ?? poolOptions.policy.fallback;
  if ((health as { players?: unknown }).players === 'weight' && hashPolicies.includes(policy)) {
    const message = `has no effect with policy ${policy}, whose shares are those of the file: use least-connections, power-of-two or round-robin`;
    report.warning([...pool.path, 'health', 'players'], message);
  }
}

function checkPassive(pool: PoolDraft, report: Report): void {
  const { passive } = pool.value;
  if (passive === undefined) return;
  const { eject = passiveOptions.ejectMs.fallback, eject_max: most } = passive;
  const path = [...pool.path, 'passive'];
  if (most !== undefined && most < eject) {
    report.problem(
      [...path, 'eject_max'],
      `${formatDuration(most)} is shorter than eject, ${formatDuration(eject)}`,
    );
  }
}

/** Datagrams do not come over a unix socket of ours. */
function checkReach(pool: PoolDraft, users: readonly ListenerDraft[], report: Report): void {
  const udp = users.find(({ value }) => value.bind?.protocol === 'udp');
  if (udp === undefined) return;
  for (const backend of pool.backends) {
    if (backend.value.address?.kind !== 'unix') continue;
    report.problem([...backend.path, 'address'], () => {
      const where = report.pointTo([...udp.path, 'bind']);
      return `a unix socket cannot serve the UDP listener ${where}`;
    });
  }
}

function checkProxyVersion(pool: PoolDraft, users: readonly ListenerDraft[], report: Report): void {
  const { proxy_protocol: written } = pool.value;
  if ((typeof written === 'string' ? written : written?.version) !== 'v1') return;
  const user = users.find(({ value }) => value.bind?.protocol === 'udp');
  if (user === undefined) return;
  const where = report.pointTo([...user.path, 'bind']);
  report.problem(
    [...pool.path, 'proxy_protocol'],
    `v1 has no word for UDP: write v2, as this pool serves a UDP listener: ${where}`,
    'key',
  );
}
