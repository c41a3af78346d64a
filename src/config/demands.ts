/**
 * What a plan asks of the machine it runs on, and where each of it is written: addresses, ports, devices, capabilities, folders of
 * sockets, files. Whether it can be had is asked elsewhere (cli/machine.ts); here nothing is touched.
 *
 * Not here: an address that another process has (the bind itself says so), limits of memory and descriptors (control/descriptors.ts), and
 * what a file holds.
 */
import { bindsOf } from '../core/binds.ts';
import type { Bind, ListenerPlan, Plan, PoolPlan, Protocol } from '../core/plan.ts';
import type { Path } from './problem.ts';

type InetBind = Extract<Bind, { kind: 'inet' }>;

export type Want =
  /** Dials from the address of a client that is elsewhere. */
  | { readonly asks: 'transparent' }
  | { readonly asks: 'mark'; readonly mark: number }
  | { readonly asks: 'device'; readonly device: string }
  /** Addresses that dials leave from, in turn. */
  | { readonly asks: 'sources'; readonly ips: readonly string[]; readonly device?: string }
  | {
      readonly asks: 'bind';
      readonly protocol: Protocol;
      readonly bind: InetBind;
      /** There are more at its place in the file: which one is to be told. */
      readonly isOneOfSeveral?: boolean;
    }
  /** A socket is made there. */
  | { readonly asks: 'socket'; readonly file: string }
  /** A socket is there, or will be: a backend's. */
  | { readonly asks: 'server'; readonly file: string }
  /** A file to read; `credential:NAME` is one of systemd. */
  | { readonly asks: 'file'; readonly file: string }
  | { readonly asks: 'program'; readonly file: string }
  /** Rules of the kernel: a table of nftables of our own. */
  | { readonly asks: 'rules' }
  /** A setting of the kernel (sysctl) that is `least` or more. */
  | {
      readonly asks: 'setting';
      readonly name: string;
      readonly least: number;
      /** What happens where it is less. */
      readonly otherwise: string;
    };

export interface Demand {
  readonly path: Path;
  readonly want: Want;
  /**
   * `always`: without it the plan is not used. `start`: likewise, but a reload does not use it. `never`: one backend or its checks go
   * without, and it may come later.
   */
  readonly refuses: 'always' | 'start' | 'never';
}

/** In the order of the plan. */
export function demandsOf(plan: Plan): Demand[] {
  return [
    ...servicesOf(plan),
    ...redisOf(plan),
    ...plan.listeners.flatMap(listenerOf),
    ...kernelOf(plan),
    ...plan.pools.flatMap(poolOf),
  ];
}

function servicesOf({ metrics, admin }: Plan): Demand[] {
  const { readFile, writeFile } = admin?.tokens ?? {};
  const tokens = Object.entries({ read_file: readFile, write_file: writeFile }).flatMap(([key, file]) =>
    file === undefined ? [] : [demand(['admin', 'tokens', key], { asks: 'file', file }, 'start')],
  );
  const places = Object.entries({ metrics, admin }).flatMap(([key, service]) =>
    service === undefined ? [] : [demand([key, 'listen'], bindOf('tcp', service.listen), 'start')],
  );
  return [...places, ...tokens];
}

/** The keys are those of the file: `password_file`, `tls.ca_file`. */
function redisOf({ cluster }: Plan): Demand[] {
  if (cluster === undefined) return [];
  const { passwordFile, sentinelPasswordFile, tls } = cluster.redis;
  const files: readonly [Path, string | undefined][] = [
    [['password_file'], passwordFile],
    [['sentinel_password_file'], sentinelPasswordFile],
    [['tls', 'ca_file'], tls?.caFile],
    [['tls', 'cert_file'], tls?.certFile],
    [['tls', 'key_file'], tls?.keyFile],
  ];
  return files.flatMap(([key, file]) =>
    file === undefined ? [] : [demand(['cluster', 'redis', ...key], { asks: 'file', file }, 'start')],
  );
}

function listenerOf(listener: ListenerPlan, index: number): Demand[] {
  const { protocol, allow, deny } = listener;
  const path = ['listeners', index];
  const files = Object.entries({ allow, deny }).flatMap(([key, list]) =>
    (list?.files ?? []).map((file) => demand([...path, key], { asks: 'file', file })),
  );
  // The kernel's listeners bind nothing.
  const binds = listener.relay === 'kernel' ? [] : bindsOf(listener);
  const device = binds.flatMap((bind) => (bind.kind === 'inet' ? (bind.device ?? []) : []))[0];
  return [
    ...asked(binds).map((bind) => demand([...path, 'bind'], bindOf(protocol, bind, binds.length > 1))),
    ...(device === undefined ? [] : [demand([...path, 'bind_device'], { asks: 'device', device })]),
    ...files,
  ];
}

/** What all of the kernel's listeners ask together, at the first of them. */
function kernelOf({ listeners, limits }: Plan): Demand[] {
  const first = listeners.findIndex(({ relay }) => relay === 'kernel');
  if (first < 0) return [];
  const path = ['listeners', first, 'relay'];
  const ips = listeners.flatMap((each) =>
    each.relay === 'kernel' ? bindsOf(each).flatMap((bind) => (bind.kind === 'inet' ? bind.ip : [])) : [],
  );
  const isAny = ips.includes('::');
  const setting = (
    name: string,
    otherwise: string,
    { least = 1, refuses = 'never' }: { least?: number; refuses?: Demand['refuses'] } = {},
  ): Demand => demand(path, { asks: 'setting', name, least, otherwise }, refuses);
  const nothingPasses = 'packets are not passed on to backends';
  const conntrack = 'net.netfilter.nf_conntrack';
  return [
    demand(path, { asks: 'rules' }),
    ...(isAny || ips.some((ip) => !ip.includes(':'))
      ? [setting('net.ipv4.ip_forward', nothingPasses, { refuses: 'always' })]
      : []),
    ...(ips.some((ip) => ip.includes(':'))
      ? [setting('net.ipv6.conf.all.forwarding', nothingPasses, { refuses: 'always' })]
      : []),
    ...(limits.flows === 'auto'
      ? []
      : [
          setting(`${conntrack}_max`, 'fewer connections than limits.flows can be open', {
            least: limits.flows,
          }),
        ]),
    setting(`${conntrack}_acct`, 'bytes and packets of connections are not counted'),
    setting(`${conntrack}_tcp_loose`, 'connections do not outlive the machine that carried them'),
    setting(`${conntrack}_tcp_be_liberal`, 'a takeover may reset connections that are busy'),
  ];
}

function poolOf({ name, upstream, health, backends, discovery }: PoolPlan): Demand[] {
  const path = ['pools', name];
  const demands: Demand[] = [];
  const add = (key: Path, want: Want, refuses?: Demand['refuses']): void =>
    void demands.push(demand([...path, ...key], want, refuses));
  if (upstream !== undefined) {
    const { sources, transparent, mark, device } = upstream;
    if (sources.length > 0)
      add(['source'], { asks: 'sources', ips: sources, ...(device === undefined ? {} : { device }) });
    if (transparent) add(['transparent'], { asks: 'transparent' });
    if (mark !== undefined) add(['mark'], { asks: 'mark', mark });
    if (device !== undefined) add(['device'], { asks: 'device', device });
  }
  for (const key of ['password_file', 'ca_file']) {
    const file = health.options[key];
    if (typeof file === 'string') add(['health', key], { asks: 'file', file }, 'never');
  }
  const [program] = health.type === 'exec' ? (health.options.command as readonly string[]) : [];
  if (program !== undefined && !program.includes('{'))
    add(['health', 'command'], { asks: 'program', file: program }, 'never');
  const list = discovery?.type === 'file' ? discovery.options.path : undefined;
  if (typeof list === 'string') add(['discovery', 'path'], { asks: 'file', file: list }, 'never');
  for (const [index, { address }] of backends.entries())
    if (address.kind === 'unix')
      add(['backends', index, 'address'], { asks: 'server', file: address.path }, 'never');
  return demands;
}

function bindOf(protocol: Protocol, bind: Bind, isOneOfSeveral = false): Want {
  if (bind.kind === 'unix') return { asks: 'socket', file: bind.path };
  return { asks: 'bind', protocol, bind, ...(isOneOfSeveral ? { isOneOfSeveral } : {}) };
}

/** Of a thousand ports of one address the lowest: what may be bound there may be bound on the others. */
function asked(binds: readonly Bind[]): Bind[] {
  const lowest = new Map<string, Bind>();
  for (const bind of binds) {
    const place = bind.kind === 'unix' ? bind.path : bind.ip;
    const known = lowest.get(place);
    // Any free port (0) is never a low one.
    const isLower =
      known?.kind === 'inet' &&
      bind.kind === 'inet' &&
      bind.port > 0 &&
      (known.port === 0 || bind.port < known.port);
    if (known === undefined || isLower) lowest.set(place, bind);
  }
  return [...lowest.values()];
}

function demand(path: Path, want: Want, refuses: Demand['refuses'] = 'always'): Demand {
  return { path, want, refuses };
}
