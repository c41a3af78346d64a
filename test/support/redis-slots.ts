/**
 * The slots of a Redis Cluster by hand: who serves them in a node's eyes, and moving one in the steps of `redis-cli
 * --cluster reshard`, with a halt where some of its keys are here and some there.
 */
import type { Redis } from './redis.ts';

/** A node as another one sees it. */
export interface NodeView {
  readonly id: string;
  readonly port: number;
  /** `myself`, `master`, `slave`, `fail?` (one says so), `fail` (most say so). */
  readonly flags: readonly string[];
  /** Whose replica it is; `-` for a primary. */
  readonly primary: string;
  readonly slots: readonly (readonly [first: number, last: number])[];
}

/** Its answer to CLUSTER NODES (redis.io/docs/latest/commands/cluster-nodes). */
export async function nodesSeenBy(node: Redis): Promise<NodeView[]> {
  return (await node.command('CLUSTER', 'NODES')).split('\n').map((line) => {
    const [id = '', address = '', flags = '', primary = '', , , , , ...ranges] = line.trim().split(' ');
    return {
      id,
      port: Number(/:(\d+)@/.exec(address)?.[1]),
      flags: flags.split(','),
      primary,
      // In brackets are those on their way.
      slots: ranges
        .filter((range) => !range.startsWith('['))
        .map((range) => {
          const [first, last = first] = range.split('-').map(Number);
          return [first!, last!] as const;
        }),
    };
  });
}

export function ownerOf(slot: number, nodes: readonly NodeView[]): NodeView | undefined {
  return nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last));
}

/** Whether each of `eyes` sees all of the slots served, and by a node that is there. */
export async function areServed(slots: readonly number[], eyes: readonly Redis[]): Promise<boolean> {
  const answers = await Promise.all(
    eyes.map(async (node) => {
      const nodes = await nodesSeenBy(node);
      const isThere = (slot: number): boolean =>
        ownerOf(slot, nodes)?.flags.some((flag) => flag.startsWith('fail')) === false;
      return slots.every(isThere) && /cluster_state:ok/.test(await node.command('CLUSTER', 'INFO'));
    }),
  );
  return answers.every((answer) => answer);
}

/** A command whose answer must be OK: redis-cli ends well after an error, too. */
export async function tell(node: Redis, ...words: readonly string[]): Promise<void> {
  const answer = await node.command(...words);
  if (answer !== 'OK') throw new Error(`${node.port}: ${words.slice(0, 4).join(' ')}: ${answer}`);
}

/** How often a node answered with this error since its counts were reset. */
export async function errorsOf(node: Redis, code: 'ASK' | 'MOVED' | 'TRYAGAIN'): Promise<number> {
  const info = await node.command('INFO', 'errorstats');
  return Number(new RegExp(`^errorstat_${code}:count=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}

export interface SlotMove {
  readonly slot: number;
  readonly from: Redis;
  readonly to: Redis;
  readonly primaries: readonly Redis[];
  /** Keys that match go in the first half. */
  readonly early: (key: string) => boolean;
  /** Called when half of the keys have moved. */
  readonly halfWay: () => Promise<void>;
}

export async function moveSlot({ slot, from, to, primaries, early, halfWay }: SlotMove): Promise<void> {
  const [name, fromId, toId] = [String(slot), await idOf(from), await idOf(to)];
  await tell(to, 'CLUSTER', 'SETSLOT', name, 'IMPORTING', fromId);
  await tell(from, 'CLUSTER', 'SETSLOT', name, 'MIGRATING', toId);
  const keys = await keysIn(slot, from);
  const sorted = [...keys.filter(early), ...keys.filter((key) => !early(key))];
  await migrate(sorted.slice(0, Math.ceil(sorted.length / 2)), from, to);
  await halfWay();
  for (let left = await keysIn(slot, from); left.length > 0; left = await keysIn(slot, from))
    await migrate(left, from, to);
  for (const node of [to, from, ...primaries.filter((one) => one !== from && one !== to)])
    await tell(node, 'CLUSTER', 'SETSLOT', name, 'NODE', toId);
}

async function idOf(node: Redis): Promise<string> {
  return node.command('CLUSTER', 'MYID');
}

async function keysIn(slot: number, node: Redis): Promise<string[]> {
  const answer = await node.command('CLUSTER', 'GETKEYSINSLOT', String(slot), '1000');
  return answer === '' ? [] : answer.split('\n');
}

async function migrate(keys: readonly string[], from: Redis, to: Redis): Promise<void> {
  if (keys.length === 0) return;
  const answer = await from.command('MIGRATE', to.host, String(to.port), '', '0', '5000', 'KEYS', ...keys);
  // They may have expired meanwhile.
  if (answer !== 'OK' && answer !== 'NOKEY') throw new Error(`${from.port}: MIGRATE: ${answer}`);
}
