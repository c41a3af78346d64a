/**
 * `pinion kernel`: the table of nftables of `relay: kernel`, as it is on this machine and as the configuration wants it; and how to
 * take it away. It asks the kernel, no instance: the table is there without one.
 *
 * What depends on which backends are up and on pins (the elements of buckets and pins) is not compared: that is the running instance's.
 */
import type { Command } from 'commander';
import { Ids } from '../control/ids.ts';
import type { Plan } from '../core/plan.ts';
import type { PoolView } from '../core/snapshot.ts';
import type { Ruleset } from '../kernel/form.ts';
import { layoutMarker, tableOf } from '../kernel/layout.ts';
import { readPresent } from '../kernel/present.ts';
import { wantedOf } from '../kernel/ruleset.ts';
import { TargetNumbers } from '../kernel/target-numbers.ts';
import { removal, transaction } from '../kernel/transaction.ts';
import { type Nft, openNft } from '../linux/nft.ts';
import { complain } from './ask.ts';
import type { KernelOptions } from './commands/run.ts';
import { listenersOf } from './listener-views.ts';
import { loadOrComplain, requiredConfigFile } from './load.ts';
import { print } from './standard-output.ts';

export async function kernel(
  command: Command,
  file: string | undefined,
  options: KernelOptions,
): Promise<void> {
  const plan = loadOrComplain(requiredConfigFile(command, file));
  if (plan === undefined) return;
  const nft = openNft();
  if (nft === undefined && options.wanted !== true)
    return complain('neither libnftables nor the command nft is installed');
  try {
    if (options.wanted === true) print(transaction(undefined, wantedHere(plan, undefined)));
    else if (options.remove === true) await remove(plan, nft!);
    else await show(plan, options, nft!);
  } catch (error) {
    complain((error as Error).message);
  } finally {
    nft?.close();
  }
}

async function remove(plan: Plan, nft: Nft): Promise<void> {
  const table = tableOf(plan);
  const found = await readPresent((command) => nft.list(command), table);
  if (found === undefined) return print(`there was no table inet ${table}\n`);
  if (!found.collections.has(layoutMarker))
    return complain(
      `the table inet ${table} is not as this version of pinion makes it (it has no set ${layoutMarker}); if it is to go all the same: nft delete table inet ${table}`,
    );
  const answer = await nft.run(removal(table));
  if (!answer.ok) return complain(answer.error);
  print(`the table inet ${table} is gone\n`);
}

async function show(plan: Plan, { elements }: KernelOptions, nft: Nft): Promise<void> {
  const table = tableOf(plan);
  const found = await readPresent((command) => nft.list(command), table);
  const want = wantedHere(plan, found);
  if (found === undefined) print(`# there is no table inet ${table}\n`);
  else {
    const listed = await nft.run(`list table inet ${table}`);
    const text = listed.ok ? listed.output : `# ${listed.error}\n`;
    print(`# as it is\n${elements === true ? text : withoutElements(text)}`);
  }
  const has = plan.listeners.some(({ relay }) => relay === 'kernel');
  const changes = has ? differences(found, want) : [];
  if (!has) print(`\n# no listener of ${plan.source} has relay: kernel\n`);
  else if (changes.length === 0)
    print(`\n# as ${plan.source} wants it, but for buckets and pins, which were not compared\n`);
  else print(`\n# to be as ${plan.source} wants it, but for buckets and pins\n${changes.join('\n')}\n`);
}

/** `elements = { 65536 : 1, ... }`, which may be a million: how many. */
function withoutElements(text: string): string {
  return text.replaceAll(
    /elements = \{([^}]*)\}/g,
    (_, elements: string) => `# elements: ${elements.split(',').length}`,
  );
}

/** Rules cannot be compared: what was found of them is not what was written. */
function differences(found: Ruleset | undefined, want: Ruleset): string[] {
  const lines = transaction(found, want).trim().split('\n');
  const known = new Set(found?.chains.keys());
  return lines.filter((line) => {
    const [word, what, , , name = ''] = line.split(' ');
    if (word === 'flush' || line === '') return false;
    if (what === 'rule') return !known.has(name);
    return what !== 'element' || !/^(layout|buckets|pins|allow|deny)\//.test(name);
  });
}

/** With the numbers of the table that was found. Nobody is up, and nobody is pinned. */
function wantedHere(plan: Plan, found: Ruleset | undefined): Ruleset {
  const ids = new Ids();
  const pools = plan.pools.map(
    ({ backends, ...pool }): PoolView => ({
      id: ids.pool(pool.name),
      version: 1,
      plan: pool,
      backends: backends.map(({ name, address, weight }) => ({
        id: ids.backend(pool.name, name),
        name,
        // Names are not asked here.
        target: address.kind === 'name' ? undefined : address,
        addressText: '',
        weight,
        maxConnections: 0,
      })),
    }),
  );
  const view = {
    table: tableOf(plan),
    listeners: listenersOf(plan, ids).filter((listener) => listener.plan.relay === 'kernel'),
    pools,
    bucketsOf: (pool: PoolView) => new Int32Array(pool.plan.tableSize),
    pinsIn: () => ({ kind: 'elements' as const, elements: new Map<string, string>() }),
    isEnding: found?.chains.has('ended') === true,
  };
  return wantedOf(view, new TargetNumbers(found));
}
