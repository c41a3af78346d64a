/**
 * A kernel that is made up, for simulations: a table of nftables that takes text as nft does, all of a transaction or nothing, and
 * conntrack with its events, which come late, in another order, or not at all. Its clock and its chance are the simulation's.
 */
import type { Address } from '../core/address.ts';
import { bucketSeed, type KernelBuckets, kernelBucket } from '../core/kernel-bucket.ts';
import type { NftResult } from '../linux/nft.ts';
import { type ConntrackEntry, conntrackStatus, tcpState } from '../wire/conntrack.ts';
import { bucketOffset, markOf } from './layout.ts';
import type { KernelMeans } from './means.ts';

type Elements = Map<string, string>;

interface Table {
  readonly elements: Map<string, Elements>;
  readonly chains: Set<string>;
  readonly kinds: Map<string, 'set' | 'map'>;
  readonly sizes: Map<string, number>;
}

interface Job {
  readonly text: string;
  readonly atMs: number;
  readonly done: (result: NftResult) => void;
}

export interface ModelKernelOptions {
  readonly table: string;
  readonly nowMs: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** How long a transaction takes, at most. */
  readonly transactionMsMax: number;
  /** A transaction was refused. */
  readonly failed: () => void;
}

const none: Omit<KernelBuckets, 'modulus'> = {
  key: 'client-ip',
  prefixV4: 32,
  prefixV6: 128,
  seed: bucketSeed,
};

export class ModelKernel implements KernelMeans {
  table: Table | undefined;
  readonly entries = new Map<number, ConntrackEntry>();
  /** The next transactions that are refused. */
  failures = 0;
  losesEvents = false;
  /** Transactions that were carried out in which only pins were changed. */
  pinTransactions = 0;
  /** The last refusal that was not asked for. */
  problem = '';
  private readonly options: ModelKernelOptions;
  private jobs: Job[] = [];
  private events: ConntrackEntry[] = [];
  private hasLost = false;
  private nextId = 1;

  constructor(options: ModelKernelOptions) {
    this.options = options;
  }

  // ---- nftables ------------------------------------------------------------------------------------------

  readonly nft: KernelMeans['nft'] = {
    run: (text) =>
      new Promise((done) => {
        const { nowMs, random, transactionMsMax } = this.options;
        // One after the other.
        const afterMs = Math.max(nowMs(), this.jobs.at(-1)?.atMs ?? 0);
        this.jobs.push({ text, atMs: afterMs + random() * transactionMsMax, done });
      }),
    list: (command) => Promise.resolve(this.answer(command)),
  };

  /** Transactions that are due are carried out. */
  turn(): void {
    const nowMs = this.options.nowMs();
    const due = this.jobs.filter(({ atMs }) => atMs <= nowMs);
    this.jobs = this.jobs.filter(({ atMs }) => atMs > nowMs);
    for (const { text, done } of due) done(this.carryOut(text));
  }

  private carryOut(text: string): NftResult {
    if (text.startsWith('list ')) return this.table === undefined ? refused('no such table') : taken('');
    if (this.failures > 0) {
      this.failures--;
      this.options.failed();
      return refused('so it is asked for');
    }
    const before = this.table;
    let table = before && copyOf(before);
    for (const line of text.split('\n').filter((one) => one !== '')) {
      const [, verb = '', what = '', rest = ''] =
        /^(add|delete|flush) (ct timeout|\S+) inet (.*)$/.exec(line) ?? [];
      if (what === 'table') table = verb === 'delete' ? undefined : (table ?? emptyTable());
      else if (table === undefined) return this.refuse(`no table: ${line}`);
      else {
        const problem = change(table, verb, what, rest);
        if (problem !== undefined) return this.refuse(`${problem}: ${line}`);
      }
    }
    this.table = table;
    if (/^((add|delete) element inet \S+ pins\/.*\n)+$/.test(text)) this.pinTransactions++;
    return taken('');
  }

  private refuse(problem: string): NftResult {
    this.problem = problem;
    this.options.failed();
    return refused(problem);
  }

  private answer(command: string): NftResult {
    const { table } = this;
    const [, what, name = ''] =
      /^list (set|map|chains|counters table)(?: inet \S+ ?(\S*))?$/.exec(command) ?? [];
    if (what === 'chains') return taken(JSON.stringify({ nftables: this.chainsAsListed() }));
    if (what === undefined) return taken('');
    const elements = table?.elements.get(name);
    if (table === undefined || elements === undefined) return refused(`no ${name}`);
    const kind = table.kinds.get(name)!;
    const elem = [...elements].map(([key, value]) => asListed(key, value, kind));
    const size = table.sizes.get(name);
    const object = {
      family: 'inet',
      table: this.options.table,
      name,
      ...(size === undefined ? {} : { size }),
    };
    const map = name.startsWith('doors/') || name.startsWith('servers/') ? { map: 'verdict' } : {};
    return taken(JSON.stringify({ nftables: [{ [kind]: { ...object, ...map, elem } }] }));
  }

  private chainsAsListed(): object[] {
    return [...(this.table?.chains ?? [])].map((name) => ({
      chain: { family: 'inet', table: this.options.table, name },
    }));
  }

  /** Where a client's first packet is led: `10.0.0.1 . 80`; undefined: nowhere. */
  lead(client: Address, pool: string, size: number): string | undefined {
    const elementsOf = (name: string): Elements | undefined => this.table?.elements.get(name);
    const bucket = kernelBucket(client, { ...none, modulus: size });
    const led = elementsOf(`buckets/${pool}/${size}/4`)?.get(String(bucket + bucketOffset));
    const number = elementsOf(`pins/${pool}/4`)?.get(client.ip) ?? led;
    const mark = markOf(this.options.table).mark + Number(number);
    return number === undefined ? undefined : elementsOf('targets/4')?.get(String(mark));
  }

  // ---- conntrack -----------------------------------------------------------------------------------------

  /** A connection, open at once; `isPickedUp`: from its middle, so nothing was said of its beginning. */
  open(client: Address, local: Address, backend: Address, isPickedUp: boolean): number {
    const id = this.nextId++;
    const entry: ConntrackEntry = {
      event: 'new',
      id,
      protocol: 'tcp',
      original: { source: client, destination: local },
      reply: { source: backend, destination: client },
      mark: markOf(this.options.table).mark,
      status: 0,
      tcpState: tcpState.synSent,
    };
    const established = { ...entry, status: conntrackStatus.seenReply, tcpState: tcpState.established };
    this.entries.set(id, established);
    if (!isPickedUp) this.tell(entry);
    this.tell({ ...established, event: isPickedUp ? 'new' : 'update' });
    return id;
  }

  end(id: number): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    this.entries.delete(id);
    this.tell({ ...entry, event: 'destroy', tcpState: tcpState.timeWait });
  }

  private tell(event: ConntrackEntry): void {
    // From the first that was lost on nothing gets in until all has been read.
    if (this.losesEvents || this.hasLost) this.hasLost = true;
    else this.events.push(event);
  }

  receive(visit: (entry: ConntrackEntry) => void): boolean {
    const { random } = this.options;
    const count = this.hasLost ? this.events.length : Math.floor(random() * (this.events.length + 1));
    const now = this.events.slice(0, count);
    this.events = this.events.slice(count);
    // What is told of one entry comes in its order; of two in any.
    const ids = [...new Set(now.map(({ id }) => id))].sort(() => random() - 0.5);
    for (const id of ids) for (const event of now) if (event.id === id) visit(event);
    const isWhole = !this.hasLost;
    this.hasLost = false;
    return isWhole;
  }

  async list_(): Promise<void> {}

  async list(visit: (entry: ConntrackEntry) => void): Promise<boolean> {
    for (const entry of [...this.entries.values()]) visit({ ...entry, event: 'dump' });
    return true;
  }

  remove(entries: readonly ConntrackEntry[]): void {
    for (const { id } of entries) this.end(id);
  }

  look({ id }: ConntrackEntry): ConntrackEntry | undefined {
    return this.entries.get(id);
  }

  drops(): number {
    return 0;
  }

  /** Whoever asked is gone: what was not carried out never is, and nobody reads what was told. */
  close(): void {
    this.jobs = [];
    this.events = [];
    this.hasLost = false;
  }
}

function emptyTable(): Table {
  return { elements: new Map(), chains: new Set(), kinds: new Map(), sizes: new Map() };
}

function copyOf({ elements, chains, kinds, sizes }: Table): Table {
  const copied = [...elements].map(([name, content]) => [name, new Map(content)] as const);
  return { elements: new Map(copied), chains: new Set(chains), kinds: new Map(kinds), sizes: new Map(sizes) };
}

/** @returns what is wrong with it */
function change(table: Table, verb: string, what: string, rest: string): string | undefined {
  const [, , name = '', body = ''] = /^(\S+) (\S+) ?(.*)$/.exec(rest) ?? [];
  if (what === 'set' || what === 'map') return changeCollection(table, verb, what, name, body);
  if (what === 'element') return changeElements(table.elements.get(name), verb, body);
  if (what !== 'chain') return undefined;
  if (verb === 'add') table.chains.add(name);
  else if (!table.chains.has(name)) return 'no such chain';
  else if (verb === 'delete') table.chains.delete(name);
  return undefined;
}

function changeCollection(
  { elements, kinds, sizes }: Table,
  verb: string,
  kind: 'set' | 'map',
  name: string,
  body: string,
): string | undefined {
  if (verb !== 'add' && !elements.has(name)) return 'no such set';
  if (verb === 'delete') elements.delete(name);
  if (verb === 'flush') elements.get(name)!.clear();
  if (verb !== 'add' || elements.has(name)) return undefined;
  elements.set(name, new Map());
  kinds.set(name, kind);
  const size = /size (\d+);/.exec(body)?.[1];
  if (size !== undefined) sizes.set(name, Number(size));
  return undefined;
}

function changeElements(elements: Elements | undefined, verb: string, body: string): string | undefined {
  if (elements === undefined) return 'no such set';
  for (const text of body.replace(/^\{ /, '').replace(/ \}$/, '').split(', ')) {
    const { key, value } = elementOf(text);
    const known = elements.get(key);
    if (verb === 'delete') {
      if (known === undefined) return `no element ${key}`;
      elements.delete(key);
    } else if (known !== undefined && known !== value) return `element ${key} is there`;
    else elements.set(key, value);
  }
  return undefined;
}

/** The value of one with a comment is the comment. */
function elementOf(text: string): { readonly key: string; readonly value: string } {
  const [, commented, comment] = /^(\S+) comment "(.*)"$/.exec(text) ?? [];
  if (commented !== undefined) return { key: commented, value: comment! };
  const [key = '', value = ''] = text.replace(/ timeout \S+$/, '').split(' : ');
  return { key, value };
}

function asListed(key: string, value: string, kind: 'set' | 'map'): unknown {
  if (kind === 'set') return value === '' ? partsOf(key) : { elem: { val: partsOf(key), comment: value } };
  const goto = /^goto (.*)$/.exec(value)?.[1];
  if (goto !== undefined) return [partsOf(key), { goto: { target: goto } }];
  return [partsOf(key), value === 'drop' ? { drop: null } : partsOf(value)];
}

function partsOf(text: string): unknown {
  const parts = text.split(' . ').map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  return parts.length === 1 ? parts[0] : { concat: parts };
}

function taken(output: string): NftResult {
  return { ok: true, output };
}

function refused(error: string): NftResult {
  return { ok: false, error };
}
