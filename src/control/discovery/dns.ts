/**
 * Backends from the DNS: all addresses of a name, or the servers of a service (SRV). Asked again when the shortest TTL of the answer is
 * over, within `refresh`.
 *
 * What a server says does not exist (NXDOMAIN, or no record at all) is a fault like silence: the last list stays. An empty answer is
 * nearly always somebody's mistake, and whether a server lives its health check knows better.
 */
import type { RecordAnswer, RecordQuestion, ServiceRecord } from '../../checks/records.ts';
import { Address } from '../../core/address.ts';
import { backendsPerPoolMax } from '../../core/limits.ts';
import { choice, duration, group, own, type Reading, required, whole } from '../../core/options.ts';
import type { BackendPlan } from '../../core/plan.ts';
import { addressBackends, type PlacedService, serviceBackends } from './dns-backends.ts';
import { type Looking, type Source, sourceKind } from './source.ts';

type Kind = RecordQuestion['record'];

/** While nobody answers it is asked again so often, at the latest. Milliseconds. */
const retryMsMax = 30_000;
/** For how long SRV records hold at most: nobody tells us their own TTL. Milliseconds. */
const serviceMsMax = 30_000;
const refreshMsMin = 1_000;

const options = {
  name: required(
    own<string | undefined>(
      'dns: the whole name; /etc/hosts and the search list have no say.',
      readName,
      { type: 'string' },
      undefined,
    ),
  ),
  record: choice(
    'dns: what is asked for. A, AAAA: all addresses, each a backend; SRV: servers with port, priority and weight, each with one of its addresses.',
    ['A+AAAA', 'A', 'AAAA', 'SRV'],
    'A+AAAA',
  ),
  port: whole('dns: the port of the backends; SRV records have their own.', 1, 65_535),
  max_connections: whole('dns: open flows that each backend takes; 0: no limit.', 0, 10_000_000, 0),
  refresh: group(
    'dns: bounds for when the name is asked for again, which is when the TTL of the answer is over.',
    {
      min: duration(
        'dns: not sooner than this. While nobody answers: after this, then twice as late each time, up to 30 s.',
        5_000,
      ),
      max: duration('dns: not later than this.', 300_000),
    },
  ),
  servers: own<readonly string[]>(
    'dns: name servers to ask, such as 10.0.0.2 or 127.0.0.1:8600. Default: those of /etc/resolv.conf.',
    readServers,
    { type: 'array', items: { type: 'string' } },
    [],
  ),
  records_max: whole('dns: an answer with more records is not taken.', 1, backendsPerPoolMax, 1_000),
};

export const dns = sourceKind({
  meaning: 'records of a name, asked for again when their time is over',
  options,
  problem: ({ record, port, refresh }) => {
    if (record !== 'SRV' && port === undefined)
      return { key: 'port', message: `is missing: ${record} records have none` };
    if (record === 'SRV' && port !== undefined)
      return { key: 'port', message: 'has no effect: SRV records have their own' };
    if (refresh.min < refreshMsMin) return { key: 'refresh', message: 'min must be at least 1s' };
    return refresh.min > refresh.max ? { key: 'refresh', message: 'min is longer than max' } : undefined;
  },
  place: ({ record, name }) => `${record} ${name}`,
  start: (looking) => new Names(looking),
});

class Names implements Source {
  private readonly looking: Looking<typeof options>;
  /** Of each kind what was found last. */
  private readonly ips = new Map<Kind, readonly string[]>();
  private services: readonly PlacedService[] = [];
  private failedInARow = 0;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(looking: Looking<typeof options>) {
    this.looking = looking;
    this.lookIn(0);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private lookIn(ms: number): void {
    this.timer = setTimeout(() => void this.look(), ms);
  }

  private async look(): Promise<void> {
    const { options, means, tell } = this.looking;
    const { name = '', servers, records_max: most, record, refresh } = options;
    const kinds: readonly Kind[] = record === 'A+AAAA' ? ['A', 'AAAA'] : [record];
    const answers = await Promise.all(kinds.map((kind) => means.ask({ name, record: kind, servers, most })));
    if (this.isStopped) return;
    const { backends, fault } =
      record === 'SRV' ? this.serviceWord(answers[0]!) : this.addressWord(kinds, answers);
    this.failedInARow = fault === undefined ? 0 : this.failedInARow + 1;
    const dueMs = fault === undefined ? lifetimeOf(answers, record) : this.retryMs();
    this.lookIn(Math.min(refresh.max, Math.max(refresh.min, dueMs)));
    tell(backends, fault);
  }

  private retryMs(): number {
    return Math.min(retryMsMax, this.looking.options.refresh.min * 2 ** Math.min(16, this.failedInARow - 1));
  }

  /** A kind has none only where the server says so and has the other kind; else it keeps what it had. */
  private addressWord(kinds: readonly Kind[], answers: readonly RecordAnswer[]): Word {
    const isFound = answers.some((answer) => answer.is === 'found');
    const isGone = (answer: RecordAnswer): boolean => answer.is === 'none' && !answer.noName && isFound;
    const now = kinds.map((kind, i) => {
      const answer = answers[i]!;
      if (answer.is === 'found') return answer.ips;
      return isGone(answer) ? [] : (this.ips.get(kind) ?? []);
    });
    const faults = answers.flatMap((answer, i) => {
      const isFault = answer.is === 'fault' || (answer.is === 'none' && answer.noName && isFound);
      return isFault ? [`${kinds[i]}: ${answer.why}`] : [];
    });
    if (!isFound) {
      const nones = answers.flatMap((answer) => (answer.is === 'none' ? [answer.why] : []));
      return { backends: undefined, fault: unique([...faults, ...nones]).join(', ') };
    }
    for (const [i, kind] of kinds.entries()) this.ips.set(kind, now[i]!);
    const { port = 0, max_connections: maxConnections } = this.looking.options;
    return {
      backends: addressBackends(now.flat(), port, maxConnections),
      fault: faults.length === 0 ? undefined : unique(faults).join(', '),
    };
  }

  /** A target without an answer is where it was. */
  private serviceWord(answer: RecordAnswer): Word {
    if (answer.is !== 'found') return { backends: undefined, fault: answer.why };
    const before = new Map(this.services.map(({ target, ip }) => [target, ip]));
    const lost = unique(answer.services.flatMap(({ target, ip }) => (ip === undefined ? [target] : [])));
    const placed = answer.services.flatMap((service) => place(service, before));
    const others = lost.length === 1 ? '' : `, and ${lost.length - 1} more`;
    const fault = lost.length === 0 ? undefined : `nobody says where its target ${lost[0]} is${others}`;
    if (placed.length === 0) return { backends: undefined, fault };
    this.services = placed;
    return { backends: serviceBackends(placed, this.looking.options.max_connections), fault };
  }
}

interface Word {
  readonly backends: readonly BackendPlan[] | undefined;
  readonly fault: string | undefined;
}

function place(service: ServiceRecord, before: ReadonlyMap<string, string>): PlacedService[] {
  const ip = service.ip ?? before.get(service.target);
  return ip === undefined ? [] : [{ ...service, ip }];
}

/** How long answers hold. Milliseconds. */
function lifetimeOf(answers: readonly RecordAnswer[], record: string): number {
  const most = record === 'SRV' ? serviceMsMax : Number.POSITIVE_INFINITY;
  return answers.reduce(
    (least, answer) => Math.min(least, answer.is === 'found' ? (answer.ttlMs ?? most) : most),
    most,
  );
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

/** RFC 1035, 2.3.4: labels of up to 63 octets, 253 in all; and the underscores of services. */
function readName(value: unknown): Reading<string> {
  const isName =
    typeof value === 'string' &&
    /^(?=.{1,254}$)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?$/.test(value) &&
    Address.parse(value, 0) === undefined;
  return isName
    ? { value }
    : { refused: 'must be a name that the DNS knows, such as db.example.org or _arena._udp.example.org' };
}

function readServers(value: unknown): Reading<readonly string[]> {
  const isServer = (one: unknown): boolean => {
    if (typeof one !== 'string') return false;
    const [, ip = one, port = '53'] = /^\[?(.*?)\]?:(\d{1,5})$/.exec(Address.parse(one, 0) ? '' : one) ?? [];
    return Address.parse(ip, 0) !== undefined && Number(port) > 0 && Number(port) < 65_536;
  };
  return Array.isArray(value) && value.length > 0 && value.length <= 16 && value.every(isServer)
    ? { value: value as readonly string[] }
    : {
        refused:
          'must be a list of up to 16 IP addresses with or without a port, such as [ 10.0.0.2, "127.0.0.1:8600" ]',
      };
}
