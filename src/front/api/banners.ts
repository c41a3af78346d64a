/** What somebody should know now, the worst first: whole sentences for people, made from the state and the rows. */
import { fileFate } from '../../observe/in-words.ts';
import type { FrontState } from '../state.ts';
import type { Banner, PoolRow } from './shapes.ts';

const order = { error: 0, warning: 1, info: 2 } as const;

export function bannersOf(state: FrontState, pools: readonly PoolRow[], atMs: number): Banner[] {
  const banners = [
    ...lifeBanners(state),
    ...pools.flatMap((pool) => poolBanners(pool)),
    ...clusterBanners(state),
    ...threadBanners(state),
    ...sourceBanners(state),
    ...fileBanners(state),
    ...restartBanners(state),
    ...operatorBanners(pools),
  ];
  const latest = new Date(atMs).toISOString();
  return banners
    .map((banner) => (banner.since !== null && banner.since > latest ? { ...banner, since: latest } : banner))
    .sort((a, b) => order[a.level] - order[b.level]);
}

function lifeBanners({ draining }: FrontState): Banner[] {
  if (!draining) return [];
  return [
    banner(
      'warning',
      'draining',
      null,
      'this instance is shutting down: open flows may finish, nobody new comes in',
    ),
  ];
}

function poolBanners({ pool, state, backends, isInPanic }: PoolRow): Banner[] {
  // Of most pools nothing is to be said.
  const since = (): string | null =>
    backends
      .map((one) => one.since)
      .sort()
      .at(-1) ?? null;
  if (isInPanic)
    return [
      banner(
        'error',
        'panic',
        pool,
        `pool ${pool}: so few backends are up that all are tried (panic_below)`,
        since(),
      ),
    ];
  if (state !== 'down') return [];
  const states = new Set(backends.map((one) => one.state));
  const [only] = states;
  const words =
    states.size === 1 && only === 'coming-up'
      ? 'no backend has passed its first check yet'
      : states.size === 1 && only === 'down'
        ? 'all backends are down'
        : states.size === 1 && only === 'maintenance'
          ? 'all backends are in maintenance'
          : [...states].every((one) => one === 'draining' || one === 'drained')
            ? 'all backends are drained'
            : 'no backend takes new clients';
  return [banner('error', 'pool-down', pool, `pool ${pool}: ${words}`, since())];
}

function clusterBanners({ cluster }: FrontState): Banner[] {
  if (cluster === undefined) return [];
  const banners: Banner[] = [];
  if (cluster.state !== 'in-step') {
    const { lastFault, state } = cluster;
    const why = lastFault === undefined ? '' : `: ${lastFault.fault}: ${lastFault.message}`;
    const level = cluster.caughtUp ? 'warning' : 'error';
    banners.push(banner(level, 'redis', null, `pins are not shared, clients are served (${state}${why})`));
  }
  if (cluster.differingDigests > 0) {
    const text = `${cluster.differingDigests} other ${cluster.differingDigests === 1 ? 'instance has' : 'instances have'} another configuration`;
    banners.push(banner('warning', 'cluster-digest', null, text));
  }
  if (cluster.journalDropped > 0)
    banners.push(
      banner(
        'warning',
        'cluster-journal',
        null,
        `${cluster.journalDropped} changes of pins were not told to Redis: too many waited`,
      ),
    );
  return banners;
}

function threadBanners({ rooms }: FrontState): Banner[] {
  return rooms
    .filter(({ state }) => state === 'waiting' || state === 'starting')
    .map(({ room, state, lastDeath }) =>
      banner(
        'warning',
        'room',
        room,
        `the ${room} room is ${state === 'waiting' ? 'down and is started again' : 'starting'}${lastDeath === undefined ? '' : ` (${lastDeath})`}; flows go on`,
      ),
    );
}

function sourceBanners({ discovery, accessLists }: FrontState): Banner[] {
  return [
    ...discovery.flatMap(({ pool, place, fault, found, lastSuccessAt }) =>
      fault === null
        ? []
        : [
            banner(
              'warning',
              'discovery',
              pool,
              `pool ${pool}: ${place}: ${fault}; ${found} found backends stay in use`,
              lastSuccessAt,
            ),
          ],
    ),
    ...accessLists.flatMap(({ file, fault, entries }) =>
      fault === null
        ? []
        : [
            banner(
              'warning',
              'access-list',
              file,
              `${fault}; the list read before, with ${entries} entries, stays in use`,
            ),
          ],
    ),
  ];
}

function fileBanners({ files }: FrontState): Banner[] {
  return files.unusable.map((one) =>
    banner('warning', 'file', one.file, `${one.fault}; ${fileFate(one)}`, one.since),
  );
}

function restartBanners({ pendingRestart }: FrontState): Banner[] {
  if (pendingRestart.length === 0) return [];
  return [
    banner(
      'info',
      'restart-pending',
      pendingRestart[0] ?? null,
      `restart to change ${pendingRestart.join(', ')}`,
    ),
  ];
}

function operatorBanners(pools: readonly PoolRow[]): Banner[] {
  return pools.flatMap(({ pool, backends }) => {
    const out = backends.filter(({ state }) => state === 'maintenance');
    if (out.length === 0 || out.length === backends.length) return [];
    const names = out.slice(0, 5).map(({ backend }) => backend);
    const more = out.length > names.length ? ` and ${out.length - names.length} more` : '';
    const since = out.map((one) => one.since).sort()[0] ?? null;
    return [
      banner('info', 'maintenance', pool, `pool ${pool}: in maintenance: ${names.join(', ')}${more}`, since),
    ];
  });
}

function banner(
  level: Banner['level'],
  code: string,
  about: string | null,
  text: string,
  since: string | null = null,
): Banner {
  return { level, code, about, text, since };
}
