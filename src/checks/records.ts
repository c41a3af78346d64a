/**
 * All records of a name, for pools whose backends are found by DNS. Asked over the network by c-ares, so any number of questions
 * are under way at once and one whose server is silent delays no other. /etc/hosts and the search list have no say: a name here is
 * whole.
 *
 * An SRV record (RFC 2782) has a target, which has addresses of its own: one of them stands for it, the lowest, IPv4 before
 * IPv6, as for every backend that is given by name. Targets that nobody answers for soon do not keep the others waiting.
 *
 * Not promised: the TTL of SRV records, which Node does not tell. That of their targets' addresses stands in for it.
 */
import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { Address } from '../core/address.ts';
import { lowest } from './resolve.ts';

export interface RecordQuestion {
  readonly name: string;
  readonly record: 'A' | 'AAAA' | 'SRV';
  /** Name servers, `10.0.0.2` or `10.0.0.2:8600`; none: those of /etc/resolv.conf. */
  readonly servers: readonly string[];
  /** More records than this are a fault. */
  readonly most: number;
}

export interface ServiceRecord {
  /** In lower case, without its last dot: servers may write it otherwise each time. */
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
  /** Where the target is; undefined: nobody could say. */
  readonly ip: string | undefined;
}

export type RecordAnswer =
  /** At least one; `ttlMs` undefined: nobody said for how long. */
  | {
      readonly is: 'found';
      readonly ips: readonly string[];
      readonly services: readonly ServiceRecord[];
      readonly ttlMs: number | undefined;
    }
  /** A server says that there is none. */
  | {
      readonly is: 'none';
      readonly why: string;
      /** There is no such name, so it has no records of other kinds either (RFC 8020). */
      readonly noName: boolean;
    }
  /** Nobody could say. `why`: a sentence without its end. */
  | { readonly is: 'fault'; readonly why: string };

/** For one question to one server; c-ares waits longer for the second try. Milliseconds. */
const questionMs = 2_000;
const tries = 2;
/** For all targets of an SRV record together. */
const targetsWithinMs = 2_000;
const targetsAtOnce = 32;

const faults: Readonly<Record<string, string>> = {
  ETIMEOUT: 'no name server answers',
  ECONNREFUSED: 'no name server is there (connection refused)',
  ESERVFAIL: 'the name server failed (SERVFAIL)',
  EREFUSED: 'the name server refuses to answer (REFUSED)',
  ENOTIMP: 'the name server does not know such questions (NOTIMP)',
  EFORMERR: 'the name server does not understand the question (FORMERR)',
  EBADRESP: "the name server's answer cannot be read",
  EBADNAME: 'the name is not one that can be asked for',
};

/** Never rejects. */
export async function findRecords(question: RecordQuestion): Promise<RecordAnswer> {
  // A new one each time follows a resolv.conf that changes.
  const resolver = new Resolver({ timeout: questionMs, tries });
  try {
    if (question.servers.length > 0) resolver.setServers(question.servers);
    return await (question.record === 'SRV'
      ? findServices(resolver, question)
      : findAddresses(resolver, question));
  } catch (error) {
    return unfound(error as NodeJS.ErrnoException, question);
  } finally {
    resolver.cancel();
  }
}

function unfound({ code = '', message }: NodeJS.ErrnoException, { record }: RecordQuestion): RecordAnswer {
  if (code === 'ENOTFOUND') return { is: 'none', why: 'there is no such name (NXDOMAIN)', noName: true };
  if (code === 'ENODATA') return { is: 'none', why: `the name has no ${record} record`, noName: false };
  return { is: 'fault', why: faults[code] ?? (message || code) };
}

function tooMany(count: number, { record, most }: RecordQuestion): RecordAnswer {
  return {
    is: 'fault',
    why: `the name has ${count} ${record} records; at most ${most} are taken (records_max)`,
  };
}

async function findAddresses(resolver: Resolver, question: RecordQuestion): Promise<RecordAnswer> {
  const { name, record, most } = question;
  const found = await (record === 'A'
    ? resolver.resolve4(name, { ttl: true })
    : resolver.resolve6(name, { ttl: true }));
  const ips = new Set(
    found.map(({ address }) => Address.parse(address, 0)?.ip).filter((ip) => ip !== undefined),
  );
  if (ips.size > most) return tooMany(ips.size, question);
  return { is: 'found', ips: [...ips], services: [], ttlMs: shortest(found.map(({ ttl }) => ttl)) };
}

async function findServices(resolver: Resolver, question: RecordQuestion): Promise<RecordAnswer> {
  const records = await resolver.resolveSrv(question.name);
  if (records.length > question.most) return tooMany(records.length, question);
  // A target that is the root says so: RFC 2782.
  const services = records
    .map(({ name, ...rest }) => ({ ...rest, target: name.replace(/\.$/, '').toLowerCase() }))
    .filter(({ target }) => target !== '');
  // Nobody can be dialled there.
  if (services.some(({ port }) => port === 0)) return { is: 'fault', why: 'one of its servers has port 0' };
  if (services.length === 0)
    return { is: 'none', why: 'the service is decidedly not available (its target is a dot)', noName: false };
  const places = await findTargets(resolver, [...new Set(services.map(({ target }) => target))]);
  return {
    is: 'found',
    ips: [],
    services: services.map(({ target, port, priority, weight }) => ({
      target,
      port,
      priority,
      weight,
      ip: places.get(target)?.ip,
    })),
    ttlMs: shortest([...places.values()].map(({ ttl }) => ttl)),
  };
}

interface Place {
  readonly ip: string | undefined;
  /** Seconds; undefined: unknown. */
  readonly ttl: number | undefined;
}

async function findTargets(resolver: Resolver, targets: readonly string[]): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, targetsWithinMs, 'late');
  });
  let next = 0;
  let isLate = false;
  const ask = async (): Promise<void> => {
    while (next < targets.length && !isLate) {
      const target = targets[next++]!;
      places.set(target, await placeOf(resolver, target));
    }
  };
  const all = Promise.all(Array.from({ length: Math.min(targetsAtOnce, targets.length) }, ask));
  isLate = (await Promise.race([all, late])) === 'late';
  clearTimeout(timer);
  return new Map(places);
}

/** Never rejects. */
async function placeOf(resolver: Resolver, target: string): Promise<Place> {
  if (isIP(target) !== 0) return { ip: target, ttl: undefined };
  try {
    for (const ask of [
      () => resolver.resolve4(target, { ttl: true }),
      () => resolver.resolve6(target, { ttl: true }),
    ]) {
      const found = await ask().catch(noneOrFault);
      const ip = lowest(found);
      if (ip !== undefined) return { ip, ttl: found.find(({ address }) => address === ip)?.ttl };
    }
  } catch {
    // Who could not be asked has what it had.
  }
  return { ip: undefined, ttl: undefined };
}

function noneOrFault(error: NodeJS.ErrnoException): { address: string; ttl: number }[] {
  if (error.code === 'ENOTFOUND' || error.code === 'ENODATA') return [];
  throw error;
}

/** @param ttls seconds; c-ares knows those of the first 256 records only */
function shortest(ttls: readonly (number | undefined)[]): number | undefined {
  const known = ttls.filter((ttl) => ttl !== undefined && Number.isFinite(ttl)) as number[];
  return known.length === 0 ? undefined : known.reduce((least, ttl) => Math.min(least, ttl)) * 1_000;
}
