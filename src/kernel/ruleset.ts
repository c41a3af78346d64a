/**
 * The kernel's table as it is to be, made of what the data plane knows: pure, and the same on every instance with the same pool.
 *
 *   nat prerouting, output   doors/F, doors/any/F: address, protocol, port --> clients/LISTENER/F
 *   nat postrouting          masquerade where it is asked for; servers/F: backend, protocol, port --> servers/LISTENER/F
 *   filter input             what conntrack takes for no part of a connection does not reach this machine's own TCP, which would reset it
 *   filter prerouting        only with a limit of datagrams: datagrams/F --> datagrams/LISTENER/F
 *   filter forward, input, output   only while connections are being ended: gone/F --> reset
 *
 * A packet of an open connection passes the nat chains without a rule being looked at, so what it costs does not depend on how much is
 * here. Rules that others have made, and their tables, are left alone; so they may drop what is accepted here.
 */

import type { AddressList } from '../core/access.ts';
import { AddressRanges, RangesBuilder } from '../core/address-ranges.ts';
import { formatCidr } from '../core/cidr.ts';
import type { Protocol } from '../core/plan.ts';
import { hashText } from '../core/policy/hash-text.ts';
import {
  clientsChain,
  datagramsChain,
  doorKey,
  doorsOf,
  type Family,
  families,
  familiesOf,
  frontsOf,
  wayBack,
} from './doors.ts';
import type { Chain, Collection, Ruleset } from './form.ts';
import { goneSet, hex, layoutMarker, markOf, masqueradeBit, safeName } from './layout.ts';
import {
  clientRules,
  datagramRules,
  hasDatagramLimits,
  type ListenerParts,
  serverRules,
} from './listener-rules.ts';
import { addSpread, elementsOf, kernelListeners, markBase } from './spread.ts';
import type { TargetNumbers } from './target-numbers.ts';
import type { KernelListener, RulesetView } from './view.ts';

const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;
const ip = { 4: 'ip', 6: 'ip6' } as const;

/** @param numbers those of the table so far; they are changed */
export function wantedOf(view: RulesetView, numbers: TargetNumbers): Ruleset {
  const parts: ListenerParts & { chains: Map<string, Chain> } = {
    collections: new Map(),
    counters: new Set(),
    timeouts: new Map(),
    chains: new Map(),
  };
  const { collections, chains } = parts;
  const listeners = kernelListeners(view);
  addGoneSets(collections);
  const targets = new Set<string>();
  for (const listener of listeners) {
    addAccess(listener, collections);
    addSpread(listener, view, numbers, collections, targets);
  }
  numbers.keep(targets);
  for (const listener of listeners) addClients(listener, markBase(listener, view.table), parts, chains);
  addBaseChains(listeners, view, parts, chains);
  addCatalogue(parts);
  return { table: view.table, ...parts };
}

/** Elements have to differ; what tells one from another is in the comment. */
function addCatalogue({ collections, counters, timeouts }: ListenerParts): void {
  const texts = [
    ...[...collections].map(([name, { kind }]) => `${kind} ${name}`),
    ...[...counters].map((name) => `counter ${name}`),
    ...[...timeouts.keys()].map((name) => `timeout ${name}`),
  ];
  const elements = elementsOf(collections, layoutMarker, { kind: 'set', head: 'type mark;' });
  const taken = new Set<number>();
  for (const text of texts.sort()) {
    let key = hashText(text, 0);
    while (taken.has(key)) key = (key + 1) >>> 0;
    taken.add(key);
    elements.set(`${key} comment "${text}"`, '');
  }
}

function addGoneSets(collections: Map<string, Collection>): void {
  for (const family of families) {
    const end = `${addressType[family]} . inet_service`;
    const head = `type ${end} . ${end}; flags timeout;`;
    collections.set(goneSet(family), { kind: 'set', head, content: { kind: 'alive' } });
  }
}

/** Lists of one key are one set: networks inside of others are left out, as an interval set has none twice. */
function addAccess({ view: { access, plan } }: KernelListener, collections: Map<string, Collection>): void {
  if (access === undefined) return;
  const { version, allow, deny } = access;
  const add = (key: 'allow' | 'deny', lists: readonly AddressList[]): void => {
    const ranges = joined(lists);
    for (const family of families) {
      const networks: Iterable<string> = {
        *[Symbol.iterator]() {
          for (const network of ranges.networks())
            if (network.address.family === family) yield formatCidr(network);
        },
      };
      collections.set(`${key}/${safeName(plan.name)}/${family}`, {
        kind: 'set',
        head: `type ${addressType[family]}; flags interval;`,
        content: { kind: 'networks', version, networks },
      });
    }
  };
  if (deny.length > 0) add('deny', deny);
  if (allow !== undefined) add('allow', allow);
}

function joined(lists: readonly AddressList[]): AddressRanges {
  const [first] = lists;
  if (lists.length === 1) return new AddressRanges(first!.shared);
  const builder = new RangesBuilder();
  for (const { shared } of lists)
    for (const network of new AddressRanges(shared).networks()) builder.add(network, network.line);
  return new AddressRanges(builder.build());
}

function addClients(
  listener: KernelListener,
  base: number,
  parts: ListenerParts,
  chains: Map<string, Chain>,
): void {
  const { protocol } = listener.view.plan;
  const add = (name: string, rules: readonly string[]): void =>
    void chains.set(name, { base: undefined, rules });
  for (const family of familiesOf(listener)) {
    add(clientsChain(listener, family), clientRules(listener, family, base, parts));
    const hasLimits = hasDatagramLimits(listener);
    if (hasLimits) add(datagramsChain(listener, family), datagramRules(listener, family, parts));
    for (const door of doorsOf(listener)) {
      if (door.family !== family) continue;
      addDoor('doors', family, protocol, door, clientsChain(listener, family), parts.collections);
      if (hasLimits)
        addDoor('datagrams', family, protocol, door, datagramsChain(listener, family), parts.collections);
    }
  }
}

function addDoor(
  what: 'doors' | 'datagrams',
  family: Family,
  protocol: Protocol,
  door: { readonly ip: string | undefined; readonly port: number },
  chain: string,
  collections: Map<string, Collection>,
): void {
  const isAny = door.ip === undefined;
  const name = `${what}/${isAny ? 'any/' : ''}${family}`;
  const address = isAny ? '' : `${addressType[family]} . `;
  const head = `type ${address}inet_proto . inet_service : verdict;`;
  const elements = elementsOf(collections, name, { kind: 'map', head }, 'verdicts');
  const key = doorKey(protocol, door);
  if (!elements.has(key)) elements.set(key, `goto ${chain}`);
}

function addBaseChains(
  listeners: readonly KernelListener[],
  view: RulesetView,
  parts: ListenerParts,
  chains: Map<string, Chain>,
): void {
  const { collections } = parts;
  const base = (name: string, hook: string, rules: readonly string[]): void =>
    void (rules.length > 0 && chains.set(name, { base: `type ${hook}; policy accept;`, rules }));
  const doors = lookUps('doors', 'daddr', 'dport', collections);
  base('arriving', 'nat hook prerouting priority -100', doors);
  base('own', 'nat hook output priority -100', doors);
  base('leaving', 'nat hook postrouting priority 100', leavingRules(listeners, view, parts, chains));
  base('strays', 'filter hook input priority 0', strayRules(listeners, collections));
  base(
    'datagrams',
    'filter hook prerouting priority -150',
    lookUps('datagrams', 'daddr', 'dport', collections),
  );
  if (!view.isEnding) return;
  chains.set('ended', { base: undefined, rules: endedRules });
  for (const hook of ['forward', 'input', 'output'])
    base(`ending/${hook}`, `filter hook ${hook} priority 0`, endingRules);
}

/** Looks packets up in the maps of verdicts that there are. */
function lookUps(
  what: string,
  address: 'saddr' | 'daddr',
  port: 'sport' | 'dport',
  collections: Map<string, Collection>,
): string[] {
  return families.flatMap((family) => {
    const named = `${what}/${family}`;
    const any = `${what}/any/${family}`;
    const where = `meta l4proto . th ${port} vmap`;
    return [
      ...(collections.has(named) ? [`${ip[family]} ${address} . ${where} @${named}`] : []),
      ...(collections.has(any)
        ? [`meta nfproto ipv${family} fib ${address} type local ${where} @${any}`]
        : []),
    ];
  });
}

/**
 * Clients of this machine itself leave from the address of the network they go to: theirs may be one that is not its own everywhere. This
 * chain is there without listeners as well: the kernel translates nothing of what is open while no chain of nat is left.
 */
function leavingRules(
  listeners: readonly KernelListener[],
  { table }: RulesetView,
  parts: ListenerParts,
  chains: Map<string, Chain>,
): string[] {
  const { mark, mask } = markOf(table);
  const ofMasquerade = `ct mark & ${hex((mask | masqueradeBit) >>> 0)} == ${hex((mark | masqueradeBit) >>> 0)}`;
  const isMasqueraded = listeners.some(({ view: { plan } }) => plan.source === 'masquerade');
  for (const family of families) addWayBack(listeners, family, table, parts, chains);
  return [
    ...(isMasqueraded ? [`${ofMasquerade} masquerade`] : []),
    `ct mark & ${hex(mask)} == ${hex(mark)} oifname != "lo" fib saddr type local masquerade`,
    'tcp flags & (fin | syn | rst) != 0 return',
    ...lookUps('servers', 'saddr', 'sport', parts.collections),
  ];
}

function addWayBack(
  listeners: readonly KernelListener[],
  family: Family,
  table: string,
  parts: ListenerParts,
  chains: Map<string, Chain>,
): void {
  const verdicts = wayBack(listeners, family);
  if (verdicts.size === 0) return;
  const head = `type ${addressType[family]} . inet_proto . inet_service : verdict;`;
  parts.collections.set(`servers/${family}`, {
    kind: 'map',
    head,
    content: { kind: 'verdicts', elements: verdicts },
  });
  const used = new Set(verdicts.values());
  for (const listener of listeners) {
    for (const front of frontsOf(listener, family)) {
      const { chain } = front;
      if (!used.has(`goto ${chain}`)) continue;
      const rules = serverRules(listener, front, family, markOf(table).mark, parts);
      chains.set(chain, { base: undefined, rules });
    }
  }
}

/**
 * A FIN that no entry knows is not translated and comes to this machine itself, which would break the connection off. It is dropped,
 * and comes again: the next bytes of either side make the entry.
 */
function strayRules(listeners: readonly KernelListener[], collections: Map<string, Collection>): string[] {
  for (const listener of listeners) {
    if (listener.view.plan.protocol !== 'tcp') continue;
    for (const { family, ip: address, port } of doorsOf(listener)) {
      if (address === undefined) continue;
      const head = `type ${addressType[family]} . inet_service;`;
      elementsOf(collections, `strays/${family}`, { kind: 'set', head }).set(`${address} . ${port}`, '');
    }
  }
  return families.flatMap((family) =>
    collections.has(`strays/${family}`)
      ? [`ct state invalid ${ip[family]} daddr . tcp dport @strays/${family} drop`]
      : [],
  );
}

const endedRules = [
  // The same ports again: a new connection, which has an entry. That of the ended one is deleted once it is in the set.
  'tcp flags & (syn | ack) == syn return',
  'ct state established return',
  // Resets end it as well, and ours pass here on their way out.
  'tcp flags & rst != 0 return',
  'meta l4proto tcp reject with tcp reset',
];

const endingRules = families.flatMap((family) => {
  const [from, to] = [`${ip[family]} saddr . tcp sport`, `${ip[family]} daddr . tcp dport`];
  const set = goneSet(family);
  return [`${from} . ${to} @${set} goto ended`, `${to} . ${from} @${set} goto ended`];
});
